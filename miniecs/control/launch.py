"""From what is to run to a task: what it demands of a host, how placement is asked, and the task itself.

RunTask, StartTask and the service loop all launch through these functions, so that a task
is the same thing whoever wanted it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

from miniecs.control import interfaces
from miniecs.ids import Ids
from miniecs.model import arns, fargate
from miniecs.model.cluster import Cluster
from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.frozen import replace
from miniecs.model.identity import once_for_each
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.instance_types import INSTANCE_TYPES, instance_type
from miniecs.model.network import Subnet
from miniecs.model.scope import Tag
from miniecs.model.service import Deployment, PlacementConstraint, PlacementStrategy, Service
from miniecs.model.task import Container, PlacementRules, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_scheduler import SERVICE_DEFAULT, Constraint, Host, Request, Resources, Strategy

# What Amazon's own agent does with a task execution role's credentials. It is given none, and would wait for
# them for ever.
_NEED_CREDENTIALS = (
    "ecs.capability.env-files.s3",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.firelens.options.config.s3",
    "ecs.capability.private-registry-authentication.",
    "ecs.capability.secrets.",
)

_RESERVED_PORTS = frozenset({22, 2375, 2376, 51678, 51679})
_ENIS_OF_UNKNOWN_TYPES = 15  # as of the largest types that are known


@dataclass(frozen=True)
class LaunchSpec:
    """Everything about a task to be but its host. service and deployment are None for a standalone task."""

    cluster: Cluster
    definition: TaskDefinition
    group: str
    started_by: str | None = None
    service: Service | None = None
    deployment: Deployment | None = None
    launch_type: str | None = "EC2"
    capacity_provider_name: str | None = None
    platform_version: str | None = None
    network_configuration: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None
    tags: tuple[Tag, ...] = ()
    enable_execute_command: bool = False
    volume_configurations: tuple[Mapping[str, Any], ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)  # by container: what its image is pinned to
    resolves_images: bool = False

    def on(self, provider: str) -> LaunchSpec:
        """The same as a capacity provider's share of the tasks."""
        launch_type = fargate.LAUNCH_TYPE if provider in fargate.PROVIDERS else "EC2"
        return replace(self, launch_type=launch_type, capacity_provider_name=provider)


HostOf = Callable[[ContainerInstance], Host]


def host_of(instance: ContainerInstance) -> Host:
    """The container instance as the scheduler sees it; only an ACTIVE one takes tasks."""
    return Host(
        id=instance.arn,
        attributes=_attributes_of(instance),
        capacity=Resources(
            cpu=instance.cpu,
            memory=instance.memory,
            gpu=len(instance.gpus),
            enis=_enis_of(instance.attribute("ecs.instance-type") or ""),
            tcp_ports=frozenset(instance.ports),
            udp_ports=frozenset(instance.ports_udp),
        ),
        active=instance.status == "ACTIVE",
        connected=instance.agent_connected,
        ec2_instance_id=instance.ec2_instance_id or "",
        agent_version=instance.agent_version or "",
        registered_at=instance.registered_at,
    )


def _attributes_of(instance: ContainerInstance) -> Mapping[str, str]:
    """The attributes that a task placed there may rely on."""
    return _served(instance.attributes) if instance.has_amazons_agent else instance.attribute_values


@lru_cache(maxsize=512)
def machine_of(type: str) -> Resources:
    """What an empty instance of a known type offers, its reserved ports among it."""
    known = instance_type(type)
    return Resources(
        cpu=known.cpu, memory=known.memory, enis=known.interfaces - 1, tcp_ports=_RESERVED_PORTS
    )


@lru_cache(maxsize=512)
def _enis_of(type: str) -> int:
    """Interfaces for tasks: all that the type can have but the instance's own."""
    known = INSTANCE_TYPES.get(type)
    return (known.interfaces if known is not None else _ENIS_OF_UNKNOWN_TYPES) - 1


@lru_cache(maxsize=64)
def _served(attributes: tuple[Attribute, ...]) -> Mapping[str, str]:
    """Of what Amazon's own agent can do, that for which it is told all that it needs."""
    return {a.name: a.value or "" for a in attributes if not a.name.startswith(_NEED_CREDENTIALS)}


class _Shape(NamedTuple):
    """What every launch of a definition asks of a host."""

    demand: Resources
    required_attributes: tuple[tuple[str, str | None], ...]


