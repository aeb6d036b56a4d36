"""Why a deployment has failed, in ECS's words, and what becomes of its service then.

The circuit breaker, an alarm and a user who stops it end a deployment in the same way: it launches
nothing more, and either the last completed deployment is brought back or the service stands still.
"""

from __future__ import annotations

from dataclasses import dataclass

from miniecs.control import alarms, deployments, version_consistency
from miniecs.control import service_deployments as life
from miniecs.control.view import View
from miniecs.model import service_deployment as status
from miniecs.model.frozen import replace
from miniecs.model.service import Deployment, Service
from miniecs.model.service_deployment import Rollback, ServiceDeployment

_BREAKER = "the circuit breaker threshold was exceeded."


@dataclass(frozen=True, slots=True)
class Failure:
    """rollout, rolling_back: the rolloutStateReasons, before the deployment's id; event: what is said."""

    why: str  # for people
    event: str
    rollout: str
    rolling_back: str
    rolled_back_reason: str  # statusReason of the service deployment, with a rollback
    stopped_reason: str  # … and without
    rollback: bool
    by_breaker: bool = False
    alarms: tuple[str, ...] = ()


def found(view: View, service: Service, ongoing: ServiceDeployment | None) -> Failure | None:
    """Whether the service's primary deployment has to end now, and why."""
    if service.primary.rollout_state != deployments.IN_PROGRESS:
        return None
    if ongoing is not None and ongoing.status in (status.STOP_REQUESTED, status.ROLLBACK_REQUESTED):
        return _asked_for(service, ongoing)
    if deployments.has_tripped(service):
        return _tripped(service)
    if ongoing is not None and ongoing.status in (status.PENDING, status.IN_PROGRESS):
        breaker = service.deployment_configuration.circuit_breaker
        if breaker is not None and breaker.enable and version_consistency.gave_up(view, service.primary):
            return _unresolved(service)
        names = alarms.triggered(view, service, ongoing)
        return _alarmed(service, names) if names else None
    return None


def _asked_for(service: Service, ongoing: ServiceDeployment) -> Failure:
    id = service.primary.id
    return Failure(
        why="StopServiceDeployment was called",
        event=f"(deployment {id}) deployment failed: stopped by the user.",
        rollout=f"ECS deployment {id} stopped by the user.",
        rolling_back="ECS deployment stopped by the user: rolling back to deploymentId",
        rolled_back_reason=life.ROLLED_BACK_BY_USER,
        stopped_reason=life.STOPPED_BY_USER,
        rollback=ongoing.status == status.ROLLBACK_REQUESTED,
    )


def _tripped(service: Service) -> Failure:
    failed, breaker = service.primary, service.deployment_configuration.circuit_breaker
    in_a_row = "in a row" if breaker is None or breaker.reset_on_healthy_task else "in all"
    return Failure(
        why=f"{failed.failed_tasks} tasks failed {in_a_row}; the circuit breaker's threshold is"
        f" {deployments.threshold(service)}",
        event=f"(deployment {failed.id}) deployment failed: tasks failed to start.",
        rollout="ECS deployment circuit breaker: tasks failed to start.",
        rolling_back="ECS deployment circuit breaker: rolling back to deploymentId",
        rolled_back_reason=f"Service deployment rolled back because {_BREAKER}",
        stopped_reason=f"Service deployment stopped because {_BREAKER}",
        rollback=breaker is not None and breaker.rollback,
        by_breaker=True,
    )


def _unresolved(service: Service) -> Failure:
    """As when the breaker trips: AWS publishes no other words."""
    tries = version_consistency.ATTEMPTS
    why = f"{tries} tasks that were to resolve the image tags never ran, with the circuit breaker on"
    return replace(_tripped(service), why=why)


