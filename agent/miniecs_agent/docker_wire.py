"""Answers of an engine that do not end: events, logs, and the connection that a command takes over.

Read below docker-py, whose own readers mix standard output and error, or lose what came with the headers.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import requests
import urllib3

from miniecs_agent.docker_api import Json
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
        self._tty = tty

    def read(self) -> Output | None:
        try:
            return self._read()
        except (OSError, urllib3.exceptions.HTTPError):
            return None  # closed, or the engine went

    def _read(self) -> Output | None:
        raw: Any = self._response.raw
        if self._tty:
            data = raw.read1(_READ)
            return Output("stdout", data) if data else None
        return _frame(raw.read)


class Exec(Stream):
    """A hijacked connection: what follows the headers is no HTTP any more."""

    def __init__(self, response: requests.Response, exec_id: str, tty: bool) -> None:
        super().__init__(response)
        self.exec_id = exec_id
        self._tty = tty
        self._reader = self._file()
        self._sock = self._socket()
        self._sock.settimeout(None)

    def read(self) -> Output | None:
        try:
            if self._tty:
                data = self._reader.read1(_READ)
                return Output("stdout", data) if data else None
            return _frame(self._reader.read)
        except OSError:
            return None

    def write(self, data: bytes) -> None:
        with suppress(OSError):  # the command has ended, and its output says so
            self._sock.sendall(data)

    def end_input(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


def _frame(read: Callable[[int], bytes]) -> Output | None:
    """One frame of a multiplexed stream: its number in the first byte, its length in the last four."""
    while True:
        header = read(_FRAME_HEADER)
        if len(header) < _FRAME_HEADER:
            return None
        length = int.from_bytes(header[4:])
        if length:
            data = read(length)
            return Output(_STREAMS.get(header[0], "stderr"), data) if data else None
