"""What an agent is told to run: tasks and containers as they arrive in an ACS payload, read once.

Only what the agent itself decides by is taken out; the rest stays in the document for the
engine, which alone knows what to make of docker settings. Shapes: the ECS agent's ACS model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from miniecs_agent.core.acs import TASK, TASK_OF_KNOWN_CONTAINERS
from miniecs_agent.core.shapes import Each, fault

Document = Mapping[str, Any]

DEFAULT_RESTART_PERIOD = 300
_BAD_OVERRIDES = "Could not unmarshal ContainerOverrides in any supported way"
_CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")
_PORT_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})")
_LAST_PORT = 65535


class InvalidTask(Exception):
    """A task of a payload cannot be understood. It is reported STOPPED, and the payload not acknowledged."""

    def __init__(self, problem: str) -> None:
        # The missing letters are the ECS agent's own.
        super().__init__(f"UnrecogniedTaskError: Error loading task - {problem}")


class Dependency(NamedTuple):
    """``condition``: START COMPLETE SUCCESS HEALTHY, and CREATE, which volumesFrom implies."""

    container: str
    condition: str


class RestartPolicy(NamedTuple):
    """``period``: seconds that a container must have run before it is started again."""

    ignored_exit_codes: tuple[int, ...]
    period: float


class Port(NamedTuple):
    """A port to publish; host_port 0 is a dynamic one. A range has ``container_port_range`` instead."""

    container_port: int
    host_port: int
    protocol: str
    container_port_range: str | None = None


class ContainerSpec(NamedTuple):
    """One container of a task. ``document`` is its ACS Container, whole but for its ARN."""

    name: str
    image: str
    essential: bool
    depends_on: tuple[Dependency, ...]
    start_timeout: float | None
    stop_timeout: float | None
    restart: RestartPolicy | None
    has_health_check: bool
    ports: tuple[Port, ...]
    document: Document


class TaskSpec(NamedTuple):
    """One task. ``document`` is its ACS Task, whole but for the ARNs of its containers: nobody reads them."""

    arn: str
    cluster_arn: str
    family: str
    revision: str
    network_mode: str
    containers: tuple[ContainerSpec, ...]
    document: Document


class _Containers(NamedTuple):
    """The containers of a task, and the documents that they were read from."""

    parts: list[dict[str, Any]]
    specs: tuple[ContainerSpec, ...]


# Agents in the server's process are handed the very objects of the definition with each of its tasks. What
# was read from the same objects need not be judged and kept a second time: that is half of what a task takes
# here. An entry holds on to its documents, so an identity stays theirs.
_known: dict[Hashable, _Containers] = {}
_MOST_KNOWN = 256


def read_task(document: Any) -> TaskSpec:
    """An ACS Task, whatever it is instead. Raises InvalidTask."""
    parts = _parts(document)
    identity = tuple([(*part, *map(id, part.values())) for part in parts or ()])
    containers = _known.get(identity)
    problem = fault(document, TASK if containers is None else TASK_OF_KNOWN_CONTAINERS, "task")
    if problem:
        raise InvalidTask(problem)
    if not parts:
        raise InvalidTask("task has no containers")
    _check_overrides(document.get("overrides"), allowed=None)
    if containers is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        specs = tuple([_container(part) for part in parts])
        containers = _known[identity] = _Containers(parts, specs)
    return TaskSpec(
        document["arn"],
        document.get("taskClusterArn") or "",
        document.get("family") or "",
        document.get("version") or "",
        document.get("networkMode") or "bridge",
        containers.specs,
        {**document, "containers": containers.parts},
    )


def _parts(document: Any) -> list[dict[str, Any]] | None:
    """The containers' documents without what differs between tasks; None where these are no documents."""
    containers = document.get("containers") if isinstance(document, dict) else None
    if not isinstance(containers, list):
        return None
    parts = []
    for each in containers:
        if not isinstance(each, dict):
            return None
        part = each.copy()
        part.pop("containerArn", None)
        parts.append(part)
    return parts


def _container(document: Document) -> ContainerSpec:
    _check_overrides(document.get("overrides"), allowed="command")
    policy = document.get("restartPolicy")
    mappings = document.get("portMappings")
    essential = document.get("essential")
    return ContainerSpec(
        document["name"],
        document.get("image") or "",
        True if essential is None else essential,
        _dependencies(document),
        document.get("startTimeout"),
        document.get("stopTimeout"),
        _restart_policy(policy) if policy else None,
        document.get("healthCheckType") == "docker",
        tuple([_port(mapping) for mapping in mappings]) if mappings else (),
        document,
    )


def _dependencies(document: Document) -> tuple[Dependency, ...]:
    """dependsOn, and the order that links and volumesFrom imply."""
    own, links, volumes = document.get("dependsOn"), document.get("links"), document.get("volumesFrom")
    if not (own or links or volumes):
        return ()
    found = [Dependency(each["containerName"], each["condition"]) for each in own or ()]
    for dependency in found:
        if dependency.condition not in _CONDITIONS:
            raise InvalidTask(f"unknown dependency condition {dependency.condition!r}")
    found += [Dependency(link.split(":")[0], "START") for link in links or ()]
    found += [Dependency(each["sourceContainer"], "CREATE") for each in volumes or ()]
    return tuple(found)


def _restart_policy(policy: Document) -> RestartPolicy | None:
    if not policy.get("enabled"):
        return None
    period = policy.get("restartAttemptPeriod")
    return RestartPolicy(
        tuple(policy.get("ignoredExitCodes") or ()), DEFAULT_RESTART_PERIOD if period is None else period
    )


def _port(mapping: Document) -> Port:
    container_port, host_port = mapping.get("containerPort") or 0, mapping.get("hostPort") or 0
    for number in (container_port, host_port):
        if not 0 <= number <= _LAST_PORT:
            raise InvalidTask(f"{number} is no port")
    span = mapping.get("containerPortRange") or None
    if span is not None:
        _check_range(span)
    return Port(container_port, host_port, mapping.get("protocol") or "tcp", span)


def _check_range(span: str) -> None:
    ends = _PORT_RANGE.fullmatch(span)
    if ends is None or not 0 < int(ends[1]) <= int(ends[2]) <= _LAST_PORT:
        raise InvalidTask(f"{span!r} is no range of ports")


def _check_overrides(text: str | None, allowed: str | None) -> None:
    """Overrides travel as a JSON string; of a container's only ``command`` is the agent's to apply."""
    if not text or text == "{}":
        return
    try:
        overrides = json.loads(text)
    except ValueError as problem:
        raise InvalidTask(f"{_BAD_OVERRIDES}: {problem}") from problem
    if not isinstance(overrides, dict):
        raise InvalidTask(_BAD_OVERRIDES)
    if allowed is not None and set(overrides) - {allowed}:
        raise InvalidTask(f"unrecognized overrides {sorted(set(overrides) - {allowed})}")
    if overrides.get("command") is not None and fault(overrides["command"], Each(str), "command"):
        raise InvalidTask(f"{_BAD_OVERRIDES}: command is not a list of strings")


def command_override(container: ContainerSpec) -> list[str] | None:
    """The command that stands over the container's own, if the payload carries one."""
    text = container.document.get("overrides")
    if not text or text == "{}":
        return None
    command: list[str] | None = json.loads(text).get("command")
    return command
