"""What an agent's report means for a task: idempotent, and monotone in every status.

Reports arrive twice, late and out of order, so each is laid over what is known and
never takes anything back. The agent says what it saw; the stop code and the reason of a
task that ended by itself are derived here, as ECS's control plane derives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from miniecs.control.stopping import ESSENTIAL_EXITED, FAILED_TO_START, stop
from miniecs.control.transitions import reached, versioned
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


class AttachmentReport(NamedTuple):
    """A network interface seen on the host, by its attachment's ARN or id."""

    attachment: str
    status: str


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One SubmitTaskStateChange. A container may appear twice, first RUNNING, then STOPPED."""

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
    after = replace(
        task,
        containers=containers,
        network_interface=_attached(task.network_interface, report.attachments),
        pull_started_at=task.pull_started_at or report.pull_started_at,
        pull_stopped_at=task.pull_stopped_at or report.pull_stopped_at,
        connectivity=task.connectivity or "CONNECTED",
        connectivity_at=task.connectivity_at if task.connectivity else now,
    )
    if report.status == "RUNNING" and not reached(after, "RUNNING"):
        after = replace(after, last_status="RUNNING", started_at=now)
    after = _ended(after, definition, report, now=now)
    after = _with_health(after, definition)
    return task if after == task else versioned(task, after)


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
    known = {container.name: container for container in containers}
    for report in reports:
        container = known.get(report.name)
        if container is not None:
            known[report.name] = _container(container, report)
    return tuple(known.values())


def _container(container: Container, report: ContainerReport) -> Container:
    status = container.last_status
    if report.status is not None and _CONTAINER_ORDER[report.status] > _CONTAINER_ORDER[status]:
        status = report.status
    after = replace(
        container,
        last_status=status,
        health_status=report.health_status or container.health_status,
        exit_code=report.exit_code if container.exit_code is None else container.exit_code,
        reason=container.reason or report.reason,
        runtime_id=report.runtime_id or container.runtime_id,
        image_digest=report.image_digest or container.image_digest,
        network_bindings=report.network_bindings or container.network_bindings,
    )
    return container if after == container else after


def _all_stopped(containers: tuple[Container, ...]) -> tuple[Container, ...]:
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


def _ended(task: Task, definition: TaskDefinition, report: TaskReport, *, now: float) -> Task:
    """Follow what has stopped: one essential container is enough to end the task."""
    essential = {container.name for container in definition.container_definitions if container.essential}
    stopped = [c for c in task.containers if c.last_status == "STOPPED" and c.name in essential]
    ended = report.status == "STOPPED"
    if not stopped and not ended:
        return task
    if task.execution_stopped_at is None:
        task = replace(task, execution_stopped_at=report.execution_stopped_at or now)
    if task.wanted:
        code, reason = _why_it_ended(task, stopped, report.reason)
        task = stop(task, now=now, code=code, reason=reason)
    if not ended or reached(task, "DEPROVISIONING"):
        return task
    if definition.network_mode == "awsvpc":
        return replace(task, last_status="DEPROVISIONING")
    return replace(task, last_status="STOPPED", stopped_at=now)


def _why_it_ended(task: Task, stopped: list[Container], told: str | None) -> tuple[str, str]:
    """(stopCode, stoppedReason). The cause of a failed start stands in its container's reason."""
    never_ran = task.started_at is None and all(
        container.exit_code is None or (container.reason or "").startswith(_NEVER_RAN)
        for container in stopped
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
