"""A container instance as DescribeContainerInstances shows it; what it has left is summed from its tasks."""

from __future__ import annotations

from typing import Any

from miniecs.control.launch import demand_of_task
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.tagging import render_tags

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")


def render_instance(
    ctx: Context, instance: ContainerInstance, *, tags: bool = False, health: bool = False
) -> dict[str, Any]:
    """The API's ContainerInstance; tags and health only where the caller asked to include them."""
    tasks = ctx.tx.find(Task, "instance", instance.arn)
    wanted = [task for task in tasks if task.wanted]
    pending = sum(task.last_status in _PENDING for task in wanted)
    shown: dict[str, Any] = {
        "containerInstanceArn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "capacityProviderName": instance.capacity_provider_name,
        "version": instance.version,
        "versionInfo": {
            name: value
            for name, value in (
                ("agentVersion", instance.agent_version),
                ("agentHash", instance.agent_hash),
                ("dockerVersion", instance.docker_version),
            )
            if value is not None
        },
        "registeredResources": _resources(
            instance.cpu, instance.memory, instance.ports, instance.ports_udp, instance.gpus
        ),
        "remainingResources": _remaining(ctx, instance, tasks),
        "status": instance.status,
        "statusReason": instance.status_reason,
        "agentConnected": instance.agent_connected,
        "runningTasksCount": len(wanted) - pending,
        "pendingTasksCount": pending,
        "agentUpdateStatus": instance.agent_update_status,
        "attributes": [
            {"name": a.name} if a.value is None else {"name": a.name, "value": a.value}
            for a in instance.attributes
        ],
        "registeredAt": instance.registered_at,
        "attachments": list(instance.attachments),
        "tags": render_tags(instance.tags) if tags else [],
    }
    if health and instance.health_status is not None:
        shown["healthStatus"] = {"overallStatus": instance.health_status}
    return shown


def _remaining(ctx: Context, instance: ContainerInstance, tasks: list[Task]) -> list[dict[str, Any]]:
    """Free CPU, memory and GPUs; for ports ECS lists the *occupied* ones here too."""
    cpu, memory, gpus = instance.cpu, instance.memory, len(instance.gpus)
    ports, ports_udp = set(instance.ports), set(instance.ports_udp)
    for task in tasks:
        held = demand_of_task(task, ctx.tx.get(TaskDefinition, task.task_definition_arn))
        cpu -= held.cpu
        memory -= held.memory
        gpus -= held.gpu
        ports |= held.tcp_ports
        ports_udp |= held.udp_ports
    return _resources(
        cpu, memory, tuple(sorted(ports)), tuple(sorted(ports_udp)), instance.gpus[: max(gpus, 0)]
    )


def _resources(
    cpu: int, memory: int, ports: tuple[int, ...], ports_udp: tuple[int, ...], gpus: tuple[str, ...]
) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = [
        {"name": "CPU", "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": memory},
        _string_set("PORTS", ports),
        _string_set("PORTS_UDP", ports_udp),
    ]
    if gpus:
        shown.append(_string_set("GPU", gpus))
    return shown


def _string_set(name: str, values: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": [str(value) for value in values],
    }
