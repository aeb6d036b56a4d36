"""The agents' reports: SubmitTaskStateChange and its siblings.

Reports come in any order, twice, or late; what they mean for a task is decided by
``control.reports``, which never lets a status go back. An agent drops a report for good
on InvalidParameterException, so that is the answer only for tasks that do not exist.
"""

from __future__ import annotations

from typing import Any

from miniecs.apply import write_task
from miniecs.control.reports import ContainerReport, TaskReport, apply_report
from miniecs.model import fargate
from miniecs.model.task import NetworkBinding, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.operation import operation
from miniecs_api.wire.errors import AwsError

_STATUSES = ("PENDING", "RUNNING", "STOPPED")
_REASON_LIMIT = 1024


@operation
def submit_task_state_change(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    report = TaskReport(
        task_arn=params.get("task", ""),
        status=_status(params.get("status")),
        reason=_reason(params),
        containers=tuple([_container(container) for container in params.get("containers", ())]),
        pull_started_at=params.get("pullStartedAt"),
        pull_stopped_at=params.get("pullStoppedAt"),
        execution_stopped_at=params.get("executionStoppedAt"),
        attachments=tuple(
            [(each["attachmentArn"], each["status"]) for each in params.get("attachments", ())]
        ),
    )
    return _report(ctx, params, report)


@operation
def submit_container_state_change(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Kept by agents for a container alone; the same as a task's report without a task status."""
    report = TaskReport(task_arn=params.get("task", ""), status=None, containers=(_container(params),))
    return _report(ctx, params, report)


@operation
def submit_attachment_state_changes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """An agent confirms network interfaces; the attachment's ARN names the task's interface."""
    cluster = resolve.cluster(ctx, params)
    for change in params["attachments"]:
        attachment = change["attachmentArn"].rsplit("/", 1)[-1]
        task = next(
            (
                task
                for task in ctx.tx.find(Task, "cluster", cluster.arn)
                if task.network_interface is not None and task.network_interface.attachment_id == attachment
            ),
            None,
        )
        if task is None:
            raise AwsError("InvalidParameterException", "The referenced attachment was not found.")
        report = TaskReport(task_arn=task.arn, status=None, attachments=((attachment, change["status"]),))
        _apply(ctx, task, report)
    return {"acknowledgment": "ACK"}


def _report(ctx: Context, params: dict[str, Any], report: TaskReport) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    task = resolve.find_task(ctx, cluster, report.task_arn)
    if task is None and fargate.is_capacity(cluster.arn):  # whose machines run tasks of every cluster
        task = ctx.tx.get(Task, report.task_arn)
    if task is None:
        raise AwsError("InvalidParameterException", "The referenced task was not found.")
    _apply(ctx, task, report)
    return {"acknowledgment": "ACK"}


def _apply(ctx: Context, task: Task, report: TaskReport) -> None:
    definition = ctx.tx.get(TaskDefinition, task.task_definition_arn)
    if definition is None:
        raise RuntimeError(f"{task.arn} outlived its task definition {task.task_definition_arn}")
    after = apply_report(task, definition, report, now=ctx.now)
    if after is not task:
        write_task(ctx.tx, task, after, now=ctx.now, because="reported by its agent")


def _status(status: str | None) -> str | None:
    """NONE and the agent's inner statuses say nothing new; an unknown word is the caller's mistake."""
    if status is None or status in _STATUSES:
        return status
    raise AwsError("InvalidParameterException", f"Status should be one of [{', '.join(_STATUSES)}]")


def _reason(params: dict[str, Any]) -> str | None:
    reason: str | None = params.get("reason")
    return reason[:_REASON_LIMIT] if reason else None


def _container(params: dict[str, Any]) -> ContainerReport:
    return ContainerReport(
        name=params.get("containerName", ""),
        status=_status(params.get("status")),
        exit_code=params.get("exitCode"),
        reason=_reason(params),
        runtime_id=params.get("runtimeId"),
        image_digest=params.get("imageDigest"),
        network_bindings=tuple([_binding(binding) for binding in params.get("networkBindings", ())]),
    )


def _binding(params: dict[str, Any]) -> NetworkBinding:
    return NetworkBinding(
        bind_ip=params.get("bindIP", ""),
        protocol=params.get("protocol", "tcp"),
        container_port=params.get("containerPort"),
        host_port=params.get("hostPort"),
        container_port_range=params.get("containerPortRange"),
        host_port_range=params.get("hostPortRange"),
    )
