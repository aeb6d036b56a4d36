"""When a change of a task is one that ECS tells the world about, and the version that counts those changes.

ECS raises ``version`` exactly when it emits a state change event, so one function
decides both: whoever compares versions of two events must be able to trust them.
"""

from __future__ import annotations

from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import STATUS_ORDER, Task


def is_told(before: Task | None, after: Task) -> bool:
    """True when lastStatus, desiredStatus, or a container's status or health differs, or the task is new."""
    if before is None:
        return True
    if before.last_status != after.last_status or before.desired_status != after.desired_status:
        return True
    if before.health_status != after.health_status:
        return True
    if before.containers is after.containers:
        return False
    if len(before.containers) != len(after.containers):
        return True
    for old, new in zip(before.containers, after.containers, strict=True):
        if old.last_status != new.last_status or old.health_status != new.health_status:
            return True
    return False


def versioned(before: Task | None, after: Task) -> Task:
    """``after`` with a version above ``before``'s when the change is told; else as it is."""
    if before is None or after.version > before.version or not is_told(before, after):
        return after
    return replace(after, version=before.version + 1)


def instance_is_told(before: ContainerInstance | None, after: ContainerInstance) -> bool:
    """Whether a change of a container instance is an event: its status, its agent, what it offers."""
    if before is None:
        return True
    return (
        before.status != after.status
        or before.agent_connected != after.agent_connected
        or before.attributes != after.attributes
        or before.cpu != after.cpu
        or before.memory != after.memory
        or before.ports != after.ports
        or before.ports_udp != after.ports_udp
        or before.gpus != after.gpus
        or before.agent_version != after.agent_version
    )


def reached(task: Task, status: str) -> bool:
    """True when the task is at this lastStatus or past it."""
    return STATUS_ORDER[task.last_status] >= STATUS_ORDER[status]


def advanced(task: Task, status: str, *, now: float) -> Task:
    """The task moved on to a lastStatus that the control plane decides; the same object if it is past it.

    STOPPED without an agent's word means that nobody will report its containers any more.
    """
    if reached(task, status):
        return task
    after = replace(task, last_status=status)
    if status == "DEACTIVATING":
        after = replace(after, deregistered_at=now)
    elif status == "STOPPED":
        after = replace(
            after,
            stopped_at=now,
            execution_stopped_at=task.execution_stopped_at or (now if task.started_at else None),
            containers=tuple(
                c if c.last_status == "STOPPED" else replace(c, last_status="STOPPED")
                for c in task.containers
            ),
        )
        if after.network_interface is not None:
            after = replace(after, network_interface=replace(after.network_interface, status="DELETED"))
    return versioned(task, after)
