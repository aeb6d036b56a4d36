"""Hosts of a cluster file, as container instances: numbered, dealt over zones, with what all hosts have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from typing import Final

from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.network import zones
from miniecs.model.scope import Scope
from miniecs.planning.cluster_file import HostSpec
from miniecs.planning.sizes import MOST_HOSTS
from miniecs.planning.text import Mistake, within
from miniecs.planning.words import BUILT_IN

AGENT_VERSION: Final = "1.0.0"
ZONES: Final = 3
"""Over so many of the region's zones hosts are dealt that say none, as with `miniecs up`."""

Capabilities = Mapping[str, tuple[Attribute, ...]]


def instances_of(
    specs: Iterable[HostSpec],
    scope: Scope,
    cluster: str,
    capabilities: Capabilities | None = None,
    needed: Mapping[str, str | None] | None = None,
) -> list[tuple[ContainerInstance, HostSpec]]:
    """Every host as a container instance, whose ARN is the host's id. Raises Mistake.

    needed: attributes that hosts have unless they say what they are capable of.
    """
    able = tuple(Attribute(name, value) for name, value in (needed or {}).items())
    every_zone = cycle(zones(scope.region)[:ZONES])
    names = _Names()
    made: list[tuple[ContainerInstance, HostSpec]] = []
    for n, spec in enumerate(specs):
        if len(made) + spec.count > MOST_HOSTS:
            raise Mistake(f"more than {MOST_HOSTS:,} hosts", ("hosts", n))
        own = able
        if spec.capabilities is not None:
            with within("hosts", n, "capabilities"):
                own = _capabilities(capabilities or {}, spec.capabilities)
        alike: dict[str, ContainerInstance] = {}
        zones_in_turn = _zones(spec, every_zone)
        with within("hosts", n):
            for id in names.of(spec):
                zone = zone_name(next(zones_in_turn), scope.region)
                if zone not in alike:
                    alike[zone] = _instance(spec, zone, scope, cluster, own)
                made.append((replace(alike[zone], arn=id), spec))
    return made


def zone_name(zone: str, region: str) -> str:
    """A letter stands for the region's zone."""
    return region + zone if len(zone) == 1 else zone


class _Names:
    """Ids that are given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._numbers: dict[str, int] = {}

    def of(self, spec: HostSpec) -> Iterator[str]:
        prefix = spec.id or spec.type or "host"
        for _ in range(spec.count):
            id = prefix
            if spec.id is None or spec.count > 1:
                number = self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
                id = f"{prefix}-{number}"
            if id in self._given:
                raise Mistake(f"two hosts have the id {id}")
            self._given.add(id)
            yield id


def _zones(spec: HostSpec, every_zone: Iterator[str]) -> Iterator[str]:
    """Zones for the hosts of a group; those that say none are dealt over the region's, all in one turn."""
    if spec.zone is not None:
        return cycle((spec.zone,))
    return cycle(spec.zones) if spec.zones is not None else every_zone


def _capabilities(known: Capabilities, name: str) -> tuple[Attribute, ...]:
    if name not in known:
        raise Mistake(f"there are no capabilities {name!r}; there are {', '.join(known) or 'none'}")
    return known[name]


def _instance(
    spec: HostSpec, zone: str, scope: Scope, cluster: str, capabilities: tuple[Attribute, ...]
) -> ContainerInstance:
    """One of a group, yet without ARN."""
    cpu, memory = spec.size
    built_in: dict[str, str | None] = {"ecs.availability-zone": zone, **BUILT_IN}
    if spec.type:
        built_in["ecs.instance-type"] = spec.type
    values = built_in | spec.attributes
    return ContainerInstance(
        arn="",
        cluster_arn=arns.cluster(scope, cluster),
        status=spec.status,
        ec2_instance_id=spec.ec2_instance_id,
        agent_connected=spec.agent_connected,
        agent_version=spec.agent_version or AGENT_VERSION,
        cpu=cpu,
        memory=memory,
        ports=tuple(port for protocol, port in spec.ports if protocol == "tcp"),
        ports_udp=tuple(port for protocol, port in spec.ports if protocol == "udp"),
        gpus=tuple(f"gpu-{n}" for n in range(spec.gpus)),
        attributes=(
            *(Attribute(name, value) for name, value in values.items() if value is not None),
            *(each for each in capabilities if each.name not in values),
        ),
        capacity_provider_name=spec.capacity_provider,
        registered_at=spec.registered_at,
    )
