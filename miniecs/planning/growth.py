"""A fleet to which hosts of one kind are added, zone after zone, until tasks fit.

Apart from ``capacity``, which decides how many to try: this knows what a new host looks like and what is
on it before any other task, namely the cluster's daemons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import ValidationError

from miniecs.control.launch import host_of, placement_request
from miniecs.model.frozen import replace
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.planning.cluster_file import HostSpec
from miniecs.planning.hosts import instances_of, zone_name
from miniecs.planning.planned import ALONE, Planned
from miniecs.planning.question import MOST_ASKED, Question
from miniecs.planning.text import Mistake
from miniecs_scheduler import AVAILABILITY_ZONE, Fleet, Resources, place


def kinds_of(
    planned: Planned, question: Question, type: str | None, zones: Sequence[str] | None
) -> list[ContainerInstance]:
    """A host of the type in each zone. Where the cluster has such hosts, new ones are like its first."""
    where = [zone_name(zone, planned.scope.region) for zone in zones or question.zones or _zones(planned)]
    types = Counter(i.attribute("ecs.instance-type") for i in planned.instances.values())
    wanted = type or (types.most_common(1)[0][0] if types else None)
    if not wanted:
        raise Mistake("--capacity needs the type of the hosts: --type m5.large")
    alike = [i for i in planned.instances.values() if i.attribute("ecs.instance-type") == wanted]
    sample = alike[0] if alike else _new(planned, question, wanted)
    others = tuple(each for each in sample.attributes if each.name != AVAILABILITY_ZONE)
    return [
        replace(
            sample,
            status="ACTIVE",
            agent_connected=True,
            attributes=(Attribute(AVAILABILITY_ZONE, zone), *others),
        )
        for zone in where
    ]


def _zones(planned: Planned) -> list[str]:
    return sorted({i.availability_zone for i in planned.instances.values() if i.availability_zone}) or [
        *"abc"
    ]


def _new(planned: Planned, question: Question, type: str) -> ContainerInstance:
    try:
        spec = HostSpec.model_validate({"type": type})
    except ValidationError as problem:
        raise Mistake(f"--type: {problem.errors()[0]['ctx']['error']}") from problem
    needed = {each.name: each.value for each in question.definition.requires_attributes}
    ((instance, _),) = instances_of((spec,), planned.scope, planned.name, needed=needed)
    return instance


def size_text(kind: ContainerInstance) -> str:
    """``2048 CPU units, 8192 MiB``."""
    return f"{kind.cpu} CPU units, {kind.memory} MiB"


class Growth:
    """The fleet with some number of new hosts. ``grow(0)`` leaves it as it was."""

    def __init__(
        self, planned: Planned, question: Question, kinds: Sequence[ContainerInstance], fleet: Fleet
    ) -> None:
        self._fleet = fleet
        self._kinds = kinds
        self._spreads = question.spreads_over_zones
        # Where the hosts are is said by where they are added.
        self._request = replace(question.request(planned), only_hosts=None)
        self._daemons = [_daemons_on(planned, question, kind) for kind in kinds]
        self._hosts: list[str] = []

    def grow(self, hosts: int) -> None:
        """Make it so many new hosts."""
        while len(self._hosts) > hosts:
            id = self._hosts.pop()
            for n in range(len(self._daemons[len(self._hosts) % len(self._kinds)])):
                self._fleet.release(f"{id}/{n}")
            self._fleet.remove_host(id)
        while len(self._hosts) < hosts:
            turn = len(self._hosts) % len(self._kinds)
            id = f"/new-{len(self._hosts)}"  # no host of a file or a cluster begins with a slash
            self._fleet.put_host(host_of(replace(self._kinds[turn], arn=id)))
            for n, (group, demand) in enumerate(self._daemons[turn]):
                self._fleet.assign(id, f"{id}/{n}", demand, group)
            self._hosts.append(id)

    def by_zone(self, hosts: int | None) -> Counter[str] | None:
        if hosts is None:
            return None
        zones = [kind.availability_zone or "" for kind in self._kinds]
        return Counter(zones[n % len(zones)] for n in range(hosts))

    def rooms(self) -> tuple[list[int], str]:
        """How many tasks one host takes in each zone; if it takes none anywhere, why."""
        self.grow(len(self._kinds))
        many = replace(self._request, count=MOST_ASKED)
        decisions = [place(self._fleet, replace(many, only_hosts=frozenset({h}))) for h in self._hosts]
        self.grow(0)
        return [len(decision.placements) for decision in decisions], decisions[0].suggestion

    def fits(self, hosts: int) -> bool:
        self.grow(hosts)
        return not place(self._fleet, self._request).unplaced

    def holds(self, hosts: int) -> bool:
        """Whether all tasks fit, and evenly over the zones if they are to be spread over them."""
        self.grow(hosts)
        decision = place(self._fleet, self._request)
        if decision.unplaced or not self._spreads:
            return not decision.unplaced
        tasks = Counter(dict.fromkeys(range(len(self._kinds)), 0))
        tasks.update(int(p.host.rpartition("-")[2]) % len(self._kinds) for p in decision.placements)
        return max(tasks.values()) - min(tasks.values()) <= 1


def _daemons_on(planned: Planned, question: Question, kind: ContainerInstance) -> list[tuple[str, Resources]]:
    """What the cluster's daemons put on a new host."""
    fleet = Fleet()
    fleet.put_host(host_of(kind))
    found: list[tuple[str, Resources]] = []
    for service in planned.services.values():
        if service.scheduling_strategy != "DAEMON" or service.group == question.group:
            continue
        request = placement_request(
            planned.definition(service.task_definition),
            overrides=None,
            count=1,
            group=service.group,
            constraints=service.placement_constraints + ALONE,
            strategies=(),
            seed=0,
        )
        if place(fleet, request).placements:
            fleet.assign(kind.arn, service.group, request.demand, service.group)
            found.append((service.group, request.demand))
    return found
