"""Deployment configurations, service deployments and service revisions as the API shows them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from miniecs.control import service_deployments
from miniecs.model import fargate
from miniecs.model.service import CircuitBreaker, DeploymentAlarms, DeploymentConfiguration, Revision, Service
from miniecs.model.service_deployment import RevisionCounts, ServiceDeployment, ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.capacity_strategy import render_strategy

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")


def render_configuration(configuration: DeploymentConfiguration) -> dict[str, Any]:
    """DeploymentConfiguration, with the defaults that ECS shows too."""
    breaker = configuration.circuit_breaker or CircuitBreaker()
    shown: dict[str, Any] = {
        "deploymentCircuitBreaker": {
            "enable": breaker.enable,
            "rollback": breaker.rollback,
            "resetOnHealthyTask": breaker.reset_on_healthy_task,
            "thresholdConfiguration": {"type": breaker.threshold.type, "value": breaker.threshold.value},
        },
        "maximumPercent": configuration.maximum_percent,
        "minimumHealthyPercent": configuration.minimum_healthy_percent,
        "strategy": configuration.strategy,
        "bakeTimeInMinutes": 0,
    }
    alarms, early = configuration.alarms, configuration.early_success
    if alarms is not None:
        shown["alarms"] = {
            "alarmNames": list(alarms.names),
            "rollback": alarms.rollback,
            "enable": alarms.enable,
        }
    if early is not None:
        shown["earlySuccessCriteria"] = {
            "enable": True,
            "healthyPercent": early.healthy_percent,
            "sourceServiceRevisionCleanup": early.cleanup,
        }
    return shown


def render_service_deployment(ctx: Context, deployment: ServiceDeployment) -> dict[str, Any]:
    """ServiceDeployment: task counts are live while it is under way, and then those of its end."""
    service = ctx.tx.get(Service, deployment.service_arn)
    if deployment.is_ongoing:
        deployment = service_deployments.counted(ctx.tx, service, deployment)
    shown = render_brief(deployment)
    del shown["targetServiceRevisionArn"]
    return shown | {
        "stoppedAt": deployment.stopped_at,
        "updatedAt": deployment.updated_at,
        "sourceServiceRevisions": [_revision_counts(source) for source in deployment.sources],
        "targetServiceRevision": _revision_counts(deployment.target),
        "deploymentConfiguration": render_configuration(deployment.configuration),
        "rollback": _rollback(deployment),
        "deploymentCircuitBreaker": _breaker(deployment),
        "alarms": _alarms(deployment),
    }


def render_brief(deployment: ServiceDeployment) -> dict[str, Any]:
    """ServiceDeploymentBrief."""
    return {
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": deployment.service_arn,
        "clusterArn": deployment.cluster_arn,
        "createdAt": deployment.created_at,
        "startedAt": deployment.started_at,
        "finishedAt": deployment.finished_at,
        "targetServiceRevisionArn": deployment.target.arn,
        "status": deployment.status,
        "statusReason": deployment.status_reason,
    }


def render_service_revision(ctx: Context, revision: ServiceRevision) -> dict[str, Any]:
    spec = revision.spec
    definition = ctx.tx.get(TaskDefinition, spec.task_definition_arn)
    containers = definition.container_definitions if definition is not None else ()
    digests = dict(revision.digests)
    return {
        "serviceRevisionArn": revision.arn,
        "serviceArn": revision.service_arn,
        "clusterArn": revision.cluster_arn,
        "taskDefinition": spec.task_definition_arn,
        "launchType": spec.launch_type,
        "capacityProviderStrategy": render_strategy(spec.capacity_provider_strategy) or None,
        **render_platform(spec),
        "loadBalancers": render_load_balancers(spec),
        "networkConfiguration": spec.network_configuration,
        "volumeConfigurations": list(spec.volume_configurations) or None,
        "containerImages": [
            {"containerName": each.name, "image": each.image, "imageDigest": digests.get(each.name)}
            for each in containers
        ],
        "guardDutyEnabled": False,
        "createdAt": revision.created_at,
    }


def render_platform(revision: Revision) -> dict[str, Any]:
    """Fargate's, which is asked for as LATEST and shown as that."""
    if not fargate.runs(revision):
        return {}
    return {"platformVersion": revision.platform_version, "platformFamily": fargate.PLATFORM_FAMILY}


def render_load_balancers(revision: Revision) -> list[dict[str, Any]]:
    return [
        {
            "targetGroupArn": balancer.target_group_arn,
            "containerName": balancer.container_name,
            "containerPort": balancer.container_port,
        }
        for balancer in revision.load_balancers
    ]


def task_counts(ctx: Context, index: str, value: Hashable) -> tuple[int, int]:
    """(running, pending) tasks of a service, a deployment or a task set."""
    running = ctx.tx.count(Task, index, (value, "RUNNING"))
    return running, sum(ctx.tx.count(Task, index, (value, status)) for status in _PENDING)


def _revision_counts(counts: RevisionCounts) -> dict[str, Any]:
    return {
        "arn": counts.arn,
        "requestedTaskCount": counts.requested,
        "runningTaskCount": counts.running,
        "pendingTaskCount": counts.pending,
    }


def _rollback(deployment: ServiceDeployment) -> dict[str, Any] | None:
    rollback = deployment.rollback
    if rollback is None:
        return None
    return {
        "reason": rollback.reason,
        "startedAt": rollback.started_at,
        "serviceRevisionArn": rollback.service_revision_arn,
    }


def _monitor(deployment: ServiceDeployment, *, on: bool, triggered: bool) -> str:
    if not on:
        return "DISABLED"
    if triggered:
        return "TRIGGERED"
    return "MONITORING" if deployment.is_ongoing else "MONITORING_COMPLETE"


def _breaker(deployment: ServiceDeployment) -> dict[str, Any]:
    breaker = deployment.configuration.circuit_breaker
    on = breaker is not None and breaker.enable
    return {
        "status": _monitor(deployment, on=on, triggered=deployment.breaker_tripped),
        "failureCount": deployment.failure_count,
        "threshold": deployment.threshold,
    }


def _alarms(deployment: ServiceDeployment) -> dict[str, Any]:
    alarms = deployment.configuration.alarms or DeploymentAlarms()
    unwatched = deployment.started_at is not None and not deployment.watched_alarms
    triggered = bool(deployment.triggered_alarms)
    return {
        "status": _monitor(deployment, on=alarms.enable and not unwatched, triggered=triggered),
        "alarmNames": list(alarms.names),
        "triggeredAlarmNames": list(deployment.triggered_alarms),
    }