def _alarmed(service: Service, names: tuple[str, ...]) -> Failure:
    configured = service.deployment_configuration.alarms
    told = ", ".join(names)
    return Failure(
        why=f"alarm {told} is in ALARM",
        event=f"(deployment {service.primary.id}) deployment failed: alarm detected.",
        rollout="ECS deployment alarm: alarm detected.",
        rolling_back="ECS deployment alarm: rolling back to deploymentId",
        rolled_back_reason=f"Service deployment rolled back because of CloudWatch alarms in ALARM: {told}.",
        stopped_reason=f"Service deployment stopped because of CloudWatch alarms in ALARM: {told}.",
        rollback=configured is not None and configured.rollback,
        alarms=names,
    )


def candidate(service: Service) -> Deployment | None:
    """The deployment that a rollback returns to: the last that completed, other than the failed one."""
    live = (d for d in service.deployments[1:] if d.rollout_state == deployments.COMPLETED)
    good = next(live, service.completed)
    return None if good is None or good.id == service.primary.id else good


def after(service: Service, failure: Failure, ongoing: ServiceDeployment | None, *, now: float) -> Service:
    """The service with its primary deployment FAILED and, where that is wanted and possible, rolled back.

    Rolling back makes the last completed deployment PRIMARY again, under its own id; without one
    the service stands still. A rollback that fails is not followed by another.
    """
    failed = replace(
        service.primary,
        rollout_state=deployments.FAILED,
        rollout_state_reason=failure.rollout,
        updated_at=now,
    )
    older = service.deployments[1:]
    good = candidate(service) if failure.rollback and not _rolls_back(ongoing) else None
    if good is None:
        return replace(service, deployments=(failed, *older), steady=False)
    restored = replace(
        good,
        status="PRIMARY",
        desired_count=service.desired_count,
        failed_tasks=0,
        rollout_state=deployments.IN_PROGRESS,
        rollout_state_reason=f"{failure.rolling_back} {good.id}.",
        updated_at=now,
        launch_failures=0,
        blocked_until=0.0,
        started=False,
        proven=False,
    )
    others = tuple(d for d in older if d.id != good.id)
    failed = replace(failed, status="ACTIVE")
    return replace(service, revision=good.revision, deployments=(restored, failed, *others), steady=False)


def told(
    view: View,
    before: Service,
    after: Service,
    failure: Failure,
    ongoing: ServiceDeployment,
    *,
    now: float,
) -> ServiceDeployment:
    """The service deployment once its deployment has failed: rolling back, or at its end."""
    if _rolls_back(ongoing):
        return _rolled_back_in_vain(view, before, ongoing, now=now)
    ongoing = replace(
        life.counted(view, before, ongoing),
        breaker_tripped=failure.by_breaker,
        triggered_alarms=failure.alarms,
    )
    if after.primary.id == before.primary.id:
        if failure.rollback:
            return life.moved(ongoing, status.ROLLBACK_FAILED, now=now, reason=life.NO_CANDIDATE)
        return life.moved(ongoing, status.STOPPED, now=now, reason=failure.stopped_reason)
    rollback = Rollback(failure.rolled_back_reason, now, after.primary.revision_arn)
    return life.moved(
        ongoing,
        status.ROLLBACK_IN_PROGRESS,
        now=now,
        reason=failure.rolled_back_reason,
        rollback=rollback,
    )


def _rolled_back_in_vain(
    view: View, before: Service, ongoing: ServiceDeployment, *, now: float
) -> ServiceDeployment:
    """Only the circuit breaker ends a rollback; what began it is told of as before.

    Where the breaker trips for the first time, it was for the rollback's own tasks.
    """
    ongoing = life.counted(view, before, ongoing)
    if not ongoing.breaker_tripped:
        failed = before.primary.failed_tasks
        ongoing = replace(ongoing, breaker_tripped=True, failure_count=failed)
    reason = f"Service deployment rollback failed because {_BREAKER}"
    return life.moved(ongoing, status.ROLLBACK_FAILED, now=now, reason=reason)


def _rolls_back(ongoing: ServiceDeployment | None) -> bool:
    return ongoing is not None and ongoing.status == status.ROLLBACK_IN_PROGRESS
