"""Heads as targets and clients get them, byte for byte."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.proxy.grammar import Request, Response, read_request, read_response
from miniecs.proxy.rewriting import HeadSettings, addresses_in, rewritten_request, rewritten_response

PLAIN = HeadSettings(port=80)
TRACE = b"1-65a-b"


def request(*fields: str, first: str = "GET / HTTP/1.1", settings: HeadSettings = PLAIN) -> str:
    data = "\r\n".join([first, *fields, "", ""]).encode()
    read = read_request(data)
    assert isinstance(read, Request), read
    client = settings.client_name("10.0.0.9", 4242)
    return rewritten_request(read, data, settings, client, TRACE).decode()


def lines(*each: str) -> str:
    return "\r\n".join([*each, "", ""])


OURS = ("X-Forwarded-For: 10.0.0.9", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80")
ROOT = "X-Amzn-Trace-Id: Root=1-65a-b"


def test_what_concerns_one_connection_goes_no_further() -> None:
    assert request(
        "Host: a",
        "Connection: close, X-Hop",
        "X-Hop: gone",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: x",
        "TE: trailers",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "X-Kept: Yes",
    ) == lines("GET / HTTP/1.1", *OURS, ROOT, "Host: a", "X-Kept: Yes")


def test_a_connection_header_cannot_take_what_matters_away() -> None:
    assert request("Host: a", "Connection: x-forwarded-for, cookie, host", "Cookie: b") == lines(
        "GET / HTTP/1.1", *OURS, ROOT, "Host: a", "Cookie: b"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (PLAIN, ["X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.9"]),
        (replace(PLAIN, xff_client_port=True), ["X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.9:4242"]),
        (replace(PLAIN, xff_mode="preserve"), ["X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"]),
        (replace(PLAIN, xff_mode="remove"), []),
    ],
)
def test_forwarded_for(settings: HeadSettings, expected: list[str]) -> None:
    sent = request(
        "x-forwarded-for: 1.1.1.1",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Port: 1",
        "Host: a",
        "X-Forwarded-For: 2.2.2.2",
        settings=settings,
    )
    assert sent == lines("GET / HTTP/1.1", *expected, *OURS[1:], ROOT, "Host: a")


def test_a_trace_goes_on() -> None:
    sent = request("Host: a", "X-Amzn-Trace-Id: Root=1-1-2;x=y")
    assert "X-Amzn-Trace-Id: Self=1-65a-b;Root=1-1-2;x=y\r\n" in sent
    assert "X-Amzn-Trace-Id: Root=1-65a-b;x=y\r\n" in request("Host: a", "X-Amzn-Trace-Id: x=y")


def test_old_and_absolute_requests_become_plain_ones() -> None:
    assert request(first="GET /a?b HTTP/1.0") == lines("GET /a?b HTTP/1.1", *OURS, ROOT)
    assert request("Host: evil", first="GET http://good:8/a?b HTTP/1.1") == lines(
        "GET /a?b HTTP/1.1", *OURS, "Host: good:8", ROOT
    )


def test_a_websocket_is_asked_for_anew() -> None:
    sent = request("Host: a", "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: k")
    ours = (*OURS, ROOT, "Connection: Upgrade", "Upgrade: websocket")
    assert sent == lines("GET / HTTP/1.1", *ours, "Host: a", "Sec-WebSocket-Key: k")


def test_names_that_are_not_plain_are_dropped_where_asked() -> None:
    settings = replace(PLAIN, drop_invalid=True)
    sent = request("Host: a", "X_Under: 1", "X-Good: 2", "X.Dot: 3", settings=settings)
    assert sent == lines("GET / HTTP/1.1", *OURS, ROOT, "Host: a", "X-Good: 2")


def test_addresses_are_counted_over_all_headers() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1, 2\r\nX-Forwarded-For: 3\r\n\r\n"
    read = read_request(data)
    assert isinstance(read, Request)
    assert addresses_in(read, data) == 3


def response(*fields: str, settings: HeadSettings = PLAIN, old: bool = False) -> str:
    data = "\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode()
    read = read_response(data)
    assert isinstance(read, Response), read
    return rewritten_response(read, data, settings, b"Connection: close\r\n", old_client=old).decode()


def test_a_response_loses_what_concerned_the_target_s_connection() -> None:
    assert response(
        "Server: x", "Connection: Keep-Alive", "Keep-Alive: timeout=5", "Trailer: X", "Content-Length: 5"
    ) == lines("HTTP/1.1 200 OK", "Connection: close", "Server: x", "Content-Length: 5")
    chunked = ("Transfer-Encoding: chunked", "X: y")
    assert response(*chunked) == lines("HTTP/1.1 200 OK", "Connection: close", *chunked)
    assert response(*chunked, old=True) == lines("HTTP/1.1 200 OK", "Connection: close", "X: y")


def test_a_listener_s_own_response_headers() -> None:
    settings = replace(
        PLAIN,
        server_header=False,
        response_headers=(("X-Frame-Options", "DENY"),),
        changes_responses=True,
    )
    assert response("Server: x", "x-frame-options: ALLOW", "Content-Length: 0", settings=settings) == lines(
        "HTTP/1.1 200 OK", "Connection: close", "X-Frame-Options: DENY", "Content-Length: 0"
    )
