"""Numbers of things in words."""

from __future__ import annotations

from typing import Final

_UNCOUNTED: Final = ("MiB",)


def count(number: int, noun: str) -> str:
    """``1 host``, ``2 hosts``, ``2 MiB``."""
    return f"{number} {noun}" if number == 1 or noun in _UNCOUNTED else f"{number} {noun}s"
