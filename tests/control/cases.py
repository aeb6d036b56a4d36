"""Small worlds for the rules: factories with short names, and a view that is a dictionary."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from miniecs.config import Timing
from miniecs.model import arns
from miniecs.model.cluster import Cluster
from miniecs.model.container_definition import ContainerDefinition, HealthCheck, PortMapping
from miniecs.model.event import Event, EventKind
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.kinds import KINDS
from miniecs.model.load_balancing import Listener, LoadBalancer, Target, TargetGroup
from miniecs.model.scope import Scope
from miniecs.model.service import (
    Deployment,
    DeploymentConfiguration,
    Revision,
    Service,
    ServiceLoadBalancer,
)
from miniecs.model.task import Container, NetworkBinding, Task
from miniecs.model.task_definition import TaskDefinition

T = TypeVar("T")

SCOPE = Scope("000000000000", "us-east-1")
CLUSTER = Cluster(arns.cluster(SCOPE, "default"), "default")
GROUP_ARN = arns.target_group(SCOPE, "web", "0123456789abcdef")
TIMING = Timing()
VERSION = 7  # of every object in a FakeView
NOW = 10_000.0
OLD = NOW - 1000  # long ago: whatever is timed is over


class FakeView:
    """What is in the constructor, and nothing else; every object's version is VERSION."""

    def __init__(self, *things: Any, events: Iterable[Event] = ()) -> None:
        self._kinds = {kind.type: kind for kind in KINDS}
        self._things: dict[tuple[type, str], Any] = {}
        self._events = list(events)
        for thing in things:
            self._things[(type(thing), self._kinds[type(thing)].key(thing))] = thing

    def get(self, kind: type[T], key: str) -> T | None:
        return self._things.get((kind, key))

    def version(self, kind: type, key: str) -> int:
        return VERSION if (kind, key) in self._things else 0

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]:
        of = self._kinds[kind].indexes[index]
        return [thing for thing in self.all(kind) if of(thing) == value]

    def count(self, kind: type, count: str, value: Hashable) -> int:
        of = {**self._kinds[kind].indexes, **self._kinds[kind].counts}[count]
        things: Iterator[Any] = self.all(kind)
        return sum(of(thing) == value for thing in things)

    def all(self, kind: type[T]) -> Iterator[T]:
        return iter([thing for (of, _), thing in self._things.items() if of is kind])

    def events(
        self, resource: str | None = None, kinds: Iterable[EventKind] = (), after: int = 0, limit: int = 100
    ) -> list[Event]:
        kinds = set(kinds)
        return [e for e in self._events if e.resource == resource and (not kinds or e.kind in kinds)][-limit:]


def instance(n: int = 1, **fields: Any) -> ContainerInstance:
    zone = fields.pop("zone", "us-east-1" + "abc"[n % 3])
    attributes = (Attribute("ecs.availability-zone", zone), *fields.pop("attributes", ()))
    defaults: dict[str, Any] = {
        "ec2_instance_id": f"i-{n}",
        "private_ip": f"10.0.0.{n}",
        "agent_connected": True,
        "cpu": 2048,
        "memory": 4096,
        "ports": (22, 2375),
    }
    return ContainerInstance(
        arns.container_instance(SCOPE, "default", f"ci{n}"),
        CLUSTER.arn,
        attributes=attributes,
        **{**defaults, **fields},
    )


def definition(revision: int = 1, *, check: bool = False, **fields: Any) -> TaskDefinition:
    container = ContainerDefinition(
        name="app",
        image="busybox",
        cpu=fields.pop("cpu", 128),
        memory=fields.pop("memory", 128),
        port_mappings=(PortMapping(container_port=80, host_port=fields.pop("host_port", 0)),),
        health_check=HealthCheck(command=("CMD", "true")) if check else None,
    )
    return TaskDefinition(
        **{
            "arn": arns.task_definition(SCOPE, "web", revision),
            "family": "web",
            "revision": revision,
            "container_definitions": (container,),
            **fields,
        }
    )


