"""What happened over time: one column for each story, one row for each thing that is looked at.

Plain series in, a figure out: of a scenario, of several side by side, or of one service's deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from miniecs.plots import style
from miniecs.plots.series import (
    AREAS,
    CHANGE,
    DEPLOYMENT,
    LOSS,
    Column,
    Moment,
    Panel,
    Series,
    crowded,
    highest,
    shown,
    thinned,
    turns,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARK_COLOURS: Final = {LOSS: style.COLOURS[5], CHANGE: style.QUIET, DEPLOYMENT: style.COLOURS[7]}
_DASHES: Final[dict[str, Any]] = {"line": "-", "dashed": (0, (5, 2)), "dotted": (0, (1, 1.5))}
_COLUMN_WIDTH: Final = 3.9  # inches; one column alone is wider
_ALONE_WIDTH: Final = 6.6
_LEFT: Final = 0.62
_GAP: Final = 0.55  # between columns
_LEGEND: Final = 1.6  # to the right of the last one
_ROW_HEIGHT: Final = 1.35
_KEY_LINE: Final = 0.17


def timeline(title: str, columns: Sequence[Column], notes: Sequence[str] = ()) -> Figure:
    """The figure, made within style.drawing. Panels of one title stand in a row and share their scale.

    notes: lines at the bottom, about all of it.
    """
    rows = list(dict.fromkeys(panel.title for column in columns for panel in column.panels))
    keys = [shown(column.moments) for column in columns]
    key_height = _KEY_LINE * (max(map(len, keys), default=0) + 1)
    each = _ALONE_WIDTH if len(columns) == 1 else _COLUMN_WIDTH
    width = _LEFT + each * len(columns) + _GAP * (len(columns) - 1) + _LEGEND
    top = (0.75 if len(columns) == 1 else 1.05) + _heap(columns, keys)
    notes_height = _KEY_LINE * len(notes) + 0.1 if notes else 0
    bottom = key_height + 0.45 + notes_height
    height = top + _ROW_HEIGHT * len(rows) + 0.42 * (len(rows) - 1) + bottom
    figure = style.figure(width, height)
    grid = figure.add_gridspec(
        len(rows), len(columns), left=_LEFT / width, right=1 - _LEGEND / width,
        top=1 - top / height, bottom=bottom / height, hspace=0.31, wspace=_GAP / each,
    )  # fmt: skip
    figure.text(0.08 / width, 1 - 0.08 / height, title, va="top", fontsize=11, fontweight="bold")
    for across, column in enumerate(columns):
        _draw_column(figure, grid, across, column, rows, columns, keys[across])
        left = grid[0, across].get_position(figure).x0
        below = (key_height + notes_height - 0.04) / height
        _explain(figure, keys[across], left - 0.3 / width, below, height)
    for number, note in enumerate(notes, 1):
        y = (notes_height + _KEY_LINE - 0.04 - number * _KEY_LINE) / height
        figure.text(0.32 / width, y, note, fontsize=7.5, color=style.QUIET)
    return figure


def _heap(columns: Sequence[Column], keys: list[list[Moment]]) -> float:
    """Room for numbers that stand on two others, in inches."""
    heights = (
        crowded(key, number, column.times)
        for column, key in zip(columns, keys, strict=True)
        for number in range(1, len(key) + 1)
    )
    return 0.15 if max(heights, default=0) > 1 else 0.0


def _draw_column(
    figure: Figure, grid: Any, across: int, column: Column, rows: list[str], columns: Sequence[Column],
    key: list[Moment],
) -> None:  # fmt: skip
    panels = {panel.title: panel for panel in column.panels}
    for down, name in enumerate(rows):
        axes = figure.add_subplot(grid[down, across])
        panel = panels.get(name)
        if panel is None:
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=style.QUIET)
            panel = Panel(name, [])
        _draw_panel(axes, column, panel, highest(columns, name))
        axes.set_title(name, loc="left", fontsize=9, pad=3)
        axes.set_xlim(column.times[0], max(column.times[-1], column.times[0] + 1))
        _time_axis(axes, column.times[-1] - column.times[0], labelled=down == len(rows) - 1)
        for number, moment in enumerate(key, 1):
            colour = _MARK_COLOURS.get(moment.kind, style.QUIET)
            axes.axvline(moment.at, color=colour, linewidth=0.9, linestyle=(0, (3, 2)), zorder=3)
            if down == 0:
                _number(axes, number, moment.at, colour, raised=crowded(key, number, column.times))
        if across > 0:
            axes.set_yticklabels([])
        if across == len(columns) - 1:
            _row_legend(axes, columns, name)
    if len(columns) > 1:
        first = grid[0, across].get_position(figure)
        figure.text(
            first.x0, first.y1 + 0.55 / figure.get_figheight(), column.title,
            fontsize=10, fontweight="bold", color=style.INK, va="bottom",
        )  # fmt: skip


def _draw_panel(axes: Axes, column: Column, panel: Panel, most: float) -> None:
    every, panel = thinned(column.times, panel)
    base = [0.0] * len(every)
    for series in panel.series:
        if series.look in AREAS:
            raised = [low + value for low, value in zip(base, series.values, strict=True)]
            _fill(axes, every, base, raised, series)
            base = raised
        else:
            times, values = turns(every, series.values)
            axes.step(
                times, values, where="post", color=series.colour, linestyle=_DASHES[series.look],
                linewidth=1.3, zorder=4,
            )  # fmt: skip
    axes.set_ylim(0, 1.02 if panel.percent else max(1.0, most * 1.12))
    if panel.percent:
        axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    else:
        axes.locator_params(axis="y", integer=True, nbins=4)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=style.EMPTY, linewidth=0.8)


def _fill(
    axes: Axes, times: Sequence[float], low: Sequence[float], high: Sequence[float], series: Series
) -> None:
    hatched = series.look == "hatched"
    times, low, high = turns(times, low, high)
    axes.fill_between(
        times, low, high, step="post", linewidth=0.0, zorder=2,
        facecolor=style.PAPER if hatched else series.colour,
        edgecolor=series.colour if hatched else "none",
        hatch="/////" if hatched else None,
        alpha=0.35 if series.look == "faint" else 1.0,
    )  # fmt: skip


def _time_axis(axes: Axes, length: float, *, labelled: bool) -> None:
    """Ticks at whole seconds, minutes or hours."""
    steps = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((each for each in steps if length / each <= 8), steps[-1])
    unit, name = (3600, "h") if step >= 3600 else (60, "min") if step >= 60 else (1, "s")
    ticks = [n * step for n in range(int(length // step) + 1)]
    axes.set_xticks(ticks, [f"{tick / unit:g}" for tick in ticks] if labelled else [""] * len(ticks))
    if labelled:
        axes.set_xlabel(name, loc="right", fontsize=8, labelpad=1, color=style.QUIET)


def _number(axes: Axes, number: int, at: float, colour: str, *, raised: int) -> None:
    axes.annotate(
        str(number), (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 19 + raised * 10),
        textcoords="offset points", ha="center", va="center", fontsize=7, color=style.PAPER,
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": colour, "edgecolor": "none"},
        annotation_clip=False, zorder=6,
    )  # fmt: skip


def _explain(figure: Figure, key: list[Moment], left: float, top: float, height: float) -> None:
    """The numbers' meanings, under the column."""
    for number, moment in enumerate(key, 1):
        colour = _MARK_COLOURS.get(moment.kind, style.QUIET)
        y = top - (number - 1) * _KEY_LINE / height
        figure.text(
            max(left, 0.02), y, f"{number}  {clock(moment.at)}  {style.short(moment.text, 56)}",
            fontsize=8, va="top", color=colour,
        )  # fmt: skip


def clock(seconds: float) -> str:
    """``5:00``, ``1:02:05``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _row_legend(axes: Axes, columns: Sequence[Column], name: str) -> None:
    """Of everything that a row shows, to the right of its last panel."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: dict[str, Any] = {}
    panels = [panel for column in columns for panel in column.panels if panel.title == name]
    unique = {series.label: series for panel in panels for series in panel.series}
    for series in sorted(unique.values(), key=lambda each: each.look not in AREAS):
        if series.look in AREAS:
            hatched = series.look == "hatched"
            handles[series.label] = Patch(
                facecolor=style.PAPER if hatched else series.colour,
                edgecolor=series.colour if hatched else "none",
                hatch="/////" if hatched else None,
                alpha=0.35 if series.look == "faint" else 1.0,
                linewidth=0.0,
            )
        else:
            dash = _DASHES[series.look]
            handles[series.label] = Line2D([], [], color=series.colour, linestyle=dash, linewidth=1.3)
    if handles:
        axes.legend(
            handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1.02, 1.04), fontsize=7.5,
            handlelength=1.6, handletextpad=0.6, labelspacing=0.35, borderaxespad=0.0, borderpad=0.1,
        )  # fmt: skip
