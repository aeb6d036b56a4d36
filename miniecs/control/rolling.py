"""REPLICA services: desiredCount tasks of the primary deployment, within the bounds of the rollout.

Start first, stop after, as far as maximumPercent allows; when it allows no start, stop first, as
far as minimumHealthyPercent allows. Scaling, rolling updates, replacing unhealthy tasks and emptying
DRAINING instances are all this one rule on different counts.
Source: ECS developer guide, "Rolling update deployments" and "Container instance draining".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from miniecs.control import releases, version_consistency
from miniecs.control.census import Cohort
from miniecs.control.deployments import COMPLETED, FAILED, bounds, next_launch_at
from miniecs.control.draft import Draft
from miniecs.control.rebalancing import moving
from miniecs.model import fargate
from miniecs.model.task import Task


@dataclass(slots=True)
class _Counts:
    """What is left of running and healthy tasks as stops are decided."""

    serving: int  # healthy, of all deployments
    running: int
    floor: int
    ceiling: int
    keep: int  # serving tasks to leave: desired while substitutes can start first, else the floor
    starved: bool  # tasks are missing and cannot start before others stop
    early: bool  # earlySuccessCriteria are met: older deployments need not wait for every substitute


def decide(draft: Draft, *, ceiling_counts_stopping: bool = True) -> None:
    """Put what should start and stop now into the draft."""
    census, service = draft.census, draft.service
    desired = service.desired_count
    floor, ceiling = bounds(desired, service.deployment_configuration)
    live = census.size - (0 if ceiling_counts_stopping else len(census.stopping))
    anchor = anchor_of(census.cohorts)
    kept = census.cohorts[0] if anchor is not census.cohorts[0] else None
    target = target_of(census.cohorts, desired)
    need = max(0, target - anchor.good)
    headroom = max(0, ceiling - live)
    rest = _rest(draft, anchor) if need else ""
    starts = 0 if rest else min(need, headroom)
    starved = need > starts and (not rest or (rest == "blocked" and _was_blocked(draft, anchor)))
    starved = starved or _waits_in_vain(draft, anchor)
    early = kept is None and releases.succeeds_early(draft, len(anchor.healthy))
    keep = floor if starved or early else desired
    counts = _Counts(census.serving, census.running, floor, ceiling, keep, starved, early)

    for task in census.strays:
        draft.stop(task, "its deployment is gone")
    for cohort in census.cohorts:
        for task in cohort.evicted:
            draft.stop(task, "its container instance is DRAINING and it does not run yet")
    if starts and version_consistency.resolver(draft.view, anchor.deployment, draft.staying(anchor)) is None:
        _launch(draft, anchor, starts, target, counts)
    _replace(draft, anchor, target, counts)
    if rest == "failed":
        _let_leave(draft, anchor, counts)
    _scale_in(draft, anchor, target + len(moving(draft.service, anchor)), counts)
    for cohort in census.cohorts:
        if cohort is kept:
            _tidy_failed(draft, cohort, counts)
        elif cohort is not anchor:
            _retire(draft, cohort, counts)
    if starved and not starts and not rest:
        draft.say_stuck(floor, ceiling)


def anchor_of(cohorts: list[Cohort]) -> Cohort:
    """The deployment that is kept at its count: the primary, or if that failed, the last that completed."""
    primary = cohorts[0]
    if primary.deployment.rollout_state != FAILED:
        return primary
    return next((c for c in cohorts if c.deployment.rollout_state == COMPLETED), primary)


def target_of(cohorts: list[Cohort], desired: int) -> int:
    """How many tasks the anchor has to have: those that a failed primary does not keep running."""
    primary = cohorts[0]
    return desired if anchor_of(cohorts) is primary else max(0, desired - primary.good)


def _rest(draft: Draft, anchor: Cohort) -> str:
    at = next_launch_at(anchor.deployment, draft.timing)
    if at > draft.now:
        draft.wakes.append(at)
        return "throttled"
    return draft.rest(anchor.deployment)


def _was_blocked(draft: Draft, anchor: Cohort) -> bool:
    """Whether placement was blocked before this moment: what a plan has just learnt is the next one's."""
    return anchor.deployment.blocked_until < draft.now + draft.timing.placement_retry


