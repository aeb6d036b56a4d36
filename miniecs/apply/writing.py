"""Writing objects and the events that tell of them, in one transaction.

A transition and its event are written together or not at all; whoever changes a task or
a container instance does it through here, so none can be missed in the outbox.
"""

from __future__ import annotations

from miniecs.control import version_consistency
from miniecs.control.deployments import after_task, counted
from miniecs.control.plan import (
    Say,
)
from miniecs.control.rollout import Begun
from miniecs.control.transitions import instance_is_told, is_told
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.event import PLACED, Event, EventKind
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet
from miniecs.store import Transaction
from miniecs_scheduler import Decision


def write_task(tx: Transaction, before: Task | None, after: Task, *, now: float, because: str = "") -> Task:
    """Put the task, tell of it when ECS would, and return it as written. before None: it is new."""
    if after.resolves_images:
        _learn_images(tx, after)
    if before is not None and after.version <= before.version:
        if not is_told(before, after):
            tx.put(after)
            return after
        after = replace(after, version=before.version + 1)
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
    if service.deployment_controller != "ECS":
        task_set = task_set_of(tx, service, after.deployment_id)
        if task_set is not None:
            deployment = counted(service, task_set.deployment, before, after, now=now)
            if deployment is not task_set.deployment:
                tx.put(replace(task_set, deployment=deployment))
        return
    changed = after_task(service, before, after, now=now)
    if changed is not service:
        tx.put(changed)


def _learn_images(tx: Transaction, task: Task) -> None:
    """Pin the task's service revision to the images that it runs, once it has told which these are."""
    revision = revision_of_task(tx, task)
    learned = version_consistency.learned(revision, task) if revision is not None else None
    if learned is not None and learned is not revision:
        tx.put(learned)


def revision_of_task(tx: Transaction, task: Task) -> ServiceRevision | None:
    """None for a task of no service, of a task set, or of a deployment that is gone."""
    service = tx.get(Service, task.service_arn) if task.service_arn is not None else None
    if service is None or service.deployment_controller != "ECS":
        return None
    for deployment in service.deployments:
        if deployment.id == task.deployment_id:
            return version_consistency.revision_of(tx, deployment)
    return None


def task_set_of(tx: Transaction, service: Service, deployment_id: str | None) -> TaskSet | None:
    return tx.get(TaskSet, arns.task_set(service.arn, deployment_id or ""))


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


def write_target(tx: Transaction, before: Target, after: Target | None, *, now: float) -> None:
    """Put a registered target, or delete it, and tell of its state where that is a task's health.

    Nothing is told of a target that is new: it is as healthy as one that is missing.
    """
    if after is None:
        tx.delete(Target, before.key)
    else:
        tx.put(after)
    state = "gone" if after is None else after.state
    if before.task_arn is None or state == before.state:
        return
    group = before.target_group_arn
    text = f"target {before.id}:{before.port} in target group {arns.group_name_of(group)} is {state}"
    because = (after.description or "") if after is not None else ""
    tx.emit(Event(EventKind.TARGET, before.task_arn, now, text, because, name=state, reason=group))


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


def write_begun(
    tx: Transaction, before: Service | None, begun: Begun, *, now: float, because: str = ""
) -> None:
    """Put a service with the deployment that has just begun, and its history."""
    write_service(tx, before, begun.service, now=now, because=because)
    for record in (begun.service_revision, *begun.superseded, begun.service_deployment):
        tx.put(record)


def service_message(
    tx: Transaction,
    service: Service,
    text: str,
    *,
    now: float,
    ids: Ids,
    because: str = "",
    task_set: str = "",
) -> None:
    """Add a line to DescribeServices' events; text comes without the ``(service NAME)`` in front."""
    of = f"{service.name}, taskSet {task_set}" if task_set else service.name
    tx.emit(
        Event(
            EventKind.SERVICE_MESSAGE,
            service.arn,
            now,
            message=f"(service {of}) {text}",
            because=because,
            id=ids.uuid(),
        )
    )


def why_unplaced(decision: Decision) -> str:
    """A rejection in numbers: "2 tasks not placed; of 5 instances 3 RESOURCE:MEMORY, 2 AGENT; closest …"."""
    tasks = "1 task" if decision.unplaced == 1 else f"{decision.unplaced} tasks"
    text = f"{tasks} not placed; of {decision.considered} container instances "
    text += ", ".join(f"{count} {reason}" for reason, count in decision.rejected.items()) or "none fits"
    if decision.closest is not None:
        text += f"; closest: {decision.closest.detail}"
    return text


def keep_decision(
    tx: Transaction, resource: str, decision: Decision, *, now: float, because: str = ""
) -> None:
    """Keep what tasks were placed by, for `miniecs explain` of a service, or of a task that is in none."""
    count, considered = len(decision.placements), decision.considered
    text = f"{count} task{'' if count == 1 else 's'} placed; {considered} container instances considered"
    tx.emit(
        Event(EventKind.DECISION, resource, now, text, because, name=PLACED, record=decision.record)
    )


def keep_failure(tx: Transaction, resource: str, decision: Decision, *, now: float) -> None:
    """Keep why tasks found no host, unless that is what was kept last."""
    because, suggestion = why_unplaced(decision), decision.suggestion
    keep_once(tx, Event(EventKind.DECISION, resource, now, because, suggestion, record=decision.record))


def keep_once(tx: Transaction, decision: Event) -> None:
    """Keep it, unless it is what was decided last, be it one thing or one for each provider's share."""
    told = tx.events(decision.resource, (EventKind.DECISION,))
    if not any(each.at == told[-1].at and each.message == decision.message for each in told):
        tx.emit(decision)


def write_said(tx: Transaction, say: Say, *, now: float, ids: Ids) -> None:
    """A line of DescribeServices' events and, where ECS has a name for the matter, its service action."""
    service_message(
        tx, say.service, say.text, now=now, ids=ids, because=say.because, task_set=say.task_set
    )
    if say.name:
        service_action(tx, say.service, say.name, say.level, say.reason, now=now, because=say.because)


def service_action(
    tx: Transaction, service: Service, name: str, level: str, reason: str, *, now: float, because: str
) -> None:
    """An event that EventBridge would get of the service; name as in SERVICE_STEADY_STATE."""
    tx.emit(
        Event(
            EventKind.SERVICE_ACTION, service.arn, now, because=because, name=name, level=level, reason=reason
        )
    )
