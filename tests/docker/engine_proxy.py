"""Stands between miniecs and an engine's socket: holds a request, cuts the line, or lies.

Faults at an exact step of a container's life need no hook in the product: whoever drives an engine says each
step to its socket. A held request waits before it reaches the engine, or with its answer, until the test has
killed whom it wanted to kill.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .daemon import short_folder

_HEAD_LIMIT = 1 << 20
_CHUNK = 1 << 16
_STEP = 0.2  # seconds after which an idle connection looks whether it was cut

When = Literal["before", "after"]


@dataclass(frozen=True)
class Request:
    """``POST /containers/create?name=x``: the API version's prefix is left out."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Hold:
    """The first request that matches waits: ``reached``, then ``release``."""

    pattern: re.Pattern[str]
    when: When
    request: Request | None = None
    _reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)
    _forward: bool = True

    def reached(self, within: float = 30.0) -> Request:
        """Wait until somebody asks for it. Raises AssertionError."""
        assert self._reached.wait(within), f"nobody asked for {self.pattern.pattern} within {within:g} s"
        assert self.request is not None
        return self.request

    def release(self, *, forward: bool = True) -> None:
        """Let it go; or drop it, so that it never happens (before) or is never answered (after)."""
        self._forward = forward
        self._released.set()

    def wait_here(self, request: Request) -> bool:
        self.request = request
        self._reached.set()
        self._released.wait()
        return self._forward


@dataclass(frozen=True)
class _Lie:
    pattern: re.Pattern[str]
    answer: bytes


class EngineProxy:
    """A socket that speaks for the engine at ``upstream``, a unix:// address."""

    def __init__(self, upstream: str) -> None:
        self._folder = short_folder()
        self.socket = self._folder / "engine.sock"
        self.requests: list[Request] = []
        self._upstream = upstream.removeprefix("unix://")
        self._holds: list[Hold] = []
        self._lies: list[_Lie] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._generation = 0

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.url}

    def start(self) -> None:
        """Also heals a line that was cut."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.unlink(missing_ok=True)
        listener.bind(str(self.socket))
        listener.listen(256)
        self._listener = listener
        self._spawn(self._accept, listener, self._generation)

    def cut(self) -> None:
        """The engine is gone: every connection ends, new ones are refused."""
        with self._lock:
            self._generation += 1
            listener, self._listener = self._listener, None
            gone, self._open = self._open, set()
        if listener is not None:
            _hang_up(listener)
            listener.close()
        self.socket.unlink(missing_ok=True)
        for each in gone:
            _hang_up(each)

    heal = start

    def close(self) -> None:
        for hold in self._holds:
            hold.release(forward=False)
        self.cut()
        for thread in self._threads:
            thread.join(5.0)
        self._folder.rmdir()

    def hold(self, pattern: str, when: When = "before") -> Hold:
        """``hold(r"POST /containers/create", "after")``: the first one from now on."""
        made = Hold(re.compile(pattern), when)
        with self._lock:
            self._holds.append(made)
        return made

    @contextlib.contextmanager
    def lies(self, pattern: str, status: int, body: bytes) -> Iterator[None]:
        """Answer what matches with this JSON, without asking the engine."""
        head = (
            f"HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        lie = _Lie(re.compile(pattern), head.encode() + body)
        with self._lock:
            self._lies.append(lie)
        try:
            yield
        finally:
            with self._lock:
                self._lies.remove(lie)

    def asked(self, pattern: str) -> list[Request]:
        """What was asked so far of this kind."""
        wanted = re.compile(pattern)
        with self._lock:
            return [each for each in self.requests if wanted.search(str(each))]

    # One connection a request: `Connection: close` is put into what passes, but where it is hijacked.

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        with self._lock:
            self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    def _accept(self, listener: socket.socket, generation: int) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                current = generation == self._generation
                if current:
                    self._open.add(client)
            if current:
                self._spawn(self._serve, client)
            else:
                client.close()

    def _serve(self, client: socket.socket) -> None:
        engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._pass_on(client, engine)
        except OSError:
            pass  # either side has ended it, which the other learns from the closing
        finally:
            with self._lock:
                self._open.discard(client)
                self._open.discard(engine)
            client.close()
            engine.close()

    def _pass_on(self, client: socket.socket, engine: socket.socket) -> None:
        head, rest = _read_head(client)
        if not head:
            return
        request, head = _understood(head)
        hold, lie = self._noted(request)
        if lie is not None:
            # The whole request is read first: an answer before its end is a broken pipe to some clients.
            client.settimeout(_STEP)
            with contextlib.suppress(TimeoutError):
                while b"content-length: 0" not in head.lower() and client.recv(_CHUNK):
                    pass
            client.sendall(lie)
            return
        if hold is not None and hold.when == "before" and not hold.wait_here(request):
            return
        engine.connect(self._upstream)
        with self._lock:
            self._open.add(engine)
        engine.sendall(head + rest)
        answer_held = hold is not None and hold.when == "after"
        waiting: list[socket.socket] = [client, engine]
        while True:
            for ready in select.select(waiting, [], [])[0]:
                data = ready.recv(_CHUNK)
                if ready is engine:
                    if answer_held and hold is not None:
                        answer_held = False
                        if not hold.wait_here(request):
                            return
                    if not data:
                        return
                    client.sendall(data)
                elif data:
                    engine.sendall(data)
                else:
                    waiting.remove(client)
                    engine.shutdown(socket.SHUT_WR)

    def _noted(self, request: Request) -> tuple[Hold | None, bytes | None]:
        with self._lock:
            self.requests.append(request)
            hold = next((each for each in self._holds if each.pattern.search(str(request))), None)
            if hold is not None:
                self._holds.remove(hold)
            lie = next((each.answer for each in self._lies if each.pattern.search(str(request))), None)
        return hold, lie


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The request's line and headers, and what came of the body with them; empty at the end."""
    seen = b""
    while (end := seen.find(b"\r\n\r\n")) < 0:
        data = client.recv(_CHUNK)
        if not data or len(seen) > _HEAD_LIMIT:
            return b"", b""
        seen += data
    return seen[: end + 4], seen[end + 4 :]


def _understood(head: bytes) -> tuple[Request, bytes]:
    """What is asked, and the head that goes on, which ends the connection unless that is hijacked."""
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    method, target, _ = first.decode("latin-1").split(" ", 2)
    request = Request(method, re.sub(r"^/v[0-9.]+(?=/)", "", target))
    names: Mapping[bytes, bytes] = {line.partition(b":")[0].strip().lower(): line for line in lines}
    if b"upgrade" in names:
        return request, head
    kept = [line for name, line in names.items() if name != b"connection"]
    return request, b"\r\n".join([first, *kept, b"Connection: close", b"", b""])


def _hang_up(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