def _waits_in_vain(draft: Draft, anchor: Cohort) -> bool:
    """Whether a task has waited for a capacity provider's instances long enough to count as blocked."""
    if not anchor.deployment.revision.capacity_provider_strategy:
        return False
    waiting = [t for t in anchor.pending if t.container_instance_arn is None and not fargate.waits(t)]
    if not waiting:
        return False
    blocked_at = min(task.created_at for task in waiting) + draft.timing.placement_retry
    if blocked_at <= draft.now:
        return True
    draft.wakes.append(blocked_at)
    return False


def _launch(draft: Draft, anchor: Cohort, starts: int, target: int, counts: _Counts) -> None:
    config = draft.service.deployment_configuration
    missing = max(0, target - anchor.good - len(anchor.unhealthy) - len(anchor.leaving))
    because = (
        f"{anchor.good} of {target} tasks are in order; maximumPercent {config.maximum_percent} allows"
        f" {counts.ceiling} at once and {draft.census.size} are there: starts {starts}"
    )
    if starts > 1 and version_consistency.goes_first(draft.view, anchor.deployment):
        because += ", one of them first, which resolves the image tags"
    if anchor.leaving:
        because += f"; {len(anchor.leaving)} run on DRAINING instances"
    replaced = min(len(anchor.unhealthy), max(0, starts - missing))
    draft.launch(anchor.deployment, starts, because, replaced=replaced)


def _replace(draft: Draft, anchor: Cohort, target: int, counts: _Counts) -> None:
    """Stop unhealthy tasks and those on DRAINING instances once healthy ones have taken their place."""
    bad = len(anchor.unhealthy) + len(anchor.leaving)
    ready = max(0, len(anchor.healthy) + bad - target)
    why = f"{len(anchor.healthy)} of {target} tasks are healthy without it"
    for task in anchor.unhealthy[:ready]:
        draft.stop_unhealthy(task, why)
        counts.running -= 1
    ready -= len(anchor.unhealthy[:ready])
    if counts.starved and anchor.unhealthy and not _is_moving(draft, anchor):
        because = "no substitute can start before it stops; unhealthy tasks stop one at a time"
        draft.stop_unhealthy(anchor.unhealthy[0], because)
        counts.running -= 1
    why = "its container instance is DRAINING; "
    for task in _unprotected(draft, anchor.leaving):
        if ready <= 0 and not counts.starved:
            break
        if _may_stop(task, anchor, counts, counts.floor):
            draft.stop(task, why + _arithmetic(draft, counts))
            _count_stop(task, anchor, counts)
            ready -= 1


def _is_moving(draft: Draft, anchor: Cohort) -> bool:
    """Whether one task's place is being given to another: the next one waits until that one runs.

    While none is healthy the load balancer sends to the unhealthy ones, so these must not all go at once.
    """
    return bool(draft.census.stopping or draft.stops or draft.launches or anchor.pending)


def _may_stop(task: Task, cohort: Cohort, counts: _Counts, keep: int) -> bool:
    """Whether the bounds let this task on a DRAINING instance go."""
    if task.arn in cohort.leaving_healthy:
        return counts.serving > keep
    return counts.running > keep


def _count_stop(task: Task, cohort: Cohort, counts: _Counts) -> None:
    counts.running -= 1
    if task.arn in cohort.leaving_healthy:
        counts.serving -= 1


