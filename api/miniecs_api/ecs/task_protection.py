"""Task scale-in protection: UpdateTaskProtection and GetTaskProtection.

What is protected is written on the task and expires by the clock alone: the service's loop reads it
when it looks for tasks to stop, and is woken when the last moment has come.
Source: ECS developer guide, "Protect your Amazon ECS tasks from being terminated by scale-in events".
"""

from __future__ import annotations

from typing import Any

from miniecs.apply import write_task
from miniecs.model import arns
from miniecs.model.cluster import Cluster
from miniecs.model.frozen import replace
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.ecs.launch_params import invalid
from miniecs_api.operation import operation, read_operation

_UPDATE_LIMIT = 10
_GET_LIMIT = 100
_LONGEST = 2880  # minutes
_USUAL = 120


@operation
def update_task_protection(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Protect tasks of services from scale-in and deployments for some minutes, or no longer."""
    cluster = resolve.cluster(ctx, params)
    wanted = _tasks_wanted(params, _UPDATE_LIMIT)
    minutes = _minutes(params)
    until = None if minutes is None else ctx.now + ctx.settings.timing.wait(60.0 * minutes)
    protected, failures = [], []
    for text, task in _found(ctx, cluster, wanted):
        reason = _why_not(ctx, task, until)
        if task is None or reason:
            failures.append(_failure(ctx, cluster, text, task, reason))
            continue
        after = replace(task, protection_expires_at=until)
        if after != task:
            write_task(ctx.tx, task, after, now=ctx.now, because="UpdateTaskProtection was called")
        protected.append(_shown(after, ctx.now))
    return {"protectedTasks": protected, "failures": failures}


@read_operation
def get_task_protection(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    protected, failures = [], []
    for text, task in _found(ctx, cluster, _tasks_wanted(params, _GET_LIMIT)):
        reason = "MISSING" if task is None else _why_never(task)
        if task is None or reason:
            failures.append(_failure(ctx, cluster, text, task, reason))
        else:
            protected.append(_shown(task, ctx.now))
    return {"protectedTasks": protected, "failures": failures}


def _tasks_wanted(params: dict[str, Any], limit: int) -> list[str]:
    """Neither operation allows an empty list of tasks."""
    wanted: list[str] = params.get("tasks", [])
    if not wanted:
        raise invalid("Tasks cannot be empty.")
    if len(wanted) > limit:
        raise invalid(f"Tasks must have at most {limit} members.")
    return wanted


def _minutes(params: dict[str, Any]) -> int | None:
    """How long to protect; None: no longer."""
    given: int | None = params.get("expiresInMinutes")
    if not params["protectionEnabled"]:
        if given is not None:
            raise invalid("expiresInMinutes can only be set when protectionEnabled is true.")
        return None
    if given is not None and not 1 <= given <= _LONGEST:
        raise invalid(f"expiresInMinutes must be between 1 and {_LONGEST}.")
    return given or _USUAL


def _found(ctx: Context, cluster: Cluster, wanted: list[str]) -> list[tuple[str, Task | None]]:
    """Each task once, however it is named."""
    found: dict[str, tuple[str, Task | None]] = {}
    for text in wanted:
        task = resolve.find_task(ctx, cluster, text)
        found.setdefault(task.arn if task is not None else text, (text, task))
    return list(found.values())


def _why_never(task: Task) -> str:
    """Only tasks of services are protected, and only while they are meant to run."""
    return "" if task.service_arn is not None and task.wanted else "TASK_NOT_VALID"


def _why_not(ctx: Context, task: Task | None, until: float | None) -> str:
    if task is None:
        return "MISSING"
    return _why_never(task) or ("DEPLOYMENT_BLOCKED" if until is not None and _blocks(ctx, task) else "")


def _blocks(ctx: Context, task: Task) -> bool:
    """Whether the service would have more protected tasks than it wants tasks."""
    service = ctx.tx.get(Service, task.service_arn or "")
    if service is None:
        return False
    others = sum(
        each.is_protected(ctx.now) and each.wanted and each.arn != task.arn
        for each in ctx.tx.find(Task, "service", service.arn)
    )
    return others + 1 > service.desired_count


def _failure(ctx: Context, cluster: Cluster, text: str, task: Task | None, reason: str) -> dict[str, Any]:
    if task is not None:
        arn = task.arn
    else:
        arn = text if text.startswith("arn:") else arns.task(ctx.scope, cluster.name, text)
    return {"arn": arn, "reason": reason}


def _shown(task: Task, now: float) -> dict[str, Any]:
    protected = task.is_protected(now)
    return {
        "taskArn": task.arn,
        "protectionEnabled": protected,
        "expirationDate": task.protection_expires_at if protected else None,
    }
