"""A steady load on a load balancer, as its users make it: so many requests a second, and what became of each.

Requests are sent when their time has come, whether the ones before them were answered or not, since a load
that waits for slow answers does not see them. Half come over connections that are kept, half over new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

ANSWER_WITHIN = 10.0  # seconds; more is a failure
_LONGEST = 300.0  # seconds that a load runs at most, whatever becomes of its test


@dataclass
class Seen:
    """What came of the requests. answers: by status and body; failures: when, and what happened instead."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    failures: list[tuple[float, str]] = field(default_factory=list)
    sent: int = 0
    slowest: float = 0.0

    @property
    def statuses(self) -> Counter[int]:
        counted: Counter[int] = Counter()
        for (status, _), count in self.answers.items():
            counted[status] += count
        return counted

    @property
    def bodies(self) -> set[str]:
        return {body for status, body in self.answers if status == 200}

    def mark(self) -> Counter[tuple[int, str]]:
        """All answers until now, to be taken from later ones."""
        return Counter(self.answers)


@contextlib.contextmanager
def steady(address: str, rate: float, path: str = "/") -> Iterator[Seen]:
    """So many requests a second to ``host:port`` while the block runs; all are answered when it is left."""
    seen, end = Seen(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_Load(address, path, seen).run(rate, end)))
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join(2 * ANSWER_WITHIN)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Load:
    def __init__(self, address: str, path: str, seen: Seen) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._seen = seen
        self._kept: list[Connection] = []
        self._began = time.monotonic()
        lines = (f"GET {path} HTTP/1.1", f"Host: {address}")
        self._keep = "\r\n".join((*lines, "", "")).encode()
        self._close = "\r\n".join((*lines, "Connection: close", "", "")).encode()

    async def run(self, rate: float, end: threading.Event) -> None:
        under_way: set[asyncio.Task[None]] = set()
        while not end.is_set() and (passed := time.monotonic() - self._began) < _LONGEST:
            while self._seen.sent < passed * rate:
                self._seen.sent += 1
                task = asyncio.create_task(self._one(kept=self._seen.sent % 2 == 0))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(0.5 / rate)
        await asyncio.gather(*under_way)
        for _, writer in self._kept:
            writer.close()

    async def _one(self, *, kept: bool) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                status, body = await (self._over_kept() if kept else self._over_new())
        except (OSError, EOFError, ValueError, TimeoutError) as problem:
            self._seen.failures.append((began - self._began, repr(problem)))
        else:
            self._seen.answers[status, body] += 1
            if status >= 400:
                self._seen.failures.append((began - self._began, f"{status} {body[:60]}"))
        self._seen.slowest = max(self._seen.slowest, time.monotonic() - began)

    async def _over_new(self) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            return await _answer(reader, writer, self._close)
        finally:
            writer.close()

    async def _over_kept(self) -> tuple[int, str]:
        """A load balancer closes what is idle for long, and says so with the answer before; no race here."""
        reader, writer = (
            self._kept.pop() if self._kept else await asyncio.open_connection(self._host, self._port)
        )
        try:
            answer = await _answer(reader, writer, self._keep)
        except BaseException:
            writer.close()
            raise
        self._kept.append((reader, writer))
        return answer


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, str]:
    """Status and body. Raises EOFError for an answer that is cut off, ValueError for what is none."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(fields["content-length"]))
    return int(head[0].split(" ")[1]), body.decode(errors="replace")
