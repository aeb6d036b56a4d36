"""The order among a task's containers: who waits for whom at start, and the reverse at stop.

Pure functions of what is known. Rules and literal reasons: the ECS agent's dependency graph;
``dependsOn`` is written down in the ECS API reference, ContainerDependency.
"""

from __future__ import annotations

from typing import NamedTuple

from miniecs.config import Timing
from miniecs_agent.core.spec import Dependency, TaskSpec
from miniecs_agent.core.state import CREATED, NONE, RUNNING, STOPPED, ContainerState, TaskState


class Ready(NamedTuple):
    """Nothing stands in the container's way."""


class Waiting(NamedTuple):
    """Some dependency is not there yet; ``until`` is when waiting for it ends, if it does."""

    until: float | None


class Never(NamedTuple):
    """The dependency cannot be met any more."""

    reason: str


READY = Ready()


def verdict(
    task: TaskState, container: ContainerState, timing: Timing, now: float
) -> Ready | Waiting | Never:
    """Whether a container that was not created yet may go on."""
    until: float | None = None
    waiting = False
    for dependency in container.spec.depends_on:
        other = task.container(dependency.container)
        if other is None:
            return Never(
                f"dependency graph: container ordering dependency [{dependency.container}] for target "
                f"[{_describe(container)}] does not exist."
            )
        if _met(other, dependency.condition):
            continue
        if _failed(other, dependency.condition):
            return Never(
                "dependency graph: failed to resolve container ordering dependency "
                f"[{_describe(other)}] for target [{_describe(container)}] as {_why(other, dependency)}."
            )
        deadline = _deadline(other, dependency.condition, timing)
        if deadline is not None and deadline <= now:
            return Never(
                f"dependency graph: container ordering dependency [{_describe(other)}] for target "
                f"[{_describe(container)}] has timed out."
            )
        waiting = True
        if deadline is not None and (until is None or deadline < until):
            until = deadline
    return Waiting(until) if waiting else READY


def _met(other: ContainerState, condition: str) -> bool:
    match condition:
        case "CREATE":
            return other.known >= CREATED
        case "START":
            return other.known is RUNNING or _has_run(other)
        case "COMPLETE":
            return _has_run(other)
        case "SUCCESS":
            return other.known is STOPPED and other.exit_code == 0
        case "HEALTHY":
            return other.known is RUNNING and other.health == "HEALTHY"
    return False


def _failed(other: ContainerState, condition: str) -> bool:
    """The dependency is over, and not in the way that was asked for."""
    if other.known is not STOPPED:
        return False
    return condition in ("SUCCESS", "HEALTHY") or not _has_run(other)


def _has_run(other: ContainerState) -> bool:
    return other.known is STOPPED and other.exit_code is not None


def _why(other: ContainerState, dependency: Dependency) -> str:
    if dependency.condition == "SUCCESS" and _has_run(other):
        return "dependency did not exit successfully"
    return "dependency will never be met: the container has stopped"


def _deadline(other: ContainerState, condition: str, timing: Timing) -> float | None:
    """startTimeout stands on the dependency and counts from its start; START has none."""
    if condition in ("START", "CREATE") or other.started_at is None or not other.spec.start_timeout:
        return None
    return other.started_at + timing.wait(other.spec.start_timeout)


def _describe(container: ContainerState) -> str:
    """The ECS agent's words for a container; one that waits for another stands at MANIFEST_PULLED."""
    known = "MANIFEST_PULLED" if container.known is NONE else container.known.name
    exit_code = "" if container.exit_code is None else f" - Exit: {container.exit_code}"
    return f"{container.spec.name}({container.spec.image}) ({known}->RUNNING){exit_code}"


def may_stop(task: TaskState, container: ContainerState) -> bool:
    """True when every container that depends on this one has stopped."""
    name = container.spec.name
    for other in task.containers:
        if other.known is not STOPPED and other is not container:
            for dependency in other.spec.depends_on:
                if dependency.container == name:
                    return False
    return True


def resolvable(spec: TaskSpec) -> bool:
    """False for dependencies on containers that do not exist, or in a circle."""
    if not any(container.depends_on for container in spec.containers):
        return True
    waits_for = {c.name: {d.container for d in c.depends_on} for c in spec.containers}
    resolved: set[str] = set()
    while waits_for:
        free = [name for name, others in waits_for.items() if others <= resolved]
        if not free:
            return False
        for name in free:
            del waits_for[name]
        resolved.update(free)
    return True
