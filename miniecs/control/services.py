"""A service's loop: from what it should be and the tasks it has to what happens next.

What starts and stops is decided in ``rolling`` and ``daemons``; here stands what is common:
a service's states, its deployments' progress, and when it may call itself steady.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from miniecs.config import Timing
from miniecs.control import (
    census,
    daemons,
    deployments,
    failures,
    history,
    messages,
    rebalancing,
    releases,
    rolling,
    service_deployments,
    task_sets,
)
from miniecs.control.draft import Draft, Failed, ScaleInOrder
from miniecs.control.failures import Failure
from miniecs.control.launch import HostOf, host_of
from miniecs.control.plan import NOTHING, Action, Forget, Plan, Say
from miniecs.control.rebalancing import ZonesWithRoom
from miniecs.control.transitions import reached
from miniecs.control.view import View
from miniecs.model.frozen import replace
from miniecs.model.service import Deployment, Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.model.task import Task


def plan(
    view: View,
    arn: str,
    *,
    now: float,
    timing: Timing,
    order: ScaleInOrder,
    zones: ZonesWithRoom | None = None,
    hosts: HostOf = host_of,
    retry: bool = False,
    ceiling_counts_stopping: bool = True,
) -> Plan:
    """What the service needs now.

    order: whom to stop first. zones: where a task of it would find room; without, zones are not balanced.
    hosts: a container instance as the scheduler sees it.
    retry: try a blocked placement again.
    """
    service = view.get(Service, arn)
    if service is None:
        return NOTHING
    version = view.version(Service, arn)
    if service.status == "INACTIVE":
        return _purge(view, service, version, now=now, timing=timing)
    look = _Look(view, service, version, now, timing, order, zones, hosts, retry, ceiling_counts_stopping)
    if service.status == "DRAINING":
        return _drain(look.draft(service, None))
    if service.deployment_controller != "ECS":
        draft = look.draft(task_sets.as_deployments(view, service), None)
        return task_sets.plan(draft, ceiling_counts_stopping=ceiling_counts_stopping)
    if not service.deployments:
        return NOTHING
    releasing = service_deployments.ongoing(view, service)
    draft, after, said = _decided(look, service, releasing)
    counted = _with_failures(service, after)
    if counted is not service and deployments.has_tripped(counted):
        # These failures were too many: they stay decided, all else is decided anew.
        draft, after, said = _decided(look, counted, releasing, draft.failed)
    return draft.plan(after, _told(draft.service, after), said)


class _Look(NamedTuple):
    """One look at a service: what is the same however often it is decided on."""

    view: View
    service: Service  # as it is stored
    version: int
    now: float
    timing: Timing
    order: ScaleInOrder
    zones: ZonesWithRoom | None
    hosts: HostOf
    retry: bool
    ceiling_counts_stopping: bool

    def draft(
        self, current: Service, ongoing: ServiceDeployment | None, decided: Sequence[Failed] = ()
    ) -> Draft:
        going = {stop.task.arn for _, stop in decided}
        counted = census.take(self.view, current, now=self.now, timing=self.timing, going=going)
        return Draft(
            self.view,
            self.service,
            current,
            counted,
            self.now,
            self.timing,
            self.order,
            self.version,
            retry=self.retry,
            ongoing=ongoing,
            decided=decided,
            moves=current.moves,
            unbalanced=current.unbalanced,
        )


def _decided(
    look: _Look, of: Service, releasing: Sequence[ServiceDeployment], decided: Sequence[Failed] = ()
) -> tuple[Draft, Service, list[Action]]:
    """What starts and stops, the service as it then is, and what is said of its progress."""
    ongoing = service_deployments.current(releasing, of)
    failure = failures.found(look.view, of, ongoing)
    current = of if failure is None else failures.after(of, failure, ongoing, now=look.now)
    draft = look.draft(current, ongoing, decided)
    releases.proceed(draft, releasing)
    if failure is not None:
        _tell_failed(draft, of, failure)
    if of.scheduling_strategy == "DAEMON":
        desired = daemons.decide(draft, look.hosts)
    else:
        desired = of.desired_count
        rolling.decide(draft, ceiling_counts_stopping=look.ceiling_counts_stopping)
        rebalancing.finish(draft)
    draft.say_impaired(desired)
    return draft, *_progress(draft, desired, look.zones)


def _with_failures(service: Service, after: Service) -> Service:
    """The service with the failures of its primary deployment that a plan has counted, and no more of it."""
    primary, counted = service.primary, after.primary
    if primary.id != counted.id or counted.failed_tasks <= primary.failed_tasks:
        return service
    primary = replace(primary, failed_tasks=counted.failed_tasks)
    return replace(
        service, desired_count=after.desired_count, deployments=(primary, *service.deployments[1:])
    )


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
        service,
        status="INACTIVE",
        inactive_at=draft.now,
        desired_count=0,
        deployments=(),
        completed=None,
        steady=False,
    )
    forgotten = [*history.of_deleted(draft.view, service), *task_sets.of_deleted(draft.view, service)]
    return draft.plan(inactive, "all its tasks are STOPPING or STOPPED", forgotten)


def _tell_failed(draft: Draft, of: Service, failure: Failure) -> None:
    """The deployment has FAILED and, if so wanted, the last good one is back."""
    failed, now_primary = of.primary, draft.service.primary
    draft.why_failed = failure.why
    draft.said_of_failure.append(Say(draft.service, failure.event, failure.why))
    if now_primary.id != failed.id:
        because = f"deployment {now_primary.id} was the last to complete"
        text = messages.rolling_back(now_primary.id)
        draft.said_of_failure.append(Say(draft.service, text, because))
    releases.fail(draft, of, failure)


def _progress(draft: Draft, desired: int, zones: ZonesWithRoom | None) -> tuple[Service, list[Action]]:
    """Bring the deployments' counts and states up to date, and tell when a goal is reached.

    Only a service that is steady is rebalanced, and while it is, it is not.
    """
    service, counted = draft.service, draft.census
    primary = service.primary
    first = counted.cohorts[0]
    # The last that completed stays after its tasks, where they are to be replaced as the newest has failed.
    kept = {*counted.live_deployments, rolling.anchor_of(counted.cohorts).deployment.id}
    older = tuple(_older(draft, d, desired) for d in service.deployments[1:] if d.id in kept)
    stopped = {stop.task.arn for stop in draft.stops}
    healthy = len(first.healthy)
    if stopped:
        healthy -= sum(task.arn in stopped for task in first.healthy)
    left = draft.remaining(first)
    at_rest = not (draft.launches or older)
    reached_goal = at_rest and healthy == left == desired
    updated = _counted(draft, primary, desired, bool(first.healthy))
    said: list[Action] = []
    completed = service.completed
    if primary.rollout_state == deployments.IN_PROGRESS:
        because = releases.complete(draft, desired, healthy=healthy, left=left, older=bool(older))
        if because:
            completed = updated = deployments.completed(updated, now=draft.now)
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
        completed=completed,
        steady=steady,
        steady_since=draft.now if steady and not service.steady else service.steady_since,
        desired_count=desired_count,
        moves=draft.moves,
    )
    if steady and zones is not None:
        rebalancing.begin(draft, after, zones)
    if draft.rebalances or draft.unbalanced != after.unbalanced:
        after = replace(after, steady=steady and not draft.rebalances, unbalanced=draft.unbalanced)
    return after, said


def _counted(draft: Draft, primary: Deployment, desired: int, has_healthy: bool) -> Deployment:
    """The primary deployment with its desired count and failures as they now stand."""
    failed = draft.failed_health.get(primary.id, 0)
    if primary.desired_count != desired:
        primary = replace(primary, desired_count=desired, updated_at=draft.now)
    if has_healthy and not primary.proven:
        primary = replace(primary, proven=True)
        if not deployments.is_counting(draft.service, primary):
            return replace(primary, failed_tasks=0)
    is_counting = primary.rollout_state == deployments.IN_PROGRESS
    if failed and is_counting and deployments.is_counting(draft.service, primary):
        return replace(primary, failed_tasks=primary.failed_tasks + failed)
    return primary


def _older(draft: Draft, deployment: Deployment, desired: int) -> Deployment:
    """An older deployment, wanting only the tasks that are left to it, unless the newest has failed."""
    cohorts = draft.census.cohorts
    cohort = next(c for c in cohorts if c.deployment.id == deployment.id)
    is_anchor = cohort is rolling.anchor_of(cohorts)
    wanted = rolling.target_of(cohorts, desired) if is_anchor else draft.remaining(cohort)
    if deployment.desired_count == wanted:
        return deployment
    return replace(deployment, desired_count=wanted, updated_at=draft.now)


def _told(before: Service, after: Service) -> str:
    left = _ids(after.deployments)
    gone = [d.id for d in before.deployments if d.id not in left]
    if gone:
        return f"deployment {', '.join(gone)} has no tasks left"
    if before.steady and not after.steady:
        return "its tasks are no longer as desired"
    return "counts of its deployments have changed"


def _ids(deployments: Iterable[Deployment]) -> set[str]:
    return {deployment.id for deployment in deployments}
