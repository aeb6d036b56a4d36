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
    plot_hosts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the hosts with their tasks at --at.", show_default=False),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="TIME", help="A moment such as 5m; repeat it. [the end]", show_default=False),
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="Also tell what happened, in order.")] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Play a scenario on simulated time: hosts, services, arrivals, losses, deployments. Needs no server."""
    from miniecs.cli import sim as playing

    if at and plot_hosts is None:
        raise typer.BadParameter("--at says when --plot-hosts looks: give both.")
    wanted = playing.Wanted(seed, set or (), variant or (), plot, plot_hosts, at or (), events)
    playing.sim(file, wanted, as_json=output is Output.JSON)


def add_to(app: typer.Typer) -> None:
    app.command()(sim)
