"""A service's loop: from what it should be and the tasks it has to what happens next.

What starts and stops is decided in ``rolling`` and ``daemons``; here stands what is common:
a service's states, its deployments' progress, and when it may call itself steady.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from miniecs.config import Timing
from miniecs.control import census, daemons, deployments, messages, rebalancing, rolling
from miniecs.control.draft import Draft, ScaleInOrder
from miniecs.control.plan import NOTHING, Action, Forget, Plan, Say
from miniecs.control.rebalancing import ZonesWithRoom
from miniecs.control.transitions import reached
from miniecs.control.view import View
from miniecs.model.service import Deployment, Service
from miniecs.model.task import Task


def plan(
    view: View,
    arn: str,
    *,
    now: float,
    timing: Timing,
    order: ScaleInOrder,
    zones: ZonesWithRoom | None = None,
    retry: bool = False,
    ceiling_counts_stopping: bool = True,
) -> Plan:
    """What the service needs now.

    order: whom to stop first. zones: where a task of it would find room; without, zones are not balanced.
    retry: try a blocked placement again.
    """
    service = view.get(Service, arn)
    if service is None:
        return NOTHING
    version = view.version(Service, arn)
    if service.status == "INACTIVE":
        return _purge(view, service, version, now=now, timing=timing)
    current = service
    if service.status == "ACTIVE" and service.deployments and deployments.has_tripped(service):
        current = deployments.tripped(service, now=now)
    counted = census.take(view, current, now=now, timing=timing)
    draft = Draft(
        view,
        service,
        current,
        counted,
        now,
        timing,
        order,
        version,
        retry=retry,
        moves=current.moves,
        unbalanced=current.unbalanced,
    )
    if service.status == "DRAINING":
        return _drain(draft)
    if not service.deployments or service.deployment_controller != "ECS":
        return NOTHING
    if current is not service:
        _tell_tripped(draft)
    if service.scheduling_strategy == "DAEMON":
        desired = daemons.decide(draft)
    else:
        desired = service.desired_count
        rolling.decide(draft, ceiling_counts_stopping=ceiling_counts_stopping)
        rebalancing.finish(draft)
    _tell_impaired(draft, desired)
    return _progress(draft, desired, zones)


def _purge(view: View, service: Service, version: int, *, now: float, timing: Timing) -> Plan:
    """INACTIVE services stay describable for a while."""
    gone_at = (service.inactive_at or 0.0) + timing.inactive_retention
    if now < gone_at:
        return Plan(wake_at=gone_at)
    if view.find(Task, "service", service.arn):
        return NOTHING
    because = f"it has been INACTIVE for {timing.inactive_retention:g} s"
    return Plan((Forget(Service, service.arn, version, because),))


def _drain(draft: Draft) -> Plan:
    """A deleted service stops its tasks; INACTIVE once all of them are STOPPING or STOPPED."""
    counted, service = draft.census, draft.service
    for cohort in counted.cohorts:
        for task in cohort.tasks():
            draft.stop(task, "the service is being deleted")
    for task in counted.strays:
        draft.stop(task, "the service is being deleted")
    if draft.stops or not all(reached(task, "STOPPING") for task in counted.stopping):
        return draft.plan(service, "")
    inactive = replace(
        service, status="INACTIVE", inactive_at=draft.now, desired_count=0, deployments=(), steady=False
    )
    return draft.plan(inactive, "all its tasks are STOPPING or STOPPED")


def _tell_tripped(draft: Draft) -> None:
    """The circuit breaker: the deployment has FAILED and, if so wanted, the last good one is back."""
    failed, now_primary = draft.before.primary, draft.service.primary
    threshold = deployments.breaker_threshold(draft.before.desired_count)
    because = f"{failed.failed_tasks} tasks failed in a row; the circuit breaker's threshold is {threshold}"
    draft.why_tripped = because
    draft.said.append(Say(draft.service, messages.deployment_failed(failed.id), because))
    if now_primary.id != failed.id:
        text = messages.rolling_back(now_primary.id)
        draft.said.append(Say(draft.service, text, f"deployment {now_primary.id} was the last to complete"))


def _tell_impaired(draft: Draft, desired: int) -> None:
    primary = draft.service.primary
    if primary.rollout_state == deployments.FAILED or draft.census.cohorts[0].good >= desired:
        return  # there is nothing that it would launch
    if deployments.next_launch_at(primary, draft.timing) <= draft.now:
        return
    because = f"{primary.launch_failures} launches in a row ended before RUNNING; the next one waits"
    draft.say_once(messages.IMPAIRED, because, name="SERVICE_TASK_START_IMPAIRED", level="WARN")


def _progress(draft: Draft, desired: int, zones: ZonesWithRoom | None) -> Plan:
    """Bring the deployments' counts and states up to date, and tell when a goal is reached.

    Only a service that is steady is rebalanced, and while it is, it is not.
    """
    service, counted = draft.service, draft.census
    primary = service.primary
    first = counted.cohorts[0]
    older = tuple(_older(draft, d) for d in service.deployments[1:] if d.id in counted.live_deployments)
    stopped = {stop.task.arn for stop in draft.stops}
    healthy = len(first.healthy)
    if stopped:
        healthy -= sum(task.arn in stopped for task in first.healthy)
    left = draft.remaining(first)
    at_rest = not (draft.launches or older)
    reached_goal = at_rest and healthy == left == desired
    updated = _counted(draft, primary, desired, bool(first.healthy))
    said: list[Action] = []
    if reached_goal and primary.rollout_state == deployments.IN_PROGRESS:
        updated = deployments.completed(updated, now=draft.now)
        because = f"{desired} of {desired} tasks are healthy and no older deployment has any"
        said.append(Say(service, messages.deployment_completed(primary.id), because))
    steady = (
        (service.steady and at_rest and not stopped and first.good == left == desired)
        or (reached_goal and not stopped and not counted.stopping)
    ) and updated.rollout_state == deployments.COMPLETED
    if steady and not service.steady:
        because = f"{desired} tasks are wanted, {desired} are healthy and none is stopping"
        said.append(Say(service, messages.STEADY, because, name="SERVICE_STEADY_STATE"))
    desired_count = desired if service.scheduling_strategy == "DAEMON" else service.desired_count
    after = replace(
        service,
        deployments=(updated, *older),
        steady=steady,
        steady_since=draft.now if steady and not service.steady else service.steady_since,
        desired_count=desired_count,
        moves=draft.moves,
    )
    if steady and zones is not None:
        rebalancing.begin(draft, after, zones)
    steady = steady and not draft.rebalances
    after = replace(after, steady=steady, unbalanced=draft.unbalanced)
    return draft.plan(after, _told(service, after), said)


def _counted(draft: Draft, primary: Deployment, desired: int, has_healthy: bool) -> Deployment:
    """The primary deployment with its desired count and failures as they now stand."""
    failed = draft.failed_health.get(primary.id, 0)
    if primary.desired_count != desired:
        primary = replace(primary, desired_count=desired, updated_at=draft.now)
    if has_healthy and not primary.proven:
        return replace(primary, proven=True, failed_tasks=0)
    if failed and not primary.proven:
        return replace(primary, failed_tasks=primary.failed_tasks + failed)
    return primary


def _older(draft: Draft, deployment: Deployment) -> Deployment:
    """An older deployment, wanting only the tasks that are left to it."""
    cohort = next(c for c in draft.census.cohorts if c.deployment.id == deployment.id)
    launched = sum(each.count for each in draft.launches if each.deployment_id == deployment.id)
    remaining = draft.remaining(cohort) + launched
    if deployment.desired_count == remaining:
        return deployment
    return replace(deployment, desired_count=remaining, updated_at=draft.now)


def _told(before: Service, after: Service) -> str:
    gone = [d.id for d in before.deployments if d.id not in _ids(after.deployments)]
    if gone:
        return f"deployment {', '.join(gone)} has no tasks left"
    if before.steady and not after.steady:
        return "its tasks are no longer as desired"
    return "counts of its deployments have changed"


def _ids(deployments: Iterable[Deployment]) -> set[str]:
    return {deployment.id for deployment in deployments}
