"""Answers of an engine that do not end: events, logs, and the connection that a command takes over.

Read below docker-py, whose own readers mix standard output and error, or lose what came with the headers.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import requests
import urllib3

from miniecs_agent.docker.protocol import Json
from miniecs_agent.host_engine import Output

_READ = 65536
_FRAME_HEADER = 8
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}  # Docker's numbers; 0 is stdin, echoed


class Stream:
    """An open answer. ``close`` may come from any thread."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response

    def close(self) -> None:
        """Wakes whoever reads; the connection is let go of with the last reference to it."""
        with suppress(OSError, AttributeError):  # it has ended, or is being closed by its reader
            self._socket().shutdown(socket.SHUT_RDWR)

    def _file(self) -> Any:
        """What http.client reads from. There is no public way to it; docker-py does the same."""
        raw: Any = self._response.raw
        return raw._fp.fp

    def _socket(self) -> socket.socket:
        found: socket.socket = self._file().raw._sock
        return found


class Events(Stream):
    def __iter__(self) -> Iterator[Json]:
        """Ends when the engine does, however that shows."""
        rest = b""
        with suppress(OSError, urllib3.exceptions.HTTPError):
            for chunk in self._response.raw.stream(_READ):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)


class Logs(Stream):
    def __init__(self, response: requests.Response, tty: bool) -> None:
        super().__init__(response)
        # Not urllib3's own: each line is a chunk of the answer, and it takes twice as long over each.
        self._read = response.raw._fp.read1
        self._frames = None if tty else Frames(self._read)

    def read(self) -> Output | None:
        try:
            return _plain(self._read) if self._frames is None else self._frames.next()
        except (OSError, http.client.HTTPException):
            return None  # closed, or the engine went


class Exec(Stream):
    """A hijacked connection: what follows the headers is no HTTP any more."""

    def __init__(self, response: requests.Response, exec_id: str, tty: bool) -> None:
        super().__init__(response)
        self.exec_id = exec_id
        self._read = self._file().read1
        self._frames = None if tty else Frames(self._read)
        self._sock = self._socket()
        self._sock.settimeout(None)

    def read(self) -> Output | None:
        try:
            return _plain(self._read) if self._frames is None else self._frames.next()
        except OSError:
            return None

    def write(self, data: bytes) -> None:
        with suppress(OSError):  # the command has ended, and its output says so
            self._sock.sendall(data)

    def end_input(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


class Frames:
    """A multiplexed stream: before each frame its number in one byte, and its length in the last of eight.

    ``read1`` gives what there is, up to so many bytes; nothing at the end.
    """

    def __init__(self, read1: Callable[[int], bytes]) -> None:
        self._read1 = read1
        self._held = b""
        self._at = 0

    def next(self) -> Output | None:
        """Blocks until a frame is whole; None at the end."""
        while True:
            length = int.from_bytes(self._held[self._at + 4 : self._at + _FRAME_HEADER])
            end = self._at + _FRAME_HEADER + length
            if len(self._held) < self._at + _FRAME_HEADER or len(self._held) < end:
                more = self._read1(max(_READ, end - len(self._held)))
                if not more:
                    return None
                self._held, self._at = self._held[self._at :] + more, 0
                continue
            stream, start, self._at = self._held[self._at], self._at + _FRAME_HEADER, end
            if length:
                return Output(_STREAMS.get(stream, "stderr"), self._held[start:end])


def _plain(read1: Callable[[int], bytes]) -> Output | None:
    """A terminal's output, which is not multiplexed."""
    data = read1(_READ)
    return Output("stdout", data) if data else None
