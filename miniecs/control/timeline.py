"""A service's deployments over time: how many tasks of each were in which state, told from events.

Events hold each task as it was, so the past is read and not guessed. What they do not hold is the health of
targets: tasks behind a target group are only called running here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.task import Task

STARTING, SETTLING, RUNNING = "starting", "settling", "running"
HEALTHY, UNHEALTHY, STOPPING = "healthy", "unhealthy", "stopping"
STATES = (HEALTHY, RUNNING, SETTLING, UNHEALTHY, STARTING, STOPPING)
"""settling: running, but not yet healthy. running: whether healthy or not, no event tells."""

AGE, CONTAINERS, NOT_TOLD = "age", "containers", "not told"
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
class Health:
    """How a deployment's tasks are judged. by: AGE, CONTAINERS or NOT_TOLD; waits in seconds."""

    by: str = AGE
    healthy_after: float = 40.0  # by age: RUNNING so long
    grace: float = 0.0  # by containers: so long after its start none is unhealthy


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
) -> Timeline:
    """The last stretch of time in which anything happened; nothing is known of what was before ``since``.

    events: oldest first. tasks: the service's as they are, for those of which no event is left. quiet: a
    stretch begins after so many seconds in which all tasks just ran.
    """
    lives, happenings = _sorted(events, tasks, service_arn, since)
    happenings = [each for each in happenings if each.at >= since]
    changes = _changes(lives, health, since, now)
    times = sorted({*(at for at, _, _, _ in changes), *(each.at for each in happenings)})
    begin, end = _stretch(times, changes, now, quiet)
    shown = _kept(sorted({begin, *(at for at in times if begin < at < end), end}))
    counts = _counted(changes, shown)
    # One plan does both, in the order of the service's deployments: the reason comes first.
    happenings.sort(key=lambda each: (each.at, each.kind == ROLLBACK))
    told = tuple(each for each in happenings if begin <= each.at <= end)
    there = [*counts, *(each.deployment_id for each in told if each.deployment_id)]
    definitions = {
        seen[0][1].deployment_id or "": arns.name_of(seen[0][1].task_definition_arn) for seen in lives
    }
    zeros = {state: (0,) * len(shown) for state in STATES}
    return Timeline(shown, {id: counts.get(id, zeros) for id in dict.fromkeys(there)}, definitions, told)


_Life = list[tuple[float, Task]]
_Change = tuple[float, str, str, int]  # when, which deployment, which state, one more or one less


def _sorted(
    events: Iterable[Event], tasks: Iterable[Task], service_arn: str, since: float
) -> tuple[list[_Life], list[Happening]]:
    """The service's events: each task's in order, and what happened to deployments."""
    lives: dict[str, _Life] = {}
    happenings = []
    for event in events:
        task = event.state
        if isinstance(task, Task):
            if task.service_arn == service_arn:
                lives.setdefault(task.arn, []).append((event.at, task))
        elif event.resource == service_arn and event.name in _BY_NAME:
            happenings.append(_happening(event))
    for task in tasks:
        if task.service_arn == service_arn and task.arn not in lives:
            lives[task.arn] = [(since, task)]
    return list(lives.values()), happenings


def _happening(event: Event) -> Happening:
    kind = _BY_NAME[event.name]
    if kind == BEGAN and "rolling back to" in event.reason:
        kind = ROLLBACK
    is_deployment = event.kind is EventKind.DEPLOYMENT
    return Happening(event.at, kind, event.id if is_deployment else "", event.reason)


def _changes(lives: Iterable[_Life], health: Mapping[str, Health], since: float, now: float) -> list[_Change]:
    """Every move of a task from one state to the next; those before ``since`` count from then on."""
    found: list[_Change] = []
    for seen in lives:
        id = seen[0][1].deployment_id or ""
        before = None
        for at, state in _states(seen, health.get(id, Health(NOT_TOLD)), now):
            at = max(at, since)
            if state != before:
                found += [(at, id, each, by) for each, by in ((before, -1), (state, 1)) if each is not None]
            before = state
    return sorted(found, key=lambda each: each[0])


def _states(seen: _Life, health: Health, now: float) -> Iterator[tuple[float, str | None]]:
    """A task's states with their beginnings; None: it is gone. What only time changes ends with what came."""
    known = [*_before(seen), *seen]
    ends = [*(at for at, _ in known[1:]), now]
    for (at, task), end in zip(known, ends, strict=True):
        for begin, state in _from(at, task, health):
            if begin == at or begin < end:
                yield begin, state


def _before(seen: _Life) -> Iterator[tuple[float, Task]]:
    """Of a task whose first events were dropped: what its own times tell of them."""
    first, task = seen[0]
    starting = replace(task, last_status="PENDING", desired_status="RUNNING")
    steps = [
        (task.created_at, starting),
        (task.started_at, replace(starting, last_status="RUNNING")),
        (task.stopping_at, replace(starting, desired_status="STOPPED")),
    ]
    for at, was in steps:
        if at is not None and at < first:
            yield at, was


def _from(at: float, task: Task, health: Health) -> Iterator[tuple[float, str | None]]:
    """The state that a task has from then on, and those that time brings if nothing else comes."""
    if task.is_stopped:
        yield at, None
    elif not task.wanted:
        yield at, STOPPING
    elif task.last_status != "RUNNING":
        yield at, STARTING
    elif health.by == AGE:
        yield from _turning(at, SETTLING, (task.started_at or at) + health.healthy_after, HEALTHY)
    elif health.by == NOT_TOLD:
        yield at, RUNNING
    elif task.health_status == "UNHEALTHY":
        yield from _turning(at, SETTLING, (task.started_at or at) + health.grace, UNHEALTHY)
    else:
        yield at, HEALTHY if task.health_status == "HEALTHY" else SETTLING


def _turning(at: float, first: str, then_at: float, then: str) -> Iterator[tuple[float, str]]:
    if then_at > at:
        yield at, first
    yield max(at, then_at), then


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