@once_for_each(most=1_000)
def _shape(definition: TaskDefinition) -> _Shape:
    return _Shape(
        _demand_with(definition, {}),
        tuple((attribute.name, attribute.value) for attribute in definition.requires_attributes),
    )


def demand_of(definition: TaskDefinition, overrides: Mapping[str, Any] | None = None) -> Resources:
    """What placement counts for a task: its own cpu and memory, else the sums over its containers."""
    return _demand_with(definition, overrides) if overrides else _shape(definition).demand


def _demand_with(definition: TaskDefinition, of_task: Mapping[str, Any]) -> Resources:
    of_containers = _by_container(of_task)
    cpu = _task_size(of_task.get("cpu"), definition.cpu)
    memory = _task_size(of_task.get("memory"), definition.memory)
    if cpu is None:
        cpu = sum(
            of_containers.get(container.name, {}).get("cpu", container.cpu)
            for container in definition.container_definitions
        )
    if memory is None:
        memory = sum(
            _container_memory(container, of_containers.get(container.name, {}))
            for container in definition.container_definitions
        )
    return _demand(definition, cpu, memory, _gpus(definition, of_containers))


def demand_of_task(task: Task, definition: TaskDefinition | None) -> Resources:
    """What an existing task holds on its host: the amounts counted at launch, and its static host ports."""
    if definition is None:
        return Resources(cpu=task.reserved_cpu, memory=task.reserved_memory)
    usual = _shape(definition).demand
    if not task.overrides and (usual.cpu, usual.memory) == (task.reserved_cpu, task.reserved_memory):
        return usual
    gpus = _gpus(definition, _by_container(task.overrides or {}))
    return _demand(definition, task.reserved_cpu, task.reserved_memory, gpus)


def placement_request(
    definition: TaskDefinition,
    *,
    overrides: Mapping[str, Any] | None,
    count: int,
    group: str,
    constraints: tuple[PlacementConstraint, ...],
    strategies: tuple[PlacementStrategy, ...],
    seed: int,
    only_hosts: frozenset[str] | None = None,
) -> Request:
    """The question for the scheduler. Services without a strategy spread over zones, then hosts."""
    rules = [Constraint(_constraint_type(rule.type), rule.expression) for rule in constraints]
    rules += [Constraint("memberOf", rule.expression or "") for rule in definition.placement_constraints]
    chosen = tuple(Strategy(_strategy_type(strategy.type), strategy.field) for strategy in strategies)
    if not chosen and group.startswith("service:"):
        chosen = SERVICE_DEFAULT
    return Request(
        demand=demand_of(definition, overrides),
        count=count,
        group=group,
        required_attributes=_shape(definition).required_attributes,
        constraints=tuple(rules),
        strategies=chosen,
        seed=seed,
        only_hosts=only_hosts,
    )


def new_task(
    spec: LaunchSpec,
    *,
    now: float,
    ids: Ids,
    instance: ContainerInstance | None,
    subnet: Subnet | None = None,
    placement: PlacementRules | None = None,
    because: str = "",
) -> Task:
    """A fresh task on its host (None: it waits for one). awsvpc tasks begin by getting their interface.

    subnet: where that interface is to be. placement: RunTask's rules, for a task that waits.
    """
    pattern = _pattern(spec)
    return replace(
        pattern,
        arn=f"{pattern.arn}{ids.hex(32)}",
        last_status="PROVISIONING" if instance is None else pattern.last_status,
        containers=tuple([replace(each, id=ids.uuid()) for each in pattern.containers]),
        container_instance_arn=instance.arn if instance else None,
        availability_zone=subnet.zone if subnet else instance.availability_zone if instance else None,
        network_interface=interfaces.wanted(subnet, ids.uuid()) if subnet else None,
        created_at=now,
        placement=placement,
        because=because,
    )


@once_for_each(most=64)
def _pattern(spec: LaunchSpec) -> Task:
    """What a task of this launch is but for its host, its moment and its ids; often a thousand are alike."""
    definition = spec.definition
    demand = demand_of(definition, spec.overrides)
    return Task(
        arn=arns.task(arns.scope_of(spec.cluster.arn), spec.cluster.name, ""),
        cluster_arn=spec.cluster.arn,
        task_definition_arn=definition.arn,
        group=spec.group,
        last_status="PROVISIONING" if definition.network_mode == "awsvpc" else "PENDING",
        containers=tuple(
            Container(id="", name=container.name, pinned_digest=spec.digests.get(container.name))
            for container in definition.container_definitions
        ),
        service_arn=spec.service.arn if spec.service else None,
        deployment_id=spec.deployment.id if spec.deployment else None,
        started_by=spec.started_by,
        launch_type=spec.launch_type,
        capacity_provider_name=spec.capacity_provider_name,
        platform_version=fargate.running(spec.platform_version),
        network_configuration=spec.network_configuration,
        overrides=spec.overrides,
        reserved_cpu=demand.cpu,
        reserved_memory=demand.memory,
        enable_execute_command=spec.enable_execute_command,
        volume_configurations=spec.volume_configurations,
        tags=spec.tags,
        resolves_images=spec.resolves_images,
    )


