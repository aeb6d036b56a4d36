"""Whether the cluster that `up` promised is there, asked over the AWS wire as anyone would.

An agent tells in its file that it works; what it achieved is seen in the container instances.

Not from the status page: that one would make a server that only just started load its web framework.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from miniecs.cli.client import AwsProblem, Caller, Client, NoAnswer
from miniecs.cli.folder import DataFolder, Running
from miniecs.cli.output import counted
from miniecs.config import ServerSettings
from miniecs.model.instance import OWN_AGENT_HASH

_PAGE = 100  # container instances in one DescribeContainerInstances
_TIMEOUT = 5.0


class State(NamedTuple):
    """What is there so far. pid and endpoint are set when the server answers, agent when that one works.

    expected: so many instances at least must come.
    """

    pid: int | None = None
    endpoint: str | None = None
    instances: tuple[dict[str, Any], ...] = ()
    expected: int = 0
    agent: Running | None = None
    proxy: Running | None = None
    needs_agent: bool = False  # and a proxy

    @property
    def listens(self) -> bool:
        return self.endpoint is not None

    @property
    def connected(self) -> int:
        return sum(instance["agentConnected"] for instance in self.instances)

    @property
    def awaited(self) -> list[bool]:
        """Of the instances that our own agent plays, which are connected: Amazon's come when they like."""
        own = [i for i in self.instances if i.get("versionInfo", {}).get("agentHash") == OWN_AGENT_HASH]
        return [instance["agentConnected"] for instance in own]

    @property
    def ready(self) -> bool:
        there = self.listens and (not self.needs_agent or None not in (self.agent, self.proxy))
        return there and all(self.awaited) and len(self.awaited) >= self.expected


def look(folder: DataFolder, settings: ServerSettings, expected: int = 0) -> State:
    """The state at this moment; never raises for a server that is not there (yet)."""
    running = folder.server()
    if running is None or running.endpoint is None:
        return State()
    docker = settings.runtime == "docker"
    agent, proxy = (_working(folder, role) if docker else None for role in ("agent", "proxy"))
    client = Client(running.endpoint, _TIMEOUT)
    try:
        client.get("health")
        instances = tuple(_instances(client, settings))
    except NoAnswer:
        return State()
    return State(
        running.pid,
        running.endpoint,
        instances,
        expected,
        agent,
        proxy,
        docker,
    )


def _working(folder: DataFolder, role: str) -> Running | None:
    running = folder.running(role)
    return running if running is not None and running.ready else None


def engine_of(agent: Running | None) -> str:
    """What an agent says of its engine, e.g. ``Docker 20.10.24``; '' where none works."""
    told = agent.told.get("engine") if agent is not None else None
    return f"{told['product']} {told['version']}" if isinstance(told, dict) else ""


def _instances(client: Client, settings: ServerSettings) -> list[dict[str, Any]]:
    """All container instances of `up`'s cluster, none when the cluster is not there."""
    caller = Caller(settings.account, settings.region)
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        try:
            page = client.ecs(
                caller, "ListContainerInstances", cluster=settings.cluster, maxResults=_PAGE, **token
            )
        except AwsProblem as problem:
            if problem.code == "ClusterNotFoundException":
                return []
            raise
        if arns := page["containerInstanceArns"]:
            described = client.ecs(
                caller, "DescribeContainerInstances", cluster=settings.cluster, containerInstances=arns
            )
            found += described["containerInstances"]
        if "nextToken" not in page:
            return found
        token = {"nextToken": page["nextToken"]}


def describe(state: State, settings: ServerSettings) -> str:
    """The cluster in one line, e.g. ``cluster default: 3 container instances in 3 zones, t3.medium, …``."""
    name = f"cluster {settings.cluster}"
    group = f", in an Auto Scaling group of {settings.autoscale}" if settings.autoscale else ""
    if not state.instances:
        if not settings.instances and not group:
            return "no cluster (--instances 0)"
        return f"{name}: no container instances{group}"
    shapes = {_shape(instance) for instance in state.instances}
    zones = {_attribute(instance, "ecs.availability-zone") for instance in state.instances}
    each = f", {shapes.pop()} each" if len(shapes) == 1 else ", of several types"
    text = f"{counted(len(state.instances), 'container instance')} in {counted(len(zones), 'zone')}"
    on = engine_of(state.agent)
    return f"{name}: {text}{each}{group}{f', on {on}' if on else ''}"


def _shape(instance: dict[str, Any]) -> str:
    amounts = {r["name"]: r["integerValue"] for r in instance["registeredResources"] if "integerValue" in r}
    type = _attribute(instance, "ecs.instance-type")
    size = f"{amounts.get('CPU', 0)} CPU units and {amounts.get('MEMORY', 0)} MiB"
    return f"{type} with {size}" if type else size  # machines outside of EC2 are of no type


def _attribute(instance: dict[str, Any], name: str) -> str | None:
    return next((a.get("value") for a in instance["attributes"] if a["name"] == name), None)
