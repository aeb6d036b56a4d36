"""How a deployment begins and how a service is scaled: the one place, for the API and the control loops."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from miniecs.control import service_deployments
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.service import Deployment, Revision, Service
from miniecs.model.service_deployment import RevisionCounts, ServiceDeployment, ServiceRevision


class Begun(NamedTuple):
    """A service whose deployment has just begun, and what its history gains by that."""

    service: Service
    service_revision: ServiceRevision
    service_deployment: ServiceDeployment
    superseded: tuple[ServiceDeployment, ...]


def begin(
    service: Service,
    revision: Revision,
    *,
    ongoing: Iterable[ServiceDeployment] = (),
    unresolved: tuple[str, ...] = (),
    now: float,
    ids: Ids,
) -> Begun:
    """The service with a new PRIMARY deployment of the revision; older ones become ACTIVE and drain.

    ongoing: its service deployments that have not ended; this one takes over from them.
    unresolved: the containers whose image tags its first task is to resolve.
    """
    scope, cluster_name = arns.scope_of(service.arn), arns.name_of(service.cluster_arn)
    id = f"ecs-svc/{ids.digits()}"
    revision_arn = arns.service_revision(scope, cluster_name, service.name, ids.digits())
    primary = Deployment(
        id=id,
        revision=revision,
        revision_arn=revision_arn,
        desired_count=service.desired_count,
        rollout_state_reason=f"ECS deployment {id} in progress.",
        created_at=now,
        updated_at=now,
    )
    older = tuple(
        replace(deployment, status="ACTIVE", updated_at=now) for deployment in service.deployments
    )
    opened = ServiceDeployment(
        arn=arns.service_deployment(scope, cluster_name, service.name, ids.letters()),
        service_arn=service.arn,
        cluster_arn=service.cluster_arn,
        target=RevisionCounts(revision_arn, id),
        sources=tuple(RevisionCounts(each.revision_arn, each.id) for each in older),
        configuration=service.deployment_configuration,
        created_at=now,
        updated_at=now,
    )
    return Begun(
        replace(service, revision=revision, deployments=(primary, *older), steady=False),
        ServiceRevision(
            revision_arn, service.arn, service.cluster_arn, revision, now, unresolved=unresolved
        ),
        opened,
        tuple(service_deployments.superseded(each, now=now) for each in ongoing),
    )


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
