"""The instances page: every container instance with what is left on it; adding and removing check here."""

from __future__ import annotations

import re
from typing import Any

from miniecs.config import InstanceSpec
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Scope
from miniecs.model.task import Task
from miniecs_api.pages.names import in_cluster

_GIVEN_BY_ECS = re.compile(r"^(ecs|com\.amazonaws)\.")


class Refused(ValueError):
    """What was asked for cannot be; the message says why and what to do."""


def page(view: View, *, cluster: str | None = None) -> dict[str, Any]:
    """Registered container instances, oldest first; those of one cluster (name or ARN) when given."""
    return {
        "instances": [
            render(view, instance)
            for instance in view.all(ContainerInstance)
            if instance.status != "INACTIVE"
            and not fargate.is_capacity(instance.cluster_arn)
            and (cluster is None or in_cluster(instance, cluster))
        ]
    }


def render(view: View, instance: ContainerInstance) -> dict[str, Any]:
    """One instance. CPU in units, memory in MiB; ``attributes`` are the user's own, not the agent's."""
    tasks = view.find(Task, "instance", instance.arn)
    running = sum(task.last_status == "RUNNING" for task in tasks)
    scope = arns.scope_of(instance.arn)
    return {
        "id": arns.name_of(instance.arn),
        "arn": instance.arn,
        "ec2InstanceId": instance.ec2_instance_id,
        "cluster": arns.name_of(instance.cluster_arn),
        "account": scope.account,
        "region": scope.region,
        "status": instance.status,
        "agentConnected": instance.agent_connected,
        "type": instance.attribute("ecs.instance-type"),
        "zone": instance.availability_zone,
        "privateIp": instance.private_ip,
        "cpu": {
            "registered": instance.cpu,
            "remaining": instance.cpu - sum(task.reserved_cpu for task in tasks),
        },
        "memory": {
            "registered": instance.memory,
            "remaining": instance.memory - sum(task.reserved_memory for task in tasks),
        },
        "tasks": {"running": running, "other": len(tasks) - running},
        "attributes": {
            attribute.name: attribute.value
            for attribute in instance.attributes
            if not _GIVEN_BY_ECS.match(attribute.name)
        },
        "registeredAt": instance.registered_at,
    }


def wanted(
    scope: Scope, *, cluster: str, type: str, zone: str | None, attributes: dict[str, str]
) -> InstanceSpec:
    """What is to be added. A zone is a name of the server's region, or its letter. Raises Refused."""
    if zone is not None:
        zone = scope.region + zone if re.match(r"^[a-z]$", zone) else zone
        if not re.match(rf"^{re.escape(scope.region)}[a-z]$", zone):
            raise Refused(
                f"There is no zone {zone!r} in region {scope.region}; give one like {scope.region}a."
            )
    for name in attributes:
        if _GIVEN_BY_ECS.match(name):
            raise Refused(f"The attribute {name!r} is set by the agent; names beginning with ecs. are ECS's.")
    return InstanceSpec(cluster, type, zone, tuple(sorted(attributes.items())))


def check_removal(view: View, instance: ContainerInstance, *, force: bool) -> None:
    """Raises Refused when tasks would be lost that nobody said may be."""
    tasks = view.find(Task, "instance", instance.arn)
    if tasks and not force:
        id = arns.name_of(instance.arn)[:8]
        counted = "1 task is" if len(tasks) == 1 else f"{len(tasks)} tasks are"
        raise Refused(
            f"{counted} on container instance {id}. Drain it first (`miniecs instance drain {id}`) and wait "
            f"until they have moved, or stop them with it (`miniecs instance rm {id} --force`)."
        )
