"""What a timeline shows, before any of it is drawn: columns of panels of series, and moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from miniecs.model.frozen import replace

LOSS, CHANGE, DEPLOYMENT = "loss", "change", "deployment"
AREAS: Final = ("area", "hatched", "faint")
_MOST_TURNS: Final = 240  # of one series; about one a point on paper
_MOST_MARKS: Final = 14  # in one column; with more nobody could tell them apart


@dataclass(frozen=True, slots=True)
class Series:
    """Values at the times of the column, each holding until the next; nan: nothing is drawn. look: how.

    ``area``s of a panel are stacked on each other in their order; lines are not.
    """

    label: str
    values: Sequence[float]
    colour: str
    look: Literal["area", "hatched", "faint", "line", "dashed", "dotted"] = "line"


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram. percent: values are shares from 0 to 1, and all of the height is 1."""

    title: str
    series: Sequence[Series]
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: a line through the column, with a number that is explained below it."""

    at: float
    text: str
    kind: str = CHANGE


@dataclass(frozen=True, slots=True)
class Column:
    """One story. times in seconds; every series has as many values."""

    title: str
    times: Sequence[float]
    panels: Sequence[Panel]
    moments: Sequence[Moment] = ()


def turns(times: Sequence[float], *values: Sequence[float]) -> tuple[Sequence[float], ...]:
    """Only the moments at which something changes, and the last one: a small picture of a long story."""
    kept = [
        n
        for n in range(len(times))
        if n in (0, len(times) - 1) or any(_differ(series[n - 1], series[n]) for series in values)
    ]
    return tuple([series[n] for n in kept] for series in (times, *values))


def _differ(one: float, other: float) -> bool:
    """Not a number is like itself here."""
    return one != other and (one == one or other == other)


def thinned(times: Sequence[float], panel: Panel) -> tuple[Sequence[float], Panel]:
    """A panel with no more turns than can be told apart; all of its series keep the same moments."""
    if len(turns(times, *(series.values for series in panel.series))[0]) <= _MOST_TURNS:
        return times, panel
    last = len(times) - 1
    kept = [*range(0, last, -(-last // _MOST_TURNS)), last]
    series = [replace(each, values=[each.values[n] for n in kept]) for each in panel.series]
    return [times[n] for n in kept], replace(panel, series=series)


def highest(columns: Sequence[Column], name: str) -> float:
    """Over all columns, so that a row has one scale."""
    most = 0.0
    for column in columns:
        for panel in column.panels:
            if panel.title == name:
                areas = [s.values for s in panel.series if s.look in AREAS]
                lines = [s.values for s in panel.series if s.look not in AREAS]
                stacked = max(map(sum, zip(*areas, strict=True)), default=0.0) if areas else 0.0
                # Not a number: nothing is drawn there.
                tall = [max((v for v in values if v == v), default=0.0) for values in lines]
                most = max(most, stacked, *tall)
    return most


def shown(moments: Sequence[Moment]) -> list[Moment]:
    """Those that are drawn: losses and deployments before the rest where there are too many."""
    if len(moments) <= _MOST_MARKS:
        return list(moments)
    first = [moment for moment in moments if moment.kind != CHANGE][:_MOST_MARKS]
    rest = [moment for moment in moments if moment.kind == CHANGE][: _MOST_MARKS - len(first)]
    return sorted([*first, *rest], key=lambda moment: moment.at)


_LEVELS = 3


def crowded(key: list[Moment], number: int, times: Sequence[float]) -> int:
    """How high this number stands, so that those close before it are not hidden; three stand over another."""
    near = (times[-1] - times[0]) * 0.035
    last = [times[0] - near] * _LEVELS  # the time of the newest number on each level
    level = 0
    for moment in key[:number]:
        free = (each for each in range(_LEVELS) if moment.at - last[each] >= near)
        level = next(free, last.index(min(last)))
        last[level] = moment.at
    return level
