"""Task definitions that are being deleted: DELETE_IN_PROGRESS until nothing refers to them.

A rare matter, so that references are looked for when the time has come and not kept in an index,
which every task would pay for.
"""

from __future__ import annotations

from collections.abc import Iterator

from miniecs.config import Timing
from miniecs.control.plan import NOTHING, Forget, Plan
from miniecs.control.view import View
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import TaskSet


def plan(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    """It goes a while after it was deleted (ours: unpublished), and not before its tasks and services."""
    definition = view.get(TaskDefinition, arn)
    if definition is None or definition.status != "DELETE_IN_PROGRESS":
        return NOTHING
    gone_at = (definition.delete_requested_at or 0.0) + timing.inactive_retention
    if now < gone_at:
        return Plan(wake_at=gone_at)
    if any(arn == reference for reference in _references(view)):
        return Plan(wake_at=now + timing.inactive_retention)
    because = "it was deleted and no task and no service refers to it"
    return Plan((Forget(TaskDefinition, arn, view.version(TaskDefinition, arn), because),))


def _references(view: View) -> Iterator[str]:
    """ARNs of the task definitions of all live tasks and services."""
    for service in view.all(Service):
        if service.status != "INACTIVE":
            yield service.revision.task_definition_arn
            kept = () if service.completed is None else (service.completed,)
            for deployment in (*service.deployments, *kept):
                yield deployment.revision.task_definition_arn
    for task_set in view.all(TaskSet):
        yield task_set.deployment.revision.task_definition_arn
    for task in view.all(Task):
        if not task.is_stopped:
            yield task.task_definition_arn
