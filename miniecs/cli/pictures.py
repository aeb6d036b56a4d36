"""The commands that draw a picture anew every second, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from miniecs.cli.internal import data_folder
from miniecs.cli.options import DataDir, Format, OfCluster, Output
from miniecs.cli.problem import FAILED

Once = Annotated[bool, typer.Option("--once", help="Print it once, as where there is no terminal.")]


def lb(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="A load balancer: name or ARN. [all]", show_default=False),
    ] = None,
    once: Once = False,
    url: Annotated[
        bool, typer.Option("--url", help="Print only where each listener is reached from this machine.")
    ] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Watch load balancers until Ctrl-C: where they listen, their rules and targets, requests a second."""
    from miniecs.cli import load_balancers

    if url and (once or output is Output.JSON):
        raise typer.BadParameter("--url prints lines for scripts: give it without --once and --output json.")
    if url:
        load_balancers.urls(data_folder(data_dir), name)
        return
    load_balancers.show(data_folder(data_dir), name, once=once, as_json=output is Output.JSON)


def deployments(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="Its name or ARN.")],
    cluster: OfCluster = None,
    once: Once = False,
    until_stable: Annotated[
        bool,
        typer.Option(
            "--until-stable", help="End when it is steady (exit code 0) or its deployment failed (1)."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="P", help="Draw once how they went, over time: a .svg or .png file."),
    ] = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Watch a service's deployments until Ctrl-C: how far each is, and what it waits for."""
    from miniecs.cli import deployments

    if once and until_stable:
        raise typer.BadParameter("--once and --until-stable exclude each other: give one of them.")
    if plot is not None:
        if once or until_stable:
            raise typer.BadParameter("--plot draws once and ends: give it without --once and --until-stable.")
        from miniecs.cli import deployments_plot

        as_json = output is Output.JSON
        deployments_plot.draw(data_folder(data_dir), service, plot, cluster=cluster, as_json=as_json)
        return
    good = deployments.show(
        data_folder(data_dir),
        service,
        cluster=cluster,
        once=once,
        until_stable=until_stable,
        as_json=output is Output.JSON,
    )
    if not good:
        raise typer.Exit(FAILED)


def add_to(app: typer.Typer) -> None:
    app.command()(lb)
    app.command()(deployments)
