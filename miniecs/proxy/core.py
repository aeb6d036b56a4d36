"""What every connection of the data plane shares: coarse time, one timer for all, fresh trace ids, limits.

Timeouts need no precision, so no request pays for a timer: each connection is in one slot of a wheel and
is asked, when the slot comes, whether its time is really over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Protocol

from miniecs.clock import SystemClock
from miniecs.ids import Ids


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts in seconds and sizes in bytes; what the load balancer's attributes set is not here.

    Sources: Application Load Balancer user guide (connect 10 s); the others are ours.
    """

    connect: float = 10.0
    head: float = 60.0  # from the first byte of a request's head to its last
    linger: float = 2.0  # reading on after an answer that came before the whole request
    linger_bytes: int = 1 << 20
    target_idle: float = 55.0  # an idle connection to a target is kept this long
    target_connections: int = 256  # idle ones that are kept to each target
    tick: float = 0.25
    high_water: int = 64 * 1024  # a reader this far behind makes the writer wait
    interim: int = 16  # 1xx answers before the final one


class Timed(Protocol):
    """Something with a timeout. slot: of the wheel, set by ``Core.watch``."""

    slot: int

    def expire(self, now: float) -> float | None:
        """Act if the time is over; when to be asked again, None for never."""


class Core:
    """Shared by all connections of one proxy, and used on one loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ids: Ids, limits: Limits) -> None:
        self.clock = SystemClock()
        self.loop = loop
        self.limits = limits
        self.elapsed: Callable[[], float] = SystemClock.elapsed
        self.time = loop.time()  # coarse: as of the last tick
        self.ids = ids
        self.date = b""
        self.tasks: set[asyncio.Task[None]] = set()
        self._wheel: dict[int, set[Timed]] = {}
        self._slot = int(self.time / self.limits.tick)
        self._second = 0
        self.trace = b""  # what all trace ids of this second begin with
        self.number = 0  # of the last trace id
        self._process = ids.hex(12)
        self._say_time()
        self._timer = loop.call_later(self.limits.tick, self._tick)

    def close(self) -> None:
        self._timer.cancel()
        for task in self.tasks:
            task.cancel()

    def watch(self, thing: Timed, deadline: float) -> None:
        """Have the thing asked at about ``deadline``."""
        thing.slot = slot = max(int(deadline / self.limits.tick) + 1, self._slot + 1)
        self._wheel.setdefault(slot, set()).add(thing)

    def forget(self, thing: Timed) -> None:
        """Do not have it asked: it is over, and would be kept in memory until its slot comes."""
        things = self._wheel.get(thing.slot)
        if things is not None:
            things.discard(thing)

    def trace_id(self) -> bytes:
        """A fresh id for X-Amzn-Trace-Id, without ``Root=``."""
        self.number += 1
        return b"%b%012x" % (self.trace, self.number)

    def _tick(self) -> None:
        self.time = now = self.loop.time()
        self._timer = self.loop.call_at(now + self.limits.tick, self._tick)
        self._say_time()
        last, self._slot = self._slot, int(now / self.limits.tick)
        if self._slot - last > len(self._wheel):
            due = sorted(slot for slot in self._wheel if slot <= self._slot)
        else:
            due = [slot for slot in range(last + 1, self._slot + 1) if slot in self._wheel]
        for slot in due:
            for thing in self._wheel.pop(slot):
                again = thing.expire(now)
                if again is not None:
                    self.watch(thing, again)

    def _say_time(self) -> None:
        second = int(self.clock.now())
        if second != self._second:
            self._second = second
            self.date = formatdate(second, usegmt=True).encode()
            self.trace = f"1-{second:08x}-{self._process}".encode()
