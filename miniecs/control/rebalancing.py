"""Availability Zone rebalancing: tasks of a steady service move from the fullest zone to the emptiest.

A move starts a task where fewest are, waits until it is healthy, and stops one where most are: the
service never has fewer healthy tasks for it, nor more tasks than maximumPercent allows. What is
under way stands on the service (``moves``), so that scaling in leaves the new task alone and a
restart goes on with it. Whatever else the service has to do comes first and ends the rebalancing.
Source: ECS developer guide, "Balancing an Amazon ECS service across Availability Zones".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from miniecs.control import interfaces, messages
from miniecs.control.census import Cohort
from miniecs.control.deployments import COMPLETED, bounds, next_launch_at
from miniecs.control.draft import Draft
from miniecs.control.plan import LaunchTasks, Say
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.service import DeploymentConfiguration, PlacementStrategy, Service
from miniecs.model.task import Task

ZonesWithRoom = Callable[[Service], Mapping[str, bool]]
"""The zones in which a service's tasks can be placed, each with whether one more fits there now."""

UNBALANCED = 2
"""A zone with so many tasks more than another is one to move a task from."""

_Counts = Mapping[str, int]


def why_not(
    scheduling_strategy: str,
    configuration: DeploymentConfiguration,
    placement_strategy: tuple[PlacementStrategy, ...],
) -> str:
    """What in a service's settings rules rebalancing out, '' when nothing does."""
    if scheduling_strategy != "REPLICA":
        return f"the {scheduling_strategy} scheduling strategy"
    if configuration.maximum_percent <= 100:
        return "maximumPercent <= 100"
    first = placement_strategy[0] if placement_strategy else None
    if first is not None and (first.type, first.field) != ("spread", "attribute:ecs.availability-zone"):
        return f"{first.type}{f'({first.field})' if first.field else ''} as the first placement strategy"
    return ""


def may_go_on(service: Service) -> bool:
    """Whether the service is rebalanced at all now: switched on, and no deployment under way."""
    return (
        service.availability_zone_rebalancing == "ENABLED"
        and service.status == "ACTIVE"
        and len(service.deployments) == 1
        and service.primary.rollout_state == COMPLETED
        and not why_not(
            service.scheduling_strategy, service.deployment_configuration, service.placement_strategy
        )
    )


def moving(service: Service, cohort: Cohort) -> list[Task]:
    """The tasks beyond the desired count that scaling in must leave: those of moves under way."""
    if not service.moves or not may_go_on(service):
        return []
    beyond = max(0, cohort.good - service.desired_count)
    started = frozenset(service.moves)
    good = [*cohort.healthy, *cohort.settling, *cohort.pending]
    return [task for task in good if task.arn in started][:beyond]


def finish(draft: Draft) -> None:
    """For each move whose new task is healthy, stop a task where most are; forget moves that are over."""
    service, cohort = draft.service, draft.census.cohorts[0]
    if not may_go_on(service):
        draft.moves = ()
        _stop(draft)
        return
    under_way = moving(service, cohort)
    if not under_way:
        draft.moves = ()
        return
    healthy = {task.arn for task in cohort.healthy}
    left = {task.arn: None for task in under_way}
    # What the plan stops for another reason, as on a DRAINING instance, is healthy in vain.
    staying = (healthy | cohort.leaving_healthy).difference(stop.task.arn for stop in draft.stops)
    spare = 0 if draft.launches else len(staying) - service.desired_count
    for task in under_way:
        if spare <= 0 or task.arn not in healthy:
            continue
        victim = _victim(draft, cohort)
        if victim is not None:
            because = f"task {arns.name_of(task.arn)[:8]} in {task.availability_zone} is healthy in its place"
            draft.stop_moved(victim, because)
            del left[task.arn]
            spare -= 1
    draft.moves = tuple(left)


def _victim(draft: Draft, cohort: Cohort) -> Task | None:
    """The task to stop: of the fullest zone, as the placement strategy says; None when all are protected."""
    stopped = {stop.task.arn for stop in draft.stops}
    there = [t for t in (*cohort.healthy, *cohort.settling, *cohort.pending) if t.arn not in stopped]
    fullest, _ = zone_counts(there)[0]
    healthy = [t for t in cohort.healthy if t.arn not in stopped and t.availability_zone == fullest]
    free = [task for task in healthy if not draft.keeps(task)]
    if not free:
        _say_protected(draft, cohort)
        return None
    older = [task for task in free if task.arn not in draft.service.moves]
    return draft.order(draft.service, older or free)[0]


