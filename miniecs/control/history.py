"""How long service deployments and service revisions are told of: ECS shows 90 days of them.

A revision goes with the last service deployment that released it, unless its service still runs it.
"""

from __future__ import annotations

from collections.abc import Sequence

from miniecs.config import Timing
from miniecs.control.plan import NOTHING, Forget, Plan
from miniecs.control.service_deployments import KEPT
from miniecs.control.view import View
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision


def plan(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    """One service deployment that has ended is forgotten when its time is over."""
    deployment = view.get(ServiceDeployment, arn)
    if deployment is None or deployment.finished_at is None:
        return NOTHING
    gone_at = deployment.finished_at + timing.service_deployment_retention
    if now < gone_at:
        return Plan(wake_at=gone_at)
    because = f"it ended {timing.service_deployment_retention:g} s ago"
    return Plan(tuple(forgotten(view, deployment.service_arn, [deployment], because)))


def surplus(view: View, service: Service) -> list[Forget]:
    """What goes because a service has had too many: the oldest that have ended."""
    if view.count(ServiceDeployment, "service", service.arn) <= KEPT:
        return []
    ended = [d for d in view.find(ServiceDeployment, "service", service.arn) if not d.is_ongoing]
    because = f"{KEPT} newer ones of its service are kept"
    return forgotten(view, service.arn, ended[: max(0, len(ended) - KEPT)], because)


def of_deleted(view: View, service: Service) -> list[Forget]:
    """All of a service's history goes with it."""
    because = "its service was deleted"
    deployments = view.find(ServiceDeployment, "service", service.arn)
    revisions = view.find(ServiceRevision, "service", service.arn)
    return [
        *(_forget(view, ServiceDeployment, each.arn, because) for each in deployments),
        *(_forget(view, ServiceRevision, each.arn, because) for each in revisions),
    ]


def forgotten(
    view: View, service_arn: str, gone: Sequence[ServiceDeployment], because: str
) -> list[Forget]:
    """These service deployments go, and every revision that nothing refers to then."""
    left = [deployment.arn for deployment in gone]
    used = {
        each.arn
        for deployment in view.find(ServiceDeployment, "service", service_arn)
        if deployment.arn not in left
        for each in (deployment.target, *deployment.sources)
    }
    service = view.get(Service, service_arn)
    if service is not None:
        used |= {deployment.revision_arn for deployment in service.deployments}
        used |= {service.completed.revision_arn} if service.completed is not None else set()
    revisions = [r.arn for r in view.find(ServiceRevision, "service", service_arn) if r.arn not in used]
    return [
        *(_forget(view, ServiceDeployment, arn, because) for arn in left),
        *(_forget(view, ServiceRevision, arn, "nothing refers to it any more") for arn in revisions),
    ]


def _forget(view: View, kind: type, arn: str, because: str) -> Forget:
    return Forget(kind, arn, view.version(kind, arn), because)
