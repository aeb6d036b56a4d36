"""The only place that asks the time. Everything else is given ``now``: epoch seconds, a float."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds."""


class SystemClock:
    """The machine's own clock, kept from going back: histories are ordered by it."""

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()

    # For durations: seconds since some moment, without a method's cost for who asks at every request.
    elapsed = staticmethod(time.monotonic)

    def now(self) -> float:
        return self._epoch + time.monotonic()
