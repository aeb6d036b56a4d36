"""Simulated time: a heap of moments and what happens at each, in an order that is always the same."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

START = 1_700_000_000.0


class Timeline:
    """A clock that jumps from event to event, and the timers of everything that is simulated."""

    def __init__(self) -> None:
        self._now = START
        self._pushed = 0
        self.heap: list[tuple[float, int, Callable[[], None]]] = []  # what is next comes first

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        """Call fn then; at once, after what is due before, when that is in the past."""
        self._pushed += 1
        heappush(self.heap, (when if when > self._now else self._now, self._pushed, fn))

    @property
    def next_at(self) -> float | None:
        return self.heap[0][0] if self.heap else None

    def step(self) -> None:
        """Go to the next moment and do what happens there. There must be one."""
        self._now, _, fn = heappop(self.heap)
        fn()

    def advance_to(self, when: float) -> None:
        """Nothing happens until then."""
        self._now = max(self._now, when)
