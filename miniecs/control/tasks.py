"""A task's life where the control plane decides it: interface, draining of targets, retention.

Agents report RUNNING and STOPPED; everything between a wish to stop and the order to the agent,
and everything about a task whose instance is gone, is decided here.
Source: ECS developer guide, "Amazon ECS task lifecycle".
"""

from __future__ import annotations

from miniecs.config import Timing
from miniecs.control import interfaces, targets
from miniecs.control.plan import (
    NOTHING,
    Action,
    AdvanceTask,
    AssignTask,
    DeregisterTarget,
    Forget,
    Plan,
    SetInterface,
    StopTask,
)
from miniecs.control.stopping import DEREGISTRATION_FORCED, FAILED_TO_START, USER_INITIATED
from miniecs.control.view import View
from miniecs.model import fargate
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import Task


def needs_care(task: Task) -> bool:
    """Whether this loop has anything to do for a task whose instance is in order."""
    return task.desired_status != "RUNNING" or task.last_status in ("PROVISIONING", "DEPROVISIONING")


def plan(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    task = view.get(Task, arn)
    if task is None:
        return NOTHING
    version = view.version(Task, arn)
    if task.is_stopped:
        return _kept(view, task, version, now=now, timing=timing)
    if task.container_instance_arn is not None:
        instance = view.get(ContainerInstance, task.container_instance_arn)
        if instance is None or instance.status == "INACTIVE":
            return _orphaned(view, task, version, instance, now=now, timing=timing)
    if task.desired_status == "RUNNING":
        return _starting(view, task, version)
    return _stopping(view, task, version, now=now, timing=timing)


def _kept(view: View, task: Task, version: int, *, now: float, timing: Timing) -> Plan:
    """A STOPPED task is describable for an hour; targets that it left behind are drained."""
    drained = _deregister(view, task, now=now, timing=timing, because="its task has stopped")
    gone_at = (task.stopped_at or 0.0) + timing.stopped_task_retention
    if now < gone_at:
        return Plan(tuple(drained), wake_at=gone_at)
    because = f"it has been STOPPED for {timing.stopped_task_retention:g} s"
    return Plan((*drained, Forget(Task, task.arn, version, because)))


def _orphaned(
    view: View,
    task: Task,
    version: int,
    instance: ContainerInstance | None,
    *,
    now: float,
    timing: Timing,
) -> Plan:
    """Nobody will ever report on a task whose instance was deregistered by force."""
    because = "its container instance is no longer registered"
    actions = _deregister(view, task, now=now, timing=timing, because=because)
    if task.wanted:
        reason = (instance.status_reason if instance else None) or DEREGISTRATION_FORCED
        actions.append(StopTask(task, version, USER_INITIATED, reason, because))
    actions.append(AdvanceTask(task, version, "STOPPED", because))
    return Plan(tuple(actions))


def _starting(view: View, task: Task, version: int) -> Plan:
    """First its network interface, then on Fargate a machine; then its agent gets it."""
    if task.last_status != "PROVISIONING":
        return NOTHING
    actions: list[Action] = []
    interface = task.network_interface
    if interface is not None and not interface.is_provided:
        provided = interfaces.provided(view, task)
        if provided is None:
            return _without_address(task, version, interface.subnet_id)
        because = f"{provided.private_ipv4} is free in {interface.subnet_id}"
        actions.append(SetInterface(task, version, provided, because))
    if task.container_instance_arn is None:
        machine = _fargate_machine(view) if task.launch_type == fargate.LAUNCH_TYPE else None
        if machine is None:
            return Plan(tuple(actions))
        actions.append(AssignTask(task, version, machine, "Fargate has a machine for it"))
    because = "it has a host and needs nothing else before its agent gets it"
    actions.append(AdvanceTask(task, version, "PENDING", because))
    return Plan(tuple(actions))


def _without_address(task: Task, version: int, subnet_id: str) -> Plan:
    because = f"every address of {subnet_id} is in use"
    reason = interfaces.no_address(subnet_id)
    stop = StopTask(task, version, FAILED_TO_START, reason, because)
    return Plan((stop, AdvanceTask(task, version, "STOPPED", "no agent has heard of it yet")))


def _fargate_machine(view: View) -> str | None:
    """The machine with the fewest tasks. While there is none the task waits; its arrival wakes this loop."""
    machines = [
        machine.arn
        for machine in view.find(ContainerInstance, "fargate", True)
        if machine.status == "ACTIVE" and machine.agent_connected
    ]
    return min(machines, key=lambda arn: view.count(Task, "instance", arn), default=None)


def _stopping(view: View, task: Task, version: int, *, now: float, timing: Timing) -> Plan:
    match task.last_status:
        case "PROVISIONING":
            return Plan((AdvanceTask(task, version, "STOPPED", "no agent has heard of it yet"),))
        case "PENDING" | "ACTIVATING":
            return Plan((AdvanceTask(task, version, "STOPPING", "it receives no requests yet"),))
        case "RUNNING" | "DEACTIVATING":
            return _deactivating(view, task, version, now=now, timing=timing)
        case "DEPROVISIONING":
            drained = _deregister(view, task, now=now, timing=timing, because="its task has stopped")
            because = "its network interface is detached"
            return Plan((*drained, AdvanceTask(task, version, "STOPPED", because)))
    return NOTHING


def _deactivating(view: View, task: Task, version: int, *, now: float, timing: Timing) -> Plan:
    """Requests in flight may finish before the agent is told: it is told when no target is left."""
    because = "it is to stop"
    actions = _deregister(view, task, now=now, timing=timing, because=because)
    started = [action for action in actions if isinstance(action, DeregisterTarget)]
    gone = sum(action.after is None for action in started)
    left = len(view.find(Target, "task", task.arn)) - gone
    if left == 0:
        because = "it has no targets to drain" if not started else "its targets needed no draining"
        return Plan((*actions, AdvanceTask(task, version, "STOPPING", because)))
    if task.last_status == "RUNNING":
        actions.append(AdvanceTask(task, version, "DEACTIVATING", f"{left} of its targets are draining"))
    return Plan(tuple(actions))


def _deregister(view: View, task: Task, *, now: float, timing: Timing, because: str) -> list[Action]:
    """Drain the targets that the service's own loop has not drained, with the service's event."""
    drained = targets.deregistrations(view, (task,), now=now, timing=timing, because=because)
    service = view.get(Service, task.service_arn) if drained and task.service_arn else None
    said = targets.said_of(service, drained, (task,)) if service is not None else []
    return [*drained, *said]
