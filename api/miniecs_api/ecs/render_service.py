"""A service as DescribeServices shows it; its counts come from its tasks, its events from the outbox."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from miniecs.model import fargate
from miniecs.model.event import EventKind
from miniecs.model.service import Deployment, Revision, Service
from miniecs.model.task import Task
from miniecs_api.context import Context
from miniecs_api.ecs.capacity_strategy import render_strategy
from miniecs_api.ecs.tagging import render_tags

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
_EVENTS_SHOWN = 100


def render_service(ctx: Context, service: Service, *, tags: bool = False) -> dict[str, Any]:
    """The API's Service. Tags only where the caller asked to include them (CreateService shows them)."""
    running, pending = _counts(ctx, "service", service.arn)
    revision = service.revision
    configuration = service.deployment_configuration
    shown: dict[str, Any] = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster_arn,
        "loadBalancers": _load_balancers(revision),
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": running,
        "pendingCount": pending,
        "launchType": revision.launch_type,
        "capacityProviderStrategy": render_strategy(revision.capacity_provider_strategy) or None,
        "taskDefinition": revision.task_definition_arn,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {
                "enable": configuration.circuit_breaker.enable,
                "rollback": configuration.circuit_breaker.rollback,
            }
            if configuration.circuit_breaker
            else {"enable": False, "rollback": False},
            "maximumPercent": configuration.maximum_percent,
            "minimumHealthyPercent": configuration.minimum_healthy_percent,
            "strategy": configuration.strategy,
        },
        "deployments": [_deployment(ctx, deployment) for deployment in service.deployments],
        "roleArn": service.role_arn,
        "events": _events(ctx, service),
        "createdAt": service.created_at,
        "placementConstraints": [
            {"type": c.type, "expression": c.expression or None} for c in service.placement_constraints
        ],
        "placementStrategy": [{"type": s.type, "field": s.field or None} for s in service.placement_strategy],
        "networkConfiguration": revision.network_configuration,
        **_platform(revision),
        "healthCheckGracePeriodSeconds": service.health_check_grace_period,
        "schedulingStrategy": service.scheduling_strategy,
        "deploymentController": {"type": service.deployment_controller},
        "createdBy": service.created_by,
        "enableECSManagedTags": service.enable_ecs_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": service.enable_execute_command,
        "availabilityZoneRebalancing": service.availability_zone_rebalancing,
    }
    if tags:
        shown["tags"] = render_tags(service.tags)
    return shown


def _deployment(ctx: Context, deployment: Deployment) -> dict[str, Any]:
    running, pending = _counts(ctx, "deployment", deployment.id)
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
        **_platform(deployment.revision),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
    }


def _platform(revision: Revision) -> dict[str, Any]:
    """Fargate's, which is asked for as LATEST and shown as that."""
    if not fargate.runs(revision):
        return {}
    return {"platformVersion": revision.platform_version, "platformFamily": fargate.PLATFORM_FAMILY}


def _counts(ctx: Context, index: str, value: Hashable) -> tuple[int, int]:
    """(running, pending) tasks of a service or deployment."""
    running = ctx.tx.count(Task, index, (value, "RUNNING"))
    return running, sum(ctx.tx.count(Task, index, (value, status)) for status in _PENDING)


def _load_balancers(revision: Revision) -> list[dict[str, Any]]:
    return [
        {
            "targetGroupArn": balancer.target_group_arn,
            "containerName": balancer.container_name,
            "containerPort": balancer.container_port,
        }
        for balancer in revision.load_balancers
    ]


def _events(ctx: Context, service: Service) -> list[dict[str, Any]]:
    """Newest first, at most a hundred."""
    events = ctx.tx.events(service.arn, (EventKind.SERVICE_MESSAGE,), limit=_EVENTS_SHOWN)
    return [{"id": event.id, "createdAt": event.at, "message": event.message} for event in reversed(events)]
