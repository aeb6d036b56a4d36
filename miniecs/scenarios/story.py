"""A variant made ready to be played: names resolved, parameters held against ECS's model, arrivals drawn.

Whatever can be found wrong without playing is found here, in the order of time: a host cannot be restored
before it was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from miniecs.ids import Ids
from miniecs.model.network import zones
from miniecs.planning.hosts import ZONES, zone_name
from miniecs.scenarios.arrivals import Arrival, arrivals, drawn
from miniecs.scenarios.checked import checked
from miniecs.scenarios.document import Document, Place, nearest
from miniecs.scenarios.event_kinds import Hosts, LoseHost, LoseZone, RunTask
from miniecs.scenarios.scenario_file import Event, HostGroup, Variant
from miniecs_agent.sim.behaviours import VARIABLE, UnknownBehaviour, behaviour_of

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host by the name that the scenario has for it."""

    name: str
    type: str
    zone: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at a moment. what: the event's fields, or ECS's parameters. place: in the file."""

    at: float
    kind: str
    what: Any
    place: Place
    hosts: tuple[HostPlan, ...] = ()  # that join, or that it is about


@dataclass
class Story:
    """Everything that playing needs."""

    title: str
    variant: str
    seed: int
    duration: float
    until_steady: bool
    document: Document
    hosts: list[HostPlan] = field(default_factory=list)
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)  # by family
    services: list[tuple[Place, dict[str, Any]]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def story(variant: Variant, seed: int | None = None) -> Story:
    """The variant, ready; with another seed than the file's. Raises Mistake."""
    scenario = variant.scenario
    used = scenario.seed if seed is None else seed
    told = Story(
        title=scenario.title or variant.document.path.stem,
        variant=variant.name,
        seed=used,
        duration=scenario.duration,
        until_steady=scenario.until is not None,
        document=variant.document,
    )
    _Teller(told, Ids(used * 2 + 1)).tell(variant)
    return told


