"""The chunked coding: what is passed on is our own framing of the same data, however it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs.proxy.chunks import BadChunk, Chunks

from . import reference


def test_extensions_and_trailers_go_no_further() -> None:
    chunks = Chunks()
    came = b'5;a=b ;c="d"\r\nhello\r\n00003\r\nabc\r\n0;last\r\nX-Trailer: y\r\n\r\nGET / HTTP/1.1'
    assert chunks.feed(came) == b"5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n"
    assert chunks.done and came[chunks.consumed :] == b"GET / HTTP/1.1"


def test_unframed_is_the_data_alone() -> None:
    chunks = Chunks(framed=False)
    assert chunks.feed(b"5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\n") == b"helloabc"
    assert chunks.done


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n",
        b"5\r\nhello\n",
        b"5\r\nhelloX",
        b"5\r\nhello\rX",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5 \r\n",
        b" 5\r\n",
        b"5 x\r\n",
        b"g\r\n",
        b"\r\n",
        b"1234567890123456\r\n",
        b"5;a\nb\r\n",
        b"5;a\rb\r\n",
        b"5;\x00\r\n",
        b"5;" + b"a" * 5000,
        b"5;" + b"a" * 5000 + b"\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 4000,
        b"0\r\nX: " + b"y" * 20000,
    ],
)
def test_not_chunked(body: bytes) -> None:
    with pytest.raises(BadChunk):
        Chunks().feed(body)
    one_by_one = Chunks()
    with pytest.raises(BadChunk):
        for byte in body:
            one_by_one.feed(bytes([byte]))


PIECES = st.lists(st.binary(min_size=1, max_size=20), max_size=5)


EXTENSIONS = st.sampled_from(["", ";x", " ;y=z"])


@given(PIECES, EXTENSIONS, st.booleans(), st.lists(st.integers(1, 9)), st.booleans())
def test_any_pieces_give_the_same(
    data: list[bytes], extension: str, trailer: bool, cuts: list[int], framed: bool
) -> None:
    body = b"".join(b"%X%b\r\n%b\r\n" % (len(each), extension.encode(), each) for each in data)
    body += b"0\r\n" + (b"X: y\r\n" if trailer else b"") + b"\r\n"
    rest = b"GET"
    stream = body + rest
    wanted = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in data) + b"0\r\n\r\n"
    chunks, passed, at = Chunks(framed), b"", 0
    sizes = iter([*cuts, *[len(stream)]])
    while not chunks.done:
        size = next(sizes)
        passed += chunks.feed(stream[at : at + size])
        at = at + chunks.consumed if chunks.done else at + size
    assert passed == (wanted if framed else b"".join(data))
    assert stream[at:] == rest


GOOD = st.sampled_from([b"5\r\nhello\r\n", b"3;a=b\r\nabc\r\n", b"0A \t;x\r\n0123456789\r\n"])
ENDS = st.sampled_from([b"0\r\n\r\n", b"000;x\r\nX: y\r\n\r\n", b""])
ODD = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b";",
        b" ",
        b"\t",
        b"0",
        b"f",
        b"+",
        b"-",
        b"0x",
        b"_",
        b"\x00",
        b"\xff",
        b"\x7f",
        b":",
    ]
    + [b"X:y\r\n", b"X :y\r\n", b"g", b"1", b"0" * 16, b"GET"]
)
CHANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), ODD), max_size=3)


@given(st.lists(GOOD, max_size=3), ENDS, CHANGES, st.integers(1, 60))
def test_chunks_are_read_as_the_obvious_way(
    pieces: list[bytes], end: bytes, changes: list[tuple[int, int, bytes]], step: int
) -> None:
    body = b"".join(pieces) + end + b"rest"
    for at, dropped, odd in changes:
        body = body[:at] + odd + body[at + dropped :]
    chunks, passed, at = Chunks(framed=False), b"", 0
    try:
        while at < len(body) and not chunks.done:
            passed += chunks.feed(body[at : at + step])
            at = at + chunks.consumed if chunks.done else at + step
    except BadChunk:
        assert isinstance(reference.chunked(body), str)  # which reads a line when all of it is there
        return
    slow = reference.chunked(body)
    if chunks.done:
        assert slow == (passed, body[at:])
    else:
        assert slow == "more"
