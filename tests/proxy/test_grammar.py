"""Heads: what is read, what is refused, what waits for more; compared with an obvious reading."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miniecs.proxy.grammar import (
    CHUNKED,
    UNTIL_CLOSE,
    Refusal,
    Request,
    Response,
    read_request,
    read_response,
    unfinished,
    values_of,
)

from . import reference

HOST = b"Host: a\r\n"


def refused(data: bytes) -> int | None:
    answer = read_request(data)
    return answer.status if isinstance(answer, Refusal) else None


def read(data: bytes) -> Request:
    request = read_request(data)
    assert isinstance(request, Request), request
    return request


@pytest.mark.parametrize(
    ("head", "status"),
    [
        # lengths that can be read in two ways
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 4\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", 400),
        # codings that are not chunked, or hidden
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        # line ends
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", 400),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        # names and first lines
        (b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX(: y\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        # hosts
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        # methods, versions, sizes
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 17000, 414),
        (b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 17000 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: aaaaaaaaaa\r\n" * 5000 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n", 417),
        (b"\x16\x03\x01\x02\x00\x01", 400),
    ],
)
def test_refused(head: bytes, status: int) -> None:
    assert refused(head) == status


@pytest.mark.parametrize("cut", range(1, 36))
def test_more_may_come(cut: int) -> None:
    assert read_request(b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"[:cut]) is None


def test_an_unfinished_head_is_looked_at_once() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r"
    assert unfinished(head + b"\n", len(head))
    assert not unfinished(head + b"X", len(head))
    assert not unfinished(head[:-1] + b"\n", len(head) - 1)
    assert not unfinished(head + b"\n\r\n", len(head)) and not unfinished(head + b"\n\r\n", len(head) + 2)


def test_a_long_head_is_looked_at_once_too() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 8000
    assert unfinished(head, 40_000)
    assert not unfinished(head, 1, 32 * 1024)  # of a response
    assert not unfinished(head + b"\n", len(head))
    assert not unfinished(b"GET /" + b"a" * 16 * 1024 + b" HTTP/1.1\r\n", 5)
    assert not unfinished(head + b"X: y\r\n" * 4000, len(head))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", {"path": b"/", "host": b"a", "plain": True, "close": False}),
        (b"GET /x?y HTTP/1.1\r\nhOST:a\r\n\r\n", {"path": b"/x", "query": b"y", "host": b"a", "plain": True}),
        (b"GET /x? HTTP/1.1\r\nHost: a\r\n\r\n", {"query": b"", "plain": True}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", {"plain": True, "close": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {"plain": False, "close": True}),
        (b"GET / HTTP/1.0\r\n\r\n", {"host": b"", "close": True, "minor": b"0", "plain": False}),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", {"close": False}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", {"length": 5, "plain": True}),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", {"length": CHUNKED}),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n", {"expects": True}),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"path": b"*", "query": None}),
        (
            b"GET http://b:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            {"path": b"/x", "query": b"y", "host": b"b:8", "authority": b"b:8", "plain": False},
        ),
        (b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", {"path": b"/", "query": None, "host": b"b"}),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
            {"upgrade": True, "plain": False},
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", {"upgrade": False}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", {"upgrade": False}),
    ],
)
def test_read(head: bytes, said: dict[str, object]) -> None:
    request = read(head + b"GET /next")
    assert {name: getattr(request, name) for name in said} == said
    assert request.end == len(head)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: one\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\n\r\n",
        b"HTTP/1.1 99 Odd\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"garbage",
        b"<html>",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 6000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 6000 + b"\r\n",
    ],
)
def test_a_response_that_is_none(head: bytes) -> None:
    assert isinstance(read_response(head), str)


@pytest.mark.parametrize("cut", range(1, 40))
def test_more_of_a_response_may_come(cut: int) -> None:
    assert read_response(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[: min(cut, 37)]) is None


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"HTTP/1.1 200\r\n\r\n", {"status": 200, "length": UNTIL_CLOSE, "plain": True, "close": False}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {"length": 5, "says_keep_alive": False}),
        (
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
            {"length": 5, "says_keep_alive": True, "plain": True},
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            {"length": 5, "plain": False, "close": True},
        ),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", {"close": True}),
        (
            b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=9\r\nTransfer-Encoding: chunked\r\n\r\n",
            {"length": CHUNKED, "keep_alive": 5, "plain": False},
        ),
        (
            b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            {"status": 101, "upgrade": True},
        ),
    ],
)
def test_a_response(head: bytes, said: dict[str, object]) -> None:
    response = read_response(head + b"rest")
    assert isinstance(response, Response), response
    assert {name: getattr(response, name) for name in said} == said
    assert response.end == len(head)


def test_values_of_a_field() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-One:  b \r\nx-one: c\r\nX-One-Two: d\r\n\r\n"
    assert values_of(head, b"x-one") == [b"b", b"c"]


NAMES = st.sampled_from(
    [
        "Host",
        "content-length",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Expect",
        "X",
        "x-forwarded-for",
    ]
    + ["CONNECTION", "Cookie", "content-type", "Hos", "Hostess", "Te", "Keep-Alive", "X y", "", "X\t"]
)
VALUES = st.sampled_from(
    [
        "a",
        "5",
        "0",
        "",
        " 7 ",
        "chunked",
        "Chunked",
        "gzip",
        "close",
        "keep-alive",
        "Keep-Alive",
        "close, x",
        "a b",
    ]
    + ["100-continue", "a\tb", "a\x00", "a\rb", "a\nb", "\x7f", "\xff", "5, 5", " chunked\t"]
)
COLONS = st.sampled_from([": ", ":", ":\t", " :", ":  "])
ENDS = st.sampled_from(["\r\n"] * 12 + ["\n", "\r", "\r\n "])
FIELDS = st.lists(st.tuples(NAMES, COLONS, VALUES, ENDS).map("".join), max_size=5).map("".join)
FIRST = st.tuples(
    st.sampled_from(["GET", "POST", "TRACE", "CONNECT", "get", "", "A" * 65, "M-SEARCH"]),
    st.sampled_from([" ", " ", " ", "  ", "\t"]),
    st.sampled_from(["/", "/a?b=c", "/?", "/a#b", "/\x01", "/\xe9", "/a b"]),
    st.sampled_from([" HTTP/1.1", " HTTP/1.0", " HTTP/1.1 ", " HTTP/2.0", ""]),
    ENDS,
).map("".join)
STATUS = st.tuples(
    st.sampled_from(["HTTP/1.1 ", "HTTP/1.0 ", "HTTP/1.1", "HTTP/1.1  "]),
    st.sampled_from(["200", "404", "100", "600", "099", "20", "2000", "2x0"]),
    st.sampled_from(["", " ", " OK", "OK", " \x00", " \xff"]),
    ENDS,
).map("".join)
TAIL = st.sampled_from(["\r\n", "\r\n", "\r\nbody", "\n", ""])


@given(FIRST, FIELDS, TAIL)
@example("GET / HTTP/1.1\r\n", "Host: a\r\nConnection: keep-alive\r\n", "\r\n")
def test_a_request_is_read_as_the_obvious_way(first: str, fields: str, tail: str) -> None:
    data = (first + fields + tail).encode("latin-1")
    fast, slow = read_request(data), reference.request(data)
    if slow is None:
        assert not isinstance(fast, Request)
        return
    assert isinstance(fast, Request)
    assert {name: getattr(fast, name) for name in slow} == slow


@given(STATUS, FIELDS, TAIL)
def test_a_response_is_read_as_the_obvious_way(first: str, fields: str, tail: str) -> None:
    data = (first + fields + tail).encode("latin-1")
    fast, slow = read_response(data), reference.response(data)
    if slow is None:
        assert not isinstance(fast, Response)
        return
    assert isinstance(fast, Response)
    assert {name: getattr(fast, name) for name in slow} == slow


@given(FIRST, FIELDS, TAIL, st.integers(0, 200))
def test_no_request_is_refused_for_not_being_all_there(first: str, fields: str, tail: str, cut: int) -> None:
    data = (first + fields + tail).encode("latin-1")
    whole = read_request(data)
    if isinstance(whole, Request):
        part = read_request(data[: min(cut, whole.end - 1)])
        assert part is None
