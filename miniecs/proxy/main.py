"""The process: ``miniecs proxy --data-dir D`` serves its last table at once, then whatever it is told.

What it tells is kept in proxy.json, as the other processes do in theirs, for those who look where to connect.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import uvloop

from miniecs.model.routing import ListenerPlace, Probe, RoutingTable, Traffic
from miniecs.proxy.link import ServerLink
from miniecs.proxy.proxy import Hooks, Proxy
from miniecs.proxy.reservations import Reservations, shared
from miniecs.proxy.sockets import Numbers
from miniecs.proxy.table_file import Kept, load, save

log = logging.getLogger("miniecs.proxy")

_SAVE_WITHIN = 0.1  # seconds; a burst of tables is written once


class Link(Protocol):
    """The way to the control plane. What it is told while the way is down it may drop."""

    def probes(self, results: list[Probe]) -> None: ...

    def traffic(self, traffic: Traffic) -> None: ...

    def places(self, places: list[ListenerPlace]) -> None: ...

    async def run(self) -> None:
        """Keep the way open until cancelled."""


MakeLink = Callable[[Callable[[], int], Callable[[RoutingTable], None]], Link]
"""A link that says which version is served, and hands on every table that comes."""


class Service:
    """One proxy on a data folder. reservations: the folder in which clusters reserve addresses."""

    def __init__(self, data_dir: Path, make_link: MakeLink, reservations: Path) -> None:
        self._table_file = data_dir / "proxy-table.json"
        self._told_file = data_dir / "proxy.json"
        self._kept = load(self._table_file)
        self._link = make_link(lambda: self.proxy.table.version, self._take)
        self._loop = asyncio.get_running_loop()
        self.proxy = Proxy(
            self._loop,
            Hooks(self._link.probes, self._link.traffic, self._placed),
            Numbers(self._kept.numbers, Reservations(self._table_file, reservations)),
        )
        self._saving: asyncio.TimerHandle | None = None
        self._said: list[ListenerPlace] | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        if self._kept.table != RoutingTable():
            self._serve(self._kept.table)
        self._tell([])
        try:
            await self._link.run()
        finally:
            await self.proxy.close()
            if self._saving is not None:
                self._save()
            with suppress(OSError):
                self._told_file.unlink()

    def _take(self, table: RoutingTable) -> None:
        if self._serve(table):
            self._save_soon()

    def _serve(self, table: RoutingTable) -> bool:
        try:
            self.proxy.apply(table)
        except ValueError as problem:  # from a server of another version
            log.error("a routing table cannot be served, the last one stays: %s", problem)
            return False
        return True

    def _placed(self, places: list[ListenerPlace]) -> None:
        if places != self._said:
            self._save()  # first, so that what others are told of addresses outlives us
            self._tell(places)
        self._link.places(places)

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = self._loop.call_later(_SAVE_WITHIN, self._save)

    def _save(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        try:
            save(self._table_file, Kept(self.proxy.table, self.proxy.numbers.remembered))
        except OSError as problem:
            log.error("the routing table cannot be kept: %s", problem)

    def _tell(self, places: list[ListenerPlace]) -> None:
        self._said = places
        told = {
            "pid": os.getpid(),
            "listeners": [
                {
                    "listener": place.listener,
                    "port": place.port,
                    "addresses": list(place.addresses),
                    "alias": place.alias,
                    "problem": place.problem,
                }
                for place in places
            ],
        }
        fresh = self._told_file.with_suffix(".json.new")
        try:
            fresh.write_text(json.dumps(told))
            fresh.replace(self._told_file)
        except OSError as problem:
            log.error("%s cannot be written: %s", self._told_file, problem)


async def serve(data_dir: Path, make_link: MakeLink) -> None:
    """Serve until SIGTERM or SIGINT."""
    service = Service(data_dir, make_link, shared())
    task = asyncio.get_running_loop().create_task(service.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _raise_limit() -> None:
    """Each request may need two file descriptors, and the usual limit of 1024 is soft."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems say no limit and mean one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(data_dir: Path, endpoint: str, owner: str) -> None:
    """The process's whole life. endpoint: of the server; owner: of the data folder."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )

    def link(serves: Callable[[], int], take: Callable[[RoutingTable], None]) -> Link:
        return ServerLink(endpoint, owner, serves, take)

    _raise_limit()
    # The modules live as long as the process; and what a request makes is free without the collector.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    uvloop.run(serve(data_dir, link))
