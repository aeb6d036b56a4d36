"""What capacity providers and waiting tasks wait for, in sentences, seen with managed scaling's own eyes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from miniecs.config import Timing
from miniecs.control import capacity
from miniecs.control.managed_scaling import Seen, see, waiting_words
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.autoscaling import PENDING, AutoScalingGroup, ManagedScaling
from miniecs.model.cluster import CapacityProvider
from miniecs.model.instance_types import instance_type
from miniecs.model.task import Task


def waits(view: View, task: Task, *, now: float, timing: Timing) -> str:
    """What a task in PROVISIONING waits for, without its full stop."""
    name = task.capacity_provider_name or ""
    provider = capacity.named(view, task.cluster_arn, name)
    if provider is None:
        return f"It waits in PROVISIONING for capacity provider {name}, which was deleted"
    seen = see(view, provider, task.cluster_arn, timing=timing)
    text = f"It waits in PROVISIONING for capacity provider {name}: {_lacks(seen, task, now)}"
    left = task.created_at + timing.provisioning_timeout - now
    return f"{text}. It stops if it waits {max(0.0, left):.0f} s more"


def explain_provider(view: View, provider: CapacityProvider, *, now: float, timing: Timing) -> list[str]:
    """What is there, what is needed, and what happens next."""
    cluster = capacity.cluster_of(view, provider)
    if cluster is None:
        return [f"Capacity provider {provider.name} is {provider.status} and serves no cluster."]
    seen = see(view, provider, cluster.arn, timing=timing)
    return [
        f"Capacity provider {provider.name} of cluster {cluster.name} is {provider.status}.",
        *_group(view, seen, now),
        *_scaling(view, seen, now, timing),
    ]


def _lacks(seen: Seen, task: Task, now: float) -> str:
    group = seen.group
    if group is None:
        named = (seen.provider.auto_scaling_group_provider or {}).get("autoScalingGroupArn", "")
        return f"nothing here scales its Auto Scaling group {arns.name_of(named)}"
    if seen.is_too_large(task):
        empty, needs = instance_type(group.instance_type), seen.needs[task.arn]
        return (
            f"it needs {needs.cpu} CPU units and {needs.memory} MiB, and even an empty {group.instance_type}"
            f" has {empty.cpu} and {empty.memory}, or has not the ports or interfaces for it"
        )
    starting = sum(member.lifecycle_state == PENDING for member in seen.members)
    if starting:
        noun = "one is" if starting == 1 else f"{starting} are"
        return f"its group has {_of_most(seen, group)}, and {noun} starting"
    more = max(1, seen.reservation.needed - seen.reservation.running)
    text = f"needs {more} more {group.instance_type}, the group has {_of_most(seen, group)}"
    if not capacity.managed_scaling(seen.provider):
        return f"{text}, and managed scaling is DISABLED"
    if len(seen.members) < group.max_size and seen.warm_at > now:
        return f"{text}; it grows when its newest instance has warmed up, in {seen.warm_at - now:.0f} s"
    return text


def _of_most(seen: Seen, group: AutoScalingGroup) -> str:
    return f"{len(seen.members)} of at most {group.max_size}"


def _group(view: View, seen: Seen, now: float) -> Iterator[str]:
    group = seen.group
    if group is None:
        yield "Its Auto Scaling group is none that miniecs knows: nothing starts or ends machines for it."
        return
    members = capacity.members(view, group)
    states = Counter(member.lifecycle_state for member in members)
    told = ", ".join(f"{count} {state}" for state, count in states.items()) or "no instances"
    yield (
        f"Its Auto Scaling group {group.name} of {group.instance_type} wants {group.desired_capacity}, of at"
        f" least {group.min_size} and at most {group.max_size}: {told}."
    )
    if group.because:
        yield f"The last change: {group.because}."
    for member in members:
        instance = capacity.registration(view, group, member.instance_id)
        if member.stays or instance is None:
            continue
        left = len(view.find(Task, "instance", instance.arn))
        tasks = "1 task" if left == 1 else f"{left} tasks"
        yield f"{arns.name_of(instance.arn)[:8]} is {instance.status} and ends when {tasks} have left it."


def _scaling(view: View, seen: Seen, now: float, timing: Timing) -> Iterator[str]:
    if seen.waiting:
        yield f"{waiting_words(seen.waiting)} in PROVISIONING."
    counted = seen.reservation
    if seen.group is None:
        return
    yield (
        f"CapacityProviderReservation is {counted.percent:.0f} %: needed {counted.needed}, there"
        f" {counted.running}; the target is {seen.target} %."
    )
    if not capacity.managed_scaling(seen.provider):
        yield "Managed scaling is DISABLED: nothing follows from that."
        return
    state = view.get(ManagedScaling, seen.provider.arn)
    if state is not None and state.below_since is not None:
        left = state.below_since + timing.scale_in_after - now
        yield f"It shrinks to {seen.wanted} if that stays so for {max(0.0, left):.0f} s more."
    elif counted.percent > seen.target and seen.waiting:
        yield _grows(seen, seen.group, now)


def _grows(seen: Seen, group: AutoScalingGroup, now: float) -> str:
    if seen.wanted <= group.desired_capacity:
        reached = len(seen.members) >= group.max_size
        return "It cannot grow: it has as many as it may." if reached else "Its new instances are starting."
    if seen.warm_at == float("inf"):
        return "It grows further when its new instances have started and warmed up."
    if seen.warm_at > now:
        left = seen.warm_at - now
        return f"It grows to {seen.wanted} when its newest instance has warmed up, in {left:.0f} s."
    return f"It is about to grow to {seen.wanted}."
