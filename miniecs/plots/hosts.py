"""Draws hosts filled with their tasks: bars where each can be named, a field of cells where they are many.

Each host is two bars, CPU on the left and memory on the right, as parts of what the host has: which of them
is full decides what still fits, and what is free in the other is stranded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from miniecs.planning.planned import Planned
from miniecs.planning.question import Answer
from miniecs.plots import bars, cells, style
from miniecs.plots.contents import Panel, group_name, groups, panels

MOST_BARS: Final = 40
"""Hosts that are drawn as bars with names; more are cells."""
_MOST_NAMED: Final = len(style.COLOURS)
_LONGEST: Final = 32  # letters of a group's name in the legend


def draw(planned: Planned, answers: Sequence[Answer], path: Path) -> None:
    """Save a picture of the answers, or of the cluster as it is. Raises PlotProblem."""
    style.check_path(path)
    if not planned.instances:
        raise style.PlotProblem(
            f"Cluster {planned.name} has no hosts to draw. `miniecs instance add` adds one."
        )
    shown = panels(planned, answers)
    with style.drawing():
        style.save(picture(shown), path)


def picture(shown: Sequence[Panel]) -> Any:
    """The figure; within ``style.drawing()``."""
    form = bars if max(len(panel.hosts) for panel in shown) <= MOST_BARS else cells
    names = groups(shown)
    colours = style.colours(names)
    columns = form.columns(shown)
    rows = -(-len(shown) // columns)
    width, height = form.size(shown)
    keys = _legend(names, colours, shown, form.note(shown))
    legend_columns, legend_height = _legend_size(keys, columns * width)
    total = rows * height + legend_height
    figure = style.figure(columns * width, total)
    for n, panel in enumerate(shown):
        left, top = (n % columns) * width, (n // columns) * height
        box = style.Box(left, total - top - height, width, height)
        form.draw(figure, box, panel, colours, f"panel-{n + 1}")
    style.legend(figure, keys, top=legend_height / total, columns=legend_columns)
    return figure


def _legend(names: list[str], colours: dict[str, str], shown: Sequence[Panel], note: str) -> list[Any]:
    from matplotlib.patches import Patch

    named = names[:_MOST_NAMED]
    keys: list[Any] = [
        Patch(facecolor=colours[name], label=style.short(group_name(name), _LONGEST)) for name in named
    ]
    if len(names) > _MOST_NAMED:
        keys.append(Patch(facecolor=style.OTHERS, label=f"{len(names) - _MOST_NAMED} others"))
    hosts = [host for panel in shown for host in panel.hosts]
    if any(part.new for host in hosts for part in host.parts):
        keys.append(Patch(facecolor=style.PAPER, edgecolor=style.INK, hatch="/////", label="new tasks"))
    keys.append(Patch(facecolor=style.EMPTY, edgecolor=style.LINE, label="free"))
    if not all(host.usable for host in hosts):
        keys.append(Patch(**style.CLOSED, label="free, but takes no tasks"))
    keys.append(Patch(facecolor="none", edgecolor="none", label=note))
    return keys


def _legend_size(keys: list[Any], width: float) -> tuple[int, float]:
    """How many columns fit, and how high that is."""
    widest = max(style.textwidth(key.get_label(), 8) for key in keys) + 0.45
    columns = max(1, min(len(keys), int((width - 0.3) / widest)))
    return columns, 0.25 + 0.19 * -(-len(keys) // columns)
