"""When tasks of no service arrive, and how long each lives: at fixed distances, at random, or from a file.

Drawn before anything is played, from a chance of their own: what arrives does not depend on what happens,
so that variants of one scenario meet the same load.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from miniecs.ids import Ids
from miniecs.planning.text import Mistake
from miniecs.scenarios.document import Document, Place, nearest
from miniecs.scenarios.durations import longer_than_nothing, seconds
from miniecs.scenarios.event_kinds import Arrivals, Lifetime

_FINE = 1 << 53
MOST = 100_000  # tasks that arrive by one event
_COLUMNS = ("at", "taskDefinition", "count", "lifetime")


class Arrival(NamedTuple):
    """A call of RunTask. lifetime: seconds, None without end. retry_every: None, never again."""

    at: float
    params: dict[str, Any]
    lifetime: float | None = None
    retry_every: float | None = None


def arrivals(
    document: Document, place: Place, what: Arrivals, begin: float, end: float, choices: Ids
) -> list[Arrival]:
    """Those from begin until end, in order. Raises Mistake."""
    if what.trace is not None:
        return [each for each in _trace(document, place, what, begin, choices) if each.at <= end]
    found: list[Arrival] = []
    for at in _moments(what, begin, end, choices):
        if len(found) == MOST:
            raise document.mistake(place, f"more than {MOST} tasks would arrive")
        lifetime = drawn(what.run_task.lifetime, choices)
        found.append(Arrival(at, what.run_task.params, lifetime, what.retry_every))
    return found


def _moments(what: Arrivals, begin: float, end: float, choices: Ids) -> Iterator[float]:
    if what.every is not None:
        for n in range(MOST + 1):
            if begin + n * what.every > end:
                return
            yield begin + n * what.every
    elif what.poisson is not None:
        at = begin
        while (at := at + exponential(what.poisson.every, choices)) <= end:
            yield at


def drawn(lifetime: Lifetime | None, choices: Ids) -> float | None:
    """One lifetime in seconds, to the millisecond."""
    if lifetime is None:
        return None
    if lifetime.exponential is not None:
        return round(exponential(lifetime.exponential, choices), 3)
    return lifetime.fixed


def exponential(mean: float, choices: Ids) -> float:
    return -mean * math.log(1.0 - choices.number(_FINE) / _FINE)


def _trace(
    document: Document, place: Place, what: Arrivals, begin: float, choices: Ids
) -> Iterator[Arrival]:
    path = document.path.parent / str(what.trace)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not UTF-8"
        raise document.mistake((*place, "trace"), f"{path} cannot be read: {reason}") from None
    rows = csv.reader(lines)
    header = [name.strip() for name in next(rows, [])]
    for name in header:
        if name not in _COLUMNS:
            raise Mistake(f"{path}, line 1: {name!r}: unknown column; {nearest(name, _COLUMNS)}")
    if "at" not in header or len(set(header)) < len(header):
        named = f"at, and any of {', '.join(_COLUMNS[1:])}"
        raise Mistake(f"{path}, line 1: the first line names the columns: {named}")
    found: list[Arrival] = []
    for row in rows:
        if row:
            found.append(_row(f"{path}, line {rows.line_num}", header, row, what, begin, choices))
        if len(found) > MOST:
            raise Mistake(f"{path}: more than {MOST} tasks would arrive")
    yield from sorted(found, key=lambda each: each.at)


def _row(
    where: str, header: list[str], row: list[str], what: Arrivals, begin: float, choices: Ids
) -> Arrival:
    if len(row) != len(header):
        raise Mistake(f"{where}: {len(row)} values, but the first line names {len(header)} columns")
    given = {name: value.strip() for name, value in zip(header, row, strict=True) if value.strip()}
    params = dict(what.run_task.params)
    name = "at"
    try:
        at = begin + seconds(_number(given.get("at", "")))
        name = "lifetime"
        lifetime = drawn(what.run_task.lifetime, choices)
        if name in given:
            lifetime = longer_than_nothing(_number(given[name]))
        name = "count"
        if name in given:
            params[name] = _count(given[name])
    except ValueError as wrong:
        raise Mistake(f"{where}: {name}: {wrong}") from None
    if "taskDefinition" in given:
        params["taskDefinition"] = given["taskDefinition"]
    return Arrival(at, params, lifetime, what.retry_every)


def _number(text: str) -> float | str:
    """A bare number is seconds, in a file as in YAML."""
    try:
        return float(text)
    except ValueError:
        return text


def _count(text: str) -> int:
    if text not in map(str, range(1, 11)):
        raise ValueError(f"must be a whole number of 1 to 10, as RunTask has it, not {text!r}")
    return int(text)