class _Teller:
    """Walks through a file in the order of time, knowing what there is at each moment."""

    def __init__(self, story: Story, choices: Ids) -> None:
        self._story = story
        self._document = story.document
        self._choices = choices
        self._numbers: dict[str, int] = {}
        self._every_zone = cycle(zones(REGION)[:ZONES])
        self._hosts: dict[str, HostPlan] = {}
        self._lost: set[str] = set()
        self._services: dict[str, str] = {}  # -> its task definition's family

    def tell(self, variant: Variant) -> None:
        scenario = variant.scenario
        for index, group in enumerate(scenario.hosts):
            self._story.hosts += self._join(("hosts", index), group)
        for index, given in enumerate(scenario.task_definitions):
            self._define(("taskDefinitions", index), given)
        for index, given in enumerate(scenario.services):
            params = self._create(("services", index), given)
            self._story.services.append((("services", index), params))
        for index, event in sorted(enumerate(scenario.events), key=lambda each: each[1].at):
            place = ("events", index, event.kind)
            if event.at > scenario.duration:
                raise self._document.mistake(
                    ("events", index, "at"), f"is after the end: the duration is {scenario.duration:g} s"
                )
            self._story.steps += self._steps(place, event)
        self._story.steps.sort(key=lambda step: step.at)

    # What there is

    def _join(self, place: Place, group: HostGroup) -> list[HostPlan]:
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

    def _define(self, place: Place, given: Mapping[str, Any]) -> None:
        family = str(given.get("family", ""))
        if family in self._story.definitions:
            raise self._document.mistake((*place, "family"), f"{family} is described twice")
        params = _whole_definition(given)
        self._story.definitions[family] = checked(self._document, place, "RegisterTaskDefinition", params)

    def _create(self, place: Place, given: Mapping[str, Any]) -> dict[str, Any]:
        given = {("desiredCount" if name == "count" else name): value for name, value in given.items()}
        params = checked(self._document, place, "CreateService", given)
        name = params["serviceName"]
        if name in self._services:
            raise self._document.mistake((*place, "serviceName"), f"there is a service {name} already")
        self._services[name] = self._family(place, params)
        return params

    # Names

    def _family(self, place: Place, params: Mapping[str, Any]) -> str:
        """Of the task definition that parameters name."""
        named = str(params.get("taskDefinition", ""))
        family = named.rsplit("/", 1)[-1].split(":")[0]
        if family not in self._story.definitions:
            hint = nearest(family, self._story.definitions)
            what = f"there is no task definition {named}; {hint}" if named else "is missing"
            raise self._document.mistake((*place, "taskDefinition"), what)
        return family

    def _service(self, place: Place, name: Any) -> str:
        short = str(name).rsplit("/", 1)[-1]
        if short not in self._services:
            hint = nearest(short, self._services)
            raise self._document.mistake(place, f"there is no service {short} then; {hint}")
        return short

    def _host(self, place: Place, name: str, *, lost: bool = False) -> HostPlan:
        if name not in self._hosts:
            raise self._document.mistake(place, f"there is no host {name} then; {nearest(name, self._hosts)}")
        if lost and name not in self._lost:
            raise self._document.mistake(place, f"host {name} is not lost then")
        if not lost and name in self._lost:
            raise self._document.mistake(place, f"host {name} is lost then")
        return self._hosts[name]

    def _in_zone(self, place: Place, zone: str, *, lost: bool = False) -> list[HostPlan]:
        name = zone_name(zone, REGION)
        found = [h for h in self._hosts.values() if h.zone == name and (h.name in self._lost) is lost]
        if not found:
            zones = sorted({host.zone for host in self._hosts.values()})
            state = "lost " if lost else ""
            hint = f"; hosts are in {', '.join(zones)}" if name not in zones else ""
            raise self._document.mistake(place, f"there is no {state}host in {name} then{hint}")
        return found

    def _some(self, place: Place, hosts: Hosts, *, lost: bool = False) -> list[HostPlan]:
        if hosts.zone is not None:
            return self._in_zone((*place, "zone"), hosts.zone, lost=lost)
        names = [hosts.host] if hosts.host is not None else hosts.hosts
        return [self._host(place, name, lost=lost) for name in names]

    # What happens

    def _steps(self, place: Place, event: Event) -> Iterable[Step]:
        tell = getattr(self, f"_{event.field}", self._plain)
        steps: Iterable[Step] = tell(place, event.at, event.kind, event.what)
        return steps

    def _plain(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        """Events about one service, family or host, if any, and nothing else that has a name."""
        if getattr(what, "service", None) is not None:
            self._service((*place, "service"), what.service)
        if getattr(what, "family", None) is not None:
            self._family(place, {"taskDefinition": what.family})
        hosts: tuple[HostPlan, ...] = ()
        if getattr(what, "host", None) is not None:
            hosts = (self._host((*place, "host"), what.host),)
        return [Step(at, kind, what, place, hosts)]

    def _run_task(self, place: Place, at: float, kind: str, what: RunTask) -> Iterable[Step]:
        self._family(place, what.params)
        params = checked(self._document, place, "RunTask", what.params)
        return [Step(at, kind, Arrival(at, params, drawn(what.lifetime, self._choices)), place)]

    def _arrivals(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        end = self._story.duration if what.lasting is None else min(self._story.duration, at + what.lasting)
        drawn = arrivals(self._document, place, what, at, end, self._choices)
        found = []
        known: dict[str, dict[str, Any]] = {}
        for each in drawn:
            key = repr(each.params)
            if key not in known:
                self._family(place, each.params)
                known[key] = checked(self._document, (*place, "runTask"), "RunTask", each.params)
            found.append(Step(each.at, "arrival", each._replace(params=known[key]), place))
        return found

    def _create_service(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        return [Step(at, kind, self._create(place, what), place)]

    def _update_service(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        params = checked(self._document, place, "UpdateService", what)
        name = self._service((*place, "service"), params["service"])
        if "taskDefinition" in params:
            self._services[name] = self._family(place, params)
        return [Step(at, kind, params, place)]

    def _delete_service(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        params = checked(self._document, place, "DeleteService", what)
        del self._services[self._service((*place, "service"), params["service"])]
        return [Step(at, kind, params, place)]

    def _scale(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        self._service((*place, "service"), what.service)
        counts = what.steps or [what.desired_count]
        moments = [at + n * (what.every or 0.0) for n in range(len(counts))]
        if moments[-1] > self._story.duration:
            what_is_wrong = f"the last one is after the end, at {moments[-1]:g} s"
            raise self._document.mistake((*place, "steps"), what_is_wrong)
        return [
            Step(moment, kind, {"service": what.service, "desiredCount": count}, place)
            for moment, count in zip(moments, counts, strict=True)
        ]

    def _deploy(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        family = self._services[self._service((*place, "service"), what.service)]
        if what.revision == "unhealthy" and not _is_checked(self._story.definitions[family]):
            raise self._document.mistake(
                (*place, "revision"), f"no container of {family} has a healthCheck that could fail"
            )
        try:
            behaviour_of({"environment": {VARIABLE: what.simulate}})
        except UnknownBehaviour as unknown:
            raise self._document.mistake((*place, "simulate"), str(unknown)) from None
        return [Step(at, kind, what, place)]

    def _lose_host(self, place: Place, at: float, kind: str, what: LoseHost) -> Iterable[Step]:
        host = self._host((*place, "host"), what.host)
        return self._lost_now([host], place, at, kind, what)

    def _lose_zone(self, place: Place, at: float, kind: str, what: LoseZone) -> Iterable[Step]:
        return self._lost_now(self._in_zone((*place, "zone"), what.zone), place, at, kind, what)

    def _lost_now(
        self, hosts: list[HostPlan], place: Place, at: float, kind: str, what: Any
    ) -> Iterable[Step]:
        if not what.replace:
            self._lost.update(host.name for host in hosts)
        return [Step(at, kind, what, place, tuple(hosts))]

    def _restore(self, place: Place, at: float, kind: str, what: Hosts) -> Iterable[Step]:
        hosts = self._some(place, what, lost=True)
        self._lost.difference_update(host.name for host in hosts)
        return [Step(at, kind, what, place, tuple(hosts))]

    def _drain(self, place: Place, at: float, kind: str, what: Hosts) -> Iterable[Step]:
        return [Step(at, kind, what, place, tuple(self._some(place, what)))]

    _activate = _drain

    def _add_hosts(self, place: Place, at: float, kind: str, what: HostGroup) -> Iterable[Step]:
        return [Step(at, kind, what, place, tuple(self._join(place, what)))]


def _whole_definition(given: Mapping[str, Any]) -> dict[str, Any]:
    """In a cluster file's short form, cpu, memory and hostPorts stand for one container."""
    if "containerDefinitions" in given:
        return dict(given)
    params = {name: value for name, value in given.items() if name != "hostPorts"}
    for name in ("cpu", "memory"):
        if isinstance(params.get(name), int):
            params[name] = str(params[name])
    container: dict[str, Any] = {"name": str(given.get("family", "")), "image": str(given.get("family", ""))}
    if "hostPorts" in given:
        container["portMappings"] = [
            {"containerPort": port, "hostPort": port} if isinstance(port, int) else _port(port)
            for port in given["hostPorts"] or ()
        ]
    return params | {"containerDefinitions": [container]}


def _port(port: Any) -> dict[str, Any]:
    """``53/udp``."""
    number, _, protocol = str(port).partition("/")
    named = int(number) if number.isdecimal() else port
    return {"containerPort": named, "hostPort": named, "protocol": protocol or "tcp"}


def _is_checked(definition: Mapping[str, Any]) -> bool:
    return any(
        container.get("healthCheck") is not None and container.get("essential", True)
        for container in definition["containerDefinitions"]
    )

