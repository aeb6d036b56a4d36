"""The commands that look into containers, with their options."""

from __future__ import annotations

from typing import Annotated

import typer

from miniecs.cli.internal import data_folder
from miniecs.cli.options import DataDir, Format, OfCluster, Output

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="8 digits of its id or more, or its ARN.")]


def logs(
    task: TaskName,
    container: Annotated[
        str | None,
        typer.Option("--container", "-c", metavar="C", help="One container's only.", show_default=False),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as it is written, until Ctrl-C.")
    ] = False,
    tail: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="The last N lines of each container. [all]", show_default=False
        ),
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="Begin each line with when it was written.")
    ] = False,
    cluster: OfCluster = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Print what a task's containers wrote. With --output json: one JSON document a line."""
    from miniecs.cli.logs import Wanted, logs

    wanted = Wanted(task, cluster, container, follow, tail, timestamps, output is Output.JSON)
    raise typer.Exit(logs(data_folder(data_dir), wanted))


def execute(
    task: TaskName,
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="After --: the command and its arguments.")
    ],
    container: Annotated[
        str | None,
        typer.Option(
            "--container", "-c", metavar="C", help="In this container. [the only one]", show_default=False
        ),
    ] = None,
    cluster: OfCluster = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Run a command in a running container; its exit code is this command's.

    With a terminal when standard input and output are one; else standard input is passed on as it is.
    """
    from miniecs.cli.execute import execute

    as_json = output is Output.JSON
    folder = data_folder(data_dir)
    raise typer.Exit(execute(folder, task, command, cluster=cluster, container=container, as_json=as_json))


def add_to(app: typer.Typer) -> None:
    app.command()(logs)
    app.command("exec")(execute)