def _scale_in(draft: Draft, anchor: Cohort, target: int, counts: _Counts) -> None:
    """Stop what is above the count: what is not running yet first, then as the placement strategy says."""
    excess = anchor.good - target
    if excess <= 0:
        return
    because = f"{anchor.good} tasks of the deployment are there and {target} are wanted"
    for task in _unprotected(draft, anchor.pending[::-1]):
        if excess > 0:
            draft.stop(task, because)
            excess -= 1
    if excess <= 0:
        return
    running = _unprotected(draft, [*anchor.settling, *anchor.healthy])
    healthy = {task.arn for task in anchor.healthy}
    spare = counts.serving - counts.floor
    ordered = draft.order(draft.service, running) if excess < len(running) else running
    for task in ordered:
        if excess <= 0:
            return
        if task.arn in healthy:
            if spare <= 0:
                continue
            spare -= 1
            counts.serving -= 1
        draft.stop(task, because)
        counts.running -= 1
        excess -= 1
    if excess > 0:
        draft.say_protected(anchor)


def _tidy_failed(draft: Draft, cohort: Cohort, counts: _Counts) -> None:
    """A failed deployment keeps what works of it until the next one, and starts nothing."""
    for task in cohort.unhealthy:
        draft.stop_unhealthy(task, "its deployment has failed and starts no substitutes")
        counts.running -= 1
    _let_leave(draft, cohort, counts)


def _let_leave(draft: Draft, cohort: Cohort, counts: _Counts) -> None:
    """A failed deployment's tasks leave DRAINING instances without substitutes, down to the floor."""
    stopped = {stop.task.arn for stop in draft.stops}
    for task in _unprotected(draft, cohort.leaving):
        if task.arn not in stopped and _may_stop(task, cohort, counts, counts.floor):
            draft.stop(task, "its container instance is DRAINING; " + _arithmetic(draft, counts, "stops 1"))
            _count_stop(task, cohort, counts)


def _retire(draft: Draft, cohort: Cohort, counts: _Counts) -> None:
    """Stop an older deployment's tasks as far as the bounds allow: the least useful ones first."""
    for task in _unprotected(draft, cohort.pending):
        draft.stop(task, "a newer deployment has taken over and it does not run yet")
    for task in _unprotected(draft, cohort.unhealthy):
        if counts.starved or counts.running > counts.keep:
            draft.stop_unhealthy(task, "a newer deployment has taken over; " + _arithmetic(draft, counts))
            counts.running -= 1
    healthy_leaving = [task for task in cohort.leaving if task.arn in cohort.leaving_healthy]
    settling = [task for task in cohort.leaving if task.arn not in cohort.leaving_healthy]
    for task in _unprotected(draft, [*settling, *cohort.settling]):
        if counts.serving >= counts.keep and counts.running > counts.keep:
            draft.stop(task, _arithmetic(draft, counts))
            counts.running -= 1
    spare = counts.serving - counts.keep
    if spare <= 0 or not (healthy_leaving or cohort.healthy):
        return
    # All of them go in the end: their order is no matter of the placement strategy.
    stoppable = _unprotected(draft, [*healthy_leaving, *cohort.healthy])
    for task in stoppable[:spare]:
        draft.stop(task, _arithmetic(draft, counts))
        counts.serving -= 1
        counts.running -= 1
    if spare > len(stoppable):
        draft.say_protected(cohort)


def _arithmetic(draft: Draft, counts: _Counts, does: str = "") -> str:
    """The sentence of every stop: how many are healthy, how many must be, what happens."""
    percent = draft.service.deployment_configuration.minimum_healthy_percent
    desired = draft.service.desired_count
    text = f"{counts.serving} of {desired} healthy, minimumHealthyPercent {percent} keeps {counts.floor}"
    if does:
        return f"{text}: {does}"
    if counts.starved:
        return f"{text}: stops 1 before starting 1"
    if counts.early:
        return f"{text}: stops 1, as earlySuccessCriteria are met"
    return f"{text}: stops 1 now that its substitute is healthy"


def _unprotected(draft: Draft, tasks: Iterable[Task]) -> list[Task]:
    return [task for task in tasks if not draft.keeps(task)]
