"""Every command and option is in docs/command-line.md, and what stands there exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer

from miniecs.cli import app

DOCUMENT = (Path(__file__).parents[2] / "docs/command-line.md").read_text()
EVERYWHERE = {"--data-dir", "--output", "--help", "--version"}


def commands() -> Iterator[tuple[str, set[str]]]:
    """The commands by their whole names, with their long options but for those of every command."""
    for name, command in typer.main.get_command(app.app).commands.items():  # type: ignore[attr-defined]
        for words, leaf in ((f"{name} {sub}", c) for sub, c in getattr(command, "commands", {}).items()):
            yield words, options(leaf)
        if getattr(command, "invoke_without_command", True):
            yield name, options(command)


def options(command: typer.core.TyperCommand) -> set[str]:
    long = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return long - EVERYWHERE


def test_every_command_and_option_is_documented_and_nothing_else() -> None:
    rows = dict(re.findall(r"^\| `([a-z]+(?:[ -][a-z]+)*)` \| (.*) \|$", DOCUMENT, re.MULTILINE))
    of_up = re.findall(r"^\| `(--[a-z-]+)` \|", DOCUMENT, re.MULTILINE)
    documented = {name: set(re.findall(r"`(--[a-z-]+)`", text)) - EVERYWHERE for name, text in rows.items()}
    documented["up"] |= {*of_up, "--detach"}
    assert "`up --detach`" in DOCUMENT
    assert documented == dict(commands())


def test_the_values_of_up_at_its_first_start_are_the_defaults() -> None:
    from miniecs.config import ServerSettings

    defaults = ServerSettings("")
    told = dict(re.findall(r"^\| `--([a-z-]+)` \| ([^|]*?) ?\|", DOCUMENT, re.MULTILINE))
    for option, value in told.items():
        default = getattr(defaults, "allow_hosts" if option == "allow-host" else option.replace("-", "_"))
        shown = {False: "off", (): ""}.get(default, default) if isinstance(default, bool | tuple) else default
        assert str(shown if not isinstance(shown, float) else f"{shown:g}") == value, option
