"""Waiting with a deadline, for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotReached(AssertionError):
    """What was waited for did not come in time."""


def until(what: str, look: Callable[[], T], within: float = 90.0, every: float = 0.05) -> T:
    """Look until the answer is true and return it. Raises NotReached, which says what was seen last."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise NotReached(f"waited {within:g} s for {what}; at last there was {seen!r}")
        time.sleep(every)
