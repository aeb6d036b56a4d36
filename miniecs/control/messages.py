"""Service events, word for word as ECS says them, and which of them are not said twice.

Every text comes without the ``(service NAME)`` that stands in front of all of them.
Sources: ECS developer guide, "Service event messages", and events of real services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from miniecs.config import Timing
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_scheduler import Decision

STEADY = "has reached a steady state."
STUCK = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration."
    " Update the minimumHealthyPercent or maximumPercent value and try again."
)
IMPAIRED = "is unable to consistently start tasks successfully."
TASK_SET_STEADY = "updated state to STEADY_STATE."
_GUIDE = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."

_CLOSEST = {
    "ATTRIBUTE": "is missing an attribute required by your task.",
    "RESOURCE:CPU": "has insufficient CPU units available.",
    "RESOURCE:MEMORY": "has insufficient memory available.",
    "RESOURCE:PORTS": "is already using a port required by your task.",
    "RESOURCE:GPU": "has insufficient GPU resource available.",
}
_PRIVILEGED = "com.amazonaws.ecs.capability.privileged-container"
# One of these says that things move again: what stood in the way before it may be said anew.
_RESOLVING = re.compile(r"\) has (reached a steady state|started \d+ tasks)")
# Protected tasks are in the way until they no longer are, whatever else is started meanwhile.
_STEADY = re.compile(r"\) has reached a steady state")
_NAMED = re.compile(r"The closest matching \(container-instance ([^)]*)\)")
_PASSING = re.compile(r"\(container-instance [^)]*\)|\d+ tasks under protection")


def tasks(stopped_or_started: Iterable[Task]) -> str:
    return " ".join(f"(task {arns.name_of(task.arn)})" for task in stopped_or_started)


def started(launched: Sequence[Task], replaced: int) -> str:
    text = f"has started {len(launched)} tasks: {tasks(launched)}."
    return f"{text} Amazon ECS replaced {replaced} tasks due to an unhealthy status." if replaced else text


def stopped_running(stopped: Sequence[Task]) -> str:
    return f"has stopped {len(stopped)} running tasks: {tasks(stopped)}."


def stopped_pending(count: int) -> str:
    return f"stopped {count} pending tasks."


def registered(count: int, target_group_arn: str) -> str:
    return f"registered {count} targets in (target-group {target_group_arn})"


def register_failed(target_group_arn: str) -> str:
    """ECS's form, around the words with which Elastic Load Balancing refuses such a target group."""
    return (
        f"failed to register targets in (target-group {target_group_arn}) with (error One or more target"
        " groups not found)"
    )


def deregistered(count: int, target_group_arn: str) -> str:
    return f"deregistered {count} targets in (target-group {target_group_arn})"


def draining_connections(count: int) -> str:
    return f"has begun draining connections on {count} tasks."


def computed(task_set_id: str, count: int) -> str:
    return f"updated computedDesiredCount for taskSet {task_set_id} to {count}."


def deployment_completed(deployment_id: str) -> str:
    return f"(deployment {deployment_id}) deployment completed."


def deployment_failed(deployment_id: str) -> str:
    return f"(deployment {deployment_id}) deployment failed: tasks failed to start."


def rolling_back(deployment_id: str) -> str:
    return f"rolling back to deployment {deployment_id}."


def unhealthy_target(task: Task, target: Target) -> str:
    return (
        f"(task {arns.name_of(task.arn)}) (port {target.port}) is unhealthy in"
        f" (target-group {target.target_group_arn}) due to (reason {target.description})."
    )


def unhealthy_container(task: Task) -> str:
    return f"(task {arns.name_of(task.arn)}) failed container health checks."


AZ_STOPPED = "stopped AZ Rebalancing."


def _zones(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{tasks} tasks in {zone}" for zone, tasks in counts)


def az_unbalanced(counts: Iterable[tuple[str, int]]) -> str:
    return f"is not AZ balanced with {_zones(counts)}. AZ Rebalancing in progress."


def az_balanced(counts: Iterable[tuple[str, int]]) -> str:
    return f"is AZ balanced with {_zones(counts)}."


def az_started(zone: str, launched: Sequence[Task]) -> str:
    return f"has started {len(launched)} tasks in {zone} to AZ Rebalance: {tasks(launched)}."


def az_stopped(zone: str, stopped: Sequence[Task]) -> str:
    return f"has stopped {len(stopped)} running tasks in {zone} due to AZ rebalancing: {tasks(stopped)}."


def az_protected(deployment_id: str, count: int) -> str:
    return (
        f"was unable to AZ Rebalance because (taskSet {deployment_id}) was unable to scale in"
        f" due to (reason {count} tasks under protection)"
    )


def protected(deployment_id: str, count: int) -> str:
    return (
        f"was unable to reach steady state because (taskSet {deployment_id}) was unable to scale in"
        f" due to (reason {count} tasks under protection)"
    )


def unplaced(decision: Decision, where: str = "cluster") -> str:
    """Why no container instance took a task, naming the one that was closest to it."""
    text = "was unable to place a task because no container instance met all of its requirements."
    closest = decision.closest
    if closest is None:
        return f"{text} Reason: No Container Instances were found in your {where}.{_GUIDE}"
    said = _CLOSEST.get(closest.reason, f'encountered error "{closest.reason}".')
    return f"{text} The closest matching (container-instance {arns.name_of(closest.host)}) {said}{_GUIDE}"


def closest_in(message: str) -> str | None:
    """The id of the container instance that such an event names."""
    found = _NAMED.search(message)
    return found[1] if found else None


def advice(decision: Decision) -> str:
    """What would have made a task fit; empty if all were placed."""
    if _PRIVILEGED in decision.suggestion:
        return f"{decision.suggestion} (`miniecs up --allow-privileged` gives it to instances)"
    return decision.suggestion


def no_subnet(id: str) -> str:
    """ECS's form for launches that fail before there is a task, around its words for such a subnet."""
    return (
        f"failed to launch a task with (error Error retrieving subnet information for [{id}]: The subnet ID "
        f"'{id}' does not exist (ErrorCode: InvalidSubnetID.NotFound))."
    )


def said(view: View, service: Service, *, limit: int = 100) -> list[Event]:
    """The service's last events, oldest first: not those of a service of its name that was deleted before."""
    events: list[Event] = view.events(service.arn, (EventKind.SERVICE_MESSAGE,), limit=limit)
    return [event for event in events if event.at >= service.created_at]


def is_unsaid(
    view: View, service: Service, text: str, *, now: float, timing: Timing, task_set: str = ""
) -> bool:
    """Whether ECS would say this now: identical events rest until the matter is resolved, or 6 hours.

    Which instance was closest, or how many tasks are protected, changes from try to try and makes no new
    matter. What another task set starts resolves nothing of this one.
    """
    wanted = _PASSING.sub("", f"(service {service.name}) {text}")
    resolving = _STEADY if "under protection" in text else _RESOLVING
    if task_set and resolving is _RESOLVING:
        resolving = re.compile(rf"taskSet {re.escape(task_set)}\) has started|{_STEADY.pattern}")
    for event in reversed(said(view, service)):
        if event.at <= now - timing.event_repeat:
            return True
        if _PASSING.sub("", event.message) == wanted:
            return False
        if resolving.search(event.message):
            return True
    return True
