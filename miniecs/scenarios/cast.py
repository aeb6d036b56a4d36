"""Who is there at a moment of a story: hosts, task definitions and services, by their names.

Asked in the order of time, so that a name is wrong when it comes too early as well as when it never comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.model.network import zones
from miniecs.planning.hosts import ZONES, zone_name
from miniecs.scenarios.around import CapacityProviderGroup
from miniecs.scenarios.checked import checked
from miniecs.scenarios.definitions import served_port, whole_definition
from miniecs.scenarios.document import Document, Place, nearest
from miniecs.scenarios.event_kinds import Hosts
from miniecs.scenarios.scenario_file import HostGroup

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host by the name that the scenario has for it."""

    name: str
    type: str
    zone: str
    attributes: tuple[tuple[str, str], ...] = ()


class Cast:
    """definitions: RegisterTaskDefinition's parameters by family. services: each one's present family.

    lost: names of hosts that are gone and may be restored. balanced: services with a target group.
    group_zones: those in which Auto Scaling groups may have hosts. Every method raises Mistake.
    """

    def __init__(self, document: Document) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self.services: dict[str, str] = {}
        self.lost: set[str] = set()
        self.balanced: set[str] = set()
        self.target_groups: set[str] = set()
        self.providers: set[str] = set()
        self.group_zones: set[str] = set()
        self._document = document
        self._hosts: dict[str, HostPlan] = {}
        self._numbers: dict[str, int] = {}
        self._every_zone = cycle(zones(REGION)[:ZONES])

    def join(self, place: Place, group: HostGroup) -> list[HostPlan]:
        made = []
        for n in range(group.count):
            if group.zone is not None:
                zone = group.zone
            elif group.zones is not None:
                zone = group.zones[n % len(group.zones)]
            else:
                zone = next(self._every_zone)
            attributes = tuple(group.attributes.items())
            made.append(HostPlan(self._name(group), group.type, zone_name(zone, REGION), attributes))
        for host in made:
            if host.name in self._hosts:
                raise self._document.mistake(place, f"two hosts have the id {host.name}")
            self._hosts[host.name] = host
        return made

    def _name(self, group: HostGroup) -> str:
        prefix = group.id or group.type
        if group.id is not None and group.count == 1:
            return prefix
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        return f"{prefix}-{self._numbers[prefix]}"

    def define(self, place: Place, given: Mapping[str, Any]) -> None:
        family = str(given.get("family", ""))
        if family in self.definitions:
            raise self._document.mistake((*place, "family"), f"{family} is described twice")
        params = whole_definition(given)
        self.definitions[family] = checked(self._document, place, "RegisterTaskDefinition", params)

    def create(self, place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
        given = {("desiredCount" if name == "count" else name): value for name, value in given.items()}
        target_group = given.pop("targetGroup", None)
        params = checked(self._document, place, "CreateService", given)
        name = params["serviceName"]
        if name in self.services:
            raise self._document.mistake((*place, "serviceName"), f"there is a service {name} already")
        self.provided(place, params)
        family = self.services[name] = self.family(place, params)
        if target_group is not None:
            params["loadBalancers"] = [self._served((*place, "targetGroup"), target_group, family)]
            self.balanced.add(name)
        return params

    def _served(self, place: Place, target_group: Any, family: str) -> dict[str, Any]:
        """The service's entry of loadBalancers, the target group by its name."""
        if target_group not in self.target_groups:
            hint = nearest(str(target_group), self.target_groups)
            raise self._document.mistake(place, f"there is no target group {target_group}; {hint}")
        served = served_port(self.definitions[family])
        if served is None:
            what = f"no container of {family} has a port: give {family} a containerPort, or portMappings"
            raise self._document.mistake(place, what)
        return {"targetGroupArn": target_group, "containerName": served[0], "containerPort": served[1]}

    def balance(self, place: Place, name: str) -> None:
        if name in self.target_groups:
            raise self._document.mistake((*place, "name"), f"{name} is described twice")
        self.target_groups.add(name)

    def provide(self, place: Place, group: CapacityProviderGroup) -> None:
        if group.name in self.providers:
            raise self._document.mistake((*place, "name"), f"{group.name} is described twice")
        self.providers.add(group.name)
        self.group_zones.update(self.zones_of(group))
        checked(self._document, place, "CreateCapacityProvider", group.provider("arn:aws:autoscaling"))

    def zones_of(self, group: CapacityProviderGroup) -> tuple[str, ...]:
        return tuple(zone_name(zone, REGION) for zone in group.zones) or zones(REGION)[:ZONES]

    def strategy(
        self, place: Place, items: Sequence[CapacityProviderStrategyItem]
    ) -> list[dict[str, Any]]:
        for item in items:
            self.provider(place, item.capacity_provider)
        return [
            {"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}
            for item in items
        ]

    def provided(self, place: Place, params: Mapping[str, Any]) -> None:
        """The providers that an operation's strategy names are there."""
        for index, item in enumerate(params.get("capacityProviderStrategy", ())):
            of_item = (*place, "capacityProviderStrategy", index)
            self.provider((*of_item, "capacityProvider"), item["capacityProvider"])

    def provider(self, place: Place, name: Any) -> None:
        if name not in self.providers:
            hint = nearest(str(name), self.providers)
            raise self._document.mistake(place, f"there is no capacity provider {name}; {hint}")

    # Names

    def family(self, place: Place, params: Mapping[str, Any]) -> str:
        """Of the task definition that parameters name."""
        named = str(params.get("taskDefinition", ""))
        family = named.rsplit("/", 1)[-1].split(":")[0]
        if family not in self.definitions:
            hint = nearest(family, self.definitions)
            what = f"there is no task definition {named}; {hint}" if named else "is missing"
            raise self._document.mistake((*place, "taskDefinition"), what)
        return family

    def service(self, place: Place, name: Any) -> str:
        short = str(name).rsplit("/", 1)[-1]
        if short not in self.services:
            hint = nearest(short, self.services)
            raise self._document.mistake(place, f"there is no service {short} then; {hint}")
        return short

    def host(self, place: Place, name: str, *, lost: bool = False) -> HostPlan:
        if name not in self._hosts:
            raise self._document.mistake(place, f"there is no host {name} then; {nearest(name, self._hosts)}")
        if lost and name not in self.lost:
            raise self._document.mistake(place, f"host {name} is not lost then")
        if not lost and name in self.lost:
            raise self._document.mistake(place, f"host {name} is lost then")
        return self._hosts[name]

    def in_zone(self, place: Place, zone: str, *, lost: bool = False) -> list[HostPlan]:
        name = zone_name(zone, REGION)
        found = [h for h in self._hosts.values() if h.zone == name and (h.name in self.lost) is lost]
        if not found and (lost or name not in self.group_zones):
            there = sorted({host.zone for host in self._hosts.values()})
            state = "lost " if lost else ""
            hint = f"; hosts are in {', '.join(there)}" if name not in there else ""
            raise self._document.mistake(place, f"there is no {state}host in {name} then{hint}")
        return found

    def some(self, place: Place, hosts: Hosts, *, lost: bool = False) -> list[HostPlan]:
        if hosts.zone is not None:
            return self.in_zone((*place, "zone"), hosts.zone, lost=lost)
        names = [hosts.host] if hosts.host is not None else hosts.hosts
        return [self.host(place, name, lost=lost) for name in names]
