"""The command `place` with its options; what it does is in ``place``, imported when it is called."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from miniecs.cli.internal import data_folder
from miniecs.cli.options import DataDir, Format, Output


class LaunchType(StrEnum):
    EC2 = "EC2"


def place(
    strategies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STRATEGY]...", help="With --compare: more to compare.", show_default=False),
    ] = None,
    task_definition: Annotated[
        str | None, typer.Option(metavar="TD", help="What to place: family, family:revision or ARN.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="So many tasks.")] = 1,
    strategy: Annotated[
        list[str] | None,
        typer.Option(metavar="S", help="binpack:memory,spread:attribute:NAME …; repeat it to chain."),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(metavar="C", help="distinctInstance or memberOf:EXPRESSION; repeat it."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="As tasks of this service, with its rules.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tasks' group. [family:FAMILY]", show_default=False)
    ] = None,
    zone: Annotated[
        list[str] | None,
        typer.Option(metavar="Z", help="Only there, as with subnets of awsvpc tasks; repeat it."),
    ] = None,
    capacity_provider_strategy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P",
            help="capacityProvider=NAME,weight=1,base=0, or a name; repeat it. [the service's or cluster's]",
            show_default=False,
        ),
    ] = None,
    launch_type: Annotated[
        LaunchType | None,
        typer.Option(metavar="EC2", help="Any host: no capacity provider strategy.", show_default=False),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="STRATEGY", help="Show strategies side by side: this one and those after it."),
    ] = None,
    capacity: Annotated[
        bool, typer.Option("--capacity", help="Say how many hosts of --type the tasks need.")
    ] = False,
    type: Annotated[
        str | None, typer.Option(metavar="T", help="EC2 instance type. [the cluster's]", show_default=False)
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="C", help="[the cluster of `up`]", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="F", help="Ask of a cluster file; miniecs need not run.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Breaks ties and makes random choices.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="P", help="Draw it: a .svg or .png file.")] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="F", help="Save the running cluster as a cluster file.")
    ] = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Say what would happen if tasks were placed, without placing them: where, why, and why not."""
    from miniecs.cli import place

    asked = place.Asked(
        task_definition=task_definition,
        count=count,
        strategies=tuple(strategy or ()),
        constraints=tuple(constraint or ()),
        service=service,
        group=group,
        zones=tuple(zone or ()),
        providers=tuple(capacity_provider_strategy or ()),
        launch_type=None if launch_type is None else launch_type.value,
        compared=(*(() if compare is None else (compare,)), *(strategies or ())),
        capacity=capacity,
        type=type,
        cluster=cluster,
        file=file,
        seed=seed,
        plot=plot,
        export=export,
    )
    if strategies and compare is None:
        raise typer.BadParameter(
            f"{strategies[0]!r}: strategies are given as --strategy, or after --compare."
        )
    place.check(asked)
    place.run(data_folder(data_dir), asked, as_json=output is Output.JSON)


def add_to(app: typer.Typer) -> None:
    app.command()(place)
