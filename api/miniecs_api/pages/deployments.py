"""The deployments page: how far each deployment of a service is, and what it waits for.

Counted by the same census as the service's loop plans with, so that the picture is the loop's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from miniecs.config import Timing
from miniecs.control import census, explain_images, messages, service_deployments, task_sets, waits
from miniecs.control.census import Census, Cohort
from miniecs.control.deployments import FAILED
from miniecs.control.explain import headline
from miniecs.control.explain_balancing import balancing
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.pages import events, names

_EVENTS = 10


def page(
    view: View, name: str, *, now: float, timing: Timing, cluster: str | None = None
) -> dict[str, Any]:
    """One service by name or ARN. Raises NotFound and Ambiguous."""
    service = names.find(view, name, kinds=(Service,), cluster=cluster)
    assert isinstance(service, Service)
    of_task_sets = service.deployment_controller != "ECS"
    whole = task_sets.as_deployments(view, service) if of_task_sets else service
    counted = census.take(view, whole, now=now, timing=timing)
    known = {deployment.id for deployment in whole.deployments}
    others = [task for task in counted.stopping if task.deployment_id not in known]
    return {
        "service": service.name,
        "arn": service.arn,
        "cluster": arns.name_of(service.cluster_arn),
        "status": service.status,
        "controller": service.deployment_controller,
        "outcome": _outcome(service),
        "desired": service.desired_count,
        "headline": headline(service),
        "release": _release(view, service),
        "loadBalancing": list(balancing(view, service)),
        "deployments": []
        if of_task_sets
        else [_deployment(view, service, cohort, counted, now, timing) for cohort in counted.cohorts],
        "taskSets": list(_task_sets(view, service, counted, now, timing)) if of_task_sets else [],
        "others": {"stopping": len(others), "waits": list(waits.of_stopping(view, others, now=now))},
        "events": [events.render(event) for event in messages.said(view, service, limit=_EVENTS)],
        "timeScale": timing.time_scale,
    }


def _release(view: View, service: Service) -> dict[str, Any] | None:
    """The service deployment that was created last."""
    newest = service_deployments.newest(view, service)
    if newest is None:
        return None
    return {
        "arn": newest.arn,
        "status": newest.status,
        "statusReason": newest.status_reason,
        "createdAt": newest.created_at,
        "finishedAt": newest.finished_at,
    }


def _outcome(service: Service) -> str:
    """STEADY, FAILED or IN_PROGRESS: of the newest deployment, also where an older one is PRIMARY again."""
    newest = max(service.deployments, key=lambda each: each.created_at, default=None)
    if newest is not None and newest.rollout_state == FAILED:
        return "FAILED"
    return "STEADY" if service.steady else "IN_PROGRESS"


def _deployment(
    view: View, service: Service, cohort: Cohort, counted: Census, now: float, timing: Timing
) -> dict[str, Any]:
    deployment = cohort.deployment
    stopping = [task for task in counted.stopping if task.deployment_id == deployment.id]
    sentences = [
        *waits.of_cohort(view, service, cohort, counted, now=now, timing=timing),
        *waits.of_stopping(view, stopping, now=now),
    ]
    return {
        "id": deployment.id,
        "status": deployment.status,
        "definition": arns.name_of(deployment.revision.task_definition_arn),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
        "createdAt": deployment.created_at,
        "ageSeconds": round(max(0.0, now - deployment.created_at), 3),
        "updatedAt": deployment.updated_at,
        "desired": deployment.desired_count,
        "failedTasks": deployment.failed_tasks,
        "tasks": _tasks(view, cohort, stopping, now),
        "images": list(explain_images.of_deployment(view, deployment)),
        "waits": sentences,
    }


def _task_sets(
    view: View, service: Service, counted: Census, now: float, timing: Timing
) -> Iterator[dict[str, Any]]:
    """Each as the deployment of a service that had only this one; what it should be stands in its scale."""
    for task_set, cohort in zip(task_sets.of_service(view, service), counted.cohorts, strict=True):
        alone = task_sets.alone(service, cohort.deployment)
        yield _deployment(view, alone, cohort, counted.only(cohort), now, timing) | {
            "status": task_set.status,
            "rolloutState": task_set.stability_status,
            "rolloutStateReason": f"{task_set.scale:g} % of {service.desired_count}.",
        }


def _tasks(view: View, cohort: Cohort, stopping: Sequence[Task], now: float) -> dict[str, int]:
    """Its tasks, each counted once. settling: running but not yet healthy."""
    draining = sum(waits.drains(view, task, now) is not None for task in stopping)
    on_draining = len(cohort.leaving) + len(cohort.evicted)
    return {
        "starting": len(cohort.pending),
        "settling": len(cohort.settling),
        "healthy": len(cohort.healthy),
        "unhealthy": len(cohort.unhealthy),
        "leaving": on_draining,
        "draining": draining,
        "stopping": len(stopping) - draining,
    }
