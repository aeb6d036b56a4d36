"""The command that plays scenarios, with its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from miniecs.cli.options import DataDir, Format, Output


def sim(
    file: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario's file, in YAML.")],
    seed: Annotated[int | None, typer.Option(min=0, help="[the file's]", show_default=False)] = None,
    set: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Change a value of the file; repeat it.", show_default=False
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Play only this one; repeat it. [all]", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it over time, as .svg or .png.", show_default=False),
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Also tell what happened, in order.")] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Play a scenario on simulated time: hosts, services, arrivals, losses, deployments. Needs no server."""
    from miniecs.cli import sim as playing

    playing.sim(
        file,
        seed=seed,
        settings=set or (),
        variants=variant or (),
        plot=plot,
        events=events,
        as_json=output is Output.JSON,
    )


def add_to(app: typer.Typer) -> None:
    app.command()(sim)
