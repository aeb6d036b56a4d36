"""Requests through the proxy to raw backends and back, on real sockets."""

from __future__ import annotations

import asyncio
import re

import pytest

from miniecs.model.routing import FixedResponse, Forward, Redirect, Stickiness, WeightedGroup

from .bed import Backend, bed, eventually, ok, path_rule, read_head, run, says

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_one_request_byte_for_byte() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it, it.client() as wire:
            wire.send(b"GET /a?b=c HTTP/1.1\r\nHost: x.y\r\nUser-Agent: z\r\n\r\n")
            head, body = await wire.answer()
            assert (head, body) == (
                b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\n",
                b"one",
            )
            port = it.table.load_balancers[0].listeners[0].port
            sent = re.sub(rb"Root=1-[0-9a-f]{8}-[0-9a-f]{24}\r\n", b"Root=R\r\n", backend.heads[0])
            assert sent == (
                b"GET /a?b=c HTTP/1.1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
                b"X-Forwarded-Port: %d\r\nX-Amzn-Trace-Id: Root=R\r\nHost: x.y\r\nUser-Agent: z\r\n\r\n"
                % port
            )

    run(test())


def test_connections_are_kept_on_both_sides() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it:
            for _ in range(2):
                async with it.client() as wire:
                    for _ in range(3):
                        wire.send(GET)
                        assert (await wire.answer())[1] == b"one"
            assert (backend.connections, len(backend.heads)) == (1, 6)

    run(test())


def test_two_targets_in_turn() -> None:
    async def test() -> None:
        async with bed(Backend("one"), Backend("two")) as it, it.client() as wire:
            said = []
            for _ in range(4):
                wire.send(GET)
                said.append((await wire.answer())[1])
            assert said == [b"one", b"two", b"one", b"two"]

    run(test())


def test_a_head_in_single_bytes() -> None:
    async def test() -> None:
        async with bed(Backend()) as it, it.client() as wire:
            for byte in GET:
                wire.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await wire.answer())[1] == b"one"

    run(test())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it:
            requests = b"".join(
                b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nb%02d" % (n, n) for n in range(50)
            )
            answers = await it.ask(requests + LAST)
            assert answers.count(b"HTTP/1.1 200 OK") == 51
            assert [head.split(b" ")[1] for head in backend.heads] == [
                *(b"/%d" % n for n in range(50)),
                b"/",
            ]
            assert backend.bodies == [*(b"b%02d" % n for n in range(50)), b""]

    run(test())


def test_pipelined_requests_that_the_proxy_answers_itself() -> None:
    async def test() -> None:
        async with bed(action=FixedResponse(200, body="x")) as it:
            answers = await it.ask(GET * 2000 + LAST)
            assert answers.count(b"HTTP/1.1 200 OK") == 2001

    run(test())


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_bodies_both_ways(size: int) -> None:
    async def test() -> None:
        backend = Backend()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await backend.head(reader):
                body = await reader.readexactly(size)
                writer.write(ok(body))
                await writer.drain()

        backend.handler = echo
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        async with bed(backend) as it, it.client() as wire:
            for _ in range(2):
                wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body)
                assert (await wire.answer())[1] == body

    run(test())


def test_chunked_both_ways() -> None:
    async def test() -> None:
        backend = Backend()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await backend.head(reader):
                backend.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n")
                await asyncio.sleep(0.01)
                writer.write(b"2\r\nde\r\n0\r\nX: y\r\n\r\n")

        backend.handler = handler
        async with bed(backend) as it:
            request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            async with it.client() as wire:
                for _ in range(2):
                    wire.send(request + b"\r\n5;a=b\r\nhel")
                    await asyncio.sleep(0.01)
                    wire.send(b"lo\r\n0\r\n\r\n")
                    head = await wire.reader.readuntil(b"\r\n\r\n")
                    body = await wire.reader.readuntil(b"0\r\n\r\n")
                    assert b"Transfer-Encoding: chunked\r\n" in head
                    assert body == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            assert backend.bodies == [b"5\r\nhello\r\n0\r\n\r\n"] * 2
            assert backend.connections == 1

    run(test())


