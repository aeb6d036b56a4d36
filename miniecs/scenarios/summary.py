"""What a recording comes to: utilisation, waiting, refusals, disruption and deployments, as figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from miniecs.scenarios.recording import Recording, Sample, ServiceSample, TaskRecord, ZoneSample

# Stops that someone wanted; every other end of a task that ran is a loss.
_WANTED_STOPS = frozenset({"ServiceSchedulerInitiated", "UserInitiated"})


class Share(NamedTuple):
    """A share of what there is, from 0 to 1: over time, and at most."""

    mean: float
    peak: float


class Use(NamedTuple):
    """hosts and used: how many there are and how many hold a task, over time."""

    cpu: Share
    memory: Share
    hosts: float
    used: float


class Wait(NamedTuple):
    """Seconds from when a task was wanted until it ran. ``never``: tasks that did not get so far."""

    tasks: int
    mean: float
    p95: float
    most: float
    never: int


class Disruption(NamedTuple):
    """What a service suffered. The floor counts from when it was first reached.

    short: task-seconds by which working tasks were fewer than desired, from then on. blocked: seconds in
    which no host took its next task, from the beginning.
    """

    lost: int
    least: int  # working tasks, from then on
    desired: int  # at that moment
    below_floor: float  # seconds in which fewer than minimumHealthyPercent worked
    short: float
    blocked: float


class Rollout(NamedTuple):
    service: str
    definition: str
    state: str
    seconds: float
    failed_tasks: int


@dataclass(frozen=True)
class Summary:
    """One run. ``use`` and ``waits`` have an entry '' for the whole beside those by zone and by owner."""

    title: str
    variant: str
    seed: int
    duration: float
    use: dict[str, Use]
    waits: dict[str, Wait]
    refused: int
    failures: dict[str, dict[str, int]]  # '' for RunTask, else the service -> reason -> how often
    disruption: dict[str, Disruption]
    rollouts: tuple[Rollout, ...]
    lost: int
    stuck: dict[str, list[str]] = field(default_factory=dict)


def summary(recording: Recording) -> Summary:
    samples = recording.samples
    zones = sorted({zone for sample in samples for zone in sample.zones})
    services = sorted({name for sample in samples for name in sample.services})
    owners = sorted({task.owner for task in recording.tasks})
    losses = [task for task in recording.tasks if is_lost(task)]
    failures = {name: dict(reasons) for name, reasons in sorted(recording.unplaced.items())}
    if recording.refusals:
        failures[""] = dict(recording.refusals)
    return Summary(
        title=recording.title,
        variant=recording.variant,
        seed=recording.seed,
        duration=recording.duration,
        use={zone: use(samples, recording.duration, zone) for zone in ("", *zones)},
        waits={"": wait(recording.tasks)}
        | {owner: wait([t for t in recording.tasks if t.owner == owner]) for owner in owners},
        refused=recording.refused,
        failures=failures,
        disruption={name: disruption(name, samples, losses, recording.duration) for name in services},
        rollouts=tuple(_rollouts(recording)),
        lost=len(losses),
        stuck=recording.stuck,
    )


def is_lost(task: TaskRecord) -> bool:
    """It ran and ended though nobody wanted it to; a task of no service may end by itself, with 0."""
    if task.running_at is None or task.stopped_at is None or task.stop_code in _WANTED_STOPS:
        return False
    return task.of_service or task.exit_code != 0


def steps(samples: Sequence[Sample], end: float) -> Iterator[tuple[Sample, float]]:
    """Each sample and how long it holds: until the next one, the last one until the end."""
    for sample, following in zip(samples, samples[1:], strict=False):
        yield sample, following.at - sample.at
    if samples:
        yield samples[-1], max(0.0, end - samples[-1].at)


def use(samples: Sequence[Sample], end: float, zone: str = "") -> Use:
    """Of one zone, or of all with ''."""
    held = [(whole(sample, zone), length) for sample, length in steps(samples, end)]
    return Use(
        _share((z.cpu_reserved, z.cpu, length) for z, length in held),
        _share((z.memory_reserved, z.memory, length) for z, length in held),
        _mean((z.hosts, length) for z, length in held),
        _mean((z.used, length) for z, length in held),
    )


def whole(sample: Sample, zone: str = "") -> ZoneSample:
    if zone:
        return sample.zones.get(zone, ZoneSample())
    every = list(sample.zones.values())
    return ZoneSample(
        sum(each.hosts for each in every),
        sum(each.cpu for each in every),
        sum(each.memory for each in every),
        sum(each.cpu_reserved for each in every),
        sum(each.memory_reserved for each in every),
        sum(each.used for each in every),
        sum(each.tasks for each in every),
    )


def _share(parts: Iterable[tuple[int, int, float]]) -> Share:
    """Of (reserved, there is, seconds). Time without any capacity does not count."""
    used = offered = peak = 0.0
    for reserved, capacity, length in parts:
        if capacity:
            used += reserved * length
            offered += capacity * length
            peak = max(peak, reserved / capacity)
    return Share(used / offered if offered else 0.0, peak)


def _mean(parts: Iterable[tuple[float, float]]) -> float:
    """Of (value, seconds)."""
    whole = total = 0.0
    for value, length in parts:
        whole, total = whole + value * length, total + length
    return whole / total if total else 0.0


def wait(tasks: Sequence[TaskRecord]) -> Wait:
    lengths = sorted(task.running_at - task.asked_at for task in tasks if task.running_at is not None)
    never = len(tasks) - len(lengths)
    if not lengths:
        return Wait(0, 0.0, 0.0, 0.0, never)
    return Wait(len(lengths), sum(lengths) / len(lengths), percentile(lengths, 95), lengths[-1], never)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent are at or below (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def disruption(
    name: str, samples: Sequence[Sample], losses: Iterable[TaskRecord], end: float
) -> Disruption:
    below = short = blocked = 0.0
    worst: ServiceSample | None = None
    reached = False
    for sample, length in steps(samples, end):
        service = sample.services.get(name)
        if service is None:
            continue
        blocked += length if service.blocked else 0.0
        reached = reached or service.healthy >= service.floor > 0
        if not reached:
            continue
        lacking = max(0, service.desired - service.working)
        short += lacking * length
        if min(service.healthy, service.working) < service.floor:
            below += length
        if worst is None or lacking > worst.desired - worst.working:
            worst = service
    lost = sum(1 for task in losses if task.of_service and task.owner == name)
    least, desired = (worst.working, worst.desired) if worst is not None else (0, 0)
    return Disruption(lost, least, desired, below, short, blocked)


def _rollouts(recording: Recording) -> Iterator[Rollout]:
    for each in recording.deployments:
        end = each.ended_at if each.ended_at is not None else recording.duration
        yield Rollout(each.service, each.definition, each.state, end - each.begun_at, each.failed_tasks)
