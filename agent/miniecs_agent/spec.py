"""What an agent is told to run: tasks and containers as they arrive in an ACS payload, read once.

Only what the agent itself decides by is taken out; the rest stays in the document for the
engine, which alone knows what to make of docker settings. Shapes: the ECS agent's ACS model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

Document = Mapping[str, Any]

DEFAULT_RESTART_PERIOD = 300
_BAD_OVERRIDES = "Could not unmarshal ContainerOverrides in any supported way"


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
    """One container of a task. ``document`` is its whole ACS Container."""

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
    """One task. ``document`` is its whole ACS Task."""

    arn: str
    cluster_arn: str
    family: str
    revision: str
    network_mode: str
    containers: tuple[ContainerSpec, ...]
    document: Document


def read_task(document: Document) -> TaskSpec:
    """An ACS Task. Raises InvalidTask."""
    arn = document.get("arn")
    containers = document.get("containers")
    if not isinstance(arn, str) or not isinstance(containers, list) or not containers:
        raise InvalidTask("a task needs an arn and containers")
    _check_overrides(document.get("overrides"), allowed=None)
    return TaskSpec(
        arn,
        document.get("taskClusterArn", ""),
        document.get("family", ""),
        document.get("version", ""),
        document.get("networkMode", "bridge"),
        tuple([_container(container) for container in containers]),
        document,
    )


def _container(document: Document) -> ContainerSpec:
    name = document.get("name")
    if not isinstance(name, str):
        raise InvalidTask("a container needs a name")
    _check_overrides(document.get("overrides"), allowed="command")
    policy = document.get("restartPolicy")
    mappings = document.get("portMappings")
    return ContainerSpec(
        name,
        document.get("image", ""),
        document.get("essential", True),
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
    found += [Dependency(link.split(":")[0], "START") for link in links or ()]
    found += [Dependency(each["sourceContainer"], "CREATE") for each in volumes or ()]
    return tuple(found)


def _restart_policy(policy: Document) -> RestartPolicy | None:
    if not policy.get("enabled"):
        return None
    return RestartPolicy(
        tuple(policy.get("ignoredExitCodes") or ()),
        policy.get("restartAttemptPeriod", DEFAULT_RESTART_PERIOD),
    )


def _port(mapping: Document) -> Port:
    return Port(
        mapping.get("containerPort") or 0,
        mapping.get("hostPort") or 0,
        mapping.get("protocol") or "tcp",
        mapping.get("containerPortRange"),
    )


def _check_overrides(text: Any, allowed: str | None) -> None:
    """Overrides travel as a JSON string; of a container's only ``command`` is the agent's to apply."""
    if not text or text == "{}":
        return
    try:
        overrides = json.loads(text)
    except (TypeError, ValueError) as problem:
        raise InvalidTask(f"{_BAD_OVERRIDES}: {problem}") from problem
    if not isinstance(overrides, dict):
        raise InvalidTask(_BAD_OVERRIDES)
    if allowed is not None and set(overrides) - {allowed}:
        raise InvalidTask(f"unrecognized overrides {sorted(set(overrides) - {allowed})}")


def command_override(container: ContainerSpec) -> list[str] | None:
    """The command that stands over the container's own, if the payload carries one."""
    text = container.document.get("overrides")
    if not text or text == "{}":
        return None
    command: list[str] | None = json.loads(text).get("command")
    return command
