"""The chunked coding: what is passed on is our own framing of the same data, however it comes in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs.proxy.chunks import BadChunk, Chunks


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
