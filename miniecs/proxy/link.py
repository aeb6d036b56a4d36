"""The websocket to the server: tables come, and what the proxy sees goes.

The server may be away for long, and the proxy works on. What it saw meanwhile is old when the server is back,
so only where listeners listen is told again; health checks and counts come anew every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from miniecs.model.data_plane import PATH, Hello, NotUnderstood, Places, Probes, Told, read_table, write
from miniecs.model.routing import ListenerPlace, Probe, RoutingTable, Traffic

log = logging.getLogger("miniecs.proxy")

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 1.0  # seconds between tries; asking loopback costs nothing
_OPEN_WITHIN = 5.0
_CLOSE_WITHIN = 1.0  # a server that hangs must not keep us from ending
_MOST_WAITING = 4 * 1024 * 1024  # bytes that the server has not read; beyond it is hung up on
_LONGEST_TABLE = 64 * 1024 * 1024


class ServerLink:
    """Keeps the link open (miniecs.proxy.main.Link). serves: the version served; take: hears of others."""

    def __init__(
        self, endpoint: str, owner: str, serves: Callable[[], int], take: Callable[[RoutingTable], None]
    ) -> None:
        self._url = f"ws{endpoint.removeprefix('http').rstrip('/')}{PATH}"
        self._owner = owner
        self._serves = serves
        self._take = take
        self._socket: ClientConnection | None = None
        self._places: list[ListenerPlace] = []
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._waiting_bytes = 0
        self._problem = ""

    # What is told while the server is away is dropped.

    def probes(self, results: list[Probe]) -> None:
        self._send(Probes(tuple(results)))

    def traffic(self, traffic: Traffic) -> None:
        self._send(traffic)

    def places(self, places: list[ListenerPlace]) -> None:
        self._places = places
        self._send(Places(tuple(places)))

    def _send(self, told: Told) -> None:
        if self._socket is None:
            return
        text = write(told)
        self._waiting_bytes += len(text)
        if self._waiting_bytes > _MOST_WAITING:
            log.warning("the server does not read what it is sent; hanging up")
            self._socket.transport.abort()
            self._socket = None
            return
        self._waiting.put_nowait(text)

    async def run(self) -> None:
        """Until cancelled."""
        delay = _FIRST_DELAY
        while True:
            try:
                async with connect(
                    self._url,
                    open_timeout=_OPEN_WITHIN,
                    close_timeout=_CLOSE_WITHIN,
                    max_size=_LONGEST_TABLE,
                    compression=None,
                    proxy=None,
                ) as socket:
                    await self._talk(socket)
                    self._note(f"the server hung up: {socket.close_code} {socket.close_reason}".rstrip())
                delay = _FIRST_DELAY
            except (OSError, InvalidHandshake, TimeoutError) as problem:
                self._note(_words(problem))
            finally:
                self._socket = None
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    async def _talk(self, socket: ClientConnection) -> None:
        self._waiting, self._waiting_bytes = asyncio.Queue(), 0
        self._socket = socket
        self._send(Hello(self._owner, os.getpid(), self._serves()))
        self._send(Places(tuple(self._places)))
        writing = asyncio.create_task(self._write(socket))
        try:
            async for text in socket:
                if self._problem:
                    log.info("the server is back")
                self._problem = ""
                self._received(text)
        except ConnectionClosed:
            pass  # why is asked by whoever dialled
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            text = await self._waiting.get()
            await socket.send(text)
            self._waiting_bytes -= len(text)

    def _received(self, text: str | bytes) -> None:
        try:
            table = read_table(text if isinstance(text, str) else text.decode(errors="replace"))
        except NotUnderstood as problem:
            log.error("the server's table is not understood, the last one stays: %s", problem)
            return
        self._take(table)

    def _note(self, problem: str) -> None:
        """Say it once, not at every try."""
        if problem != self._problem:
            self._problem = problem
            log.warning("%s; serving the last table until it answers", problem)


def _words(problem: Exception) -> str:
    if isinstance(problem, InvalidStatus):
        return f"the server refuses the link: HTTP {problem.response.status_code}"
    return f"the server does not answer ({problem})"
