"""What a recording comes to: utilisation, waiting, refusals, disruption and deployments, as figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from miniecs.scenarios.recording import ProviderSample, Recording, Sample, TaskRecord, ZoneSample

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
    """What a service suffered. Tasks that it never had are not missed: a count holds once it was reached.

    least, of desired: the worst moment, None where the service never had all its tasks. below_floor: seconds
    in which fewer than minimumHealthyPercent were healthy and at work. short: task-seconds that were missed.
    blocked: seconds in which no host took its next task, those of its beginning too.
    """

    lost: int
    least: int | None
    desired: int
    below_floor: float
    short: float
    blocked: float


class Scaled(NamedTuple):
    """A capacity provider's hosts: fewest, over time, and most; and what waited for them.

    waited: seconds in which a task was in PROVISIONING. host_hours: what would be paid for.
    """

    fewest: int
    mean: float
    most: int
    waited: float
    host_hours: float


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
    providers: dict[str, Scaled] = field(default_factory=dict)
    stuck: dict[str, list[str]] = field(default_factory=dict)


def summary(recording: Recording) -> Summary:
    samples = recording.samples
    zones = sorted({zone for sample in samples for zone in sample.zones})
    services = sorted({name for sample in samples for name in sample.services})
    providers = sorted({name for sample in samples for name in sample.providers})
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
        providers={name: scaled(samples, recording.duration, name) for name in providers},
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


def scaled(samples: Sequence[Sample], end: float, name: str) -> Scaled:
    held = [(sample.providers.get(name, ProviderSample()), length) for sample, length in steps(samples, end)]
    hosts = [provider.hosts for provider, _ in held]
    return Scaled(
        min(hosts, default=0),
        _mean((provider.hosts, length) for provider, length in held),
        max(hosts, default=0),
        sum(length for provider, length in held if provider.waiting),
        sum(provider.hosts * length for provider, length in held) / 3600,
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
    floor = count = 0  # that were reached, and hold until less is wanted
    worst: tuple[int, int, int] | None = None  # missing, at work, of
    for sample, length in steps(samples, end):
        service = sample.services.get(name)
        if service is None:
            floor = count = 0
            continue
        safe = min(service.healthy, service.working)
        floor = service.floor if safe >= service.floor else min(floor, service.floor)
        count = service.desired if service.working >= service.desired else min(count, service.desired)
        missing = max(0, count - service.working)
        blocked += length if service.blocked else 0.0
        below += length if safe < floor else 0.0
        short += missing * length
        if count and (worst is None or missing > worst[0]):
            worst = (missing, service.working, service.desired)
    lost = sum(1 for task in losses if task.of_service and task.owner == name)
    _, least, desired = worst if worst is not None else (0, None, 0)
    return Disruption(lost, least, desired, below, short, blocked)


def _rollouts(recording: Recording) -> Iterator[Rollout]:
    for each in recording.deployments:
        end = each.ended_at if each.ended_at is not None else recording.duration
        yield Rollout(each.service, each.definition, each.state, end - each.begun_at, each.failed_tasks)
