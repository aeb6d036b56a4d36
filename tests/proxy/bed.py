"""A proxy on real sockets between raw clients and raw backends, which do exactly what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop

from miniecs.model.load_balancing import HealthCheck
from miniecs.model.routing import (
    Action,
    Condition,
    Forward,
    ListenerPlace,
    Probe,
    RoutedGroup,
    RoutedListener,
    RoutedLoadBalancer,
    RoutedRule,
    RoutedTarget,
    RoutingTable,
    Traffic,
    WeightedGroup,
)
from miniecs.proxy.core import Limits
from miniecs.proxy.proxy import Hooks, Proxy
from miniecs.proxy.reservations import Reservations
from miniecs.proxy.sockets import Numbers

WITHIN = 10.0
QUICK = Limits(connect=0.3, head=0.3, linger=0.2, tick=0.02)
NO_CHECKS = HealthCheck(enabled=False)
TO_GROUP = Forward((WeightedGroup("group"),))

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(test: Coroutine[Any, Any, None]) -> None:
    """A whole test on a loop of its own, bounded."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await test

    uvloop.run(bounded())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(truth: Callable[[], object], what: str) -> None:
    """Wait for something that follows from what was done."""
    deadline = asyncio.get_running_loop().time() + WITHIN
    while not truth():
        assert asyncio.get_running_loop().time() < deadline, f"waited for {what}"
        await asyncio.sleep(0.005)


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Up to the empty line; empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""


def length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


@dataclass
class Backend:
    """A target. Answers every request by ``handler``, or with 200 and its name."""

    name: str = "one"
    handler: Handler | None = None
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            await (self.handler or self.answers)(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def head(self, reader: asyncio.StreamReader) -> bytes:
        head = await read_head(reader)
        if head:
            self.heads.append(head)
        return head

    async def answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await self.head(reader):
            body = await reader.readexactly(length_of(head))
            self.bodies.append(body)
            writer.write(ok(self.name.encode()))


def ok(body: bytes = b"ok", *fields: bytes) -> bytes:
    lines = (b"HTTP/1.1 200 OK", *fields, b"Content-Length: %d" % len(body), b"", body)
    return b"\r\n".join(lines)


def says(*answers: bytes, close: bool = True) -> Handler:
    """A backend that reads a head and writes these bytes, one answer a request, then closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await read_head(reader):
                return
            writer.write(answer)
            await writer.drain()
        if not close:
            await reader.read()

    return handler


@dataclass
class Bed:
    """What a test works with."""

    proxy: Proxy
    backends: list[Backend]
    table: RoutingTable
    probes: list[Probe] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    places: list[ListenerPlace] = field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.places[0].addresses[0].rpartition(":")
        return host, int(port)

    async def apply(self, table: RoutingTable) -> None:
        self.table = table
        self.places.clear()
        self.proxy.apply(table)
        await eventually(lambda: self.places or not table.load_balancers, "listeners")

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection(*self.address, limit=1 << 22)
        try:
            yield Wire(reader, writer)
        finally:
            writer.close()

    async def ask(self, request: bytes) -> bytes:
        """All that is answered to these bytes, to the end of the connection."""
        async with self.client() as wire:
            wire.send(request)
            return await wire.rest()

    async def get(self, path: str = "/", *fields: str) -> bytes:
        lines = [f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *fields, "", ""]
        return await self.ask("\r\n".join(lines).encode())

    def targets(self, *states: str) -> RoutingTable:
        """The table with these states of the backends."""
        group = self.table.groups[0]
        targets = tuple(
            replace(target, state=state) for target, state in zip(group.targets, states, strict=True)
        )
        return replace(self.table, groups=(replace(group, targets=targets),))


@dataclass
class Wire:
    """A client's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[bytes, bytes]:
        """(head, body) of one answer with a length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WITHIN)
        return head, await asyncio.wait_for(self.reader.readexactly(length_of(head)), WITHIN)

    async def rest(self) -> bytes:
        """What comes until the connection ends; a reset is told from an end."""
        return await asyncio.wait_for(self.reader.read(), WITHIN)

    async def is_reset(self) -> bool:
        try:
            await self.rest()
        except ConnectionResetError:
            return True
        return False


def table(
    *backends: Backend,
    rules: tuple[RoutedRule, ...] = (),
    action: Action = TO_GROUP,
    check: HealthCheck = NO_CHECKS,
    port: int | None = None,
    group: dict[str, Any] | None = None,
    balancer: dict[str, Any] | None = None,
    listener: dict[str, Any] | None = None,
    time_scale: float = 1.0,
) -> RoutingTable:
    targets = tuple(RoutedTarget(f"i-{each.name}", each.port, "127.0.0.1") for each in backends)
    made = RoutedListener(
        "listener", port or free_port(), rules=(*rules, RoutedRule("default", (), action)), **(listener or {})
    )
    return RoutingTable(
        1,
        (RoutedLoadBalancer("balancer", "lb", "lb.localhost", listeners=(made,), **(balancer or {})),),
        (RoutedGroup("group", "group", health_check=check, targets=targets, **(group or {})),),
        time_scale,
    )


@contextlib.asynccontextmanager
async def bed(
    *backends: Backend,
    limits: Limits = QUICK,
    make: Callable[..., RoutingTable] = table,
    aliases: bool = False,
    **more: Any,
) -> AsyncIterator[Bed]:
    """Backends, and a proxy before them."""
    for backend in backends:
        await backend.start()
    told = make(*backends, **more)
    probes: list[Probe] = []
    traffic: list[Traffic] = []
    places: list[ListenerPlace] = []
    links = tempfile.TemporaryDirectory()  # no other cluster's: a proxy for one test comes back nowhere
    reservations = Reservations(Path(links.name) / "table", Path(links.name) / "links")
    proxy = Proxy(
        asyncio.get_running_loop(),
        Hooks(probes.extend, traffic.append, places.extend),
        Numbers({}, reservations, "127.0.5."),
        limits=limits,
        aliases=aliases,
    )
    made = Bed(proxy, list(backends), told, probes, traffic, places)
    try:
        await made.apply(told)
        yield made
    finally:
        await proxy.close()
        links.cleanup()
        for backend in backends:
            await backend.stop()


def path_rule(pattern: str, action: Action) -> RoutedRule:
    return RoutedRule(pattern, (Condition("path-pattern", (pattern,)),), action)
