"""What would happen: so many tasks placed on a cluster as it is, without placing them.

The request is made by the function that RunTask and the service loop ask with, and goes to the same
scheduler: what is answered here is what they would do, but for the seed that ties are broken with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from miniecs.control.launch import demand_of, placement_request
from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.model.frozen import replace
from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.model.task_definition import TaskDefinition
from miniecs.planning.cluster_file import ServiceSpec
from miniecs.planning.planned import Planned, checked_strategy, hosts_in, is_fargate
from miniecs.planning.shares import Share, place_shares, whole
from miniecs.planning.text import Mistake
from miniecs.planning.validate import nearest
from miniecs_scheduler import AVAILABILITY_ZONE, SERVICE_DEFAULT, Decision, Request, Resources

MOST_ASKED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Question:
    """``count`` tasks of a definition in a group.

    zones: only hosts there are considered, as with subnets of an awsvpc task. providers: the capacity
    provider strategy; without one all hosts are considered.
    """

    definition: TaskDefinition
    count: int
    group: str
    strategies: tuple[PlacementStrategy, ...] = ()
    constraints: tuple[PlacementConstraint, ...] = ()
    zones: tuple[str, ...] | None = None
    seed: int = 0
    providers: tuple[CapacityProviderStrategyItem, ...] = ()

    def request(self, planned: Planned) -> Request:
        return placement_request(
            self.definition,
            overrides=None,
            count=self.count,
            group=self.group,
            constraints=self.constraints,
            strategies=self.strategies,
            seed=self.seed,
            only_hosts=hosts_in(planned, self.zones),
        )

    @property
    def demand(self) -> Resources:
        return demand_of(self.definition)

    @property
    def chain(self) -> tuple[PlacementStrategy, ...]:
        """The strategies that count: a service without any has ECS's default."""
        if self.strategies or not self.group.startswith("service:"):
            return self.strategies
        return tuple(PlacementStrategy(each.type, each.field) for each in SERVICE_DEFAULT)

    @property
    def spreads_over_zones(self) -> bool:
        return PlacementStrategy("spread", f"attribute:{AVAILABILITY_ZONE}") in self.chain

    def under(self, strategies: tuple[PlacementStrategy, ...]) -> Question:
        return replace(self, strategies=strategies)


class OnHost(NamedTuple):
    """What a host would get, and why its first task goes there."""

    host: str
    zone: str | None
    tasks: int
    because: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``hosts``: by zone, then in the order in which they are chosen first."""

    question: Question
    shares: tuple[Share, ...]
    decision: Decision  # of all shares
    hosts: tuple[OnHost, ...]

    @property
    def waiting(self) -> int:
        """Tasks that would wait in PROVISIONING."""
        return sum(share.waiting for share in self.shares)

    @property
    def placed(self) -> Counter[str]:
        """New tasks by host."""
        return Counter({each.host: each.tasks for each in self.hosts})


def question(
    planned: Planned,
    *,
    task_definition: str | None,
    service: str | None = None,
    group: str | None = None,
    count: int = 1,
    strategies: Sequence[PlacementStrategy] | None = None,
    constraints: Sequence[PlacementConstraint] | None = None,
    zones: Sequence[str] | None = None,
    seed: int = 0,
    providers: Sequence[CapacityProviderStrategyItem] = (),
    launch_type: str | None = None,
) -> Question:
    """What was asked, with what the service says where the question does not. Raises Mistake."""
    if not 1 <= count <= MOST_ASKED:
        raise Mistake(f"--count must be 1 to {MOST_ASKED:,}, not {count:,}")
    known = planned.services.get(service or "")
    if known is None and task_definition is None:
        raise _nothing_to_place(planned, service)
    if known is not None and known.scheduling_strategy == "DAEMON":
        raise Mistake(f"service {service} is a DAEMON: it has one task on every host that can take one")
    definition = planned.definition(task_definition or (known.task_definition if known else ""))
    _refuse_unplaceable(definition)
    if group is not None and group.startswith("service:"):
        raise Mistake(f"--group {group}: groups that begin with service: belong to services; give --service")
    own_zones = known.zones if known is not None else None
    found = Question(
        definition=definition,
        count=count,
        group=f"service:{service}" if service is not None else group or f"family:{definition.family}",
        strategies=tuple(strategies if strategies else known.placement_strategy if known else ()),
        constraints=tuple(constraints if constraints else known.placement_constraints if known else ()),
        zones=tuple(zones) if zones else own_zones,
        seed=seed,
        providers=_providers(planned, known, tuple(providers), launch_type),
    )
    if zones and planned.instances and not hosts_in(planned, zones):
        there = sorted({i.availability_zone or "" for i in planned.instances.values()})
        raise Mistake(f"no host is in {' or '.join(zones)}; there are hosts in {', '.join(there)}")
    return found


def _nothing_to_place(planned: Planned, service: str | None) -> Mistake:
    if service is None:
        return Mistake("name what to place: --task-definition, or --service for more tasks of one")
    meant = nearest(service, planned.services)
    hint = f"did you mean {meant}?" if meant else f"there are {', '.join(planned.services) or 'none'}"
    return Mistake(
        f"there is no service {service}; {hint} (one that does not exist yet needs --task-definition)"
    )


def _providers(
    planned: Planned,
    service: ServiceSpec | None,
    given: tuple[CapacityProviderStrategyItem, ...],
    launch_type: str | None,
) -> tuple[CapacityProviderStrategyItem, ...]:
    if given:
        checked_strategy(planned, given)
    strategy = given or (() if launch_type is not None else planned.strategy_of(service))
    if is_fargate(strategy):
        names = ", ".join(item.capacity_provider for item in strategy)
        own = "" if given else "; --launch-type EC2 asks about the cluster's own hosts"
        raise Mistake(f"capacity provider strategy {names}: Fargate has no hosts to choose from{own}")
    return strategy


def _refuse_unplaceable(definition: TaskDefinition) -> None:
    name = definition.family_revision
    if "EC2" not in (definition.requires_compatibilities or ("EC2",)):
        raise Mistake(f"task definition {name} is for Fargate only, and Fargate has no hosts to choose from")
    if definition.status != "ACTIVE":
        raise Mistake(f"task definition {name} is {definition.status}: ECS would not run it")


def ask(planned: Planned, question: Question) -> Answer:
    """Where the tasks would go, and why not for those that find no place; the cluster stays as it is."""
    running = planned.by_provider(question.group)
    shares = place_shares(planned.capacity, question.request(planned), question.providers, running)
    decision = whole(shares)
    tasks = Counter(placement.host for placement in decision.placements)
    first: dict[str, str] = {}
    for placement in decision.placements:
        if placement.host not in first:
            first[placement.host] = placement.because
    hosts = [
        OnHost(host, planned.instances[host].availability_zone, tasks[host], because)
        for host, because in first.items()
    ]
    return Answer(question, tuple(shares), decision, tuple(sorted(hosts, key=lambda each: each.zone or "")))
