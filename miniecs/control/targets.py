"""A task's targets: which it should have, at which address, and what ends them.

bridge and host tasks are registered as instance id and host port, awsvpc tasks as their own
address and container port (ECS developer guide, "Service load balancing considerations").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from miniecs.config import Timing
from miniecs.control import messages
from miniecs.control.load_balancing import deregistration_delay, in_use
from miniecs.control.plan import NOTHING, Action, DeregisterTarget, Plan, RegisterTarget, RemoveTarget, Say
from miniecs.control.registration import deregistered, registered
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.service import Service, ServiceLoadBalancer
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition


def plan(view: View, key: str, *, now: float, stays_until: float = 0.0) -> Plan:
    """One target's own loop: it goes when its draining is over.

    stays_until: until then it is not known whether the data plane has heard that it drains.
    """
    target = view.get(Target, key)
    if target is None or target.state != "draining" or target.draining_until is None:
        return NOTHING
    over_at = max(target.draining_until, stays_until)
    if now < over_at:
        return Plan(wake_at=over_at)
    because = "its deregistration delay is over"
    return Plan((RemoveTarget(target, view.version(Target, key), because),))


def registrations(
    view: View,
    service: Service,
    lacking: Iterable[tuple[Task, ServiceLoadBalancer]],
    *,
    now: float,
    task_set: str = "",
) -> list[Action]:
    """Register what RUNNING tasks of a service, or of a task set, lack; say so once for each group."""
    actions: list[Action] = []
    counts: Counter[str] = Counter()
    used: dict[str, bool] = {}
    for task, balancer in lacking:
        group = view.get(TargetGroup, balancer.target_group_arn or "")
        address = _address(view, task, balancer, group) if group is not None else None
        if group is None or address is None:
            continue
        if group.arn not in used:
            used[group.arn] = in_use(view, group.arn)
        target = registered(
            group.arn,
            *address,
            in_use=used[group.arn],
            now=now,
            availability_zone=task.availability_zone,
            task_arn=task.arn,
        )
        because = f"task {arns.name_of(task.arn)} is RUNNING"
        actions.append(RegisterTarget(target, view.version(Target, target.key), because))
        counts[group.arn] += 1
    for group_arn, count in counts.items():
        because = f"{count} tasks are RUNNING without a target"
        text = messages.registered(count, group_arn)
        actions.append(Say(service, text, because, task_set=task_set))
    return actions


def unregistrable(view: View, lacking: Iterable[tuple[Task, ServiceLoadBalancer]]) -> Counter[str]:
    """How many RUNNING tasks lack a target in a target group that was deleted, by the group's ARN."""
    named = (balancer.target_group_arn or "" for _, balancer in lacking)
    return Counter(arn for arn in named if view.get(TargetGroup, arn) is None)


def deregistrations(
    view: View, tasks: Iterable[Task], *, now: float, timing: Timing, because: str
) -> list[DeregisterTarget]:
    """Begin to drain all targets of tasks that are to stop; those that drain already keep their time."""
    actions = []
    for task in tasks:
        for target in view.find(Target, "task", task.arn):
            if target.state == "draining":
                continue
            group = view.get(TargetGroup, target.target_group_arn)
            delay = timing.wait(deregistration_delay(group)) if group is not None else 0.0
            after = deregistered(target, now=now, delay=delay)
            version = view.version(Target, target.key)
            actions.append(DeregisterTarget(target, version, after, because))
    return actions


def said_of(service: Service, actions: Iterable[DeregisterTarget], tasks: Iterable[Task]) -> list[Action]:
    """The service events that go with deregistering these tasks' targets.

    That connections drain is said of each deployment by itself, which ECS calls a task set there.
    """
    actions = list(actions)
    counts = Counter(action.target.target_group_arn for action in actions)
    said: list[Action] = [
        Say(service, messages.deregistered(count, group_arn), f"{count} tasks are to stop")
        for group_arn, count in counts.items()
    ]
    draining = {action.target.task_arn for action in actions if action.after is not None}
    by_deployment = Counter(task.deployment_id or "" for task in tasks if task.arn in draining)
    for id, count in by_deployment.items():
        text = messages.draining_connections(count)
        said.append(Say(service, text, "requests in flight may finish", task_set=id))
    return said


def _address(
    view: View, task: Task, balancer: ServiceLoadBalancer, group: TargetGroup
) -> tuple[str, int] | None:
    """(id, port) of the target, None while it is not known."""
    if task.network_interface is not None:
        return task.network_interface.private_ipv4, balancer.container_port
    instance = view.get(ContainerInstance, task.container_instance_arn or "")
    port = _host_port(view, task, balancer)
    if instance is None or port is None:
        return None
    if group.target_type == "ip" and instance.private_ip is not None:
        return instance.private_ip, port
    return instance.ec2_instance_id or arns.name_of(instance.arn), port


def _host_port(view: View, task: Task, balancer: ServiceLoadBalancer) -> int | None:
    for container in task.containers:
        if container.name == balancer.container_name:
            for binding in container.network_bindings:
                if binding.container_port == balancer.container_port and binding.host_port:
                    return binding.host_port
    definition = view.get(TaskDefinition, task.task_definition_arn)
    if definition is not None and definition.network_mode == "host":
        return balancer.container_port
    return None
