"""The cluster page: a running cluster as a cluster file, with all that placing depends on.

Whoever asks what would happen reads it and asks its own copy: the server's state cannot be touched by a
question, and a cluster that runs and one in a file are asked by the same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from miniecs.control import capacity
from miniecs.control.interfaces import subnets_of
from miniecs.control.launch import demand_of, demand_of_task
from miniecs.control.view import View
from miniecs.fleets import is_on_host
from miniecs.model import arns, fargate
from miniecs.model.cluster import CapacityProviderStrategyItem, Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Scope
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition, TaskDefinitionFamily
from miniecs.planning.words import BUILT_IN, RESERVED_PORTS, said_rule
from miniecs_api.pages import names

_OF_FIELDS = ("ecs.availability-zone", "ecs.instance-type")


def page(view: View, scope: Scope, name: str, *, definitions: Sequence[str] = ()) -> dict[str, Any]:
    """The cluster of the name (of the scope's, if there are several) or ARN.

    definitions: those to tell of besides each family's newest and those in use. Raises NotFound and
    Ambiguous.
    """
    cluster = view.get(Cluster, arns.cluster(scope, name))
    if cluster is None or cluster.status == "INACTIVE":
        found = names.find(view, name, kinds=(Cluster,))
        assert isinstance(found, Cluster)
        cluster = found
    scope = arns.scope_of(cluster.arn)
    capabilities = _Capabilities()
    tasks = _tasks_by_host(view, cluster)
    instances = view.find(ContainerInstance, "cluster", cluster.arn)
    hosts = [
        _host(view, instance, capabilities, tasks.get(instance.arn, []))
        for instance in instances
        if instance.status != "INACTIVE"
    ]
    services = [
        service
        for service in view.find(Service, "cluster", cluster.arn)
        if service.status == "ACTIVE" and not fargate.runs(service.revision)
    ]
    staying = [task for each in tasks.values() for task in each if task.desired_status == "RUNNING"]
    placed = Counter(task.service_arn for task in staying)
    known = {task.task_definition_arn for each in tasks.values() for task in each}
    known |= {service.revision.task_definition_arn for service in services}
    known |= {_definition_arn(scope, each) for each in definitions}
    return {
        "cluster": cluster.name,
        "region": scope.region,
        "account": scope.account,
        "capabilities": capabilities.named,
        "hosts": hosts,
        "capacityProviders": _providers(view, cluster, services),
        "defaultCapacityProviderStrategy": _items(cluster.default_capacity_provider_strategy),
        "taskDefinitions": _definitions(view, scope, known),
        "services": [_service(view, scope, service, placed[service.arn]) for service in services],
    }


class _Capabilities:
    """Lists of attributes without value, which are long and the same on most hosts, each under a name."""

    def __init__(self) -> None:
        self.named: dict[str, list[str]] = {}
        self._known: dict[tuple[str, ...], str] = {}

    def name(self, capabilities: tuple[str, ...]) -> str:
        if capabilities not in self._known:
            name = self._known[capabilities] = f"agent-{len(self._known) + 1}"
            self.named[name] = list(capabilities)
        return self._known[capabilities]


def _tasks_by_host(view: View, cluster: Cluster) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = {}
    for task in view.find(Task, "cluster", cluster.arn):
        if is_on_host(task) and task.container_instance_arn is not None:
            found.setdefault(task.container_instance_arn, []).append(task)
    return found


def _host(
    view: View, instance: ContainerInstance, capabilities: _Capabilities, tasks: Iterable[Task]
) -> dict[str, Any]:
    """What differs from what a host of a cluster file is when it does not say."""
    ports = [*instance.ports, *(f"{port}/udp" for port in instance.ports_udp)]
    values: dict[str, str | None] = {each.name: each.value for each in instance.attributes if each.value}
    able = tuple(each.name for each in instance.attributes if not each.value)
    lacking: dict[str, str | None] = {
        name: None for name in (*BUILT_IN, "ecs.availability-zone") if name not in values and name not in able
    }
    shown = {
        "id": instance.arn,
        "type": instance.attribute("ecs.instance-type") or None,
        "cpu": instance.cpu,
        "memory": instance.memory,
        "gpus": len(instance.gpus) or None,
        "ports": None if ports == list(RESERVED_PORTS) else ports,
        "zone": instance.availability_zone or None,
        "capacityProvider": instance.capacity_provider_name,
        "status": None if instance.status == "ACTIVE" else instance.status,
        "agentConnected": None if instance.agent_connected else False,
        "agentVersion": instance.agent_version,
        "ec2InstanceId": instance.ec2_instance_id,
        "registeredAt": instance.registered_at,
        "attributes": {n: value for n, value in values.items() if n not in _OF_FIELDS} | lacking or None,
        "capabilities": capabilities.name(able),
        "tasks": _tasks(view, tasks) or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _tasks(view: View, tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """The tasks of a host, equal ones together."""
    kinds: dict[tuple[object, ...], list[Task]] = {}
    for task in tasks:
        amounts = task.reserved_cpu, task.reserved_memory, repr(task.overrides) if task.overrides else None
        kind = task.task_definition_arn, task.group, task.desired_status, amounts
        kinds.setdefault(kind, []).append(task)
    return [_alike(view, alike[0], len(alike)) for alike in kinds.values()]


def _alike(view: View, task: Task, count: int) -> dict[str, Any]:
    return {**_definition(view, task), "count": count, "group": task.group, **_unusual(view, task)}


def _definition(view: View, task: Task) -> dict[str, Any]:
    arn = task.task_definition_arn
    return {} if view.get(TaskDefinition, arn) is None else {"taskDefinition": arns.name_of(arn)}


def _unusual(view: View, task: Task) -> dict[str, Any]:
    """That a task is to stop, and what it holds, where that is not what its definition says."""
    stopping = {} if task.desired_status == "RUNNING" else {"desiredStatus": "STOPPED"}
    definition = view.get(TaskDefinition, task.task_definition_arn)
    held = demand_of_task(task, definition)
    if definition is not None and held == demand_of(definition):
        return stopping
    return {**stopping, "cpu": held.cpu, "memory": held.memory, "gpus": held.gpu}


def _definition_arn(scope: Scope, name: str) -> str:
    if name.startswith("arn:"):
        return name
    family, _, revision = name.partition(":")
    is_number = revision.isdecimal() and len(revision) <= 10  # Python reads no number of thousands of digits
    return arns.task_definition(scope, family, int(revision)) if is_number else ""


def _definitions(view: View, scope: Scope, known: set[str]) -> list[dict[str, Any]]:
    newest = {
        arns.task_definition(scope, family.name, family.latest_active)
        for family in view.all(TaskDefinitionFamily)
        if family.scope == scope and family.latest_active is not None
    }
    found = (view.get(TaskDefinition, arn) for arn in sorted(known | newest))
    return [definition.wire() for definition in found if definition is not None]


def _service(view: View, scope: Scope, service: Service, placed: int) -> dict[str, Any]:
    network = service.revision.network_configuration
    zones = sorted({subnet.zone for subnet in subnets_of(view, scope, network)})
    return {
        "serviceName": service.name,
        "taskDefinition": arns.name_of(service.revision.task_definition_arn),
        "count": placed,
        "schedulingStrategy": service.scheduling_strategy,
        "placementStrategy": [said_rule(each) for each in service.placement_strategy],
        "placementConstraints": [said_rule(each) for each in service.placement_constraints],
        **_launched(service),
        **({"zones": zones} if network else {}),
    }


def _launched(service: Service) -> dict[str, Any]:
    """By a strategy of its own, or by none; a daemon by none anyway."""
    strategy = service.revision.capacity_provider_strategy
    if strategy:
        return {"capacityProviderStrategy": _items(strategy)}
    return {} if service.scheduling_strategy == "DAEMON" else {"launchType": "EC2"}


def _items(strategy: Iterable[CapacityProviderStrategyItem]) -> list[dict[str, Any]]:
    return [
        {"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}
        for item in strategy
    ]


def _providers(view: View, cluster: Cluster, services: Iterable[Service]) -> list[dict[str, Any]]:
    """The cluster's and those that a service goes by. Without a group that we know they have no hosts."""
    strategies = [service.revision.capacity_provider_strategy for service in services]
    named = [item.capacity_provider for strategy in strategies for item in strategy]
    names = dict.fromkeys([*cluster.capacity_providers, *named])
    return [_provider(view, cluster, name) for name in names if name not in fargate.PROVIDERS]


def _provider(view: View, cluster: Cluster, name: str) -> dict[str, Any]:
    provider = capacity.named(view, cluster.arn, name)
    group = None if provider is None else capacity.group_of(view, provider, cluster.arn)
    scales = provider is not None and capacity.managed_scaling(provider)
    return {
        "name": name,
        "managedScaling": "ENABLED" if scales else "DISABLED",
        **({} if group is None else {"type": group.instance_type}),
        "maxSize": 0 if group is None else group.max_size,
        "waiting": view.count(Task, "waiting", (cluster.arn, name)),
    }