def launched_task(
    spec: LaunchSpec,
    *,
    now: float,
    ids: Ids,
    instance: ContainerInstance | None,
    chooser: interfaces.Chooser,
    because: str,
) -> Task:
    """A fresh task, with a subnet of those that it may be in: one of its host's zone, where it has a host."""
    subnet = chooser.choose(instance.availability_zone if instance else None) if chooser.is_needed else None
    return new_task(spec, now=now, ids=ids, instance=instance, subnet=subnet, because=because)


def service_spec(
    cluster: Cluster, service: Service, deployment: Deployment, definition: TaskDefinition
) -> LaunchSpec:
    """What a task of this service's deployment is launched as."""
    tags: dict[str, Tag] = {}
    if service.propagate_tags == "TASK_DEFINITION":
        tags.update((tag.key, tag) for tag in definition.tags)
    elif service.propagate_tags == "SERVICE":
        tags.update((tag.key, tag) for tag in service.tags)
    if service.enable_ecs_managed_tags:
        for key, value in (("aws:ecs:clusterName", cluster.name), ("aws:ecs:serviceName", service.name)):
            tags[key] = Tag(key, value)
    revision = deployment.revision
    return LaunchSpec(
        cluster=cluster,
        definition=definition,
        group=f"service:{service.name}",
        started_by=deployment.id,
        service=service,
        deployment=deployment,
        launch_type=revision.launch_type,
        platform_version=revision.platform_version,
        network_configuration=revision.network_configuration,
        tags=tuple(tags.values()),
        enable_execute_command=service.enable_execute_command,
        volume_configurations=revision.volume_configurations,
    )


def _task_size(override: str | None, own: str | None) -> int | None:
    chosen = override or own
    return int(chosen) if chosen else None


def _container_memory(container: ContainerDefinition, override: Mapping[str, Any]) -> int:
    reservation = override.get("memoryReservation", container.memory_reservation)
    limit = override.get("memory", container.memory)
    return int(reservation or limit or 0)


def _by_container(of_task: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {override["name"]: override for override in of_task.get("containerOverrides", ())}


def _demand(definition: TaskDefinition, cpu: int, memory: int, gpus: int) -> Resources:
    tcp, udp = _static_ports(definition)
    return Resources(
        cpu=cpu,
        memory=memory,
        gpu=gpus,
        enis=1 if definition.network_mode == "awsvpc" else 0,
        tcp_ports=tcp,
        udp_ports=udp,
    )


_NO_PORTS: frozenset[int] = frozenset()


def _static_ports(definition: TaskDefinition) -> tuple[frozenset[int], frozenset[int]]:
    """Host ports known before the task runs: dynamic ones are not, and an awsvpc task takes none."""
    mode = definition.network_mode
    if mode not in ("bridge", "host"):
        return _NO_PORTS, _NO_PORTS
    tcp: set[int] = set()
    udp: set[int] = set()
    for container in definition.container_definitions:
        for mapping in container.port_mappings:
            port = mapping.host_port or (mapping.container_port if mode == "host" else None)
            if port:
                (udp if mapping.protocol == "udp" else tcp).add(port)
    return frozenset(tcp), frozenset(udp)


def _gpus(definition: TaskDefinition, of_containers: Mapping[str, Mapping[str, Any]]) -> int:
    total = 0
    for container in definition.container_definitions:
        override = of_containers.get(container.name, {}).get("resourceRequirements")
        if override is not None:
            total += sum(int(each["value"]) for each in override if each["type"] == "GPU")
        else:
            total += sum(
                int(each.value or 0) for each in container.resource_requirements or () if each.type == "GPU"
            )
    return total


def _constraint_type(type: str) -> Literal["distinctInstance", "memberOf"]:
    return cast('Literal["distinctInstance", "memberOf"]', type)


def _strategy_type(type: str) -> Literal["random", "spread", "binpack"]:
    return cast('Literal["random", "spread", "binpack"]', type)
