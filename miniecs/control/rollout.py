"""How a deployment begins and how a service is scaled: the one place, for the API and the control loops."""

from __future__ import annotations

from dataclasses import replace

from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.service import Deployment, Revision, Service


def begin(service: Service, revision: Revision, *, now: float, ids: Ids) -> Service:
    """The service with a new PRIMARY deployment of the revision; older ones become ACTIVE and drain."""
    scope = arns.scope_of(service.arn)
    id = f"ecs-svc/{ids.digits()}"
    primary = Deployment(
        id=id,
        revision=revision,
        revision_arn=arns.service_revision(
            scope, arns.name_of(service.cluster_arn), service.name, ids.digits()
        ),
        desired_count=service.desired_count,
        rollout_state_reason=f"ECS deployment {id} in progress.",
        created_at=now,
        updated_at=now,
    )
    older = tuple(
        replace(deployment, status="ACTIVE", updated_at=now) for deployment in service.deployments
    )
    return replace(service, revision=revision, deployments=(primary, *older), steady=False)


def scale(service: Service, desired_count: int, *, now: float) -> Service:
    """The service at another desired count; its PRIMARY deployment follows, no new one is made.

    Tasks that rebalancing has started are like all others from then on.
    """
    if desired_count == service.desired_count:
        return service
    deployments = tuple(
        replace(deployment, desired_count=desired_count, updated_at=now)
        if deployment.status == "PRIMARY"
        else deployment
        for deployment in service.deployments
    )
    return replace(
        service, desired_count=desired_count, deployments=deployments, steady=False, moves=()
    )
