"""Who is there at a moment of a story: hosts, task definitions and services, by their names.

Asked in the order of time, so that a name is wrong when it comes too early as well as when it never comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from miniecs.model.network import zones
from miniecs.planning.hosts import ZONES, zone_name
from miniecs.scenarios.checked import checked
from miniecs.scenarios.definitions import whole_definition
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

    lost: names of hosts that are gone and may be restored. Every method raises Mistake.
    """

    def __init__(self, document: Document) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self.services: dict[str, str] = {}
        self.lost: set[str] = set()
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
        params = checked(self._document, place, "CreateService", given)
        name = params["serviceName"]
        if name in self.services:
            raise self._document.mistake((*place, "serviceName"), f"there is a service {name} already")
        self.services[name] = self.family(place, params)
        return params

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
        if not found:
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
