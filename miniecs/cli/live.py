"""A page drawn anew every second until Ctrl-C, on a terminal; elsewhere, and when asked, drawn once.

The picture has the terminal's other screen for itself, so that a resized window leaves no rubbish, and its
last state stays when it ends. While the server is being restarted the last picture stands, and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from miniecs.cli import processes
from miniecs.cli.client import Client, NoAnswer, connect
from miniecs.cli.folder import DataFolder

Page = dict[str, Any]
Ask = Callable[[Client], Page]
Draw = Callable[[Page, int, int | None], list[Text]]
"""(page, columns, most entries of what there can be many of; None for all) -> lines."""

EVERY = 1.0
_PATIENCE = 15  # looks without an answer: a restart takes five seconds at most, and then the server loads
_TIMEOUT = 5.0
_WIDE = 10_000  # columns where there is no terminal: nothing is wrapped
_MANY = 1000  # entries; no terminal has so many lines


class Look(NamedTuple):
    """What the server said last. silent: for how many looks it has not answered since."""

    page: Page
    silent: int


def is_terminal() -> bool:
    return sys.stdout.isatty()


def looks(folder: DataFolder, ask: Ask) -> Iterator[Look]:
    """A look a second, without end. Raises NoAnswer when the server stays away, Problem for its refusals."""
    client = Client(connect(folder).endpoint, _TIMEOUT)
    look = Look(ask(client), 0)
    while True:
        yield look
        processes.pause(EVERY)
        try:
            look = Look(ask(client), 0)
        except NoAnswer:
            look = Look(look.page, look.silent + 1)
            if look.silent > _PATIENCE:
                raise


def show(
    looks: Iterator[Look], draw: Draw, *, once: bool, until: Callable[[Page], bool] | None = None
) -> Page:
    """Draw what the looks say until Ctrl-C or until it is so; once where no terminal is. The last page."""
    if once or not is_terminal():
        page = next(looks).page
        _print(draw, page)
        return page
    return _live(looks, draw, until)


def _live(looks: Iterator[Look], draw: Draw, until: Callable[[Page], bool] | None) -> Page:
    console = Console(highlight=False)
    page: Page = {}
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for look in looks:
                page = look.page
                live.update(Group(*_framed(draw, look, console.width, console.height)), refresh=True)
                if until is not None and not look.silent and until(page):
                    break
    finally:
        if page:
            _print(draw, page)
    return page


def _print(draw: Draw, page: Page) -> None:
    console = Console(width=None if is_terminal() else _WIDE, highlight=False, soft_wrap=True)
    for line in draw(page, console.width, None):
        console.print(line, soft_wrap=True)


def _framed(draw: Draw, look: Look, width: int, height: int) -> list[Text]:
    """The picture in a window of this size; above it what there is to say of it."""
    above = [Text(f"reconnecting: no answer for {look.silent} s", "bold yellow")] if look.silent else []
    return above + fitted(draw, look.page, width, height - len(above))


def fitted(draw: Draw, page: Page, width: int, height: int) -> list[Text]:
    """The picture with as many entries as there is room for."""
    lines = draw(page, width, None)
    if len(lines) <= height:
        return _cut(lines, width)
    fits, too_many = 0, _MANY
    while too_many - fits > 1:
        most = (fits + too_many) // 2
        if len(draw(page, width, most)) <= height:
            fits = most
        else:
            too_many = most
    lines = draw(page, width, fits)
    if len(lines) > height:
        lines = [*lines[: height - 1], Text("… this window is too small; --once shows all", "dim")]
    return _cut(lines, width)


def _cut(lines: list[Text], width: int) -> list[Text]:
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return lines