def test_an_old_client_gets_no_chunks() -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        async with bed(Backend(handler=says(answer))) as it:
            assert (
                await it.ask(b"GET / HTTP/1.0\r\n\r\n")
                == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"
            )

    run(test())


def test_an_answer_that_ends_with_its_connection() -> None:
    async def test() -> None:
        backend = Backend(handler=says(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nabc"))
        async with bed(backend) as it:
            framed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nX: y\r\n\r\n"
            assert await it.get() == framed + b"3\r\nabc\r\n0\r\n\r\n"
            plain = b"HTTP/1.1 200 OK\r\nConnection: close\r\nX: y\r\n\r\n"
            assert await it.ask(b"GET / HTTP/1.0\r\n\r\n") == plain + b"abc"

    run(test())


def test_an_old_client_that_keeps_its_connection() -> None:
    async def test() -> None:
        async with bed(Backend()) as it, it.client() as wire:
            for _ in range(2):
                wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                head, body = await wire.answer()
                assert b"Connection: keep-alive\r\n" in head and body == b"one"

    run(test())


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 None\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Same\r\nContent-Length: 99\r\n\r\n"),
    ],
)
def test_answers_without_a_body(method: bytes, answer: bytes) -> None:
    async def test() -> None:
        backend = Backend(handler=says(answer, answer))
        async with bed(backend) as it, it.client() as wire:
            for _ in range(2):
                wire.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
                head = await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 5)
                assert head.startswith(answer[:12])
            assert backend.connections == 1

    run(test())


def test_100_continue_is_said_at_once() -> None:
    async def test() -> None:
        backend = Backend()
        async with bed(backend) as it, it.client() as wire:
            wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            wire.send(b"body")
            assert (await wire.answer())[1] == b"one"
            assert backend.bodies == [b"body"] and b"Expect" not in backend.heads[0]

    run(test())


def test_interim_answers() -> None:
    async def test() -> None:
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        async with bed(Backend(handler=says(interim + ok()))) as it:
            assert await it.get() == (
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
            )
        async with bed(Backend(handler=says(b"HTTP/1.1 103 E\r\n\r\n" * 40 + ok()))) as it:
            assert b"HTTP/1.1 502 Bad Gateway\r\n" in await it.get()

    run(test())


