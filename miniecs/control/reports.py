"""What an agent's report means for a task: idempotent, and monotone in every status.

Reports arrive twice, late and out of order, so each is laid over what is known and
never takes anything back. The agent says what it saw; the stop code and the reason of a
task that ended by itself are derived here, as ECS's control plane derives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.control.stopping import ESSENTIAL_EXITED, FAILED_TO_START, stop
from miniecs.control.transitions import is_told, reached, versioned
from miniecs.model.frozen import quick, replace
from miniecs.model.task import Container, NetworkBinding, NetworkInterface, Task
from miniecs.model.task_definition import TaskDefinition

_CONTAINER_ORDER: Mapping[str, int] = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
# Containers that these stopped never ran their command, whatever exit code came with it.
_NEVER_RAN = (
    "CannotCreateContainerError",
    "CannotCreateVolumeError",
    "CannotPullContainerError",
    "CannotPullImageManifestError",
    "CannotStartContainerError",
    "ResourceInitializationError",
)


@quick
@dataclass(frozen=True, slots=True)
class ContainerReport:
    """What an agent saw of one container; None says nothing about a field."""

    name: str
    status: str | None = None  # PENDING RUNNING STOPPED
    exit_code: int | None = None
    reason: str | None = None
    runtime_id: str | None = None
    image_digest: str | None = None
    network_bindings: tuple[NetworkBinding, ...] = ()
    health_status: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class TaskReport:
    """One SubmitTaskStateChange. A container may appear twice, first RUNNING, then STOPPED.

    attachments: (attachment ARN or id, status) of network interfaces seen on the host.
    """

    task_arn: str
    status: str | None = None  # PENDING RUNNING STOPPED
    reason: str | None = None
    containers: tuple[ContainerReport, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    attachments: tuple[tuple[str, str], ...] = ()


def apply_report(task: Task, definition: TaskDefinition, report: TaskReport, *, now: float) -> Task:
    """The task as the report leaves it; the same object when it says nothing new."""
    if task.is_stopped:
        return task
    containers = _laid_over(task.containers, report.containers)
    if report.status == "STOPPED":
        containers = _all_stopped(containers)
    changes = _news(task, report, containers, now)
    changes |= _end(task, definition, report, containers, now)
    if not changes:
        return task
    # Almost every report that says something new is told: the version comes with the same copy.
    changes["version"] = task.version + 1
    after = replace(task, **changes)
    if any(container.health_status for container in report.containers):
        after = _with_health(after, definition)
    if task.wanted and after.execution_stopped_at is not None:
        code, reason = _why_it_ended(after, definition, report.reason)
        return replace(stop(after, now=now, code=code, reason=reason), version=after.version)
    return after if is_told(task, after) else replace(after, version=task.version)


def _news(
    task: Task, report: TaskReport, containers: tuple[Container, ...], now: float
) -> dict[str, Any]:
    """The fields that the report adds to, with their new values."""
    changes: dict[str, Any] = {}
    if containers is not task.containers:
        changes["containers"] = containers
    if report.status == "RUNNING" and not reached(task, "RUNNING"):
        changes["last_status"], changes["started_at"] = "RUNNING", now
    if report.pull_started_at is not None and task.pull_started_at is None:
        changes["pull_started_at"] = report.pull_started_at
    if report.pull_stopped_at is not None and task.pull_stopped_at is None:
        changes["pull_stopped_at"] = report.pull_stopped_at
    if task.connectivity is None:
        changes["connectivity"], changes["connectivity_at"] = "CONNECTED", now
    if report.attachments:
        interface = _attached(task.network_interface, report.attachments)
        if interface is not task.network_interface:
            changes["network_interface"] = interface
    return changes


def _end(
    task: Task,
    definition: TaskDefinition,
    report: TaskReport,
    containers: tuple[Container, ...],
    now: float,
) -> dict[str, Any]:
    """What follows from containers that have stopped: one essential container ends the task."""
    ended = report.status == "STOPPED"
    if not ended and not _stopped_essential(containers, definition):
        return {}
    changes: dict[str, Any] = {}
    if task.execution_stopped_at is None:
        changes["execution_stopped_at"] = report.execution_stopped_at or now
    if ended and not reached(task, "DEPROVISIONING"):
        if definition.network_mode == "awsvpc":
            changes["last_status"] = "DEPROVISIONING"
        else:
            changes |= {"last_status": "STOPPED", "stopped_at": now}
    return changes


def _stopped_essential(
    containers: tuple[Container, ...], definition: TaskDefinition
) -> list[Container]:
    stopped = [container for container in containers if container.last_status == "STOPPED"]
    if not stopped:
        return stopped
    essential = {container.name for container in definition.container_definitions if container.essential}
    return [container for container in stopped if container.name in essential]


def apply_health(
    task: Task, definition: TaskDefinition, container_health: Mapping[str, str], *, now: float
) -> Task:
    """The task with its containers' health checks as last published; the same object when nothing differs."""
    if task.is_stopped:
        return task
    containers = tuple(
        replace(container, health_status=container_health[container.name])
        if container_health.get(container.name, container.health_status) != container.health_status
        and container.last_status != "STOPPED"
        else container
        for container in task.containers
    )
    if all(new is old for new, old in zip(containers, task.containers, strict=True)):
        return task
    return versioned(task, _with_health(replace(task, containers=containers), definition))


