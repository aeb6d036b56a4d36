"""One websocket, from its handshake to its end: refusals in words, text frames, a bounded queue out.

Sessions are without I/O and must never wait for a peer, so what they send is queued here. A peer that does
not read what it is sent is dropped: all that it missed is made anew from the store when it connects again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from miniecs_api.signatures import is_loopback

log = logging.getLogger("miniecs.agents")

SocketScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NORMAL = 1000
POLICY_VIOLATION = 1008
MOST_WAITING = 16 * 1024 * 1024  # bytes that were sent and have not left
_MOST_PARAMETERS = 50
_LAST_WORDS = 5.0  # seconds for what was sent before the end to leave


class BadQuery(ValueError):
    """The address has no parameters that could be read."""


def parameters(scope: SocketScope) -> dict[str, str]:
    """The handshake's query; of a name that comes twice the last. Raises BadQuery."""
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError as problem:
        raise BadQuery(str(problem)) from problem
    return dict(pairs)


def peer(scope: SocketScope) -> str:
    """The address at the other end, for the log."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def is_here(scope: SocketScope) -> bool:
    """Whether the other end is on this machine: there, whoever dials one of its addresses has it too."""
    server = scope.get("server")
    return is_loopback(peer(scope)) or (server is not None and peer(scope) == server[0])


async def refuse(receive: Receive, send: Send, status: int, body: Mapping[str, Any]) -> None:
    """Answer the handshake with an HTTP status and a JSON body instead of a websocket."""
    await receive()  # websocket.connect
    content = orjson.dumps(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": content})


class Socket:
    """A websocket that is being accepted. ``put`` and ``hang_up`` never wait and never call back."""

    def __init__(self, receive: Receive, send: Send, name: str) -> None:
        self.name = name  # for the log
        self._receive = receive
        self._send = send
        self._waiting: deque[str] = deque()
        self._waiting_bytes = 0
        self._more = asyncio.Event()
        self._ending: tuple[int, str] | None = None
        self._dropped: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def put(self, message: Mapping[str, Any]) -> None:
        """Send a message, when its turn comes. Nothing is sent after ``hang_up``."""
        self.put_text(orjson.dumps(message).decode())

    def put_text(self, text: str) -> None:
        """The same with a message that is written already."""
        if self._ending is not None or self._dropped.done():
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        if self._waiting_bytes > MOST_WAITING:
            log.warning("%s does not read what it is sent: dropped", self.name)
            self._drop()
        self._more.set()

    def hang_up(self, code: int = NORMAL, reason: str = "") -> None:
        """End it, after what was sent before."""
        if self._ending is None:
            self._ending = (code, reason)
            self._more.set()
            asyncio.get_running_loop().call_later(_LAST_WORDS, self._drop)

    async def run(self, received: Callable[[str], None]) -> None:
        """Accept, and carry frames both ways until either side ends it."""
        await self._receive()  # websocket.connect
        await self._send({"type": "websocket.accept"})
        writing = asyncio.create_task(self._write())
        reading = asyncio.create_task(self._read(received))
        try:
            await asyncio.wait((writing, reading, self._dropped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, reading):
                task.cancel()
            results = await asyncio.gather(writing, reading, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result  # a bug; that the line broke is how websockets end

    def _drop(self) -> None:
        if not self._dropped.done():
            self._dropped.set_result(None)

    async def _read(self, received: Callable[[str], None]) -> None:
        while (event := await self._receive())["type"] == "websocket.receive":
            text = event.get("text")
            received(text if text is not None else bytes(event["bytes"]).decode(errors="replace"))

    async def _write(self) -> None:
        while True:
            while self._waiting:
                text = self._waiting.popleft()
                await self._send({"type": "websocket.send", "text": text})
                self._waiting_bytes -= len(text)
            if self._ending is not None:
                code, reason = self._ending
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                return
            self._more.clear()
            await self._more.wait()
