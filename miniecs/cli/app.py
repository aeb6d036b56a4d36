"""The commands and their options; what each does is in the module beside it, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from miniecs import __version__
from miniecs.cli import containers, hosts, pictures, placing, playing
from miniecs.cli.internal import data_folder
from miniecs.cli.options import DataDir, Format, OfCluster, Output, group
from miniecs.cli.problem import FAILED


class Runtime(StrEnum):
    DOCKER = "docker"
    SIMULATED = "simulated"


class Durability(StrEnum):
    NORMAL = "normal"
    FULL = "full"


# Plain help and usage errors: they are read in pipes and logs too, and rich takes as long to import as typer.
app = typer.Typer(
    name="miniecs",
    help="A local Amazon ECS.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
instance = group("Add, remove and drain container instances.")
app.add_typer(instance, name="instance")
app.add_typer(hosts.agent, name="agent")
app.add_typer(hosts.engine, name="engine")


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Raises Problem."""
    try:
        app(args=list(arguments), prog_name="miniecs")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"miniecs {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def _remembered(help: str, **more: Any) -> Any:
    """An option of `up` whose absence is not its default: it stays as it was."""
    return typer.Option(help=help, show_default=False, **more)


@app.command()
def up(
    detach: Annotated[
        bool, typer.Option("--detach", help="Leave it running, watched by a supervisor.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say what runs, not what to try next.")] = False,
    instances: Annotated[
        int | None, _remembered("Container instances in a new data folder; 0 makes no cluster. [3]")
    ] = None,
    autoscale: Annotated[
        str | None,
        _remembered(
            "Instead, an Auto Scaling group of these sizes behind a capacity provider.", metavar="MIN:MAX"
        ),
    ] = None,
    instance_type: Annotated[str | None, _remembered("Their EC2 instance type. [t3.medium]")] = None,
    zones: Annotated[int | None, _remembered("Over so many availability zones. [3]")] = None,
    runtime: Annotated[
        Runtime | None,
        _remembered("What runs the tasks: a Docker engine, or nothing but their story. [docker]"),
    ] = None,
    port: Annotated[
        int | None, _remembered("Where the AWS API listens; 0 chooses a free port. [4566]")
    ] = None,
    bind: Annotated[str | None, _remembered("On this address of this machine. [127.0.0.1]")] = None,
    cluster: Annotated[str | None, _remembered("The cluster to make in a new data folder. [default]")] = None,
    account: Annotated[
        str | None, _remembered("The account of the cluster and of who names none. [000000000000]")
    ] = None,
    region: Annotated[str | None, _remembered("The cluster's region. [us-east-1]")] = None,
    time_scale: Annotated[
        float | None, _remembered("Divide every wait that ECS defines by this. [1]")
    ] = None,
    launch_throttle: Annotated[
        str | None,
        _remembered(
            "Seconds between launches that fail: the first, doubled up to the most. [10:900]",
            metavar="FIRST:MOST",
        ),
    ] = None,
    strict: Annotated[
        bool | None, _remembered("Refuse subnets, groups and the like that nobody made. [no-strict]")
    ] = None,
    durability: Annotated[
        Durability | None,
        _remembered("What was answered survives kill -9; with full a loss of power too. [normal]"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        _remembered("Another name of this machine to answer to; repeat it.", metavar="NAME"),
    ] = None,
    allow_privileged: Annotated[
        bool | None, _remembered("Let containers be privileged. [no-allow-privileged]")
    ] = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Start miniecs and wait until its cluster is ready.

    Options that are not given are as the data folder was last started with, and the defaults in brackets
    at its first start.
    """
    from miniecs.cli.report import Telling
    from miniecs.cli.up import up

    options = {
        "instances": instances,
        "autoscale": autoscale,
        "instance_type": instance_type,
        "zones": zones,
        "runtime": None if runtime is None else runtime.value,
        "port": port,
        "bind": bind,
        "cluster": cluster,
        "account": account,
        "region": region,
        "time_scale": time_scale,
        "launch_throttle": launch_throttle,
        "strict": strict,
        "durability": None if durability is None else durability.value,
        "allow_hosts": tuple(allow_host) if allow_host else None,
        "allow_privileged": allow_privileged,
    }
    given = {name: value for name, value in options.items() if value is not None}
    telling = Telling(as_json=output is Output.JSON, quiet=quiet)
    up(data_folder(data_dir), given, telling, detach=detach)


@app.command()
def down(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the containers running; the next `up` takes them over.")
    ] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data folder as well.")] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """End what `up` started and remove its containers. Its data stays for the next `up`."""
    from miniecs.cli import output as out
    from miniecs.cli.down import down, told, warning

    if keep and purge:
        raise typer.BadParameter("--keep and --purge exclude each other: give one of them.")
    folder = data_folder(data_dir)
    ended = down(folder, keep=keep, purge=purge)
    if output is Output.JSON:
        out.print_json(ended)
    else:
        print(told(folder, ended))
    if left := warning(ended):
        print(left, file=sys.stderr)


@app.command()
def status(data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """Show the server, and each cluster with its services and numbers."""
    from miniecs.cli import views

    views.status(data_folder(data_dir), as_json=output is Output.JSON)


@app.command()
def ps(
    all: Annotated[bool, typer.Option("--all", help="Stopped tasks too.")] = False,
    cluster: OfCluster = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """List tasks: what runs where, and at which address."""
    from miniecs.cli import views

    views.ps(data_folder(data_dir), all=all, cluster=cluster, as_json=output is Output.JSON)


@app.command()
def events(
    resource: Annotated[
        str | None,
        typer.Argument(
            metavar="[RESOURCE]",
            help="A task, service, container instance or cluster: id, name or ARN.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as they happen, until Ctrl-C.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 100,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Show what happened and why, oldest first. With -f and --output json: one JSON document a line."""
    from miniecs.cli import views

    as_json = output is Output.JSON
    views.events(data_folder(data_dir), resource, follow=follow, limit=limit, as_json=as_json)


@app.command()
def capacity(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this capacity provider.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Show capacity providers: their groups, CapacityProviderReservation, and who waits for them."""
    from miniecs.cli import views

    views.capacity(data_folder(data_dir), name, as_json=output is Output.JSON)


@app.command()
def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A task, service, instance, cluster or load balancer: id, name or ARN."
        ),
    ],
    cluster: OfCluster = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Say why something is as it is, and what it waits for."""
    from miniecs.cli import views

    views.explain(data_folder(data_dir), name, cluster=cluster, as_json=output is Output.JSON)


pictures.add_to(app)
placing.add_to(app)
containers.add_to(app)
playing.add_to(app)


@instance.command("add")
def instance_add(
    cluster: Annotated[
        str | None, typer.Option(metavar="C", help="[the cluster of `up`]", show_default=False)
    ] = None,
    type: Annotated[
        str | None, typer.Option(metavar="T", help="EC2 instance type. [as with `up`]", show_default=False)
    ] = None,
    zone: Annotated[
        str | None,
        typer.Option(
            metavar="Z", help="Zone's name or letter. [the region's zones in turn]", show_default=False
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="A custom attribute; repeat it.", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="Add so many.")] = 1,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Add container instances and print their ARNs once their agents are connected."""
    from miniecs.cli import instances

    instances.add(
        data_folder(data_dir),
        cluster=cluster,
        type=type,
        zone=zone,
        attributes=instances.attributes(attribute or []),
        count=count,
        as_json=output is Output.JSON,
    )


InstanceName = Annotated[str, typer.Argument(metavar="ID", help="8 digits of its id or more, or its ARN.")]


@instance.command("rm")
def instance_rm(
    id: InstanceName,
    force: Annotated[bool, typer.Option("--force", help="Even with tasks on it: they stop.")] = False,
    cluster: OfCluster = None,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Switch a container instance off and deregister it."""
    from miniecs.cli import instances

    instances.remove(data_folder(data_dir), id, cluster=cluster, force=force, as_json=output is Output.JSON)


@instance.command("drain")
def instance_drain(
    id: InstanceName, cluster: OfCluster = None, data_dir: DataDir = None, output: Format = Output.TEXT
) -> None:
    """Let services move their tasks away from a container instance."""
    from miniecs.cli import instances

    instances.drain(data_folder(data_dir), id, cluster=cluster, as_json=output is Output.JSON)


@instance.command("ls")
def instance_ls(cluster: OfCluster = None, data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """List container instances with what is free on each."""
    from miniecs.cli import instances

    instances.show(data_folder(data_dir), cluster=cluster, as_json=output is Output.JSON)


@app.command()
def env(data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """Print the exports for the AWS CLI and the SDKs: eval "$(miniecs env)"."""
    from miniecs.cli import environment

    environment.env(data_folder(data_dir), as_json=output is Output.JSON)


@app.command()
def reset(
    restore: Annotated[
        bool, typer.Option("--restore", help="Then make the cluster and instances of `up` again.")
    ] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Stop every task and wipe all state of all accounts and regions."""
    from miniecs.cli import reset as resetting

    resetting.reset(data_folder(data_dir), restore=restore, as_json=output is Output.JSON)


@app.command()
def doctor(data_dir: DataDir = None, output: Format = Output.TEXT) -> None:
    """Check what miniecs needs, say what is missing and what to do. Exit code 1 when it cannot run."""
    from miniecs.cli import doctor as doctors

    if not doctors.doctor(data_folder(data_dir), as_json=output is Output.JSON):
        raise typer.Exit(FAILED)


@app.command()
def images(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="[those of the samples]", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing where all are there already.")] = False,
    data_dir: DataDir = None,
    output: Format = Output.TEXT,
) -> None:
    """Provide images: what the engine has not is pulled, or built as a stand-in from Debian packages."""
    from miniecs.cli import images as providing

    providing.images(names or (), quiet=quiet, as_json=output is Output.JSON)
