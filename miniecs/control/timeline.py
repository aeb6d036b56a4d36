"""A service's deployments over time: how many tasks of each were in which state, told from events.

Events hold each task as it was, and the state of its targets, so the past is read and not guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from miniecs.control.lives import HEALTHY, NOT_TOLD, RUNNING, STATES, Health, Life, states
from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.load_balancing import Target
from miniecs.model.task import Task

BEGAN, COMPLETED, FAILED, ROLLBACK, STEADY = "began", "completed", "failed", "rollback", "steady"
_BY_NAME = {
    "SERVICE_DEPLOYMENT_IN_PROGRESS": BEGAN,
    "SERVICE_DEPLOYMENT_COMPLETED": COMPLETED,
    "SERVICE_DEPLOYMENT_FAILED": FAILED,
    "SERVICE_STEADY_STATE": STEADY,
}
MOST_TIMES = 1000
_CALM = {HEALTHY, RUNNING}


@dataclass(frozen=True, slots=True)
class Happening:
    at: float
    kind: str  # BEGAN COMPLETED FAILED ROLLBACK STEADY
    deployment_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """counts: of each deployment and state as many as times, each holding until the next time."""

    times: tuple[float, ...]
    counts: Mapping[str, Mapping[str, tuple[int, ...]]]
    definitions: Mapping[str, str]  # family:revision by deployment
    happenings: tuple[Happening, ...]


def tell(
    events: Iterable[Event],
    tasks: Iterable[Task],
    service_arn: str,
    health: Mapping[str, Health],
    *,
    since: float,
    now: float,
    quiet: float,
    targets: Iterable[Target] = (),
) -> Timeline:
    """The last stretch of time in which anything happened; nothing is known of what was before ``since``.

    events: oldest first. tasks, targets: the service's as they are, for those of which no event is left.
    quiet: a stretch begins after so many seconds in which all tasks just ran.
    """
    lives, happenings = _sorted(events, tasks, targets, service_arn, since)
    happenings = [each for each in happenings if each.at >= since]
    changes = _changes(lives, health, since, now)
    times = sorted({*(at for at, _, _, _ in changes), *(each.at for each in happenings)})
    begin, end = _stretch(times, changes, now, quiet)
    shown = _kept(sorted({begin, *(at for at in times if begin < at < end), end}))
    counts = _counted(changes, shown)
    _put_reasons_first(happenings)
    told = tuple(each for each in happenings if begin <= each.at <= end)
    there = [*counts, *(each.deployment_id for each in told if each.deployment_id)]
    definitions = {
        life.task.deployment_id or "": arns.name_of(life.task.task_definition_arn) for life in lives
    }
    zeros = {state: (0,) * len(shown) for state in STATES}
    return Timeline(shown, {id: counts.get(id, zeros) for id in dict.fromkeys(there)}, definitions, told)


_Change = tuple[float, str, str, int]  # when, which deployment, which state, one more or one less


def _sorted(
    events: Iterable[Event],
    tasks: Iterable[Task],
    targets: Iterable[Target],
    service_arn: str,
    since: float,
) -> tuple[list[Life], list[Happening]]:
    """The service's events: each task's and its targets' in order, and what happened to deployments."""
    lives: dict[str, Life] = {}
    of_targets: dict[str, list[tuple[float, str, str]]] = {}
    happenings = []
    for event in events:
        task = event.state
        if isinstance(task, Task):
            if task.service_arn == service_arn:
                lives.setdefault(task.arn, Life()).seen.append((event.at, task))
        elif event.kind is EventKind.TARGET:
            of_targets.setdefault(event.resource, []).append((event.at, event.reason, event.name))
        elif event.resource == service_arn and event.name in _BY_NAME:
            happenings.append(_happening(event))
    for task in tasks:
        if task.service_arn == service_arn and task.arn not in lives:
            lives[task.arn] = Life([(since, task)])
    for target in targets:
        # No event of it is left, so it is as it was when the first of those that are left came.
        if target.task_arn is not None and target.task_arn not in of_targets:
            known = (since, target.target_group_arn, target.state)
            of_targets.setdefault(target.task_arn, []).append(known)
    for arn, life in lives.items():
        life.targets = of_targets.get(arn, [])
    return list(lives.values()), happenings


def _put_reasons_first(happenings: list[Happening]) -> None:
    """One plan fails a deployment and rolls back, and tells of both in the order of the deployments."""
    for n, (one, other) in enumerate(pairwise(happenings)):
        if (one.kind, other.kind) == (ROLLBACK, FAILED) and one.at == other.at:
            happenings[n : n + 2] = other, one


def _happening(event: Event) -> Happening:
    kind = _BY_NAME[event.name]
    if kind == BEGAN and "rolling back to" in event.reason:
        kind = ROLLBACK
    is_deployment = event.kind is EventKind.DEPLOYMENT
    return Happening(event.at, kind, event.id if is_deployment else "", event.reason)


def _changes(lives: Iterable[Life], health: Mapping[str, Health], since: float, now: float) -> list[_Change]:
    """Every move of a task from one state to the next; those before ``since`` count from then on."""
    found: list[_Change] = []
    for life in lives:
        id = life.task.deployment_id or ""
        before = None
        for at, state in states(life, health.get(id, Health(NOT_TOLD)), since=since, now=now):
            at = max(at, since)
            if state != before:
                found += [(at, id, each, by) for each, by in ((before, -1), (state, 1)) if each is not None]
            before = state
    return sorted(found, key=lambda each: each[0])


def _stretch(
    times: Sequence[float], changes: Sequence[_Change], now: float, quiet: float
) -> tuple[float, float]:
    """From shortly before the last things that happened until shortly after, or until now."""
    if not times:
        return now, now
    calm_from = _calms(times, changes)
    begin = times[0]
    for n, (at, next_at) in enumerate(pairwise(times)):
        if next_at - at > quiet and calm_from[n]:
            begin = next_at
    margin = max(1.0, (times[-1] - begin) * 0.06)
    end = min(now, times[-1] + margin) if calm_from[-1] else now
    return max(times[0], begin - margin), max(end, times[-1])


def _kept(times: Sequence[float]) -> tuple[float, ...]:
    """The last one in each of MOST_TIMES equal parts: changes come in bursts, and in any number."""
    if len(times) <= MOST_TIMES:
        return tuple(times)
    part = (times[-1] - times[0]) / MOST_TIMES
    last = {int((at - times[0]) / part): at for at in times}
    return tuple(sorted({times[0], *last.values()}))


def _calms(times: Sequence[float], changes: Sequence[_Change]) -> list[bool]:
    """At each time: whether from then on all tasks just ran."""
    moving, n, found = 0, 0, []
    for at in times:
        while n < len(changes) and changes[n][0] <= at:
            moving += changes[n][3] if changes[n][2] not in _CALM else 0
            n += 1
        found.append(moving == 0)
    return found


def _counted(changes: Sequence[_Change], times: Sequence[float]) -> dict[str, dict[str, tuple[int, ...]]]:
    """By deployment and state, only of deployments that had a task at any of the times."""
    standing: Counter[tuple[str, str]] = Counter()
    rows: dict[str, list[list[int]]] = {id: [] for _, id, _, _ in changes}
    n = 0
    for at in times:
        while n < len(changes) and changes[n][0] <= at:
            _, id, state, by = changes[n]
            standing[id, state] += by
            n += 1
        for id, row in rows.items():
            row.append([standing[id, state] for state in STATES])
    return {
        id: dict(zip(STATES, zip(*row, strict=True), strict=True))
        for id, row in rows.items()
        if any(map(any, row))
    }
