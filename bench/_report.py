"""How figures are printed: one line a figure with its median and unit, then its spread."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def figure(name: str, values: Sequence[float], unit: str) -> float:
    """Print ``name median unit (min … max of n)``; returns the median."""
    middle = median(values)
    spread = f"({_short(min(values))} … {_short(max(values))}, {len(values)} runs)" if len(values) > 1 else ""
    print(f"{name:<44} {_short(middle):>10} {unit:<6} {spread}", flush=True)
    return middle


def ratio(
    name: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    floor: float | None = None,
    ceiling: float | None = None,
) -> None:
    """Print ours/theirs, run by run, and what was asked for where there is a floor or a ceiling."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    asked = f"asked: at least {floor:g}" if floor is not None else ""
    asked = f"asked: at most {ceiling:g}" if ceiling is not None else asked
    spread = f"({_short(min(ratios))} … {_short(max(ratios))})"
    print(f"{name:<44} {_short(median(ratios)):>10} x      {spread} {asked}", flush=True)


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
