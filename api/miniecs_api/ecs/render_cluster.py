"""A cluster as DescribeClusters answers it: what is stored, and counts that are derived from its members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store import Reader
from miniecs_api.ecs.capacity_strategy import render_strategy
from miniecs_api.ecs.tagging import render_tags

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
EVERYTHING = frozenset({"ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "STATISTICS", "TAGS"})
ON_CREATE = frozenset({"CONFIGURATIONS", "SETTINGS", "TAGS"})


def render_cluster(reader: Reader, cluster: Cluster, include: Collection[str]) -> dict[str, Any]:
    """Settings, statistics and tags are empty lists unless they are asked for, as in ECS."""
    result: dict[str, Any] = {
        "clusterArn": cluster.arn,
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": reader.count(ContainerInstance, "registered", cluster.arn),
        "runningTasksCount": reader.count(Task, "cluster", (cluster.arn, "RUNNING")),
        "pendingTasksCount": sum(reader.count(Task, "cluster", (cluster.arn, s)) for s in _PENDING),
        "activeServicesCount": reader.count(Service, "active", cluster.arn),
        "statistics": _statistics(reader, cluster) if "STATISTICS" in include else [],
        "tags": render_tags(cluster.tags) if "TAGS" in include else [],
        "settings": _settings(cluster) if "SETTINGS" in include else [],
        "capacityProviders": list(cluster.capacity_providers),
        "defaultCapacityProviderStrategy": render_strategy(cluster.default_capacity_provider_strategy),
    }
    if "CONFIGURATIONS" in include and cluster.configuration:
        result["configuration"] = dict(cluster.configuration)
    if "ATTACHMENTS" in include:
        # What ECS makes for a provider's Auto Scaling group (a scaling plan, lifecycle hooks): nothing, here.
        result["attachments"] = []
        if cluster.capacity_providers:
            result["attachmentsStatus"] = "UPDATE_COMPLETE"
    if cluster.service_connect_namespace is not None:
        result["serviceConnectDefaults"] = {"namespace": cluster.service_connect_namespace}
    return result


def _settings(cluster: Cluster) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in cluster.settings]


def _statistics(reader: Reader, cluster: Cluster) -> list[dict[str, str]]:
    """Counts by launch type; the names are ECS's, capitals included."""
    tasks = Counter(
        (_launch(task.launch_type, task.capacity_provider_name), task.last_status)
        for task in reader.find(Task, "cluster", cluster.arn)
    )
    services = Counter(
        (
            _launch(
                service.revision.launch_type,
                next((i.capacity_provider for i in service.revision.capacity_provider_strategy), None),
            ),
            service.status,
        )
        for service in reader.find(Service, "cluster", cluster.arn)
    )
    found: dict[str, int] = {}
    for launch in ("EC2", "Fargate", "External"):
        found[f"running{launch}TasksCount"] = tasks[launch, "RUNNING"]
        found[f"pending{launch}TasksCount"] = sum(tasks[launch, status] for status in _PENDING)
    for launch in ("EC2", "Fargate", "External"):
        found[f"active{launch}ServiceCount"] = services[launch, "ACTIVE"]
        found[f"draining{launch}ServiceCount"] = services[launch, "DRAINING"]
    return [{"name": name, "value": str(count)} for name, count in found.items()]


def _launch(launch_type: str | None, capacity_provider: str | None) -> str:
    if launch_type == "FARGATE" or (capacity_provider or "").startswith("FARGATE"):
        return "Fargate"
    return "External" if launch_type == "EXTERNAL" else "EC2"
