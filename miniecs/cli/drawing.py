"""What the live pictures are made of: tables with notes, wrapped sentences, numbers as short as they can be.

Lines are laid out here and not by rich's tables: a target's reason needs the whole width, which no cell has.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

STYLES = {
    "healthy": "green",
    "initial": "yellow",
    "unhealthy": "red",
    "draining": "magenta",
    "unused": "dim",
    "unavailable": "yellow",
}


class Row(NamedTuple):
    """A row of a table. style: of the cell in the column of the states. note: what stands behind or below."""

    cells: Sequence[str]
    state: int = -1
    style: str = ""
    note: str = ""


def table(
    headings: Sequence[str], rows: Sequence[Row], *, numbers: int, width: int, indent: int
) -> list[Text]:
    """Columns as wide as they must be; the last so many are numbers and stand to the right.

    A note that does not fit behind its row stands below it, once below several rows with the same.
    """
    every = [Row(headings), *rows]
    widths = [max(len(row.cells[n]) for row in every) for n in range(len(headings))]
    gap = 2 if indent + sum(widths) + 2 * (len(widths) - 1) <= width else 1
    left = len(headings) - numbers
    lines = []
    for row, following in zip(every, [*rows, Row(())], strict=True):
        line = Text(" " * indent, "bold" if row.cells is headings else "")
        for n, (cell, size) in enumerate(zip(row.cells, widths, strict=True)):
            padded = cell.ljust(size) if n < left else cell.rjust(size)
            line.append(padded, row.style if n == row.state else "")
            line.append(" " * gap if n < len(widths) - 1 else "")
        lines += _noted(line, row, width, indent, again=following.note == row.note)
    return lines


def _noted(line: Text, row: Row, width: int, indent: int, *, again: bool) -> list[Text]:
    if row.note and len(line) + 2 + len(row.note) <= width:
        return [line.append(f"  {row.note}", row.style)]
    line.rstrip()
    if not row.note or again:
        return [line]
    return [line, *wrapped(row.note, width, indent + 4, row.style)]


def wrapped(text: str, width: int, indent: int = 0, style: str = "", hanging: int = 0) -> list[Text]:
    """A sentence on as many lines as it needs; those after the first stand further in by ``hanging``."""
    room = max(width, indent + hanging + 20)
    first, later = " " * indent, " " * (indent + hanging)
    kept = text.replace(" %", "\N{NO-BREAK SPACE}%")
    broken = textwrap.wrap(
        kept, room, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )
    return [Text(line.replace("\N{NO-BREAK SPACE}", " "), style) for line in broken]


def link(url: str) -> Text:
    """A URL that can be clicked on, in terminals that know how."""
    return Text(url, f"link {url}")


def rate(per_second: float) -> str:
    return f"{per_second:.1f}" if 0 < per_second < 99.95 else f"{per_second:.0f}"


def latency(seconds: float | None) -> str:
    """``0.4ms``, ``12ms``, ``1.5s``; - where nothing was measured."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1000:.1f}ms" if seconds < 0.00995 else f"{seconds * 1000:.0f}ms"