def _laid_over(
    containers: tuple[Container, ...], reports: Iterable[ContainerReport]
) -> tuple[Container, ...]:
    """The containers with what is new of them; the same tuple when nothing is."""
    laid = list(containers)
    differs = False
    for report in reports:
        for place, container in enumerate(laid):
            if container.name == report.name:
                laid[place] = _container(container, report)
                differs = differs or laid[place] is not container
    return tuple(laid) if differs else containers


def _container(container: Container, report: ContainerReport) -> Container:
    changes: dict[str, Any] = {}
    status = report.status
    if status is not None and _CONTAINER_ORDER[status] > _CONTAINER_ORDER[container.last_status]:
        changes["last_status"] = status
    if container.exit_code is None and report.exit_code is not None:
        changes["exit_code"] = report.exit_code
    if container.reason is None and report.reason:
        changes["reason"] = report.reason
    if report.runtime_id and report.runtime_id != container.runtime_id:
        changes["runtime_id"] = report.runtime_id
    if report.image_digest and report.image_digest != container.image_digest:
        changes["image_digest"] = report.image_digest
    if report.network_bindings and report.network_bindings != container.network_bindings:
        changes["network_bindings"] = report.network_bindings
    if report.health_status and report.health_status != container.health_status:
        changes["health_status"] = report.health_status
    return replace(container, **changes) if changes else container


def _all_stopped(containers: tuple[Container, ...]) -> tuple[Container, ...]:
    if all(container.last_status == "STOPPED" for container in containers):
        return containers
    return tuple(
        container if container.last_status == "STOPPED" else replace(container, last_status="STOPPED")
        for container in containers
    )


def _attached(
    interface: NetworkInterface | None, reports: tuple[tuple[str, str], ...]
) -> NetworkInterface | None:
    if interface is None:
        return None
    for attachment, status in reports:
        if attachment.rsplit("/", 1)[-1] == interface.attachment_id and status == "ATTACHED":
            return replace(interface, status="ATTACHED")
    return interface


def _why_it_ended(task: Task, definition: TaskDefinition, told: str | None) -> tuple[str, str]:
    """(stopCode, stoppedReason). The cause of a failed start stands in its container's reason."""
    never_ran = task.started_at is None and all(
        container.exit_code is None or (container.reason or "").startswith(_NEVER_RAN)
        for container in _stopped_essential(task.containers, definition)
    )
    if never_ran:
        return FAILED_TO_START, told or "Task failed to start"
    return ESSENTIAL_EXITED, told or "Essential container in task exited"


def _with_health(task: Task, definition: TaskDefinition) -> Task:
    """The task's health: only essential containers that have a check count (ECS API, Task.healthStatus)."""
    checked = {
        container.name
        for container in definition.container_definitions
        if container.essential and container.health_check is not None
    }
    seen = {container.health_status for container in task.containers if container.name in checked}
    if "UNHEALTHY" in seen:
        health = "UNHEALTHY"
    elif not seen or "UNKNOWN" in seen:
        health = "UNKNOWN"
    else:
        health = "HEALTHY"
    return task if health == task.health_status else replace(task, health_status=health)
