"""A service as DescribeServices shows it; its counts come from its tasks, its events from the outbox."""

from __future__ import annotations

from typing import Any

from miniecs.control import messages, service_deployments, task_sets
from miniecs.model.service import Deployment, Service
from miniecs_api.context import Context
from miniecs_api.ecs.capacity_strategy import render_strategy
from miniecs_api.ecs.render_deployment import (
    render_configuration,
    render_load_balancers,
    render_platform,
    task_counts,
)
from miniecs_api.ecs.render_task_set import render_task_set
from miniecs_api.ecs.tagging import render_tags

_EVENTS_SHOWN = 100


def render_service(ctx: Context, service: Service, *, tags: bool = False) -> dict[str, Any]:
    """The API's Service. Tags only where the caller asked to include them (CreateService shows them)."""
    running, pending = task_counts(ctx, "service", service.arn)
    revision = service.revision
    shown: dict[str, Any] = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster_arn,
        "loadBalancers": render_load_balancers(revision),
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": running,
        "pendingCount": pending,
        "launchType": revision.launch_type,
        "capacityProviderStrategy": render_strategy(revision.capacity_provider_strategy) or None,
        "taskDefinition": revision.task_definition_arn or None,
        "deploymentConfiguration": render_configuration(service.deployment_configuration),
        "deployments": [_deployment(ctx, deployment) for deployment in service.deployments],
        "roleArn": service.role_arn,
        "events": _events(ctx, service),
        "createdAt": service.created_at,
        "currentServiceDeployment": _current_deployment(ctx, service),
        "currentServiceRevisions": [_current_revision(ctx, each) for each in service.deployments],
        "placementConstraints": [
            {"type": c.type, "expression": c.expression or None} for c in service.placement_constraints
        ],
        "placementStrategy": [{"type": s.type, "field": s.field or None} for s in service.placement_strategy],
        "networkConfiguration": revision.network_configuration,
        **render_platform(revision),
        "healthCheckGracePeriodSeconds": service.health_check_grace_period,
        "schedulingStrategy": service.scheduling_strategy,
        "deploymentController": {"type": service.deployment_controller},
        "createdBy": service.created_by,
        "enableECSManagedTags": service.enable_ecs_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": service.enable_execute_command,
        "availabilityZoneRebalancing": service.availability_zone_rebalancing,
    }
    if service.deployment_controller != "ECS":
        found = task_sets.of_service(ctx.tx, service)
        shown["taskSets"] = [render_task_set(ctx, each, tags=tags) for each in found]
    if tags:
        shown["tags"] = render_tags(service.tags)
    return shown


def _deployment(ctx: Context, deployment: Deployment) -> dict[str, Any]:
    running, pending = task_counts(ctx, "deployment", deployment.id)
    return {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.revision.task_definition_arn,
        "desiredCount": deployment.desired_count,
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        "launchType": deployment.revision.launch_type,
        "capacityProviderStrategy": render_strategy(deployment.revision.capacity_provider_strategy) or None,
        "networkConfiguration": deployment.revision.network_configuration,
        "volumeConfigurations": list(deployment.revision.volume_configurations) or None,
        **render_platform(deployment.revision),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
    }


def _current_deployment(ctx: Context, service: Service) -> str | None:
    """The one that is under way: the newest, where an older one is only about to be STOPPED."""
    ongoing = service_deployments.ongoing(ctx.tx, service)
    return ongoing[-1].arn if ongoing else None


def _current_revision(ctx: Context, deployment: Deployment) -> dict[str, Any]:
    running, pending = task_counts(ctx, "deployment", deployment.id)
    return {
        "arn": deployment.revision_arn,
        "requestedTaskCount": deployment.desired_count,
        "runningTaskCount": running,
        "pendingTaskCount": pending,
    }


def _events(ctx: Context, service: Service) -> list[dict[str, Any]]:
    """Newest first, at most a hundred."""
    events = messages.said(ctx.tx, service, limit=_EVENTS_SHOWN)
    return [{"id": event.id, "createdAt": event.at, "message": event.message} for event in reversed(events)]
