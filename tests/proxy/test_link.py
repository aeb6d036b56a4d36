"""The proxy's end of the link, with a websocket server that does exactly what a test says."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from miniecs.model.data_plane import PATH, Hello, Places, Probes, Told, read, write_table
from miniecs.model.routing import ListenerPlace, Probe, RoutingTable, Tally, Traffic
from miniecs.proxy import link as link_module
from miniecs.proxy.link import ServerLink

from .bed import Backend, eventually, free_port, run, table

OWNER = "0123456789ab"
PLACE = ListenerPlace("listener", 80, ("127.0.2.1:80",))
TABLE = table(Backend(port=1), port=2)

Handler = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Control:
    """A server: what it was told, and everyone who is connected."""

    port: int = field(default_factory=free_port)
    serves: int = 3  # what the link says
    told: list[Told] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    handler: Handler | None = None
    server: Server | None = None

    async def start(self) -> None:
        self.server = await serve(self._serve, "127.0.0.1", self.port, compression=None)

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.sockets.append(socket)
        if self.handler is not None:
            return await self.handler(socket)
        async for text in socket:
            assert isinstance(text, str)
            self.told.append(read(text))


@asynccontextmanager
async def linked(control: Control) -> AsyncIterator[tuple[ServerLink, list[RoutingTable]]]:
    """A link to it that runs, and the tables that it takes."""
    tables: list[RoutingTable] = []
    link = ServerLink(f"http://127.0.0.1:{control.port}", OWNER, lambda: control.serves, tables.append)
    running = asyncio.create_task(link.run())
    try:
        yield link, tables
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await control.stop()


def test_it_says_hello_and_where_it_listens_then_what_it_sees() -> None:
    async def test() -> None:
        control = Control()
        await control.start()
        async with linked(control) as (link, tables):
            await eventually(lambda: len(control.told) == 2, "a hello")
            link.places([PLACE])
            link.probes([Probe("t", 200)])
            link.traffic(Traffic(1.0, {"l": Tally(3, {"target_2xx": 3}, {5: 3})}))
            await eventually(lambda: len(control.told) == 5, "all of it")
            assert control.paths == [PATH]
            assert control.told == [
                Hello(OWNER, os.getpid(), 3),
                Places(()),
                Places((PLACE,)),
                Probes((Probe("t", 200),)),
                Traffic(1.0, {"l": Tally(3, {"target_2xx": 3}, {5: 3})}),
            ]
            await control.sockets[0].send(write_table(TABLE))
            await eventually(lambda: tables == [TABLE], "the table")

    run(test())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        b"\xff\xfe",
        "[]",
        '{"type": 1}',
        '{"type": "miniecs.RoutingTable"}',
        '{"type": "miniecs.Weather", "message": {}}',
        '{"type": "miniecs.RoutingTable", "message": {"version": "x"}}',
        '{"type": "miniecs.RoutingTable", "message": {"a_field_of_the_next_version": 1}}',
    ],
)
def test_what_is_no_table_is_passed_over(text: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        control = Control()
        await control.start()
        async with linked(control) as (_, tables):
            await eventually(lambda: control.sockets, "the link")
            await control.sockets[0].send(text)
            await control.sockets[0].send(write_table(TABLE))
            await eventually(lambda: tables == [TABLE], "the table after it")
            assert len(control.sockets) == 1
            (problem,) = [each for each in caplog.records if each.levelno == logging.ERROR]
            assert problem.getMessage().startswith(
                "the server's table is not understood, the last one stays:"
            )

    run(test())


def test_a_server_that_was_away_is_told_where_listeners_are_and_no_old_news() -> None:
    async def test() -> None:
        control = Control()
        await control.start()
        async with linked(control) as (link, tables):
            await eventually(lambda: control.told, "a hello")
            await control.stop()
            await eventually(lambda: link._socket is None, "the end to be seen")
            link.places([PLACE])
            link.probes([Probe("old")])
            link.traffic(Traffic(1.0))
            control.told.clear()
            control.serves = 4
            await control.start()
            await eventually(lambda: len(control.told) == 2, "a second hello")
            await asyncio.sleep(0.05)
            assert control.told == [Hello(OWNER, os.getpid(), 4), Places((PLACE,))]
            await control.sockets[-1].send(write_table(TABLE))
            await eventually(lambda: tables == [TABLE], "a table")

    run(test())


def test_a_server_that_dies_in_the_middle_of_a_table() -> None:
    async def test() -> None:
        control = Control()
        await control.start()

        async def dies(socket: ServerConnection) -> None:
            if len(control.sockets) < 3:
                text = write_table(TABLE).encode()
                socket.transport.write(b"\x81\x7e" + len(text).to_bytes(2, "big") + text[: len(text) // 2])
                socket.transport.abort()
            else:
                await socket.send(write_table(TABLE))
                await socket.wait_closed()

        control.handler = dies
        async with linked(control) as (_, tables):
            await eventually(lambda: tables, "the third try")
            assert tables == [TABLE] and len(control.sockets) == 3

    run(test())


def test_a_server_that_refuses_is_asked_again_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        control = Control()
        await control.start()

        async def refuses(socket: ServerConnection) -> None:
            await socket.close(1008, "it is not the proxy of this data folder")

        control.handler = refuses
        async with linked(control):
            await eventually(lambda: len(control.sockets) >= 4, "more tries")
            told = [each.getMessage() for each in caplog.records if each.name == "miniecs.proxy"]
            assert told == [
                "the server hung up: 1008 it is not the proxy of this data folder; "
                "serving the last table until it answers"
            ]

    run(test())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "the server refuses the link: HTTP 403"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "the server refuses the link: HTTP 200"),
        (b"SSH-2.0-OpenSSH\r\n", "the server does not answer ("),
        (b"", "the server does not answer ("),
        (b"HTTP/1.1 101 X\r\n" + b"X: y\r\n" * 500 + b"\r\n", "the server does not answer ("),
    ],
    ids=["forbidden", "no websocket", "no HTTP", "nothing", "many headers"],
)
def test_something_else_at_the_server_s_port(
    answer: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        asked = 0

        async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(other, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        link = ServerLink(f"http://127.0.0.1:{port}", OWNER, int, lambda table: None)
        running = asyncio.create_task(link.run())
        await eventually(lambda: asked >= 3, "three tries")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()
        told = [each.getMessage() for each in caplog.records if each.name == "miniecs.proxy"]
        assert told[0].startswith(words) and told[0].endswith("; serving the last table until it answers")

    run(test())


def test_a_server_that_does_not_read_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "_MOST_WAITING", 200_000)

    async def test() -> None:
        control = Control()
        await control.start()
        over = asyncio.Event()

        async def deaf(socket: ServerConnection) -> None:
            socket.transport.pause_reading()
            await over.wait()

        control.handler = deaf
        async with linked(control) as (link, _):
            await eventually(lambda: control.sockets, "the link")
            much = [Probe("t" * 1000, 200)] * 100
            async with asyncio.timeout(20):
                while len(control.sockets) < 2:
                    link.probes(much)
                    assert link._waiting_bytes < 400_000
                    await asyncio.sleep(0)
            assert "the server does not read what it is sent; hanging up" in caplog.text
            over.set()
            for socket in control.sockets:
                socket.transport.abort()

    run(test())


def test_a_server_that_hangs_keeps_nobody_from_ending() -> None:
    async def test() -> None:
        control = Control()
        await control.start()
        over = asyncio.Event()

        async def hangs(socket: ServerConnection) -> None:
            socket.transport.pause_reading()
            await over.wait()
            socket.transport.abort()

        control.handler = hangs
        link = ServerLink(f"http://127.0.0.1:{control.port}", OWNER, int, lambda table: None)
        running = asyncio.create_task(link.run())
        await eventually(lambda: link._socket, "the link")
        running.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(running, return_exceptions=True)
        over.set()
        await control.stop()

    run(test())


def test_tables_are_taken_in_order_and_the_last_one_holds() -> None:
    async def test() -> None:
        control = Control()
        await control.start()
        async with linked(control) as (_, tables):
            await eventually(lambda: control.sockets, "the link")
            for version in range(300):
                await control.sockets[0].send(write_table(RoutingTable(version)))
            await eventually(lambda: len(tables) == 300, "all tables")
            assert [each.version for each in tables] == list(range(300))

    run(test())
