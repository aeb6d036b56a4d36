"""What the control plane is told about a task: SubmitTaskStateChange's parameters and TCS health.

Changes of containers are gathered and sent with the task's next change, as the ECS agent
does; so a report may hold a container twice, RUNNING and then STOPPED.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.state import STOPPED, ContainerState, TaskState

REASON_LIMIT = 1024


def container_change(container: ContainerState) -> dict[str, Any]:
    """One entry of ``containers``, as the container stands now."""
    change: dict[str, Any] = {
        "containerName": container.spec.name,
        "status": "STOPPED" if container.known is STOPPED else "RUNNING",
    }
    if container.runtime_id is not None:
        change["runtimeId"] = container.runtime_id
    if container.known is STOPPED and container.exit_code is not None:
        change["exitCode"] = container.exit_code
    if container.reason:
        change["reason"] = container.reason[:REASON_LIMIT]
    if container.digest is not None:
        change["imageDigest"] = container.digest
    if container.bindings:
        change["networkBindings"] = [_binding(binding) for binding in container.bindings]
    return change


def image_change(container: ContainerState) -> dict[str, Any]:
    """The digest of an image that is there, before its container is (ECS agent: MANIFEST_PULLED)."""
    return {
        "containerName": container.spec.name,
        "status": "PENDING",
        "imageDigest": container.digest,
    }


def _binding(binding: NetworkBinding) -> dict[str, Any]:
    if binding.container_port_range is not None:
        return {
            "bindIP": binding.bind_ip,
            "containerPortRange": binding.container_port_range,
            "hostPortRange": binding.host_port_range,
            "protocol": binding.protocol,
        }
    return {
        "bindIP": binding.bind_ip,
        "containerPort": binding.container_port,
        "hostPort": binding.host_port,
        "protocol": binding.protocol,
    }


def task_change(task: TaskState, cluster: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
    """A report of the task's status. ``reason`` stays empty: stop codes are the control plane's to find."""
    params: dict[str, Any] = {
        "cluster": cluster,
        "task": task.spec.arn,
        "status": task.known,
        "reason": "",
        "containers": changes,
    }
    if task.pull_started_at is not None:
        params["pullStartedAt"] = task.pull_started_at
    if task.pull_stopped_at is not None:
        params["pullStoppedAt"] = task.pull_stopped_at
    if task.execution_stopped_at is not None:
        params["executionStoppedAt"] = task.execution_stopped_at
    return params


def task_health(task: TaskState) -> dict[str, Any] | None:
    """A TaskHealth of PublishHealthRequest; None when no container of the task has a check."""
    containers = [
        {
            "containerName": container.spec.name,
            "healthStatus": container.health,
            "statusSince": container.health_since,
        }
        for container in task.containers
        if container.spec.has_health_check and container.started_at is not None
    ]
    if not containers:
        return None
    return {
        "taskArn": task.spec.arn,
        "clusterArn": task.spec.cluster_arn,
        "taskDefinitionFamily": task.spec.family,
        "taskDefinitionVersion": task.spec.revision,
        "containers": containers,
    }


def publish_health(
    tasks: Iterable[dict[str, Any]], cluster: str, instance: str, message_id: str, now: float, fin: bool
) -> dict[str, Any]:
    """A whole PublishHealthRequest."""
    return {
        "type": "PublishHealthRequest",
        "message": {
            "metadata": {
                "cluster": cluster,
                "containerInstance": instance,
                "messageId": message_id,
                "fin": fin,
            },
            "tasks": list(tasks),
            "timestamp": now,
        },
    }
