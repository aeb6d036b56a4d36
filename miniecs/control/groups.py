"""An emulated Auto Scaling group's loop: as many instances as are wanted, those in excess drained and ended.

What EC2 Auto Scaling does for a group, and what ECS's lifecycle hooks do of an instance that is to end: it is
DRAINING until its tasks have left. Sources: EC2 Auto Scaling user guide, "Default termination policy"; ECS
developer guide, "Managed instance draining" and "Managed termination protection".
"""

from __future__ import annotations

from collections import Counter

from miniecs.config import Timing
from miniecs.control import capacity
from miniecs.control.plan import (
    NOTHING,
    Action,
    EndInstance,
    Forget,
    LaunchInstances,
    Plan,
    SetInstance,
    SetMember,
    earliest,
)
from miniecs.control.view import View
from miniecs.model.autoscaling import (
    IN_SERVICE,
    NOT_REGISTERED,
    PENDING,
    TERMINATING,
    AutoScalingGroup,
    GroupInstance,
)
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task

_TO_REGISTER = 120.0
"""Seconds that an instance which is not wanted any more may take to register, so that it ends as others do.

A call that is on its way when its machine ends would register an instance which nobody ends.
"""


def plan(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    group = view.get(AutoScalingGroup, arn)
    if group is None:
        return NOTHING
    cluster = view.get(Cluster, group.cluster_arn)
    if cluster is None or cluster.status == "INACTIVE":
        return _gone(view, group)
    provider = capacity.provider_of(view, group)
    actions: list[Action] = []
    wakes: list[float | None] = []
    staying: list[GroupInstance] = []
    for member in capacity.members(view, group):
        instance = capacity.registration(view, group, member.instance_id)
        if instance is None and member.lifecycle_state == NOT_REGISTERED:
            wakes.append(_wait_to_register(view, member, actions, now=now, timing=timing))
        elif instance is None and member.lifecycle_state != PENDING:
            actions.append(_forget(view, member, "its container instance was deregistered"))
        elif instance is not None and not member.stays:
            wakes.append(_drain(view, member, instance, provider, actions, now=now, timing=timing))
        else:
            staying.append(member)
    wanted = min(max(group.desired_capacity, group.min_size), group.max_size)
    because = f"{wanted} instances are wanted and {len(staying)} are there"
    if group.because:
        because += f"; {group.because}"
    if len(staying) < wanted:
        zones = _zones_for(group, staying, wanted - len(staying))
        actions.append(LaunchInstances(group, view.version(AutoScalingGroup, arn), zones, because))
    surplus = _surplus(view, group, provider, staying, len(staying) - wanted)
    for member in staying:
        instance = capacity.registration(view, group, member.instance_id)
        if member not in surplus:
            _settle(view, member, instance, provider, actions)
        else:
            state = NOT_REGISTERED if instance is None else TERMINATING
            after = replace(member, lifecycle_state=state, terminating_at=now, because=because)
            actions.append(SetMember(member, view.version(GroupInstance, member.instance_id), after))
            if instance is not None:
                wakes.append(_drain(view, after, instance, provider, actions, now=now, timing=timing))
            else:
                wakes.append(now + timing.wait(_TO_REGISTER))
    return Plan(tuple(actions), earliest(wakes))


def _gone(view: View, group: AutoScalingGroup) -> Plan:
    because = "its cluster was deleted"
    members = [_forget(view, member, because) for member in capacity.members(view, group)]
    version = view.version(AutoScalingGroup, group.arn)
    return Plan((*members, Forget(AutoScalingGroup, group.arn, version, because)))


def _forget(view: View, member: GroupInstance, because: str) -> Forget:
    version = view.version(GroupInstance, member.instance_id)
    return Forget(GroupInstance, member.instance_id, version, because)


def _wait_to_register(
    view: View, member: GroupInstance, actions: list[Action], *, now: float, timing: Timing
) -> float | None:
    """Let an instance register before it ends, for a while. Returns when to look again."""
    limit = (member.terminating_at or now) + timing.wait(_TO_REGISTER)
    if now < limit:
        return limit
    actions.append(_forget(view, member, "it did not register"))
    return None


def _settle(
    view: View,
    member: GroupInstance,
    instance: ContainerInstance | None,
    provider: CapacityProvider | None,
    actions: list[Action],
) -> None:
    """Once its agent is connected an instance is in service; it belongs to the group's capacity provider."""
    if instance is None:
        return
    if member.lifecycle_state == PENDING and instance.agent_connected:
        after = replace(member, lifecycle_state=IN_SERVICE, because="its agent is connected")
        actions.append(SetMember(member, view.version(GroupInstance, member.instance_id), after))
    name = provider.name if provider is not None else None
    if instance.capacity_provider_name != name:
        because = f"its Auto Scaling group is capacity provider {name}'s" if name else "its group has none"
        version = view.version(ContainerInstance, instance.arn)
        after_it = replace(instance, capacity_provider_name=name)
        actions.append(SetInstance(instance, version, after_it, because))


def _drain(
    view: View,
    member: GroupInstance,
    instance: ContainerInstance,
    provider: CapacityProvider | None,
    actions: list[Action],
    *,
    now: float,
    timing: Timing,
) -> float | None:
    """Let the tasks of an instance that is to end leave it, then end it. Returns when to look again."""
    settings = (provider.auto_scaling_group_provider or {}) if provider is not None else {}
    left = len(view.find(Task, "instance", instance.arn))
    limit = (member.terminating_at or now) + timing.drain_limit
    version = view.version(GroupInstance, member.instance_id)
    if not left:
        actions.append(EndInstance(member, version, instance, "it has no tasks left"))
    elif settings.get("managedDraining", "ENABLED") != "ENABLED":
        actions.append(EndInstance(member, version, instance, "managed draining is off"))
    elif now >= limit:
        because = f"{left} tasks did not leave it within {timing.drain_limit:g} s"
        actions.append(EndInstance(member, version, instance, because))
    elif instance.status == "ACTIVE":
        because = f"its Auto Scaling group ends it: {member.because}"
        after = replace(instance, status="DRAINING")
        actions.append(SetInstance(instance, view.version(ContainerInstance, instance.arn), after, because))
        return limit
    else:
        return limit
    return None


def _zones_for(group: AutoScalingGroup, staying: list[GroupInstance], count: int) -> tuple[str, ...]:
    """Zones for new instances: always the one with the fewest."""
    used = Counter(member.zone for member in staying)
    zones = []
    for _ in range(count):
        zone = min(group.zones, key=lambda name: used[name])
        used[zone] += 1
        zones.append(zone)
    return tuple(zones)


def _surplus(
    view: View,
    group: AutoScalingGroup,
    provider: CapacityProvider | None,
    staying: list[GroupInstance],
    count: int,
) -> list[GroupInstance]:
    """Whom to end: who was drained, then of the zone with the most instances the oldest, again and again.

    Were another one ended, its tasks would need a new instance beside the drained one, which is surplus then
    as it was before: the group would go round in a circle. With managed termination protection none that has
    a task, daemons' aside.
    """
    free = list(staying)
    drained = {member.instance_id for member in staying if _is_drained(view, group, member)}
    settings = (provider.auto_scaling_group_provider or {}) if provider is not None else {}
    if settings.get("managedTerminationProtection") == "ENABLED":
        free = [m for m in free if capacity.is_idle(view, capacity.registration(view, group, m.instance_id))]
    used = Counter(member.zone for member in staying)
    chosen: list[GroupInstance] = []
    while free and len(chosen) < count:
        first = min(
            free, key=lambda m: (m.instance_id not in drained, -used[m.zone], m.launched_at, m.instance_id)
        )
        free.remove(first)
        used[first.zone] -= 1
        chosen.append(first)
    return chosen


def _is_drained(view: View, group: AutoScalingGroup, member: GroupInstance) -> bool:
    """Whether someone set it to DRAINING, and all tasks but daemons' have left it."""
    instance = capacity.registration(view, group, member.instance_id)
    return instance is not None and instance.status == "DRAINING" and capacity.is_idle(view, instance)
