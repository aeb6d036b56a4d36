"""Backends and clients that do what they should not, and what the load balancer makes of it."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import replace
from typing import Any

import pytest

from miniecs.model.routing import RoutedTarget, RoutingTable
from miniecs.proxy.core import Limits

from .bed import QUICK, Backend, Handler, bed, eventually, free_port, ok, read_head, run, says

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
SLOW: dict[str, Any] = {"balancer": {"idle_timeout": 0.2}}
PAGE_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


def reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    reset(writer)


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    await reader.read(1 << 16)


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(10_000):
        writer.write(b"X-Padding: " + b"x" * 100 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    "handler",
    [
        resets,
        endless_head,
        says(b""),
        says(b"HTTP/1.1 200 OK\r\nContent-Le"),
        says(b"garbage\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_a_bad_answer_is_a_502(handler: Handler) -> None:
    async def test() -> None:
        async with bed(Backend(handler=handler)) as it, it.client() as wire:
            for _ in range(2):  # and the client's connection goes on
                wire.send(GET)
                head, body = await wire.answer()
                assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\nServer: awselb/2.0\r\n")
                assert b"\r\nContent-Length: 122\r\nConnection: keep-alive\r\n" in head
                assert body == PAGE_502

    run(test())


def test_nobody_listens() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it:
            await backend.stop()
            assert b" 502 " in await it.get()
            target = next(iter(it.proxy._groups["group"].targets.values()))
            assert target.counts.connection_errors == 1 and not target.connections

    run(test())


def test_a_hanging_backend_is_a_504() -> None:
    async def test() -> None:
        backend = Backend(handler=hangs)
        async with bed(backend, **SLOW) as it, it.client() as wire:
            wire.send(GET)
            head, _ = await wire.answer()
            assert head.startswith(b"HTTP/1.1 504 Gateway Time-out\r\n")
            await eventually(lambda: backend.open == 0, "the backend's connection to be closed")

    run(test())


def test_a_connection_that_is_never_made_is_a_504() -> None:
    async def test() -> None:
        # A listener whose backlog is full does not answer further attempts.
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for each in (first, second):
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            async with bed() as it:
                group = it.table.groups[0]
                target = RoutedTarget("i-full", full.getsockname()[1], "127.0.0.1")
                await it.apply(replace(it.table, groups=(replace(group, targets=(target,)),)))
                assert b" 504 " in await it.get()

    run(test())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello",
    ],
)
def test_an_answer_that_breaks_off_does_not_look_whole(answer: bytes) -> None:
    async def test() -> None:
        async with bed(Backend(handler=says(answer))) as it, it.client() as wire:
            wire.send(GET)
            got = await wire.rest()
            assert got.startswith(b"HTTP/1.1 200 OK\r\n")
            head, _, body = got.partition(b"\r\n\r\n")
            assert len(body) < 10 and not body.endswith(b"0\r\n\r\n")

    run(test())


def test_an_old_client_sees_by_a_reset_that_an_answer_broke_off() -> None:
    async def test() -> None:
        broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"
        async with bed(Backend(handler=says(broken))) as it, it.client() as wire:
            wire.send(b"GET / HTTP/1.0\r\n\r\n")
            assert await wire.is_reset()

    run(test())


def test_bytes_after_an_answer_reach_nobody() -> None:
    async def test() -> None:
        poison = ok() + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        backend = Backend(handler=says(poison, close=False))
        async with bed(backend) as it, it.client() as wire:
            for count in (1, 2):
                wire.send(GET)
                assert (await wire.answer())[1] == b"ok"
                assert backend.connections == count

    run(test())


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    async def test() -> None:
        backend = Backend()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            writer.write(ok())
            await asyncio.sleep(0.02)
            writer.write(ok(b"poison"))
            await reader.read()

        backend.handler = handler
        async with bed(backend) as it, it.client() as wire:
            wire.send(GET)
            assert (await wire.answer())[1] == b"ok"
            await eventually(lambda: backend.open == 0, "the connection to be closed")
            wire.send(GET)
            assert (await wire.answer())[1] == b"ok"

    run(test())


def closes_idle(once: bytes) -> Handler:
    """Answers once, then resets or closes at the second request."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(once)
        if await reader.read(1):
            reset(writer)

    return handler


def test_a_stale_connection_is_tried_again_where_that_is_safe() -> None:
    async def test() -> None:
        backend = Backend(handler=closes_idle(ok()))
        async with bed(backend) as it, it.client() as wire:
            for _ in range(3):
                wire.send(GET)
                assert (await wire.answer())[1] == b"ok"
            assert backend.connections == 3
            wire.send(POST)
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")

    run(test())


