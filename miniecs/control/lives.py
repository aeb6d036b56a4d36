"""One task's states over time: what its events, and those of its targets, tell of when it was healthy.

Apart from the timeline, which counts the lives of many, because here stands what ECS calls healthy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import itemgetter

from miniecs.model.frozen import replace
from miniecs.model.task import Task

STARTING, SETTLING, RUNNING = "starting", "settling", "running"
HEALTHY, UNHEALTHY, STOPPING = "healthy", "unhealthy", "stopping"
STATES = (HEALTHY, RUNNING, SETTLING, UNHEALTHY, STARTING, STOPPING)
"""settling: running, but not yet healthy. running: whether healthy or not, no event tells any more."""

AGE, CONTAINERS, TARGETS, NOT_TOLD = "age", "containers", "targets", "not told"


@dataclass(frozen=True, slots=True)
class Health:
    """How a deployment's tasks are judged. by: AGE, CONTAINERS, TARGETS or NOT_TOLD; waits in seconds."""

    by: str = AGE
    healthy_after: float = 40.0  # by age: RUNNING so long
    grace: float = 0.0  # by checks: so long after its start none is unhealthy
    groups: tuple[str, ...] = ()  # by targets: the ARNs of all groups in which a task must be healthy
    checked: bool = False  # by targets: its containers must be healthy, too


@dataclass(slots=True)
class Life:
    """What is known of one task. targets: (when, target group, the state that its target then had)."""

    seen: list[tuple[float, Task]] = field(default_factory=list)
    targets: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def task(self) -> Task:
        return self.seen[0][1]


def states(life: Life, health: Health, *, since: float, now: float) -> Iterator[tuple[float, str | None]]:
    """The task's states with their beginnings; None: it is gone. What only time changes ends with what came.

    since: from when on all events are known.
    """
    known = list(_told(life, health, since))
    ends = [*(at for at, _, _ in known[1:]), now]
    for (at, task, targets), end in zip(known, ends, strict=True):
        for begin, state in _from(at, task, health, targets):
            if begin == at or begin < end:
                yield begin, state


_Targets = Mapping[str, str]  # states by target group; one that is missing is not told


def _told(life: Life, health: Health, since: float) -> Iterator[tuple[float, Task, _Targets]]:
    """The task and its targets after each event; the targets of one that is wholly known begin as initial."""
    is_whole = life.task.created_at >= since
    targets = dict.fromkeys(health.groups, "initial") if is_whole else {}
    task: Task | None = None
    of_task: list[tuple[float, str, Task | str]] = [
        (at, "", each) for at, each in (*_before(life.seen), *life.seen)
    ]
    for at, group, what in merge(of_task, life.targets, key=itemgetter(0)):
        if isinstance(what, Task):
            task = what
        else:
            targets = targets | {group: what}
        if task is not None:
            yield at, task, targets


def _before(seen: Sequence[tuple[float, Task]]) -> Iterator[tuple[float, Task]]:
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


def _from(at: float, task: Task, health: Health, targets: _Targets) -> Iterator[tuple[float, str | None]]:
    """The state that a task has from then on, and those that time brings if nothing else comes."""
    if task.is_stopped:
        yield at, None
    elif not task.wanted:
        yield at, STOPPING
    elif task.last_status != "RUNNING":
        yield at, STARTING
    elif health.by == AGE:
        yield from _turning(at, SETTLING, (task.started_at or at) + health.healthy_after, HEALTHY)
    else:
        yield from _by_checks(at, task, health, targets)


def _by_checks(at: float, task: Task, health: Health, targets: _Targets) -> Iterator[tuple[float, str]]:
    if health.by == NOT_TOLD or any(group not in targets for group in health.groups):
        yield at, RUNNING
        return
    found = [targets[group] for group in health.groups]
    if health.by == CONTAINERS or health.checked:
        found.append(task.health_status.lower())
    if "unhealthy" in found:
        yield from _turning(at, SETTLING, (task.started_at or at) + health.grace, UNHEALTHY)
    else:
        yield at, HEALTHY if all(state == "healthy" for state in found) else SETTLING


def _turning(at: float, first: str, then_at: float, then: str) -> Iterator[tuple[float, str]]:
    if then_at > at:
        yield at, first
    yield max(at, then_at), then
