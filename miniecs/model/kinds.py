"""The kinds of object that the store holds: their keys, and by what they are found and counted.

Indexes are declared here, beside the nouns, so that every store has the same ones and
a new kind is one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from miniecs.model import arns, fargate
from miniecs.model.alarm import MetricAlarm
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance, ManagedScaling
from miniecs.model.cluster import AccountSetting, CapacityProvider, Cluster, IdempotencyRecord
from miniecs.model.emulated import EmulatedInstance, EngineHost
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.network import (
    DefaultNetworks,
    EngineNetworks,
    LoadBalancerAddress,
    SecurityGroup,
    Subnet,
    Vpc,
    network_key,
)
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision
from miniecs.model.simulated import SimulatedInstance
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition, TaskDefinitionFamily
from miniecs.model.task_set import TaskSet

IndexFunction = Callable[[Any], Hashable | None]
Values = tuple[Hashable | None, ...]
"""The values of all indexes and then all counts of one object."""


@dataclass(frozen=True)
class Kind:
    """How objects of one type are stored.

    indexes: name -> function giving the value under which an object is found; None leaves it out.
    counts: the same, but only the number of objects for each value is kept.
    values: all of these at once, where asking one function after the other would take too long.
    """

    name: str
    type: type
    key: Callable[[Any], str] = attrgetter("arn")
    indexes: Mapping[str, IndexFunction] = field(default_factory=dict)
    counts: Mapping[str, IndexFunction] = field(default_factory=dict)
    values: Callable[[Any], Values] | None = None


def _scope_of_arn(thing: Any) -> Hashable:
    return arns.scope_of(thing.arn)


def _scope_and_name(thing: Any) -> Hashable:
    return arns.scope_of(thing.arn), thing.name


def _task_values(task: Task) -> Values:
    """What a task is found and counted by, all at once: it is asked three times for each of its transitions.

    Only those that live: STOPPED ones linger for an hour and interest no control loop.
    """
    cluster, status = task.cluster_arn, task.last_status
    if status == "STOPPED":
        return cluster, None, None, None, None, None, None, None
    service, deployment, interface = task.service_arn, task.deployment_id, task.network_interface
    return (
        cluster,
        service,
        task.container_instance_arn,
        None if interface is None else network_key(arns.scope_of(task.arn), interface.subnet_id),
        None if task.capacity_provider_name is None else _waiting(task),
        (cluster, status),
        None if service is None else (service, status),
        None if deployment is None else (deployment, status),
    )


def _waiting(task: Task) -> Hashable:
    """Tasks that wait for a capacity provider's instances. Fargate's wait for nothing that is counted."""
    provider = task.capacity_provider_name
    if provider is None or task.last_status != "PROVISIONING" or task.container_instance_arn is not None:
        return None
    return None if provider in fargate.PROVIDERS else (task.cluster_arn, provider)


def _parts(values: Callable[[Any], Values], *names: str, after: int = 0) -> dict[str, IndexFunction]:
    """The functions of indexes or counts that are computed together, by name; after: so many come before."""

    def part(place: int) -> IndexFunction:
        return lambda thing: values(thing)[place]

    return {name: part(place) for place, name in enumerate(names, after)}


def _vpc(part: Subnet | SecurityGroup) -> Hashable:
    return network_key(part.scope, part.vpc_id)


def _cluster_scope(cluster: Cluster) -> Hashable:
    """Fargate's own is nobody's."""
    return None if fargate.is_capacity(cluster.arn) else arns.scope_of(cluster.arn)


def _fargate(instance: ContainerInstance) -> Hashable:
    return fargate.is_capacity(instance.cluster_arn) or None


def _ongoing_service(deployment: ServiceDeployment) -> Hashable:
    return deployment.service_arn if deployment.is_ongoing else None


def _live_machine(instance: ContainerInstance) -> Hashable:
    return None if instance.status == "INACTIVE" else instance.ec2_instance_id


KINDS: tuple[Kind, ...] = (
    Kind("cluster", Cluster, indexes={"scope": _cluster_scope}),
    Kind("capacity_provider", CapacityProvider, indexes={"scope": lambda p: p.scope}),
    Kind("auto_scaling_group", AutoScalingGroup, indexes={"cluster": attrgetter("cluster_arn")}),
    Kind(
        "group_instance",
        GroupInstance,
        key=attrgetter("instance_id"),
        indexes={"group": attrgetter("group_arn")},
    ),
    Kind("managed_scaling", ManagedScaling, key=attrgetter("provider_arn")),
    Kind(
        "account_setting",
        AccountSetting,
        key=lambda setting: setting.key,
        indexes={"scope": lambda s: s.scope},
    ),
    Kind("idempotency", IdempotencyRecord, key=lambda record: record.key),
    Kind(
        "task_definition",
        TaskDefinition,
        indexes={
            "scope": _scope_of_arn,
            "family": lambda d: (arns.scope_of(d.arn), d.family),
        },
    ),
    Kind(
        "task_definition_family",
        TaskDefinitionFamily,
        key=lambda family: family.key,
        indexes={"scope": lambda f: f.scope},
    ),
    Kind(
        "container_instance",
        ContainerInstance,
        indexes={
            "cluster": lambda i: i.cluster_arn,
            "not_active": lambda i: i.cluster_arn if i.status != "ACTIVE" else None,
            "machine": _live_machine,
            "fargate": _fargate,
        },
        counts={
            "registered": lambda i: i.cluster_arn if i.status in ("ACTIVE", "DRAINING") else None,
        },
    ),
    Kind(
        "task",
        Task,
        indexes=_parts(_task_values, "cluster", "service", "instance", "subnet", "waiting"),
        counts=_parts(_task_values, "cluster", "service", "deployment", after=5),
        values=_task_values,
    ),
    Kind(
        "service",
        Service,
        indexes={"cluster": lambda s: s.cluster_arn},
        counts={"active": lambda s: s.cluster_arn if s.status == "ACTIVE" else None},
    ),
    Kind(
        "service_deployment",
        ServiceDeployment,
        indexes={"service": lambda d: d.service_arn, "ongoing": _ongoing_service},
    ),
    Kind("task_set", TaskSet, indexes={"service": lambda t: t.service_arn}),
    Kind("service_revision", ServiceRevision, indexes={"service": lambda r: r.service_arn}),
    Kind("metric_alarm", MetricAlarm, indexes={"scope": attrgetter("scope")}),
    Kind("load_balancer", LoadBalancer, indexes={"scope": _scope_of_arn, "name": _scope_and_name}),
    Kind(
        "listener",
        Listener,
        indexes={"scope": _scope_of_arn, "load_balancer": lambda listener: listener.load_balancer_arn},
    ),
    Kind("rule", Rule, indexes={"scope": _scope_of_arn, "listener": lambda r: r.listener_arn}),
    Kind("target_group", TargetGroup, indexes={"scope": _scope_of_arn, "name": _scope_and_name}),
    Kind(
        "target",
        Target,
        key=lambda target: target.key,
        indexes={"target_group": lambda t: t.target_group_arn, "task": lambda t: t.task_arn},
    ),
    Kind("simulated_instance", SimulatedInstance, indexes={"cluster": lambda i: i.cluster_arn}),
    Kind(
        "emulated_instance",
        EmulatedInstance,
        key=attrgetter("instance_id"),
        indexes={"host": attrgetter("host"), "cluster": attrgetter("cluster_arn")},
    ),
    Kind("engine_host", EngineHost, key=attrgetter("id")),
    Kind("default_networks", DefaultNetworks, key=attrgetter("key")),
    Kind("vpc", Vpc, key=attrgetter("key"), indexes={"scope": attrgetter("scope")}),
    Kind(
        "subnet",
        Subnet,
        key=attrgetter("key"),
        indexes={"scope": attrgetter("scope"), "vpc": _vpc},
    ),
    Kind(
        "security_group",
        SecurityGroup,
        key=attrgetter("key"),
        indexes={"scope": attrgetter("scope"), "vpc": _vpc},
    ),
    Kind("load_balancer_address", LoadBalancerAddress, key=attrgetter("load_balancer_arn")),
    Kind("engine_networks", EngineNetworks, key=attrgetter("host")),
)