def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    async def test() -> None:
        backend = Backend()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            writer.write(ok())
            await read_head(reader)
            writer.write(b"HTTP/1.1 2")

        backend.handler = handler
        async with bed(backend) as it, it.client() as wire:
            wire.send(GET)
            await wire.answer()
            wire.send(GET)
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
            assert backend.connections == 1

    run(test())


def test_a_malformed_request_ends_its_connection() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it:
            head = b"POST / HTTP/1.1\r\nHost: a\r\n"
            for bad, status in (
                (head + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET, b"400"),
                (head + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n" + GET, b"400"),
                (head + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + GET, b"400"),
                (b"GET / HTTP/1.1\nHost: a\n\n" + GET, b"400"),
                (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" + GET, b"405"),
                (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n" + GET, b"414"),
                (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
            ):
                answer = await it.ask(bad)
                assert answer.startswith(b"HTTP/1.1 " + status) and answer.count(b"HTTP/1.1 ") == 1, bad
                assert b"Connection: close\r\n" in answer
            assert backend.heads == []

    run(test())


def test_a_chunk_that_turns_bad_later() -> None:
    async def test() -> None:
        backend = Backend(handler=hangs)
        async with bed(backend) as it, it.client() as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await eventually(lambda: backend.open, "the backend to be asked")
            wire.send(b"nonsense\r\n")
            assert (await wire.rest()).startswith(b"HTTP/1.1 400 ")
            await eventually(lambda: backend.open == 0, "the backend's connection to be closed")

    run(test())


def test_slow_heads_and_bodies_are_408() -> None:
    async def test() -> None:
        async with bed(Backend(handler=hangs), **SLOW) as it:
            for begun in (b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"):
                assert (await it.ask(begun)).startswith(b"HTTP/1.1 408 Request Time-out\r\n")

    run(test())


def test_a_head_in_trickles_has_a_limit() -> None:
    async def test() -> None:
        async with bed(Backend()) as it, it.client() as wire:
            answer = asyncio.ensure_future(wire.rest())
            while not answer.done():
                wire.send(b"G")
                await asyncio.sleep(0.02)
            assert (await answer).startswith(b"HTTP/1.1 408 ")

    run(test())


def test_idle_connections_end_silently() -> None:
    async def test() -> None:
        async with bed(Backend(), **SLOW) as it, it.client() as wire:
            wire.send(GET)
            await wire.answer()
            assert await wire.rest() == b""

    run(test())


def test_a_client_s_connection_has_a_life() -> None:
    async def test() -> None:
        async with bed(Backend(), balancer={"client_keep_alive": 0.3}) as it, it.client() as wire:
            wire.send(GET)
            assert b"Connection: keep-alive\r\n" in (await wire.answer())[0]
            began = asyncio.get_running_loop().time()
            assert await wire.rest() == b""
            assert asyncio.get_running_loop().time() - began < 5

    run(test())


def test_idle_targets_connections_end() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend, limits=replace(QUICK, target_idle=0.1)) as it:
            await it.get()
            await eventually(lambda: backend.open == 0, "the idle connection to be closed")
            target = next(iter(it.proxy._groups["group"].targets.values()))
            assert not target.idle and not target.connections

    run(test())


def test_a_target_that_says_how_long_it_keeps_connections() -> None:
    async def test() -> None:
        backend = Backend(handler=says(ok(b"ok", b"Keep-Alive: timeout=1"), close=False))
        async with bed(backend) as it:
            await it.get()
            await eventually(lambda: backend.open == 0, "the idle connection to be closed")

    run(test())


def test_a_client_that_vanishes_frees_its_target() -> None:
    async def test() -> None:
        backend = Backend(handler=hangs)
        async with bed(backend) as it:
            async with it.client() as wire:
                wire.send(GET)
                await eventually(lambda: backend.open, "the backend to be asked")
            await eventually(lambda: backend.open == 0, "the backend's connection to be closed")
            assert it.proxy._listeners["listener"].counts.own_codes == {460: 1}
            assert not it.proxy._clients["listener"]

    run(test())


def test_a_client_that_does_not_read_stops_the_target() -> None:
    async def test() -> None:
        written = 0

        async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal written
            await read_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            for _ in range(15_000):
                writer.write(b"x" * 65536)
                written += 65536
                await writer.drain()

        async with bed(Backend(handler=floods)) as it, it.client() as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            wire.send(GET)
            before = -1
            while written != before:
                before = written
                await asyncio.sleep(0.2)
            assert 0 < written < 64_000_000
            client = next(iter(it.proxy._clients["listener"]))
            assert client.transport.get_write_buffer_size() < 2_000_000

    run(test())


def test_a_target_that_does_not_read_stops_the_client() -> None:
    async def test() -> None:
        async def ignores(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(30)

        async with bed(Backend(handler=ignores)) as it, it.client() as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
            sent = 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    while sent < 500_000_000:
                        wire.send(b"x" * 65536)
                        sent += 65536
                        await wire.writer.drain()
            assert sent < 64_000_000
            (client,) = it.proxy._clients["listener"]
            assert client.upstream is not None
            assert client.upstream.transport.get_write_buffer_size() < 2_000_000

    run(test())


def test_a_slow_reader_gets_everything() -> None:
    async def test() -> None:
        body = b"y" * 5_000_000
        async with bed(Backend(handler=says(ok(body), ok(body)))) as it, it.client() as wire:
            wire.send(GET + GET)
            for _ in range(2):
                await wire.reader.readuntil(b"\r\n\r\n")
                left = len(body)
                while left:
                    got = await wire.reader.read(min(left, 200_000))
                    left -= len(got)
                    await asyncio.sleep(0)

    run(test())


def test_many_unread_pipelined_answers_do_not_pile_up() -> None:
    async def test() -> None:
        backend = Backend()

        async def big(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await backend.head(reader):
                writer.write(ok(b"z" * 100_000))
                await writer.drain()

        backend.handler = big
        async with bed(backend) as it, it.client() as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            wire.send(GET * 5000)
            before = -1
            while len(backend.heads) != before:
                before = len(backend.heads)
                await asyncio.sleep(0.2)
            assert 0 < before < 500

    run(test())


def test_draining_lets_requests_finish_and_takes_no_new_ones() -> None:
    async def test() -> None:
        gate = asyncio.Event()
        one, two = Backend("one"), Backend("two")

        async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await one.head(reader):
                await gate.wait()
                writer.write(ok(b"one"))

        one.handler = waits
        async with bed(one, two) as it, it.client() as wire:
            wire.send(GET)
            await eventually(lambda: one.heads, "the first target to be asked")
            await it.apply(it.targets("draining", "healthy"))
            assert [(await it.get())[-3:] for _ in range(3)] == [b"two"] * 3
            gate.set()
            assert (await wire.answer())[1] == b"one"
            await eventually(lambda: one.open == 0, "its connection to be closed")
            wire.send(GET)
            assert (await wire.answer())[1] == b"two"

    run(test())


def test_a_target_that_is_removed_cuts_what_is_in_flight() -> None:
    async def test() -> None:
        one = Backend("one", handler=hangs)
        async with bed(one, Backend("two")) as it, it.client() as wire:
            wire.send(GET)
            await eventually(lambda: one.open, "the first target to be asked")
            group = it.table.groups[0]
            await it.apply(replace(it.table, groups=(replace(group, targets=group.targets[1:]),)))
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
            wire.send(GET)
            assert (await wire.answer())[1] == b"two"

    run(test())


def test_a_listener_that_is_deleted() -> None:
    async def test() -> None:
        backend = Backend(handler=hangs)
        async with bed(backend, limits=Limits(tick=0.02)) as it, it.client() as idle, it.client() as busy:
            busy.send(GET)
            await eventually(lambda: backend.open, "the backend to be asked")
            address = it.address
            await eventually(lambda: len(it.proxy._clients["listener"]) == 2, "both clients")
            await it.apply(RoutingTable())
            assert await idle.rest() == b""
            assert b" 502 " in (await busy.answer())[0]
            assert await busy.rest() == b""
            await eventually(lambda: not it.proxy._open, "the socket to be closed")
            with pytest.raises(OSError):
                await asyncio.open_connection(*address)

    run(test())


def test_connections_survive_a_new_table() -> None:
    async def test() -> None:
        one = Backend("one")
        async with bed(one) as it, it.client() as wire:
            for version in range(2, 6):
                wire.send(GET)
                assert (await wire.answer())[1] == b"one"
                await it.apply(replace(it.table, version=version))
            assert one.connections == 1

    run(test())


def test_ports_of_a_table_that_moves() -> None:
    async def test() -> None:
        async with bed(Backend()) as it:
            assert (await it.get()).endswith(b"one")
            balancer = it.table.load_balancers[0]
            moved = replace(balancer.listeners[0], arn="other", port=free_port())
            await it.apply(replace(it.table, load_balancers=(replace(balancer, listeners=(moved,)),)))
            assert (await it.get()).endswith(b"one")

    run(test())
