"""The tasks page, for `miniecs ps`: one flat line for each task, with what AWS spreads over four calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import NetworkBinding, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.metrics import TaskMetrics
from miniecs_api.pages.names import in_cluster
from miniecs_api.pulls import Pulls, said

_ANY = ("0.0.0.0", "::", "")


def page(
    view: View,
    metrics: TaskMetrics,
    pulls: Pulls,
    now: float,
    *,
    cluster: str | None = None,
    stopped: bool = False,
) -> dict[str, Any]:
    """All tasks, oldest first; those of one cluster (name or ARN) when given, stopped ones when asked for."""
    return {
        "tasks": [
            render(view, task, now) | _used(task, metrics) | {"pulling": pulling(task, pulls)}
            for task in view.all(Task)
            if (stopped or not task.is_stopped) and (cluster is None or in_cluster(task, cluster))
        ]
    }


def render(view: View, task: Task, now: float) -> dict[str, Any]:
    """One task. Times are epoch seconds; ageSeconds counts from the launch, or from a stopped one's end."""
    on = None if task.launch_type == fargate.LAUNCH_TYPE else task.container_instance_arn
    instance = view.get(ContainerInstance, on or "")
    scope = arns.scope_of(task.arn)
    since = task.stopped_at if task.is_stopped and task.stopped_at is not None else task.created_at
    return {
        "id": arns.name_of(task.arn),
        "arn": task.arn,
        "cluster": arns.name_of(task.cluster_arn),
        "account": scope.account,
        "region": scope.region,
        "service": arns.name_of(task.service_arn) if task.service_arn else None,
        "group": task.group,
        "definition": arns.name_of(task.task_definition_arn),
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "health": task.health_status,
        "zone": task.availability_zone or (instance.availability_zone if instance else None),
        "instance": arns.name_of(on) if on else None,
        "capacityProvider": task.capacity_provider_name,
        "addresses": addresses(view, task, instance),
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppedAt": task.stopped_at,
        "ageSeconds": round(max(0.0, now - since), 3),
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
    }


def _used(task: Task, metrics: TaskMetrics) -> dict[str, Any]:
    """CPU units and MiB: reserved, and used as its agent measured last; None until it has."""
    usage = metrics.of(task.arn)
    return {
        "reserved": {"cpu": task.reserved_cpu, "memory": task.reserved_memory},
        "usage": None if usage is None else usage._asdict(),
    }


def pulling(task: Task, pulls: Pulls) -> list[dict[str, Any]]:
    """The images that a PENDING task waits for; ``text`` says it for people."""
    return [{**pull._asdict(), "text": said(pull)} for pull in pulls.of(task)]


def addresses(view: View, task: Task, instance: ContainerInstance | None) -> list[str]:
    """Where a RUNNING task's published ports are: a URL for each TCP port; ``tcp://…`` for a range of them
    and ``udp://…``, which no browser opens."""
    if task.last_status != "RUNNING":
        return []
    if task.network_interface is not None:
        return list(_own_addresses(view, task, task.network_interface.private_ipv4))
    host = instance.private_ip if instance else None
    found = [
        _address(binding, host)
        for container in task.containers
        for binding in container.network_bindings
        if binding.host_port is not None or binding.host_port_range is not None
    ]
    return list(dict.fromkeys(found))  # ECS agents of old report a port once for IPv4 and once for IPv6


def _own_addresses(view: View, task: Task, own: str) -> Iterator[str]:
    """The ports of a task that has an address to itself are those of its containers."""
    definition = view.get(TaskDefinition, task.task_definition_arn)
    for container in definition.container_definitions if definition is not None else ():
        for mapping in container.port_mappings:
            port = mapping.container_port_range or mapping.container_port
            yield f"{_scheme(mapping.protocol, mapping.container_port_range)}://{own}:{port}"


def _scheme(protocol: str, span: str | None) -> str:
    if protocol == "udp":
        return "udp"
    return "http" if span is None else "tcp"


def _address(binding: NetworkBinding, host: str | None) -> str:
    scheme = _scheme(binding.protocol, binding.host_port_range)
    name = host if binding.bind_ip in _ANY and host else binding.bind_ip
    port = binding.host_port_range if binding.host_port is None else binding.host_port
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
