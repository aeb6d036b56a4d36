"""Connections that end at one side, at both, slowly, or while something is still on its way."""

from __future__ import annotations

import asyncio

import pytest

from miniecs.proxy.balance import BackEnd
from miniecs.proxy.upstream import AWAITED

from .bed import Backend, Bed, Wire, bed, eventually, ok, read_head, run, says
from .test_forwarding import WEBSOCKET

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def target_of(it: Bed) -> BackEnd:
    (target,) = it.proxy._groups["group"].targets.values()
    return target


async def nothing_left(it: Bed) -> None:
    """Quickly, and not for a timeout."""
    async with asyncio.timeout(30):
        await eventually(lambda: not it.proxy._clients["listener"], "the client's connection to be gone")
        await eventually(lambda: not target_of(it).connections, "the target's connection to be gone")


@pytest.mark.parametrize("first", ["client", "target"])
def test_a_tunnel_is_over_when_both_have_ended_it(first: str) -> None:
    async def test() -> None:
        backend = Backend()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            writer.write(SWITCH)
            if first == "client":
                backend.bodies.append(await reader.read())
            writer.write(b"from the target" * 50_000)
            writer.write_eof()
            if first == "target":
                backend.bodies.append(await reader.read())
            await asyncio.sleep(10)

        backend.handler = handler
        async with bed(backend) as it, it.client() as wire:
            wire.send(WEBSOCKET)
            await wire.reader.readuntil(b"\r\n\r\n")
            if first == "target":
                assert await wire.rest() == b"from the target" * 50_000
            wire.send(b"from the client" * 50_000)
            wire.writer.write_eof()
            if first == "client":
                assert await wire.rest() == b"from the target" * 50_000
            await eventually(lambda: backend.bodies, "the target to see the end")
            assert backend.bodies == [b"from the client" * 50_000]
            await nothing_left(it)

    run(test())


def test_a_client_may_read_the_last_answer_slowly() -> None:
    async def test() -> None:
        body = bytes(range(256)) * 32_000
        async with bed(Backend(handler=says(ok(body)))) as it, it.client() as wire:
            wire.send(LAST)
            await eventually(lambda: it.proxy._clients["listener"], "the client")
            (client,) = it.proxy._clients["listener"]
            got = await wire.reader.read(1 << 16)
            while client.upstream is not None:
                got += await wire.reader.read(1 << 16)
                await asyncio.sleep(0.001)
            assert client.transport.get_write_buffer_size()
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(0.6)  # three times as long as a client has that read everything
            wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
            got += await wire.rest()
            assert got.partition(b"\r\n\r\n")[2] == body
            await nothing_left(it)

    run(test())


def test_but_not_for_ever() -> None:
    async def test() -> None:
        one = Backend(handler=says(ok(b"x" * 16_000_000)))
        async with bed(one, balancer={"idle_timeout": 0.3}) as it, it.client() as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            wire.send(LAST)
            await eventually(lambda: it.proxy._clients["listener"], "the client")
            await nothing_left(it)

    run(test())


async def upload(wire: Wire, until: asyncio.Event) -> bool:
    """Whether it was not cut short: a connection that is closed on what is on its way may be reset."""
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not until.is_set():
        wire.send(b"2000\r\n" + b"x" * 8192 + b"\r\n")
        try:
            await wire.writer.drain()
        except ConnectionError:
            return False
        await asyncio.sleep(0)
    return True


def test_a_target_that_answers_and_does_not_read_keeps_no_connection_open() -> None:
    async def test() -> None:
        full, ended = asyncio.Event(), asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await full.wait()
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            while not writer.transport.is_closing():  # whose socket sees a reset, and no end of what it reads
                writer.write(b"x")
                await asyncio.sleep(0.01)
            ended.set()

        async with bed(Backend(handler=handler)) as it, it.client() as wire:
            sending = asyncio.create_task(upload(wire, full))
            await eventually(lambda: any(each.slow for each in target_of(it).connections), "a full buffer")
            full.set()
            if await sending:
                assert (await wire.rest()).startswith(b"HTTP/1.1 413 ")
            async with asyncio.timeout(30):
                await ended.wait()

    run(test())


def test_nothing_is_sent_after_a_request_that_its_target_has_not_read() -> None:
    async def test() -> None:
        backend = Backend()
        full, sent = asyncio.Event(), asyncio.Event()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await backend.head(reader)
            if backend.connections == 1:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await sent.wait()
                writer.write(ok(b"early"))
                await asyncio.sleep(10)
            writer.write(ok(b"second"))

        backend.handler = handler
        async with bed(backend) as it, it.client() as wire:
            sending = asyncio.create_task(upload(wire, full))
            await eventually(lambda: target_of(it).connections, "a connection")
            (upstream,) = target_of(it).connections
            await eventually(lambda: upstream.state == AWAITED, "the connection to be made")
            while not upstream.transport.get_write_buffer_size():  # noqa: ASYNC110  a moment later it is full
                await asyncio.sleep(0)
            full.set()
            assert await sending
            wire.send(b"0\r\n\r\n")
            client = upstream.client
            assert client is not None
            await eventually(lambda: not client.sending, "the whole request to be read")
            assert upstream.transport.get_write_buffer_size()
            sent.set()
            assert (await wire.answer())[1] == b"early"
            async with it.client() as other:
                other.send(GET)
                assert (await other.answer())[1] == b"second"

    run(test())


def test_a_pooled_connection_that_ended_in_this_turn_of_the_loop_is_not_taken() -> None:
    async def test() -> None:
        async with bed(Backend()) as it, it.client() as wire:
            wire.send(GET)
            await wire.answer()
            target = target_of(it)
            (idle,) = target.idle
            idle.eof_received()  # as the loop calls it, before connection_lost in the next turn
            assert not target.idle and not target.connections
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            assert (await wire.answer())[1] == b"one"

    run(test())


def test_connections_that_ended_wait_for_no_timeout() -> None:
    async def test() -> None:
        one = Backend(handler=says(ok(b"ok", b"Connection: close")))
        async with bed(one) as it:
            for _ in range(20):
                await it.get()
            await nothing_left(it)
            assert not any(it.proxy.core._wheel.values())

    run(test())
