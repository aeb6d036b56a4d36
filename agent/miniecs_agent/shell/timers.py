"""Time for the agent: asked, and set like an alarm clock, on an event loop or in a simulation.

One protocol of two functions, so that everything that waits can be run on imagined time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from miniecs.clock import Clock


class Timers(Protocol):
    """Time, real or simulated. A function is called once, at ``when`` or soon after; nothing is cancelled."""

    def now(self) -> float: ...

    def call_at(self, when: float, fn: Callable[[], None]) -> None: ...


class LoopTimers:
    """Timers on the running event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return self._clock.now()

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        self._loop.call_later(max(0.0, when - self._clock.now()), fn)
