"""A recording as the series of a timeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from math import nan

from miniecs.plots import style
from miniecs.plots.series import Column, Moment, Panel, Series
from miniecs.scenarios.recording import ProviderSample, Recording, RevisionSample, Sample, ServiceSample
from miniecs.scenarios.summary import whole

_MOST_SERVICES = 5  # with a panel each; the others share one
_BLUE, _ORANGE, _GREEN = style.COLOURS[:3]
_NOTHING = ServiceSample(0, 0, 0, 0, 0, 0)
_ZONES = (style.COLOURS[4], style.COLOURS[3], style.COLOURS[6], style.COLOURS[7], style.QUIET)
_REVISIONS = (style.COLOURS[0], style.COLOURS[2], style.COLOURS[1], style.COLOURS[3], style.COLOURS[4])


def column(recording: Recording) -> Column:
    samples = recording.samples
    panels = [*_services(samples), *_loose(samples), *_providers(samples)]
    panels += [*_zones(samples), _hosts(samples), _use(samples)]
    moments = [Moment(mark.at, mark.text, mark.kind) for mark in recording.marks]
    return Column(recording.variant, [sample.at for sample in samples], panels, moments)


def _services(samples: Sequence[Sample]) -> Iterator[Panel]:
    names = list(dict.fromkeys(name for sample in samples for name in sample.services))
    for name in names[:_MOST_SERVICES]:
        yield Panel(f"tasks of {name}", list(_service([s.services.get(name, _NOTHING) for s in samples])))
    rest = names[_MOST_SERVICES:]
    if rest:
        running = [sum(s.services[n].running for n in rest if n in s.services) for s in samples]
        desired = [sum(s.services[n].desired for n in rest if n in s.services) for s in samples]
        yield Panel(
            f"tasks of {len(rest)} more services",
            [Series("running", running, _BLUE, "area"), Series("wanted", desired, style.INK, "dashed")],
        )


def _service(samples: Sequence[ServiceSample]) -> Iterator[Series]:
    """Its tasks by revision and state, beside what is wanted, what is kept, and what really works."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.revisions))
    for n, name in enumerate(names):
        yield from _revision(name, [s.revisions.get(name, RevisionSample()) for s in samples], n, len(names))
    yield Series("wanted", [sample.desired for sample in samples], style.INK, "dashed")
    if any(0 < sample.floor < sample.desired for sample in samples):
        yield Series("minimum healthy", [sample.floor for sample in samples], style.COLOURS[5], "dotted")
    if any(sample.working < sample.running for sample in samples):
        gaps = [sample.working if sample.working < sample.running else nan for sample in samples]
        yield Series("really at work", gaps, style.COLOURS[5], "line")


def _revision(name: str, samples: Sequence[RevisionSample], n: int, count: int) -> Iterator[Series]:
    """One revision's tasks: filled while healthy, hatched before, faint after."""
    colour = _REVISIONS[n % len(_REVISIONS)]
    revision = f":{name.rsplit(':', 1)[-1]} " if count > 1 else ""
    yield Series(f"{revision}healthy", [sample.healthy for sample in samples], colour, "area")
    yield Series(f"{revision}starting", [sample.starting for sample in samples], colour, "hatched")
    for look, label, values in (
        ("hatched", "unhealthy", [sample.unhealthy for sample in samples]),
        ("faint", "stopping", [sample.stopping for sample in samples]),
    ):
        if any(values):
            own = style.COLOURS[5] if label == "unhealthy" else colour
            yield Series(f"{revision}{label}", values, own, look)  # type: ignore[arg-type]


def _loose(samples: Sequence[Sample]) -> Iterator[Panel]:
    running = [sample.loose_running for sample in samples]
    pending = [sample.loose_pending for sample in samples]
    waiting = [sample.waiting for sample in samples]
    if any(running) or any(pending) or any(waiting):
        series = [Series("running", running, _GREEN, "area"), Series("pending", pending, _GREEN, "hatched")]
        if any(waiting):
            series.append(Series("refused, asking again", waiting, style.COLOURS[5], "hatched"))
        yield Panel("tasks of no service", series)


def _providers(samples: Sequence[Sample]) -> Iterator[Panel]:
    """Each one's hosts, and the metric that they follow."""
    for name in sorted({name for sample in samples for name in sample.providers}):
        every = [sample.providers.get(name, ProviderSample()) for sample in samples]
        there = [each.hosts for each in every]
        starting = [max(0, each.desired - each.hosts) for each in every]
        colour = style.COLOURS[4]
        series = [Series("there", there, colour, "area"), Series("starting", starting, colour, "hatched")]
        waiting = [each.waiting for each in every]
        if any(waiting):
            series.append(Series("tasks that wait", waiting, style.COLOURS[5], "line"))
        yield Panel(f"hosts of {name}", series)
        yield Panel(
            f"CapacityProviderReservation of {name}, %",
            [
                Series("reservation", [each.reservation for each in every], style.COLOURS[7]),
                Series("target", [each.target for each in every], style.INK, "dashed"),
            ],
        )


def _zones(samples: Sequence[Sample]) -> Iterator[Panel]:
    names = sorted({zone for sample in samples for zone in sample.zones})
    if len(names) < 2:
        return
    colours = dict(zip(names, cycle(_ZONES), strict=False))
    series = []
    for name in names:
        tasks = [sample.zones[name].tasks if name in sample.zones else 0 for sample in samples]
        series.append(Series(name, tasks, colours[name], "area"))
    yield Panel("tasks by zone", series)


def _hosts(samples: Sequence[Sample]) -> Panel:
    there = [whole(sample).hosts for sample in samples]
    used = [whole(sample).used for sample in samples]
    empty = [all - some for all, some in zip(there, used, strict=True)]
    return Panel(
        "hosts",
        [Series("with tasks", used, style.QUIET, "area"), Series("empty", empty, style.LINE, "hatched")],
    )


def _use(samples: Sequence[Sample]) -> Panel:
    every = [whole(sample) for sample in samples]
    cpu = [zone.cpu_reserved / zone.cpu if zone.cpu else 0.0 for zone in every]
    memory = [zone.memory_reserved / zone.memory if zone.memory else 0.0 for zone in every]
    return Panel(
        "reserved", [Series("CPU", cpu, _BLUE), Series("memory", memory, _ORANGE, "dashed")], percent=True
    )
