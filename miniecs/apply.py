"""Writing what was decided: objects and the events that tell of them, in one transaction.

A transition and its event are written together or not at all; whoever changes a task or
a container instance does it through here, so none can be missed in the outbox.
"""

from __future__ import annotations

from dataclasses import replace

from miniecs.control.deployments import after_task
from miniecs.control.transitions import instance_is_told, is_told, versioned
from miniecs.ids import Ids
from miniecs.model.event import Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store import Transaction


def write_task(tx: Transaction, before: Task | None, after: Task, *, now: float, because: str = "") -> Task:
    """Put the task, tell of it when ECS would, and return it as written. before None: it is new."""
    if not is_told(before, after):
        tx.put(after)
        return after
    after = versioned(before, after)
    tx.put(after)
    tx.emit(Event(EventKind.TASK, after.arn, now, because=because, state=after))
    if before is not None and after.service_arn is not None:
        _count_for_service(tx, after.service_arn, before, after, now=now)
    return after


def _count_for_service(
    tx: Transaction, service_arn: str, before: Task, after: Task, *, now: float
) -> None:
    service = tx.get(Service, service_arn)
    if service is None:
        return
    counted = after_task(service, before, after, now=now)
    if counted is not service:
        tx.put(counted)


def write_instance(
    tx: Transaction,
    before: ContainerInstance | None,
    after: ContainerInstance,
    *,
    now: float,
    because: str = "",
) -> ContainerInstance:
    """Put the container instance, with its event and a higher version when ECS would tell of the change."""
    if not instance_is_told(before, after):
        tx.put(after)
        return after
    if before is not None and after.version <= before.version:
        after = replace(after, version=before.version + 1)
    tx.put(after)
    tx.emit(Event(EventKind.CONTAINER_INSTANCE, after.arn, now, because=because, state=after))
    return after


def write_service(
    tx: Transaction, before: Service | None, after: Service, *, now: float, because: str = ""
) -> None:
    """Put the service and tell of each deployment that began, completed or failed with this change."""
    tx.put(after)
    known = {d.id: d.rollout_state for d in before.deployments} if before is not None else {}
    for deployment in after.deployments:
        state = deployment.rollout_state
        if known.get(deployment.id) == state:
            continue
        tx.emit(
            Event(
                EventKind.DEPLOYMENT,
                after.arn,
                now,
                because=because,
                name=f"SERVICE_DEPLOYMENT_{state}",
                level="ERROR" if state == "FAILED" else "INFO",
                reason=deployment.rollout_state_reason,
                id=deployment.id,
            )
        )


def service_message(
    tx: Transaction, service: Service, text: str, *, now: float, ids: Ids, because: str = ""
) -> None:
    """Add a line to DescribeServices' events; text comes without the ``(service NAME)`` in front."""
    tx.emit(
        Event(
            EventKind.SERVICE_MESSAGE,
            service.arn,
            now,
            message=f"(service {service.name}) {text}",
            because=because,
            id=ids.uuid(),
        )
    )
