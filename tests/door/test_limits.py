"""Requests that are too large, too slow, too deep or cut off: each has its answer, and none is acted on."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import orjson
import pytest

from .conftest import Server, exchange

HEAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n"
    b"X-Amz-Target: AmazonEC2ContainerServiceV20141113.CreateCluster\r\n"
)


def parts(reply: bytes) -> tuple[int, str]:
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(body)["__type"]


def test_a_declared_length_over_the_limit_is_refused_before_it_is_sent(serve: Callable[..., Server]) -> None:
    server = serve(body_limit=1000)
    reply = server.raw(HEAD + b"Content-Length: 1001\r\n\r\n")
    assert parts(reply) == (413, "RequestEntityTooLarge")


def test_a_chunked_body_is_measured_as_it_comes(serve: Callable[..., Server]) -> None:
    server = serve(body_limit=1000)
    chunk = b"1f4\r\n" + b" " * 500 + b"\r\n"
    reply = server.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert parts(reply) == (413, "RequestEntityTooLarge")
    reply = server.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200")


def test_the_default_limit(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        headers = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.CreateCluster"}
        fits = b'{"clusterName": "' + b"a" * (10 * 1024 * 1024 - 19) + b'"}'
        assert http.post("/", content=fits, headers=headers).status_code == 200
        assert http.post("/", content=fits + b" ", headers=headers).status_code == 413


def test_a_slow_body_is_not_waited_for_for_ever(serve: Callable[..., Server]) -> None:
    server = serve(body_timeout=0.2)
    reply = server.raw(HEAD + b'Content-Length: 50\r\n\r\n{"cluster')
    assert parts(reply) == (408, "RequestTimeout")
    assert server.asked.calls == []


def test_a_request_that_is_cut_off_is_not_acted_on(server: Server) -> None:
    length = HEAD + b"Content-Length: 50\r\n\r\n"
    for cut in (HEAD[:40], HEAD, length, length + b"{}"):
        with server.connect() as connection:
            connection.sendall(cut)
    assert server.raw(HEAD + b"Content-Length: 2\r\n\r\n{}").startswith(b"HTTP/1.1 200")
    assert len(server.asked.calls) == 1


def test_what_is_not_http_gets_a_400(server: Server) -> None:
    assert server.raw(b"\x16\x03\x01\x02\x00garbage\r\n\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"]
)
def test_deep_nesting(server: Server, body: bytes) -> None:
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    assert parts(server.raw(HEAD + length + body)) == (400, "SerializationException")


def test_bad_requests_leave_the_connection_to_the_next_one(serve: Callable[..., Server]) -> None:
    with serve(body_limit=1000).connect() as connection:
        for body, status in ((b"{}", 200), (b"{", 400), (b" " * 2000, 413), (b"{}", 200)) * 3:
            request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
            assert exchange(connection, request).startswith(f"HTTP/1.1 {status}".encode())
