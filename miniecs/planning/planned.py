"""A cluster file made into what the scheduler places on, through the code that real clusters go through.

Container instances and task definitions are made first and then seen as the control plane sees its own,
so that a host or a task of a file cannot mean something else than a real one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from miniecs.control.launch import demand_of, host_of, placement_request
from miniecs.control.provider_rules import why_not
from miniecs.model import fargate
from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.scope import Scope
from miniecs.model.service import PlacementConstraint
from miniecs.model.task_definition import TaskDefinition
from miniecs.planning.cluster_file import (
    CapacityProviderSpec,
    ClusterFile,
    HostSpec,
    RunningTasks,
    ServiceSpec,
)
from miniecs.planning.definitions import definitions_of, find_definition
from miniecs.planning.doubts import doubts
from miniecs.planning.hosts import instances_of, zone_name
from miniecs.planning.shares import Capacity, place_shares, wait_text
from miniecs.planning.text import Mistake, within
from miniecs.planning.validate import nearest
from miniecs_scheduler import Fleet, Resources

ALONE = (PlacementConstraint("distinctInstance"),)  # a daemon has one task on a host


class PlacedTask(NamedTuple):
    """A task that holds something on a host; one that is being stopped is no part of its group any more."""

    id: str
    host: str
    group: str
    demand: Resources
    stopping: bool = False


@dataclass(slots=True)
class Planned:
    """A cluster to ask about. ``notes`` say what of the file found no place."""

    name: str
    scope: Scope
    instances: dict[str, ContainerInstance] = field(default_factory=dict)
    definitions: dict[str, TaskDefinition] = field(default_factory=dict)  # by family:revision
    services: dict[str, ServiceSpec] = field(default_factory=dict)
    providers: dict[str, CapacityProviderSpec] = field(default_factory=dict)
    default_strategy: tuple[CapacityProviderStrategyItem, ...] = ()
    waiting: Counter[str] = field(default_factory=Counter)  # tasks in PROVISIONING by capacity provider
    tasks: list[PlacedTask] = field(default_factory=list)
    fleet: Fleet = field(default_factory=Fleet)
    notes: list[str] = field(default_factory=list)

    def definition(self, name: str) -> TaskDefinition:
        """By family (its newest), family:revision or ARN. Raises Mistake."""
        return find_definition(self.definitions, name)

    def assign(self, host: str, group: str, demand: Resources, *, stopping: bool = False) -> None:
        task = PlacedTask(f"task-{len(self.tasks) + 1}", host, group, demand, stopping)
        self.tasks.append(task)
        self.fleet.assign(host, task.id, demand, None if stopping else group)

    @property
    def capacity(self) -> Capacity:
        return Capacity(self.fleet, self.instances, self.providers, self.waiting)

    def strategy_of(self, service: ServiceSpec | None) -> tuple[CapacityProviderStrategyItem, ...]:
        """What RunTask, or a service, launches by when it is not told."""
        if service is None:
            return self.default_strategy
        if service.capacity_provider_strategy or service.launch_type is not None:
            return service.capacity_provider_strategy
        return () if service.scheduling_strategy == "DAEMON" else self.default_strategy

    def by_provider(self, group: str) -> Counter[str]:
        """A service's tasks, as base and weights count them; each RunTask begins anew."""
        if not group.startswith("service:"):
            return Counter()
        of = (self.instances[task.host].capacity_provider_name for task in self.of_group(group))
        return Counter(name for name in of if name is not None)

    def of_group(self, group: str) -> list[PlacedTask]:
        """Its tasks, those that are being stopped left out."""
        return [task for task in self.tasks if task.group == group and not task.stopping]


def plan(file: ClusterFile, *, seed: int = 0) -> Planned:
    """The cluster with all its tasks in place. Raises Mistake, with its line, for names that lead nowhere."""
    try:
        planned = _planned(file, seed)
    except Mistake as mistake:
        raise Mistake(file.at(mistake.place, str(mistake))) from mistake
    if file.is_written:
        planned.notes[:0] = doubts(file)
    return planned


def _planned(file: ClusterFile, seed: int) -> Planned:
    scope = Scope(file.account, file.region)
    planned = Planned(file.cluster, scope, definitions=definitions_of(file.task_definitions, scope))
    needed = {
        attribute.name: attribute.value
        for definition in planned.definitions.values()
        for attribute in definition.requires_attributes
    }
    for n, provider in enumerate(file.capacity_providers):
        if provider.name in planned.providers:
            raise Mistake(f"capacity provider {provider.name} is described twice", ("capacityProviders", n))
        planned.providers[provider.name] = provider
        planned.waiting[provider.name] = provider.waiting
    with within("defaultCapacityProviderStrategy"):
        planned.default_strategy = checked_strategy(planned, file.default_capacity_provider_strategy)
    capabilities = {name: tuple(map(Attribute, names)) for name, names in file.capabilities.items()}
    entries = {id(spec): n for n, spec in enumerate(file.hosts)}
    running: list[tuple[str, int, HostSpec]] = []
    for instance, spec in instances_of(file.hosts, scope, file.cluster, capabilities, needed):
        planned.instances[instance.arn] = instance
        planned.fleet.put_host(host_of(instance))
        if spec.capacity_provider is not None:
            with within("hosts", entries[id(spec)], "capacityProvider"):
                _known(planned, spec.capacity_provider)
        if spec.tasks:
            running.append((instance.arn, entries[id(spec)], spec))
    for host, n, spec in running:
        for m, tasks in enumerate(spec.tasks):
            with within("hosts", n, "tasks", m, "taskDefinition"):
                _put(planned, host, tasks)
    _note_overfull(planned, [host for host, _, _ in running])
    for n, service in enumerate(file.services):
        if service.service_name in planned.services:
            what = f"service {service.service_name} is described twice"
            raise Mistake(what, ("services", n, "serviceName"))
        planned.services[service.service_name] = service
        with within("services", n, "capacityProviderStrategy"):
            checked_strategy(planned, service.capacity_provider_strategy)
    # Daemons come first, as in ECS.
    in_turn = sorted(enumerate(file.services), key=lambda each: each[1].scheduling_strategy != "DAEMON")
    for n, service in in_turn:
        with within("services", n, "taskDefinition"):
            _fill(planned, service, seed)
    return planned


