"""Many hosts: a field of small cells, zone by zone, each with its CPU and its memory as two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from miniecs.plots import bars, style
from miniecs.plots.contents import HostFill, Panel, Part

MOST_CELLS: Final = 1200
"""More hosts than this share cells."""
_WIDTH: Final = 6.6  # of the cells in a row
_LEFT, _RIGHT, _TOP, _BELOW = 0.2, 0.2, 0.5, 0.15
_CELL, _ROW = 0.2, 0.42
_ZONE: Final = 0.36  # for its name


def columns(shown: Sequence[Panel]) -> int:
    return 2 if len(shown) > 1 else 1


def size(shown: Sequence[Panel]) -> tuple[float, float]:
    """Of one panel, in inches."""
    panel = shown[0]  # all have the same hosts
    scale = _scale(panel)
    zones = _by_zone(panel)
    across = min(_across(scale), max(map(len, zones)))
    rows = sum(-(-len(hosts) // _across(scale)) for hosts in zones)
    headings = max(style.heading_width(each.title, each.subtitle) for each in shown)
    width = _LEFT + _RIGHT + max(across * _CELL * scale, headings)
    return width, _TOP + _BELOW + rows * _ROW * scale + _ZONE * len(zones)


def note(shown: Sequence[Panel]) -> str:
    together = _together(shown[0])
    return f"each cell: {together} hosts, CPU left, memory right" if together > 1 else bars.note(shown)


def _together(panel: Panel) -> int:
    """Hosts that share a cell."""
    return -(-len(panel.hosts) // MOST_CELLS)


def _scale(panel: Panel) -> float:
    """Cells get smaller where there are very many."""
    return 1.0 if len(panel.hosts) <= 400 else 0.7


def _across(scale: float) -> int:
    """Cells in a row."""
    return int(_WIDTH / (_CELL * scale))


def _by_zone(panel: Panel) -> list[list[HostFill]]:
    """The cells of each zone; neighbours share one where there are too many hosts."""
    together = _together(panel)
    found = []
    for zone in panel.zones:
        hosts = [host for host in panel.hosts if host.zone == zone]
        found.append([_merged(hosts[n : n + together]) for n in range(0, len(hosts), together)])
    return found


def _merged(hosts: list[HostFill]) -> HostFill:
    if len(hosts) == 1:
        return hosts[0]
    held: dict[tuple[bool, str], list[Part]] = {}
    for part in (part for host in hosts for part in host.parts):
        held.setdefault((part.new, part.group), []).append(part)
    parts = [
        Part(group, new, 1, sum(p.tasks * p.cpu for p in each), sum(p.tasks * p.memory for p in each))
        for (new, group), each in sorted(held.items())
    ]
    return HostFill(
        hosts[0].name,
        hosts[0].zone,
        sum(host.cpu for host in hosts),
        sum(host.memory for host in hosts),
        any(host.usable for host in hosts),
        tuple(parts),
    )


def draw(figure: Any, box: style.Box, panel: Panel, colours: dict[str, str], name: str) -> None:
    style.heading(figure, box, _LEFT, panel.title, panel.subtitle)
    width, height = box.width - _LEFT - _RIGHT, box.height - _TOP - _BELOW
    axes = figure.add_axes(box.part(figure, _LEFT, _BELOW, width, height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    scale = _scale(panel)
    across, cell, row = _across(scale), _CELL * scale, _ROW * scale
    rectangles = style.Rectangles()
    top = height
    for hosts in _by_zone(panel):
        top -= _ZONE
        axes.text(0, top + 0.05, hosts[0].zone, va="bottom", fontsize=8)
        for n, host in enumerate(hosts):
            left, bottom = (n % across) * cell, top - (n // across + 1) * row
            _cell(rectangles, host, left, bottom, cell, row, colours)
        top -= -(-len(hosts) // across) * row
    rectangles.add_to(axes, name, edge=0, frame=0.7 if scale == 1 else 0.3)


def _cell(
    rectangles: style.Rectangles,
    host: HostFill,
    left: float,
    bottom: float,
    cell: float,
    row: float,
    colours: dict[str, str],
) -> None:
    width, height = cell * 0.42, row * 0.88
    for n, amount in enumerate(("cpu", "memory")):
        x = left + n * width
        rectangles.free(x, bottom, width, height, usable=host.usable)
        has = getattr(host, amount)
        y = bottom
        for part in host.parts if has else ():
            share = height * part.tasks * getattr(part, amount) / has
            seen = min(share, bottom + height - y)  # more than a host has does not stick out
            rectangles.tasks(x, y, width, seen, colours[part.group], new=part.new)
            y += share
