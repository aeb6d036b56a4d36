"""Websockets without a network: what is queued, what is dropped, and who may be which host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest

from miniecs.model.scope import Scope
from miniecs_api.host_channel import HostChannel
from miniecs_api.hosts import HostLinks, HostSettings
from miniecs_api.machines import Machines
from miniecs_api.signatures import JoinCredentials, Signatures
from miniecs_api.sockets import MOST_WAITING, BadQuery, Socket, parameters

from .conftest import Aws

Event = MutableMapping[str, Any]


class Wire:
    """What uvicorn would be: the frames that come, and those that went."""

    def __init__(self, *texts: str, reads: bool = True) -> None:
        self.coming: asyncio.Queue[Event] = asyncio.Queue()
        self.coming.put_nowait({"type": "websocket.connect"})
        for text in texts:
            self.coming.put_nowait({"type": "websocket.receive", "text": text})
        self.sent: list[Event] = []
        self.reads = reads
        self.answered = asyncio.Event()  # anything but the handshake went

    async def receive(self) -> Event:
        return await self.coming.get()

    async def send(self, event: Event) -> None:
        if not self.reads and event["type"] == "websocket.send":
            await asyncio.Event().wait()
        self.sent.append(event)
        if event["type"] != "websocket.accept":
            self.answered.set()

    def hang_up(self) -> None:
        self.coming.put_nowait({"type": "websocket.disconnect", "code": 1000})


def within(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(seconds):
            await work()

    asyncio.run(timed())


def test_what_is_put_leaves_in_order_and_then_the_end() -> None:
    async def work() -> None:
        wire = Wire()
        socket = Socket(wire.receive, wire.send, "x")
        socket.put({"n": 1})
        socket.put({"n": 2})
        socket.hang_up(1008, "why")
        socket.hang_up(1000)
        socket.put({"n": 3})
        await socket.run(lambda text: None)
        assert wire.sent == [
            {"type": "websocket.accept"},
            {"type": "websocket.send", "text": '{"n":1}'},
            {"type": "websocket.send", "text": '{"n":2}'},
            {"type": "websocket.close", "code": 1008, "reason": "why"},
        ]

    within(5.0, work)


def test_frames_are_received_until_the_peer_hangs_up() -> None:
    async def work() -> None:
        wire = Wire("a", "b")
        wire.coming.put_nowait({"type": "websocket.receive", "text": None, "bytes": b"c\xff"})
        wire.hang_up()
        received: list[str] = []
        await Socket(wire.receive, wire.send, "x").run(received.append)
        assert received == ["a", "b", "c\ufffd"]

    within(5.0, work)


def test_a_peer_that_does_not_read_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        wire = Wire(reads=False)
        socket = Socket(wire.receive, wire.send, "The agent of i-1")
        running = asyncio.create_task(socket.run(lambda text: None))
        part = {"x": "y" * (MOST_WAITING // 4)}
        for _ in range(3):
            socket.put(part)
        await asyncio.sleep(0)
        assert not running.done()
        socket.put(part)
        socket.put(part)
        await running
        assert wire.sent == [{"type": "websocket.accept"}]

    within(5.0, work)
    assert [record.getMessage() for record in caplog.records] == [
        "The agent of i-1 does not read what it is sent: dropped"
    ]


def test_a_broken_line_is_an_end_and_a_bug_is_not() -> None:
    async def broken() -> None:
        wire = Wire()

        async def send(event: Event) -> None:
            if event["type"] == "websocket.send":
                raise BrokenPipeError

        socket = Socket(wire.receive, send, "x")
        socket.put({})
        await socket.run(lambda text: None)

    async def bug() -> None:
        def received(text: str) -> None:
            raise KeyError(text)

        wire = Wire("a")
        with pytest.raises(KeyError):
            await Socket(wire.receive, wire.send, "x").run(received)

    within(5.0, broken)
    within(5.0, bug)


@pytest.mark.parametrize(
    ("query", "given"),
    [
        (b"", {}),
        (b"a=1&b=&a=2", {"a": "2", "b": ""}),
        (b"dockerVersion=DockerVersion%3A+20.10", {"dockerVersion": "DockerVersion: 20.10"}),
    ],
)
def test_a_query_is_read_as_agents_write_it(query: bytes, given: dict[str, str]) -> None:
    assert parameters({"query_string": query}) == given


@pytest.mark.parametrize("query", [b"a=%FF", "a=\u00e9".encode(), b"&".join([b"a=1"] * 51)])
def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    with pytest.raises(BadQuery):
        parameters({"query_string": query})


@pytest.mark.parametrize(
    ("client", "server", "let_in"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("192.0.2.2", "192.0.2.2", True),  # this machine, by another of its addresses
        ("192.0.2.3", "192.0.2.2", False),
    ],
)
def test_only_this_machine_is_the_local_host(aws: Aws, client: str, server: str, let_in: bool) -> None:
    machines = Machines(aws.store, aws.ids, aws.scope, lambda number: "us-east-1a")
    settings = HostSettings(Scope("000000000000", "us-east-1"), "o", "/d", 1.0, False, "default", "t3.medium")

    class Everybody(Signatures):
        def refuse(self, scope: Any, method: str, body: bytes) -> None:
            return None

    async def work() -> None:
        signatures = Everybody(JoinCredentials(), aws.clock)
        channel = HostChannel(HostLinks(aws.store, machines, settings), signatures, aws.clock)
        wire = Wire(json.dumps({"type": "miniecs.HostHello", "message": {"host": "local"}}))
        scope = {"path": "/host/ws", "query_string": b"", "client": (client, 1), "server": (server, 2)}
        running = asyncio.create_task(channel(scope, wire.receive, wire.send))
        await wire.answered.wait()
        wire.hang_up()
        await running
        kind = "websocket.send" if let_in else "websocket.close"
        assert [event["type"] for event in wire.sent] == ["websocket.accept", kind]

    within(5.0, work)