def begin(draft: Draft, service: Service, zones: ZonesWithRoom) -> None:
    """Start what moves a service needs that has been steady for a while. service: as the plan leaves it."""
    cohort = draft.census.cohorts[0]
    if service.desired_count < UNBALANCED or not may_go_on(service) or draft.rest(service.primary):
        return
    counts = _by_zone(cohort.healthy)
    room = _reachable(draft.view, service, zones)
    for zone in room:
        counts.setdefault(zone, 0)
    if not _is_unbalanced(counts):
        if service.unbalanced:
            draft.unbalanced = False
            text = messages.az_balanced(_ordered(counts))
            _say(draft, text, "the zones differ by one task at most", "SERVICE_REBALANCING_COMPLETED")
        return
    begins_at = service.steady_since + draft.timing.rebalance_after
    begins_at = max(begins_at, next_launch_at(service.primary, draft.timing))
    if begins_at > draft.now:
        draft.wakes.append(begins_at)
        return
    starts = _starts(draft, service, counts, room)
    if not starts:
        draft.wakes.append(draft.now + draft.timing.placement_retry)
        _stop(draft)
        return
    if not service.unbalanced:
        draft.unbalanced = True
        because = f"the zones differ by {max(counts.values()) - min(counts.values())} tasks"
        _say(draft, messages.az_unbalanced(_ordered(counts)), because, "SERVICE_REBALANCING_STARTED")
    fullest, most = _ordered(counts)[0]
    for zone, count in starts.items():
        because = (
            f"{most} tasks are in {fullest} and {counts[zone]} in {zone}: starts {count} there before as many"
            " stop where most are"
        )
        draft.rebalances.append(
            LaunchTasks(draft.before, draft.version, service.primary.id, count, because, zone=zone)
        )


def _starts(
    draft: Draft, service: Service, counts: _Counts, room: Mapping[str, bool]
) -> dict[str, int]:
    """Zone -> how many tasks to start there: from fullest to emptiest while that brings them together."""
    cohort = draft.census.cohorts[0]
    _, ceiling = bounds(service.desired_count, service.deployment_configuration)
    free = Counter(t.availability_zone for t in cohort.healthy if not t.is_protected(draft.now))
    after = dict(counts)
    starts: dict[str, int] = {}
    receivers = sorted(zone for zone, has_room in room.items() if has_room)
    for _ in range(ceiling - draft.census.size):
        fullest = _ordered(after)[0][0]
        emptiest = min(receivers, key=lambda zone: after[zone], default=fullest)
        if after[fullest] - after[emptiest] < UNBALANCED:
            break
        if not free[fullest]:
            for task in cohort.healthy:
                draft.keeps(task)
            _say_protected(draft, cohort)
            break
        free[fullest] -= 1
        after[fullest] -= 1
        after[emptiest] += 1
        starts[emptiest] = starts.get(emptiest, 0) + 1
    return starts


def _reachable(view: View, service: Service, zones: ZonesWithRoom) -> dict[str, bool]:
    """Zones that the service's tasks may be in: where its interfaces have subnets, and hosts are."""
    configuration = service.primary.revision.network_configuration
    subnets = interfaces.subnets_of(view, arns.scope_of(service.arn), configuration)
    named = {subnet.zone for subnet in subnets}
    if fargate.runs(service.primary.revision):
        return dict.fromkeys(named, True)
    return {zone: room for zone, room in zones(service).items() if not subnets or zone in named}


def zone_counts(tasks: Iterable[Task]) -> list[tuple[str, int]]:
    """(zone, tasks), the fullest zone first."""
    return _ordered(_by_zone(tasks))


def _by_zone(tasks: Iterable[Task]) -> dict[str, int]:
    """Every task has a zone by the time it runs; one without is in none that could be named."""
    return dict(Counter(task.availability_zone or "no zone" for task in tasks))


def _ordered(counts: _Counts) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _is_unbalanced(counts: _Counts) -> bool:
    return bool(counts) and max(counts.values()) - min(counts.values()) >= UNBALANCED


def _say(draft: Draft, text: str, because: str, name: str) -> None:
    draft.said_of_zones.append(Say(draft.service, text, because, name))


def _say_protected(draft: Draft, cohort: Cohort) -> None:
    count = sum(task.is_protected(draft.now) for task in cohort.tasks())
    text = messages.az_protected(cohort.deployment.id, count)
    if messages.is_unsaid(draft.view, draft.service, text, now=draft.now, timing=draft.timing):
        _say(draft, text, f"{count} tasks are protected", "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION")


def _stop(draft: Draft) -> None:
    """What was begun is not to be finished."""
    if draft.service.unbalanced:
        draft.unbalanced = False
        because = "it waits until the service is steady again and there is room where tasks are fewest"
        _say(draft, messages.AZ_STOPPED, because, "SERVICE_REBALANCING_STOPPED")
