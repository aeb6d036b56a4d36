"""What in a cluster file is probably not meant: told as notes, because it may be.

Apart from mistakes: a rack can be called a zone, and a machine can have another size than AWS's of that name.
"""

from __future__ import annotations

from collections.abc import Iterator

from miniecs.model.instance_types import INSTANCE_TYPES
from miniecs.model.network import zone_names, zones
from miniecs.planning.cluster_file import ClusterFile, HostSpec
from miniecs.planning.hosts import zone_name
from miniecs.planning.text import Place
from miniecs.planning.validate import nearest
from miniecs_scheduler import is_version

Doubt = tuple[Place, str]


def doubts(file: ClusterFile) -> list[str]:
    """Each with its line."""
    found = [*_of_hosts(file), *_of_services(file)]
    return [file.at(place, what) for place, what in found]


def _of_hosts(file: ClusterFile) -> Iterator[Doubt]:
    services = {service.group for service in file.services}
    for n, spec in enumerate(file.hosts):
        place = ("hosts", n)
        if spec.zone is not None:
            yield from _zone(file, spec.zone, (*place, "zone"))
        for m, zone in enumerate(spec.zones or ()):
            yield from _zone(file, zone, (*place, "zones", m))
        for member, what in _size(spec):
            yield (*place, member), what
        if spec.agent_version is not None and not is_version(spec.agent_version):
            what = f"{spec.agent_version!r} is no version like 1.90.0: no comparison holds for it"
            yield (*place, "agentVersion"), what
        for m, tasks in enumerate(spec.tasks):
            if tasks.group is not None and tasks.group.startswith("service:") and tasks.group not in services:
                meant = nearest(tasks.group, services)
                hint = f"; did you mean {meant}?" if meant else ""
                yield (*place, "tasks", m, "group"), f"there is no such service{hint}"


def _zone(file: ClusterFile, zone: str, place: Place) -> Iterator[Doubt]:
    if zone_name(zone, file.region) not in zone_names(file.region):
        there = ", ".join(zones(file.region))
        yield place, f"{zone} is no zone of {file.region}, which has {there}; a letter is enough"


def _size(spec: HostSpec) -> Iterator[tuple[str, str]]:
    """A real host registers less memory than its type has; never more, and not another number of CPUs."""
    known = INSTANCE_TYPES.get(spec.type or "")
    if known is None:
        return
    if spec.cpu is not None and spec.cpu != known.cpu:
        yield "cpu", f"{spec.cpu} CPU units, but an {known.name} has {known.cpu}"
    if spec.memory is not None and spec.memory > known.memory:
        yield "memory", f"{spec.memory} MiB, but an {known.name} has {known.memory}"


def _of_services(file: ClusterFile) -> Iterator[Doubt]:
    hosts = {zone_name(zone, file.region) for spec in file.hosts for zone in spec.zones or (spec.zone or "",)}
    if any(spec.zone is None and spec.zones is None for spec in file.hosts):
        hosts |= set(zones(file.region)[:3])
    for n, service in enumerate(file.services):
        for m, zone in enumerate(service.zones or ()):
            if zone_name(zone, file.region) not in hosts:
                yield ("services", n, "zones", m), f"no host is in {zone}"
