"""A task as DescribeTasks shows it."""

from __future__ import annotations

from typing import Any

from miniecs.model import arns, fargate
from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.instance import ContainerInstance
from miniecs.model.network import private_dns_name
from miniecs.model.task import Container, NetworkBinding, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.tagging import render_tags

_ARCHITECTURE = "ecs.cpu-architecture"


def render_task(ctx: Context, task: Task, *, tags: bool = False) -> dict[str, Any]:
    """The API's Task. Tags only where the caller asked to include them (RunTask always shows them)."""
    definition = ctx.tx.get(TaskDefinition, task.task_definition_arn)
    on_fargate = task.launch_type == fargate.LAUNCH_TYPE
    shown: dict[str, Any] = {
        "attachments": _attachments(task),
        "attributes": _attributes(ctx, task),
        "availabilityZone": task.availability_zone,
        "capacityProviderName": task.capacity_provider_name,
        "clusterArn": task.cluster_arn,
        "connectivity": task.connectivity,
        "connectivityAt": task.connectivity_at,
        "containerInstanceArn": None if on_fargate else task.container_instance_arn,
        "containers": _containers(task, definition),
        "cpu": str(task.reserved_cpu),
        "createdAt": task.created_at,
        "desiredStatus": task.desired_status,
        "enableExecuteCommand": task.enable_execute_command,
        "executionStoppedAt": task.execution_stopped_at,
        "group": task.group,
        "healthStatus": task.health_status,
        "lastStatus": task.last_status,
        "launchType": task.launch_type,
        "memory": str(task.reserved_memory),
        "overrides": _overrides(task),
        "platformFamily": fargate.PLATFORM_FAMILY if on_fargate else None,
        "platformVersion": task.platform_version,
        "pullStartedAt": task.pull_started_at,
        "pullStoppedAt": task.pull_stopped_at,
        "startedAt": task.started_at,
        "startedBy": task.started_by,
        "stopCode": task.stop_code,
        "stoppedAt": task.stopped_at,
        "stoppedReason": task.stopped_reason,
        "stoppingAt": task.stopping_at,
        "tags": render_tags(task.tags) if tags else [],
        "taskArn": task.arn,
        "taskDefinitionArn": task.task_definition_arn,
        "version": task.version,
    }
    return _said(shown)


def _said(shown: dict[str, Any]) -> dict[str, Any]:
    """Without what there is nothing to say of: the wire would drop it too, at the cost of a walk."""
    return {name: value for name, value in shown.items() if value is not None}


def _attributes(ctx: Context, task: Task) -> list[dict[str, Any]]:
    """The processor architecture, as its container instance's agent said it."""
    if task.container_instance_arn is None:
        return []
    instance = ctx.tx.get(ContainerInstance, task.container_instance_arn)
    architecture = instance.attribute(_ARCHITECTURE) if instance else None
    return [{"name": _ARCHITECTURE, "value": architecture}] if architecture else []


def _containers(task: Task, definition: TaskDefinition | None) -> list[dict[str, Any]]:
    cluster, id = arns.name_of(task.cluster_arn), arns.name_of(task.arn)
    scope = arns.scope_of(task.arn)
    by_name = {c.name: c for c in definition.container_definitions} if definition else {}
    return [
        _container(
            container, by_name.get(container.name), task, arns.container(scope, cluster, id, container.id)
        )
        for container in task.containers
    ]


def _container(
    container: Container, definition: ContainerDefinition | None, task: Task, arn: str
) -> dict[str, Any]:
    override = container_override(task, container.name)
    shown: dict[str, Any] = {
        "containerArn": arn,
        "taskArn": task.arn,
        "name": container.name,
        "imageDigest": container.image_digest,
        "runtimeId": container.runtime_id,
        "lastStatus": container.last_status,
        "exitCode": container.exit_code,
        "reason": container.reason,
        "networkBindings": [_binding(binding) for binding in container.network_bindings],
        "networkInterfaces": _interfaces(task),
        "healthStatus": container.health_status,
        "gpuIds": list(container.gpu_ids) or None,
    }
    if definition is not None:
        memory = override.get("memory", definition.memory)
        reservation = override.get("memoryReservation", definition.memory_reservation)
        shown["image"] = definition.image
        shown["cpu"] = str(override.get("cpu", definition.cpu) or 0)
        shown["memory"] = None if memory is None else str(memory)
        shown["memoryReservation"] = None if reservation is None else str(reservation)
    return _said(shown)


def container_override(task: Task, name: str) -> dict[str, Any]:
    """The overrides given for one container, {} when there are none."""
    for override in (task.overrides or {}).get("containerOverrides", ()):
        if override["name"] == name:
            return dict(override)
    return {}


def _overrides(task: Task) -> dict[str, Any]:
    """ECS shows an entry for every container, with its name alone where nothing was overridden."""
    given = dict(task.overrides or {})
    given["containerOverrides"] = [
        container_override(task, container.name) or {"name": container.name} for container in task.containers
    ]
    given.setdefault("inferenceAcceleratorOverrides", [])
    return given


def _binding(binding: NetworkBinding) -> dict[str, Any]:
    return _said(
        {
            "bindIP": binding.bind_ip,
            "containerPort": binding.container_port,
            "hostPort": binding.host_port,
            "protocol": binding.protocol,
            "containerPortRange": binding.container_port_range,
            "hostPortRange": binding.host_port_range,
        }
    )


def _interfaces(task: Task) -> list[dict[str, Any]]:
    interface = task.network_interface
    if interface is None or not interface.is_provided:
        return []
    return [{"attachmentId": interface.attachment_id, "privateIpv4Address": interface.private_ipv4}]


def _attachments(task: Task) -> list[dict[str, Any]]:
    interface = task.network_interface
    if interface is None:
        return []
    details = [("subnetId", interface.subnet_id)]
    if interface.is_provided:
        region = arns.scope_of(task.arn).region
        details += [
            ("networkInterfaceId", interface.id),
            ("macAddress", interface.mac_address),
            ("privateDnsName", private_dns_name(interface.private_ipv4, region)),
            ("privateIPv4Address", interface.private_ipv4),
        ]
    return [
        {
            "id": interface.attachment_id,
            "type": "ElasticNetworkInterface",
            "status": interface.status,
            "details": [{"name": name, "value": value} for name, value in details],
        }
    ]
