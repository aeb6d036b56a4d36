"""The command line's end of log and command streams: one websocket to the server.

Credit is given for what was printed and asked for what is typed, so nothing gathers anywhere when a pager is
not scrolled or a command does not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from threading import Condition
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from miniecs.cli.client import NoAnswer
from miniecs.cli.problem import Problem
from miniecs.model.stream import ReceiveWindow

_OPEN_WITHIN = 10.0
_CLOSE_WITHIN = 1.0
_PIECE = 32 * 1024


class Lost(Problem):
    """The line to the server or to the agent broke, or is not there yet: what was asked may work later."""


class Data(NamedTuple):
    stream: int
    error: bool  # stderr
    data: bytes


class End(NamedTuple):
    """lost: the agent's connection broke. ``error`` says so too."""

    stream: int
    exit_code: int | None
    error: str | None
    lost: bool


class Streams:
    """The streams of one request, by the numbers of ``containers``; a context manager.

    Raises Problem with the server's words when it refuses, and Lost, NoAnswer. One thread reads ``events``,
    another may write.
    """

    def __init__(self, endpoint: str, request: Mapping[str, Any]) -> None:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        self.containers: list[str] = []
        self._broken: type[Exception] = WebSocketException
        self._stack = ExitStack()
        opening = connect(
            f"ws://{urlsplit(endpoint).netloc}/_miniecs/streams",
            compression=None,
            proxy=None,
            open_timeout=_OPEN_WITHIN,
            close_timeout=_CLOSE_WITHIN,
            max_queue=None,  # the windows are the limit, and pings must be answered at any time
        )
        try:
            self._socket = self._stack.enter_context(opening)
        except (OSError, WebSocketException) as problem:
            raise NoAnswer(f"miniecs at {endpoint} does not answer: {problem}.") from problem
        self._credit = 0  # the server gives the first too
        self._credited = Condition()
        self._over = False
        self._windows: list[ReceiveWindow] = []
        try:
            self._ask(request)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._end_writing()
        self._stack.close()

    def events(self) -> Iterator[Data | End]:
        """What comes, until every stream has ended. Raises Lost when the server goes away before."""
        open = set(range(len(self.containers)))
        try:
            while open:
                frame = self._receive()
                if isinstance(frame, bytes):
                    number, channel, data = frame[0], frame[1], frame[2:]
                    self._windows[number].received(len(data))
                    yield Data(number, channel == 2, data)
                    self._consumed(number, len(data))
                    continue
                message = json.loads(frame)
                if message["type"] == "credit":
                    with self._credited:
                        self._credit += message["bytes"]
                        self._credited.notify_all()
                elif message["type"] == "end":
                    open.discard(message["stream"])
                    yield End(message["stream"], message["exitCode"], message["error"], message["lost"])
        finally:
            self._end_writing()

    def write(self, data: bytes) -> bool:
        """To the first stream's standard input; nothing: its end. Waits for credit; False when it is over."""
        for start in range(0, max(1, len(data)), _PIECE):
            piece = data[start : start + _PIECE]
            with self._credited:
                while self._credit < len(piece) and not self._over:
                    self._credited.wait()
                if self._over:
                    return False
                self._credit -= len(piece)
            if not self._send(b"\0\0" + piece):
                return False
        return True

    def resize(self, rows: int, columns: int) -> None:
        self._send(json.dumps({"type": "resize", "rows": rows, "columns": columns}))

    def _ask(self, request: Mapping[str, Any]) -> None:
        self._send(json.dumps({"type": "open", **request}))
        answer = json.loads(self._receive())
        if answer["type"] == "refused":
            raise (Lost if answer["lost"] else Problem)(answer["message"])
        self.containers = answer["containers"]
        self._windows = [ReceiveWindow() for _ in self.containers]

    def _consumed(self, number: int, count: int) -> None:
        credit = self._windows[number].consumed(count)
        if credit:
            self._send(json.dumps({"type": "credit", "stream": number, "bytes": credit}))

    def _receive(self) -> str | bytes:
        try:
            return self._socket.recv()
        except (OSError, self._broken) as problem:
            raise Lost("The connection to the server ended.") from problem

    def _send(self, frame: str | bytes) -> bool:
        """False when the line is broken; who reads is told of it as well."""
        try:
            self._socket.send(frame)
        except (OSError, self._broken):
            return False
        return True

    def _end_writing(self) -> None:
        with self._credited:
            self._over = True
            self._credited.notify_all()
