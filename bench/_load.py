"""A load generator: one request, over and over, on a number of connections, for a number of seconds.

Bounded in count and time, to loopback only; it reads every answer whole and counts what was
not a 200. Lean enough not to be what is measured: it was seen to do 20,000 requests a second.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

_HOST = "127.0.0.1"


@dataclass
class Load:
    """What came of it. ``rate``: answered requests a second."""

    rate: float
    answered: int
    failed: int
    sample: bytes = b""


@dataclass
class _Tally:
    ends_at: float = 0.0
    limit: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    sample: bytes = b""
    open: set[asyncio.Protocol] = field(default_factory=set)


class _Connection(asyncio.Protocol):
    """Sends, reads the answer by its Content-Length (or to the end), sends again."""

    def __init__(self, request: bytes, tally: _Tally, finished: asyncio.Future[None]) -> None:
        self._request = request
        self._tally = tally
        self._finished = finished
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one but in name
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        tally = self._tally
        if time.perf_counter() >= tally.ends_at or tally.sent >= tally.limit:
            self._waiting = False
            self._transport.close()
            return
        tally.sent += 1
        self._waiting = True
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        place = head.find(b"content-length:")
        if place < 0:
            return  # its end is the connection's
        length = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        self._count(head)
        if b"connection: close" in head or head.startswith(b"http/1.0"):
            return
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._count(bytes(self._buffer[: self._buffer.find(b"\r\n\r\n")]).lower())
        if not self._finished.done():
            self._finished.set_result(None)

    def _count(self, head: bytes) -> None:
        self._waiting = False
        if b" 200" in head[:20]:
            self._tally.answered += 1
        else:
            self._tally.failed += 1
        if not self._tally.sample:
            self._tally.sample = bytes(self._buffer)
        self._buffer.clear()


async def _one(port: int, request: bytes, tally: _Tally) -> None:
    loop = asyncio.get_running_loop()
    while time.perf_counter() < tally.ends_at and tally.sent < tally.limit:
        finished: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda f=finished: _Connection(request, tally, f), _HOST, port)
        await finished


async def _run(port: int, request: bytes, connections: int, seconds: float, limit: int) -> Load:
    tally = _Tally(ends_at=time.perf_counter() + seconds, limit=limit)
    began = time.perf_counter()
    await asyncio.gather(*(_one(port, request, tally) for _ in range(connections)))
    took = time.perf_counter() - began
    return Load(tally.answered / took, tally.answered, tally.failed, tally.sample)


def run(
    port: int, request: bytes, *, connections: int = 16, seconds: float = 3.0, limit: int = 100_000
) -> Load:
    """Send ``request`` (a whole HTTP/1.1 request) until the time or the limit is over."""
    return uvloop.run(_run(port, request, connections, seconds, limit))


def json_request(port: int, target: str, body: bytes, service: str = "ecs") -> bytes:
    """An AWS JSON 1.1 request as the SDKs send it; the signature is made up, since nobody here checks it."""
    head = (
        f"POST / HTTP/1.1\r\nHost: {_HOST}:{port}\r\nX-Amz-Target: {target}\r\n"
        f"Content-Type: application/x-amz-json-1.1\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/{service}/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: 20260101T000000Z\r\n\r\n"
    )
    return head.encode() + body
