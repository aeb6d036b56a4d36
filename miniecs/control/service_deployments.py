"""A service deployment's life: how it is opened, moved on and closed.

Every status goes through ``moved``, which knows the ways that there are: a status that goes back would
be a bug, and whoever waits for a release to end would wait in vain.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniecs.control import deployments
from miniecs.control.view import View
from miniecs.model import service_deployment as status
from miniecs.model.frozen import replace
from miniecs.model.service import Service
from miniecs.model.service_deployment import SUCCESSORS, RevisionCounts, ServiceDeployment
from miniecs.model.task import Task

KEPT = 1000  # of one service (ours: ECS names only the 90 days); the oldest go first

SUPERSEDED = "Service deployment stopped because a newer service deployment was created."
DELETED = "Service deployment stopped because the service is being deleted."
STOPPED_BY_USER = "Service deployment stopped by the user."
ROLLED_BACK_BY_USER = "Service deployment rolled back because the user requested it."
NO_CANDIDATE = "No rollback candidate was found to run the rollback."

_PENDING_TASKS = ("PROVISIONING", "PENDING", "ACTIVATING")


def moved(
    deployment: ServiceDeployment, to: str, *, now: float, reason: str | None = None, **fields: Any
) -> ServiceDeployment:
    """The service deployment in its next status."""
    if to not in SUCCESSORS[deployment.status]:
        raise ValueError(f"{deployment.arn}: {to} cannot follow {deployment.status}")
    if to not in SUCCESSORS:
        fields["finished_at"] = now
    if to in (status.STOPPED, status.ROLLBACK_FAILED):
        fields["stopped_at"] = now
    reason = deployment.status_reason if reason is None else reason
    return replace(deployment, status=to, status_reason=reason, updated_at=now, **fields)


def superseded(deployment: ServiceDeployment, *, now: float) -> ServiceDeployment:
    """What becomes of an ongoing service deployment when a newer one is created."""
    return _asked_to_stop(deployment, SUPERSEDED, now=now)


def deleted(deployment: ServiceDeployment, *, now: float) -> ServiceDeployment:
    """What becomes of an ongoing service deployment when its service is deleted."""
    return _asked_to_stop(deployment, DELETED, now=now)


def _asked_to_stop(deployment: ServiceDeployment, reason: str, *, now: float) -> ServiceDeployment:
    """A rollback that is not to end has failed; all else is asked to stop."""
    if deployment.status in (status.ROLLBACK_REQUESTED, status.ROLLBACK_IN_PROGRESS):
        return moved(deployment, status.ROLLBACK_FAILED, now=now, reason=reason)
    if deployment.status == status.STOP_REQUESTED:
        return deployment
    return moved(deployment, status.STOP_REQUESTED, now=now, reason=reason)


def counted(view: View, service: Service | None, deployment: ServiceDeployment) -> ServiceDeployment:
    """An ongoing service deployment with the tasks of its revisions and its failures as they are now."""
    wanted = {} if service is None else {each.id: each for each in service.deployments}

    def count(of: RevisionCounts) -> RevisionCounts:
        known = wanted.get(of.deployment_id)
        return replace(
            of,
            requested=known.desired_count if known is not None else 0,
            running=view.count(Task, "deployment", (of.deployment_id, "RUNNING")),
            pending=sum(view.count(Task, "deployment", (of.deployment_id, each)) for each in _PENDING_TASKS),
        )

    target = wanted.get(deployment.id)
    after = replace(
        deployment,
        target=count(deployment.target),
        sources=tuple(count(source) for source in deployment.sources),
    )
    if service is None or deployment.breaker_tripped:
        return after
    return replace(
        after,
        failure_count=target.failed_tasks if target is not None else deployment.failure_count,
        threshold=deployments.threshold(service),
    )


def closed(
    view: View, service: Service, deployment: ServiceDeployment, to: str, *, now: float, reason: str | None
) -> ServiceDeployment:
    """The service deployment in a final status, with its counts as they are at this moment."""
    return moved(counted(view, service, deployment), to, now=now, reason=reason)


def ongoing(view: View, service: Service) -> list[ServiceDeployment]:
    """The service deployments that have not ended, the newest last."""
    found = view.find(ServiceDeployment, "ongoing", service.arn)
    return sorted(found, key=lambda each: each.created_at) if len(found) > 1 else found


def newest(view: View, service: Service) -> ServiceDeployment | None:
    """The service deployment that was created last, ended or not."""
    found = view.find(ServiceDeployment, "service", service.arn)
    return max(found, key=lambda each: each.created_at, default=None)


def current(among: Iterable[ServiceDeployment], service: Service) -> ServiceDeployment | None:
    """The one that is being carried out: not one that only waits to be called STOPPED."""
    newest = None
    for deployment in among:
        if deployment.status == status.STOP_REQUESTED and deployment.id != service.primary.id:
            continue
        newest = deployment
    return newest
