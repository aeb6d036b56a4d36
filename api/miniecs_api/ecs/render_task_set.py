"""A task set as the API shows it; its counts come from its tasks."""

from __future__ import annotations

from typing import Any

from miniecs.model.task_set import TaskSet
from miniecs_api.context import Context
from miniecs_api.ecs.capacity_strategy import render_strategy
from miniecs_api.ecs.render_deployment import render_load_balancers, render_platform, task_counts
from miniecs_api.ecs.tagging import render_tags


def render_task_set(ctx: Context, task_set: TaskSet, *, tags: bool = False) -> dict[str, Any]:
    """TaskSet. Tags only where the caller asked to include them (CreateTaskSet shows them)."""
    deployment = task_set.deployment
    revision = deployment.revision
    running, pending = task_counts(ctx, "deployment", task_set.id)
    shown: dict[str, Any] = {
        "id": task_set.id,
        "taskSetArn": task_set.arn,
        "serviceArn": task_set.service_arn,
        "clusterArn": task_set.cluster_arn,
        "externalId": task_set.external_id,
        "status": task_set.status,
        "taskDefinition": revision.task_definition_arn,
        "computedDesiredCount": deployment.desired_count,
        "pendingCount": pending,
        "runningCount": running,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        "launchType": revision.launch_type,
        "capacityProviderStrategy": render_strategy(revision.capacity_provider_strategy) or None,
        **render_platform(revision),
        "networkConfiguration": revision.network_configuration,
        "loadBalancers": render_load_balancers(revision),
        "serviceRegistries": [],
        "scale": {"value": task_set.scale, "unit": "PERCENT"},
        "stabilityStatus": task_set.stability_status,
        "stabilityStatusAt": task_set.stability_at,
    }
    if tags:
        shown["tags"] = render_tags(task_set.tags)
    return shown
