"""The closed set of things that a control loop can want done, and the plan that lists them.

Actions are data: they can be compared in a test, refused when an object has changed
since (each names the version it was planned on), and told to people (each says because).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance, ManagedScaling
from miniecs.model.frozen import quick
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.model.task import NetworkInterface, Task
from miniecs.model.task_set import TaskSet


class Key(NamedTuple):
    """What one loop looks after: the loop's name and the ARN or key of one object."""

    loop: str
    id: str


@dataclass(frozen=True, slots=True)
class LaunchTasks:
    """Place and create tasks of a deployment. The scheduler says where, or why nowhere.

    replaced: how many of them take the place of unhealthy tasks. only_hosts: DAEMON's hosts without
    a task; each gets one. zone: the only one to place them in, to have the service's zones balanced.
    task_set_version: 0 where the deployment is the service's own.
    """

    service: Service
    version: int
    deployment_id: str
    count: int
    because: str
    replaced: int = 0
    only_hosts: frozenset[str] | None = None
    zone: str = ""
    task_set_version: int = 0


@dataclass(frozen=True, slots=True)
class StopTask:
    """Take back a task's desiredStatus."""

    task: Task
    version: int
    code: str
    reason: str
    because: str


@dataclass(frozen=True, slots=True)
class AdvanceTask:
    """Move a task's lastStatus onwards, where the control plane and not an agent decides it."""

    task: Task
    version: int
    last_status: str
    because: str


@dataclass(frozen=True, slots=True)
class SetInterface:
    """Give a task in network mode awsvpc its interface, with the address that was free."""

    task: Task
    version: int
    interface: NetworkInterface
    because: str


@dataclass(frozen=True, slots=True)
class AssignTask:
    """Put a task that waited for Fargate's capacity on it."""

    task: Task
    version: int
    instance_arn: str
    because: str


@dataclass(frozen=True, slots=True)
class PlaceWaiting:
    """Place tasks that wait for a capacity provider's instances; those that waited too long stop.

    tasks: each with its version, the oldest first. give_up: created then or before, they stop.
    """

    cluster_arn: str
    provider: str
    tasks: tuple[tuple[Task, int], ...]
    give_up: float
    because: str


@dataclass(frozen=True, slots=True)
class SetScaling:
    """Note what managed scaling has seen of a capacity provider. version 0: for the first time."""

    version: int
    after: ManagedScaling
    because: str


@dataclass(frozen=True, slots=True)
class SetCapacity:
    """Change a group's desired capacity. told: the decision as a sentence about the capacity provider."""

    before: AutoScalingGroup
    version: int
    desired: int
    provider_arn: str
    told: str
    because: str


@dataclass(frozen=True, slots=True)
class LaunchInstances:
    """Add instances to a group, one in each of these zones."""

    group: AutoScalingGroup
    version: int
    zones: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class SetMember:
    """Move an instance of a group on in its life."""

    before: GroupInstance
    version: int
    after: GroupInstance

    @property
    def because(self) -> str:
        return self.after.because


@dataclass(frozen=True, slots=True)
class SetInstance:
    """Change a container instance's status or capacity provider."""

    before: ContainerInstance
    version: int
    after: ContainerInstance
    because: str


@dataclass(frozen=True, slots=True)
class EndInstance:
    """Deregister a group's container instance and let its machine end; tasks that are on it yet stop."""

    member: GroupInstance
    version: int
    instance: ContainerInstance
    because: str


@dataclass(frozen=True, slots=True)
class SetService:
    """Replace a service's status, deployments or what was said of them."""

    before: Service
    version: int
    after: Service
    because: str


@dataclass(frozen=True, slots=True)
class SetServiceDeployment:
    """Move a service deployment on: its status and reason, what it watches, how it ended."""

    before: ServiceDeployment
    version: int
    after: ServiceDeployment
    because: str


@dataclass(frozen=True, slots=True)
class SetTaskSet:
    """Bring a task set's computed count and its stability up to date."""

    before: TaskSet
    version: int
    after: TaskSet
    because: str


@dataclass(frozen=True, slots=True)
class RegisterTarget:
    """Begin to send a target group's requests to a task. version 0: the target is new."""

    target: Target
    version: int
    because: str


@dataclass(frozen=True, slots=True)
class DeregisterTarget:
    """Send a target no more requests. after: the target while it drains; None when it is gone at once."""

    target: Target
    version: int
    after: Target | None
    because: str


@dataclass(frozen=True, slots=True)
class RemoveTarget:
    """Forget a target that has finished draining."""

    target: Target
    version: int
    because: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete an object that has been kept as long as ECS keeps it."""

    kind: type
    key: str
    version: int
    because: str


@dataclass(frozen=True, slots=True)
class Say:
    """Add a service event; the text comes without ``(service NAME)``.

    task_set: the id of the one that it is about, where ECS puts it beside the service's name.
    name, level and reason: the ECS Service Action that goes with it, where ECS emits one.
    """

    service: Service
    text: str
    because: str
    name: str = ""
    level: str = "INFO"
    reason: str = ""
    task_set: str = ""


Action = (
    LaunchTasks
    | StopTask
    | AdvanceTask
    | SetInterface
    | AssignTask
    | PlaceWaiting
    | SetScaling
    | SetCapacity
    | LaunchInstances
    | SetMember
    | SetInstance
    | EndInstance
    | SetService
    | SetServiceDeployment
    | SetTaskSet
    | RegisterTarget
    | DeregisterTarget
    | RemoveTarget
    | Forget
    | Say
)


@quick
@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and when to look again although nothing will have changed (None: never)."""

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None


NOTHING = Plan()


def earliest(times: Iterable[float | None]) -> float | None:
    """The first of some moments; None stands for never."""
    return min((at for at in times if at is not None), default=None)
