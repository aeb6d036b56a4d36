"""A variant made ready to be played: names resolved, parameters held against ECS's model, arrivals drawn.

Whatever can be found wrong without playing is found here, in the order of time: a host cannot be restored
before it was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from miniecs.ids import Ids
from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.scenarios.around import CapacityProviderGroup, TargetGroupSpec
from miniecs.scenarios.arrivals import Arrival, arrivals, drawn
from miniecs.scenarios.cast import Cast, HostPlan
from miniecs.scenarios.checked import checked
from miniecs.scenarios.definitions import is_checked
from miniecs.scenarios.document import Document, Place
from miniecs.scenarios.event_kinds import Hosts, LoseHost, LoseZone, RunTask
from miniecs.scenarios.scenario_file import Event, HostGroup, Variant
from miniecs_agent.sim.behaviours import VARIABLE, UnknownBehaviour, behaviour_of


@dataclass(frozen=True, slots=True)
class Step:
    """What happens at a moment. what: the event's fields, or ECS's parameters. place: in the file."""

    at: float
    kind: str
    what: Any
    place: Place
    hosts: tuple[HostPlan, ...] = ()  # that join, or that it is about


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A capacity provider with its group, its zones by their full names."""

    spec: CapacityProviderGroup
    zones: tuple[str, ...]
    place: Place


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
    groups: list[GroupPlan] = field(default_factory=list)
    default_strategy: list[dict[str, Any]] = field(default_factory=list)
    target_groups: list[TargetGroupSpec] = field(default_factory=list)
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
    """Walks through a file in the order of time, knowing who is there at each moment."""

    def __init__(self, story: Story, choices: Ids) -> None:
        self._story = story
        self._document = story.document
        self._choices = choices
        self._cast = Cast(story.document)
        story.definitions = self._cast.definitions

    def tell(self, variant: Variant) -> None:
        scenario = variant.scenario
        for index, group in enumerate(scenario.hosts):
            self._story.hosts += self._cast.join(("hosts", index), group)
        for index, spec in enumerate(scenario.capacity_providers):
            of_group = ("capacityProviders", index)
            self._cast.provide(of_group, spec)
            self._story.groups.append(GroupPlan(spec, self._cast.zones_of(spec), of_group))
        strategy = scenario.default_capacity_provider_strategy
        if strategy is None:
            strategy = [CapacityProviderStrategyItem(g.name, 1) for g in scenario.capacity_providers[:1]]
        place_of_strategy = ("defaultCapacityProviderStrategy",)
        self._story.default_strategy = self._cast.strategy(place_of_strategy, strategy)
        for index, target_group in enumerate(scenario.target_groups):
            self._cast.balance(("targetGroups", index), target_group.name)
            self._story.target_groups.append(target_group)
        for index, given in enumerate(scenario.task_definitions):
            self._cast.define(("taskDefinitions", index), given)
        for index, given in enumerate(scenario.services):
            params = self._cast.create(("services", index), given)
            self._story.services.append((("services", index), params))
        for index, event in sorted(enumerate(scenario.events), key=lambda each: each[1].at):
            place = ("events", index, event.kind)
            if event.at > scenario.duration:
                raise self._document.mistake(
                    ("events", index, "at"), f"is after the end: the duration is {scenario.duration:g} s"
                )
            self._story.steps += self._steps(place, event)
        self._story.steps.sort(key=lambda step: step.at)

    def _steps(self, place: Place, event: Event) -> Iterable[Step]:
        tell = getattr(self, f"_{event.field}", self._plain)
        steps: Iterable[Step] = tell(place, event.at, event.kind, event.what)
        return steps

    def _plain(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        """Events about one service, family or host, if any, and nothing else that has a name."""
        if getattr(what, "service", None) is not None:
            self._cast.service((*place, "service"), what.service)
        if getattr(what, "family", None) is not None:
            self._cast.family(place, {"taskDefinition": what.family})
        hosts: tuple[HostPlan, ...] = ()
        if getattr(what, "host", None) is not None:
            hosts = (self._cast.host((*place, "host"), what.host),)
        return [Step(at, kind, what, place, hosts)]

    def _run_task(self, place: Place, at: float, kind: str, what: RunTask) -> Iterable[Step]:
        self._cast.family(place, what.params)
        params = checked(self._document, place, "RunTask", what.params)
        self._cast.provided(place, params)
        return [Step(at, kind, Arrival(at, params, drawn(what.lifetime, self._choices)), place)]

    def _arrivals(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        end = self._story.duration if what.lasting is None else min(self._story.duration, at + what.lasting)
        found = []
        known: dict[str, dict[str, Any]] = {}
        for each in arrivals(self._document, place, what, at, end, self._choices):
            key = repr(each.params)
            if key not in known:
                self._cast.family(place, each.params)
                known[key] = checked(self._document, (*place, "runTask"), "RunTask", each.params)
                self._cast.provided((*place, "runTask"), known[key])
            found.append(Step(each.at, "arrival", each._replace(params=known[key]), place))
        return found

    def _create_service(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        return [Step(at, kind, self._cast.create(place, what), place)]

    def _update_service(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        params = checked(self._document, place, "UpdateService", what)
        name = self._cast.service((*place, "service"), params["service"])
        self._cast.provided(place, params)
        if "taskDefinition" in params:
            self._cast.services[name] = self._cast.family(place, params)
        return [Step(at, kind, params, place)]

    def _delete_service(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        params = checked(self._document, place, "DeleteService", what)
        del self._cast.services[self._cast.service((*place, "service"), params["service"])]
        return [Step(at, kind, params, place)]

    def _scale(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        self._cast.service((*place, "service"), what.service)
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
        family = self._cast.services[self._cast.service((*place, "service"), what.service)]
        can_fail = what.service in self._cast.balanced or is_checked(self._cast.definitions[family])
        if what.revision == "unhealthy" and not can_fail:
            raise self._document.mistake(
                (*place, "revision"),
                f"no container of {family} has a healthCheck that could fail, and no target group has one",
            )
        try:
            behaviour_of({"environment": {VARIABLE: what.simulate}})
        except UnknownBehaviour as unknown:
            raise self._document.mistake((*place, "simulate"), str(unknown)) from None
        return [Step(at, kind, what, place)]

    def _lose_host(self, place: Place, at: float, kind: str, what: LoseHost) -> Iterable[Step]:
        host = self._cast.host((*place, "host"), what.host)
        return self._lost_now([host], place, at, kind, what)

    def _lose_zone(self, place: Place, at: float, kind: str, what: LoseZone) -> Iterable[Step]:
        return self._lost_now(self._cast.in_zone((*place, "zone"), what.zone), place, at, kind, what)

    def _lost_now(
        self, hosts: list[HostPlan], place: Place, at: float, kind: str, what: Any
    ) -> Iterable[Step]:
        if not what.replace:
            self._cast.lost.update(host.name for host in hosts)
        return [Step(at, kind, what, place, tuple(hosts))]

    def _restore(self, place: Place, at: float, kind: str, what: Hosts) -> Iterable[Step]:
        hosts = self._cast.some(place, what, lost=True)
        self._cast.lost.difference_update(host.name for host in hosts)
        return [Step(at, kind, what, place, tuple(hosts))]

    def _update_capacity_provider(self, place: Place, at: float, kind: str, what: Any) -> Iterable[Step]:
        params = checked(self._document, place, "UpdateCapacityProvider", what)
        self._cast.provider((*place, "name"), params["name"])
        return [Step(at, kind, params, place)]

    def _drain(self, place: Place, at: float, kind: str, what: Hosts) -> Iterable[Step]:
        return [Step(at, kind, what, place, tuple(self._cast.some(place, what)))]

    _activate = _drain

    def _add_hosts(self, place: Place, at: float, kind: str, what: HostGroup) -> Iterable[Step]:
        return [Step(at, kind, what, place, tuple(self._cast.join(place, what)))]
