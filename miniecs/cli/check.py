"""One finding of `miniecs doctor`."""

from __future__ import annotations

from dataclasses import dataclass

LITTLE_SPACE = 200  # MB on a disk; less is worth a word


@dataclass(frozen=True, slots=True)
class Check:
    """result: ok, warning (works without) or failed (miniecs cannot run). do: what would mend it."""

    name: str
    result: str
    found: str
    do: str = ""
