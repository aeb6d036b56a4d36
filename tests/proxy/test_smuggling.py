"""Shapes that a client, the load balancer and a target could read differently, over real connections."""

from __future__ import annotations

import asyncio

import pytest

from .bed import Backend, bed, ok, read_head, run, says

LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("target", [b"/", b"a:80", b"http://a/", b"*"])
@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_tunnels_and_echoes_reach_no_target(method: bytes, target: bytes) -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it:
            answer = await it.ask(method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 405 ") and b"Connection: close\r\n" in answer
            assert not backend.heads

    run(test())


@pytest.mark.parametrize("count", [1, 2, 50_000])
def test_empty_lines_before_a_request_are_passed_over(count: int) -> None:
    lines = b"\r\n" * count

    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it:
            assert (await it.ask(lines + LAST)).endswith(b"one")
            assert (await it.ask(GET + lines + LAST)).count(b"HTTP/1.1 200 ") == 2
            assert all(head.startswith(b"GET / HTTP/1.1\r\n") for head in backend.heads)

    run(test())


def test_empty_lines_in_single_bytes() -> None:
    async def test() -> None:
        async with bed(Backend()) as it, it.client() as wire:
            for byte in b"\r\n\r\n" + GET:
                wire.send(bytes([byte]))
                await asyncio.sleep(0.001)
            assert (await wire.answer())[1] == b"one"

    run(test())


@pytest.mark.parametrize("empty", [b"\n", b"\r", b"\r\r\n", b" \r\n"])
def test_other_empty_lines_are_refused(empty: bytes) -> None:
    async def test() -> None:
        async with bed(Backend()) as it:
            assert (await it.ask(empty + LAST)).startswith(b"HTTP/1.1 400 ")

    run(test())


def test_a_target_is_told_of_chunks_in_the_usual_words() -> None:
    async def test() -> None:
        backend = Backend()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await backend.head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\tCHUNKED \r\n\r\n0\r\n\r\n")

        backend.handler = handler
        async with bed(backend) as it, it.client() as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\t\tChUnked\t \r\n\r\n0\r\n\r\n")
            head = await wire.reader.readuntil(b"\r\n\r\n")
            for each in (backend.heads[0], head):
                assert each.lower().count(b"transfer-encoding") == 1
                assert b"\r\nTransfer-Encoding: chunked\r\n" in each

    run(test())


def test_an_interim_answer_says_nothing_of_the_target_s_connection() -> None:
    async def test() -> None:
        interim = (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close, x\r\nX: y\r\nKeep-Alive: max=1\r\n"
        )
        interim += b"\r\n"
        async with bed(Backend(handler=says(interim + ok()))) as it, it.client() as wire:
            wire.send(GET)
            assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            assert (await wire.answer())[1] == b"ok"

    run(test())


@pytest.mark.parametrize("field", [b"Content-Length: 99", b"Transfer-Encoding: chunked"])
def test_an_interim_answer_with_a_length_is_none(field: bytes) -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 103 Early Hints\r\n" + field + b"\r\n\r\n" + ok()
        async with bed(Backend(handler=says(answer))) as it:
            assert (await it.get()).startswith(b"HTTP/1.1 502 ")

    run(test())


@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_an_answer_without_content_has_no_length(field: bytes) -> None:
    async def test() -> None:
        async with bed(Backend(handler=says(b"HTTP/1.1 204 None\r\n" + field + b"\r\n\r\nhello"))) as it:
            assert await it.get() == b"HTTP/1.1 204 None\r\nConnection: close\r\n\r\n"

    run(test())


@pytest.mark.parametrize("pieces", [1, 50])
def test_heads_of_answers_have_one_limit_however_they_come(pieces: int) -> None:
    async def test() -> None:
        head = ok(b"ok", *(b"X-%d: %b" % (number, b"y" * 900) for number in range(40)))

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            for at in range(0, len(head), len(head) // pieces):
                writer.write(head[at : at + len(head) // pieces])
                await writer.drain()
                await asyncio.sleep(0.001)

        async with bed(Backend(handler=handler)) as it, it.client() as wire:
            wire.send(GET)
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")

    run(test())


def test_what_comes_after_a_body_that_was_not_asked_for_is_no_answer() -> None:
    async def test() -> None:
        poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
        backend = Backend(
            handler=says(b"HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n" + poison, close=False)
        )
        async with bed(backend) as it, it.client() as wire:
            for _ in range(2):
                wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
                head = await wire.reader.readuntil(b"\r\n\r\n")
                assert b"Content-Length: 51\r\n" in head
            assert backend.connections == 2

    run(test())