def _put(planned: Planned, host: str, tasks: RunningTasks) -> None:
    demand = Resources(cpu=tasks.cpu or 0, memory=tasks.memory or 0, gpu=tasks.gpus or 0)
    group = tasks.group or ""
    if tasks.task_definition is not None:
        definition = planned.definition(tasks.task_definition)
        usual = demand_of(definition)
        group = group or f"family:{definition.family}"
        demand = Resources(
            cpu=usual.cpu if tasks.cpu is None else tasks.cpu,
            memory=usual.memory if tasks.memory is None else tasks.memory,
            gpu=usual.gpu if tasks.gpus is None else tasks.gpus,
            enis=usual.enis,
            tcp_ports=usual.tcp_ports,
            udp_ports=usual.udp_ports,
        )
    for _ in range(tasks.count):
        planned.assign(host, group, demand, stopping=tasks.desired_status == "STOPPED")


def _note_overfull(planned: Planned, hosts: Iterable[str]) -> None:
    """A file may say that more runs on a host than it has: that is told, and nothing more goes there."""
    for host in hosts:
        free, has = planned.fleet.free(host), planned.instances[host]
        for left, of, unit in ((free.cpu, has.cpu, "CPU units"), (free.memory, has.memory, "MiB")):
            if left < 0:
                planned.notes.append(f"host {host} is given more than it has: {of - left} of {of} {unit}")


def hosts_in(planned: Planned, zones: Iterable[str] | None) -> frozenset[str] | None:
    """The hosts in these zones, by name or letter; None stands for all."""
    if zones is None:
        return None
    named = {zone_name(zone, planned.scope.region) for zone in zones}
    return frozenset(i.arn for i in planned.instances.values() if i.availability_zone in named)


def _fill(planned: Planned, service: ServiceSpec, seed: int) -> None:
    """Place those tasks of a service that no host lists."""
    definition = planned.definition(service.task_definition)
    there = len(planned.of_group(service.group))
    daemon = service.scheduling_strategy == "DAEMON"
    wanted = len(planned.instances) if daemon and service.count is None else service.count or 0
    if wanted <= there:
        return
    request = placement_request(
        definition,
        overrides=None,
        count=wanted - there,
        group=service.group,
        constraints=service.placement_constraints + (ALONE if daemon else ()),
        strategies=service.placement_strategy,
        seed=seed,
        only_hosts=hosts_in(planned, service.zones),
    )
    strategy, running = planned.strategy_of(service), planned.by_provider(service.group)
    if is_fargate(strategy):
        return  # they are on no host
    for share in place_shares(planned.capacity, request, strategy, running):
        for placement in share.decision.placements:
            planned.assign(placement.host, service.group, request.demand)
        if share.waiting:
            planned.notes.append(
                f"service {service.service_name}: {wait_text(planned.capacity, share, request)}"
            )
            planned.waiting[share.provider or ""] += share.waiting
        if share.refused and not (daemon and service.count is None):
            planned.notes.append(
                f"service {service.service_name}: {share.refused} of {wanted} tasks find no place: "
                f"{share.decision.suggestion}"
            )


def _known(planned: Planned, provider: str) -> None:
    if provider not in planned.providers:
        meant = nearest(provider, planned.providers)
        hint = f"did you mean {meant}?" if meant else f"there are {', '.join(planned.providers) or 'none'}"
        raise Mistake(f"there is no capacity provider {provider}; {hint}")


def checked_strategy(
    planned: Planned, strategy: tuple[CapacityProviderStrategyItem, ...]
) -> tuple[CapacityProviderStrategyItem, ...]:
    """The strategy, if the cluster takes it. Raises Mistake."""
    for item in strategy:
        if item.capacity_provider not in fargate.PROVIDERS:
            _known(planned, item.capacity_provider)
    refused = why_not(strategy, {*planned.providers, *fargate.PROVIDERS})
    if refused is not None:
        raise Mistake(refused.removesuffix("."))
    return strategy


def is_fargate(strategy: tuple[CapacityProviderStrategyItem, ...]) -> bool:
    return any(item.capacity_provider in fargate.PROVIDERS for item in strategy)