def deployment(n: int = 1, **fields: Any) -> Deployment:
    """Deployment n of task definition web:n."""
    id = f"ecs-svc/{n}"
    balanced = fields.pop("balanced", False)
    revision = Revision(
        arns.task_definition(SCOPE, "web", n),
        load_balancers=(ServiceLoadBalancer("app", 80, GROUP_ARN),) if balanced else (),
    )
    defaults: dict[str, Any] = {"rollout_state_reason": f"ECS deployment {id} in progress."}
    return Deployment(id, revision, f"arn:revision/{n}", **{**defaults, **fields})


def completed(n: int = 1, desired: int = 0, **fields: Any) -> Deployment:
    return deployment(
        n,
        rollout_state="COMPLETED",
        rollout_state_reason=f"ECS deployment ecs-svc/{n} completed.",
        desired_count=desired,
        proven=True,
        **fields,
    )


def service(
    desired: int, *deployments: Deployment, low: int = 100, high: int = 200, **fields: Any
) -> Service:
    """A service with the deployments newest first."""
    deployments = deployments or (deployment(desired_count=desired),)
    older = tuple(replace(d, status="ACTIVE") for d in deployments[1:])
    config = fields.pop("config", DeploymentConfiguration(high, low))
    return Service(
        arns.service(SCOPE, "default", "web"),
        "web",
        CLUSTER.arn,
        desired,
        revision=deployments[0].revision,
        deployments=(deployments[0], *older),
        deployment_configuration=config,
        **fields,
    )


def task(name: str, of: int = 1, status: str = "RUNNING", **fields: Any) -> Task:
    """A task of deployment ``of`` on instance 1, RUNNING for long unless said otherwise."""
    on = fields.pop("on", 1)
    running = status not in ("PROVISIONING", "PENDING", "ACTIVATING")
    defaults: dict[str, Any] = {
        "group": "service:web",
        "deployment_id": f"ecs-svc/{of}",
        "service_arn": arns.service(SCOPE, "default", "web"),
        "container_instance_arn": arns.container_instance(SCOPE, "default", f"ci{on}"),
        "started_at": OLD if running else None,
        "created_at": OLD,
        "containers": (Container("c-" + name, "app", "RUNNING" if running else "PENDING"),),
    }
    return Task(
        arns.task(SCOPE, "default", name),
        CLUSTER.arn,
        arns.task_definition(SCOPE, "web", of),
        last_status=status,
        **{**defaults, **fields},
    )


def stopping(name: str, of: int = 1, status: str = "STOPPING", **fields: Any) -> Task:
    return task(name, of, status, desired_status="STOPPED", stopping_at=OLD, **fields)


def listening(of: Task, host_port: int) -> Task:
    """The task with its port 80 published."""
    binding = NetworkBinding("10.0.0.1", "tcp", 80, host_port)
    return replace(of, containers=(replace(of.containers[0], network_bindings=(binding,)),))


def group(**fields: Any) -> TargetGroup:
    return TargetGroup(GROUP_ARN, "web", **fields)


BALANCER = LoadBalancer(
    arns.load_balancer(SCOPE, "app", "lb", "fedcba9876543210"), "lb", state="active", dns_name="lb.example"
)


def listener(**fields: Any) -> Listener:
    """Port 80 of BALANCER, which forwards everything to the group."""
    forward = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP_ARN}]}}
    arn = arns.listener(BALANCER.arn, "0123456789abcdef")
    return Listener(arn, BALANCER.arn, 80, "HTTP", (forward,), **fields)


def target(of: Task, port: int = 32768, state: str = "healthy", **fields: Any) -> Target:
    return Target(GROUP_ARN, "i-1", port, state, task_arn=of.arn, **fields)


def message(text: str, at: float) -> Event:
    return Event(EventKind.SERVICE_MESSAGE, service(0).arn, at, message=f"(service web) {text}")
