"""The commands about engines and the agents on them: `miniecs agent …` and `miniecs engine …`.

`miniecs agent --data-dir D` alone, as `up` starts it, goes past this: see ``miniecs.cli.internal``.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from miniecs.cli.internal import data_folder
from miniecs.cli.options import DataDir, Format, Output, group
from miniecs.cli.problem import FAILED

agent = group("Let another machine's Docker engine join, as container instances.")
engine = group("Look for a Docker engine; install and start one where there is none.")


def _given(help: str, **more: Any) -> Any:
    return typer.Option(help=help, show_default=False, **more)


@agent.callback(invoke_without_command=True, no_args_is_help=True)
def agent_here(
    context: typer.Context,
    endpoint: Annotated[str | None, _given("The server's address, e.g. http://10.0.0.5:4566.")] = None,
    join_token: Annotated[
        str | None,
        _given("Its credentials; `miniecs agent join-command` prints them.", envvar="MINIECS_JOIN_TOKEN"),
    ] = None,
    engine: Annotated[
        str | None, _given("The engine on this machine. [DOCKER_HOST, or what docker uses]", metavar="URL")
    ] = None,
    instances: Annotated[int, typer.Option(min=1, max=100, help="Play so many container instances.")] = 1,
    type: Annotated[str | None, _given("Their EC2 instance type. [as with `up`]", metavar="T")] = None,
    zone: Annotated[str | None, _given("Their zone. [the region's zones in turn]", metavar="Z")] = None,
    cluster: Annotated[str | None, _given("They join this one. [the cluster of `up`]", metavar="C")] = None,
    attribute: Annotated[
        list[str] | None, _given("A custom attribute of each; repeat it.", metavar="K=V")
    ] = None,
    name: Annotated[str | None, _given("What the server calls this machine. [its host name]")] = None,
) -> None:
    """Join this machine's Docker engine to the server on another, until Ctrl-C.

    The instances it plays are the server's to keep: the same ones come back when the agent does.
    """
    if context.invoked_subcommand is not None:
        return
    from miniecs.cli import joining

    if endpoint is None or join_token is None:
        missing = "--endpoint" if endpoint is None else "--join-token"
        raise typer.BadParameter(f"{missing} is missing. `miniecs agent join-command` prints what to give.")
    code = joining.join(
        endpoint,
        join_token,
        engine_url=engine,
        instances=instances,
        type=type,
        zone=zone,
        cluster=cluster,
        given_attributes=attribute or [],
        name=name,
    )
    raise typer.Exit(code)


@agent.command("join-command")
def agent_join_command(data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """Print what to run on another machine, so that its Docker engine joins."""
    from miniecs.cli import joining

    joining.join_command(data_folder(data_dir), as_json=output is Output.JSON)


@engine.command("status")
def engine_status(data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """Show which Docker engine there is and what it can be used for. Exit code 1 when none answers."""
    from miniecs.cli import dockerd

    if not dockerd.status(data_folder(data_dir), as_json=output is Output.JSON):
        raise typer.Exit(FAILED)


@engine.command("start")
def engine_start(
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing where one answers already.")] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Make a Docker engine answer: as root on Debian and Ubuntu one is installed and started."""
    from miniecs.cli import dockerd

    dockerd.start(quiet=quiet, as_json=output is Output.JSON)


@engine.command("stop")
def engine_stop(data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """Stop the engine that `engine start` started, and no other."""
    from miniecs.cli import dockerd

    dockerd.stop(as_json=output is Output.JSON)
