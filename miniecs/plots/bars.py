"""Few hosts: two bars each, every task to be counted, the host's name and its zone below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from miniecs.plots import style
from miniecs.plots.contents import HostFill, Panel

_SIDE_BY_SIDE: Final = 14  # hosts up to which two panels stand beside each other
_LEFT, _RIGHT, _TOP = 0.65, 0.25, 0.62
_PLOT_HEIGHT: Final = 2.6
_BAR: Final = 0.36  # of a host's place
_LETTER: Final = 7  # points
_MOST_COUNTED: Final = 40  # tasks of a host that get a line each


def columns(shown: Sequence[Panel]) -> int:
    return 2 if len(shown) > 1 and len(shown[0].hosts) <= _SIDE_BY_SIDE else 1


def size(shown: Sequence[Panel]) -> tuple[float, float]:
    """Of one panel, in inches."""
    panel = shown[0]  # all have the same hosts
    hosts = len(panel.hosts)
    bars = min(13.0, hosts * _slot(hosts) + 0.3 * len(panel.zones))
    headings = max(style.heading_width(each.title, each.subtitle) for each in shown)
    return _LEFT + _RIGHT + max(bars, headings), _TOP + _PLOT_HEIGHT + _below(panel)


def note(shown: Sequence[Panel]) -> str:
    return "each host: CPU left, memory right"


def _slot(hosts: int) -> float:
    return 0.95 if hosts <= 6 else 0.62 if hosts <= _SIDE_BY_SIDE else 0.31


def _below(panel: Panel) -> float:
    """For the names of hosts and zones."""
    longest = max(len(_name(host)) for host in panel.hosts)
    return 0.62 if _flat(panel) else 0.5 + style.textwidth("x" * longest, _LETTER)


def _name(host: HostFill) -> str:
    return style.short(host.name, 16)


def _flat(panel: Panel) -> bool:
    longest = max(len(_name(host)) for host in panel.hosts)
    return style.textwidth("x" * longest, _LETTER) < _slot(len(panel.hosts))


def draw(figure: Any, box: style.Box, panel: Panel, colours: dict[str, str], name: str) -> None:
    below = _below(panel)
    axes = figure.add_axes(box.part(figure, _LEFT, below, box.width - _LEFT - _RIGHT, _PLOT_HEIGHT))
    style.heading(figure, box, _LEFT, panel.title, panel.subtitle)
    places = dict(_places(panel))
    rectangles = style.Rectangles()
    for n, host in enumerate(panel.hosts):
        _bar(rectangles, host, places[n] - _BAR, "cpu", colours)
        _bar(rectangles, host, places[n] + 0.02, "memory", colours)
    rectangles.add_to(axes, name, edge=0.6, frame=0.8)
    axes.set_xlim(-0.7, max(places.values()) + 0.7)
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    axes.set_axisbelow(True)
    flat = _flat(panel)
    axes.set_xticks(
        list(places.values()),
        [_name(host) for host in panel.hosts],
        rotation=0 if flat else 90,
        fontsize=_LETTER,
    )
    axes.tick_params(axis="x", length=0)
    _zones(axes, panel, places, below)


def _places(panel: Panel) -> Iterator[tuple[int, float]]:
    """Where the middle of each host is; zones stand apart."""
    zones = panel.zones
    for n, host in enumerate(panel.hosts):
        yield n, n + 0.5 * zones.index(host.zone)


def _bar(
    rectangles: style.Rectangles, host: HostFill, left: float, amount: str, colours: dict[str, str]
) -> None:
    has = getattr(host, amount)
    rectangles.free(left, 0, _BAR - 0.02, 100, usable=host.usable)
    if not has:
        return
    bottom = 0.0
    each_task = sum(part.tasks for part in host.parts) <= _MOST_COUNTED
    for part in host.parts:
        height = 100 * getattr(part, amount) / has
        steps, height = (part.tasks, height) if each_task else (1, height * part.tasks)
        for _ in range(steps):
            seen = min(height, 100 - bottom)  # more than a host has does not stick out
            rectangles.tasks(left, bottom, _BAR - 0.02, seen, colours[part.group], new=part.new)
            bottom += height


def _zones(axes: Any, panel: Panel, places: dict[int, float], below: float) -> None:
    """A line below the hosts of each zone, and its name."""
    depth = -(below - 0.32) / _PLOT_HEIGHT
    for zone in panel.zones:
        mine = [places[n] for n, host in enumerate(panel.hosts) if host.zone == zone]
        across = axes.get_xaxis_transform()
        axes.plot(
            [min(mine) - 0.45, max(mine) + 0.45],
            [depth, depth],
            transform=across,
            color=style.LINE,
            linewidth=1.2,
            clip_on=False,
        )
        axes.text(
            (min(mine) + max(mine)) / 2,
            depth - 0.015,
            zone,
            transform=across,
            ha="center",
            va="top",
            fontsize=8,
        )
