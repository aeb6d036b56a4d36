"""Options that several commands share, and how a group of commands is made."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from miniecs.cli.internal import DEFAULT_DATA_DIR


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="D",
        help=f"The folder with all state. [MINIECS_DATA_DIR, or {DEFAULT_DATA_DIR}]",
        show_default=False,
    ),
]
Format = Annotated[
    Output, typer.Option("--output", help="json: one JSON document on stdout and nothing else.")
]
OfCluster = Annotated[str | None, typer.Option("--cluster", metavar="C", help="Its name or ARN.")]


def group(help: str) -> typer.Typer:
    """A command with commands of its own."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)