WEBSOCKET = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def test_a_websocket() -> None:
    async def test() -> None:
        backend = Backend()

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await backend.head(reader)
            writer.write(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
            while data := await reader.read(100):
                writer.write(data.upper())

        backend.handler = handler
        async with bed(backend) as it, it.client() as wire:
            wire.send(WEBSOCKET + b"early")
            head = await wire.reader.readuntil(b"\r\n\r\n")
            assert head == b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            assert await wire.reader.readexactly(10) == b"helloEARLY"
            wire.send(b"x" * 300_000)
            assert await wire.reader.readexactly(300_000) == b"X" * 300_000
            wire.writer.write_eof()
            assert await wire.rest() == b""
            await eventually(lambda: backend.open == 0, "the backend to see the end")

    run(test())


def test_a_websocket_that_is_refused_is_an_ordinary_answer() -> None:
    async def test() -> None:
        async with bed(Backend()) as it, it.client() as wire:
            wire.send(WEBSOCKET)
            assert (await wire.answer())[1] == b"one"
            wire.send(GET)
            assert (await wire.answer())[1] == b"one"

    run(test())


def test_an_upgrade_that_nobody_asked_for() -> None:
    async def test() -> None:
        answer = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        async with bed(Backend(handler=says(answer))) as it:
            assert b" 502 " in await it.get()

    run(test())


def test_rules_redirects_and_fixed_responses() -> None:
    async def test() -> None:
        rules = (
            path_rule(
                "/old/*", Redirect(301, protocol="HTTPS", port="443", path="/new/#{path}", query="#{query}")
            ),
            path_rule("/gone", FixedResponse(410, "application/json", '{"gone": true}')),
            path_rule("/empty", FixedResponse(404)),
            path_rule("/none", FixedResponse(204)),
        )
        async with bed(Backend(), rules=rules) as it:
            moved = await it.get("/old/a?b=c")
            assert re.sub(rb"Date: [^\r]+", b"Date: D", moved) == (
                b"HTTP/1.1 301 Moved Permanently\r\nServer: awselb/2.0\r\nDate: D\r\n"
                b"Content-Type: text/html\r\nContent-Length: 134\r\nConnection: close\r\nLocation: https://a:443/new/old/a?b=c\r\n\r\n"
                b"<html>\r\n<head><title>301 Moved Permanently</title></head>\r\n<body>\r\n"
                b"<center><h1>301 Moved Permanently</h1></center>\r\n</body>\r\n</html>\r\n"
            )
            gone = await it.get("/gone")
            assert gone.startswith(b"HTTP/1.1 410 Gone\r\n") and gone.endswith(b'\r\n\r\n{"gone": true}')
            assert b"Content-Type: application/json; charset=utf-8\r\n" in gone
            assert (await it.get("/empty")).endswith(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            assert re.sub(rb"Date: [^\r]+", b"Date: D", await it.get("/none")) == (
                b"HTTP/1.1 204 No Content\r\nServer: awselb/2.0\r\nDate: D\r\nConnection: close\r\n\r\n"
            )
            assert (await it.get("/else")).endswith(b"one")

    run(test())


def test_an_unfinished_body_does_not_hide_an_answer() -> None:
    async def test() -> None:
        async with bed(Backend(), action=FixedResponse(403, body="no")) as it:
            answer = await it.ask(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + b"x" * 400_000
            )
            assert answer.startswith(b"HTTP/1.1 403 ") and answer.endswith(b"no")
            assert b"Connection: close" in answer

    run(test())


def test_a_target_that_answers_before_it_read_all() -> None:
    async def test() -> None:
        early = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
        async with bed(Backend(handler=says(early, close=False))) as it:
            answer = await it.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + b"x" * 100)
            assert answer == b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"

    run(test())


def test_stickiness_to_a_target() -> None:
    async def test() -> None:
        async with bed(Backend("one"), Backend("two"), group={"stickiness": Stickiness(seconds=60)}) as it:
            first = await it.get()
            cookie = re.search(rb"Set-Cookie: (AWSALB=[^;]+); Expires=[^;]+; Path=/\r\n", first)
            cors = re.search(
                rb"Set-Cookie: AWSALBCORS=[^;]+; Expires=[^;]+; Path=/; SameSite=None\r\n", first
            )
            assert cookie and cors
            again = [await it.get("/", f"Cookie: x=y; {cookie[1].decode()}") for _ in range(3)]
            assert {answer[-3:] for answer in again} == {first[-3:]}
            await it.apply(it.targets("unhealthy", "healthy"))
            assert (await it.get("/", f"Cookie: {cookie[1].decode()}")).endswith(b"two")

    run(test())


def test_a_group_without_targets_and_one_for_another_protocol() -> None:
    async def test() -> None:
        async with bed() as it:
            page = await it.get()
            assert page.startswith(b"HTTP/1.1 503 Service Temporarily Unavailable\r\nServer: awselb/2.0\r\n")
        async with bed(action=Forward((WeightedGroup("unknown"),))) as it:
            assert b" 503 " in await it.get()
        async with bed(Backend(), group={"protocol_version": "GRPC"}) as it:
            assert (await it.get()).startswith(b"HTTP/1.1 464 \r\n")

    run(test())


def test_too_many_addresses() -> None:
    async def test() -> None:
        async with bed(Backend()) as it:
            thirty = ", ".join(["1.1.1.1"] * 30)
            assert (await it.get("/", f"X-Forwarded-For: {thirty}")).endswith(b"one")
            page = await it.get("/", f"X-Forwarded-For: {thirty}, 2.2.2.2")
            assert page.startswith(b"HTTP/1.1 463 \r\n")

    run(test())


def test_half_closed_after_the_last_request() -> None:
    async def test() -> None:
        backend = Backend()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_head(reader)
            await asyncio.sleep(0.05)
            writer.write(ok())

        backend.handler = slow
        async with bed(backend) as it, it.client() as wire:
            wire.send(b"GET / HTTP/1.0\r\n\r\n")
            wire.writer.write_eof()
            assert (await wire.rest()).endswith(b"ok")

    run(test())
