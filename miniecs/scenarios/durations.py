"""Lengths of time as people write them: ``90s``, ``5m``, ``1h30m``, or a bare number of seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|h|m|s)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
LONGEST = 30 * 86400.0  # of simulated time; far more than anyone waits for


def seconds(value: Any) -> float:
    """The length in seconds. Raises ValueError."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        length = float(value)
    else:
        text = value.strip() if isinstance(value, str) else ""
        if text.startswith("-"):
            raise ValueError(f"a length of time cannot be negative: {value!r}")
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"{value!r} is no length of time: write it like 90s, 5m or 1h30m")
        length = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if length < 0:
        raise ValueError(f"a length of time cannot be negative: {value!r}")
    if not length <= LONGEST:
        raise ValueError(f"{value!r} is more than 30 days")
    return length


def longer_than_nothing(value: Any) -> float:
    length = seconds(value)
    if not length:
        raise ValueError("must be longer than nothing")
    return length


Duration = Annotated[float, BeforeValidator(seconds)]
Period = Annotated[float, BeforeValidator(longer_than_nothing)]


def told(length: float) -> str:
    """``0s``, ``45s``, ``4m05s``, ``1h00m``: as short as it can be said without losing seconds."""
    whole = round(length)
    if whole < 60:
        return f"{length:.1f}s" if length < 10 and length != whole else f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s" if whole % 60 else f"{whole // 60}m"
    rest = f"{whole % 60:02d}s" if whole % 60 else ""
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m{rest}"
