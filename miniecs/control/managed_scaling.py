"""Managed scaling: a provider's reservation is watched, and the desired capacity of its group follows it.

ECS publishes CapacityProviderReservation and lets alarms act on it. Here the loop acts once the reservation
has been off its target for as long as the alarms would need. Source: ECS developer guide, "Managed scaling
behavior".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from miniecs.config import Timing
from miniecs.control import capacity, scaling
from miniecs.control.launch import demand_of_task, machine_of
from miniecs.control.plan import NOTHING, Action, Forget, Plan, SetCapacity, SetScaling
from miniecs.control.scaling import Batch, Reservation
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.autoscaling import PENDING, AutoScalingGroup, GroupInstance, ManagedScaling
from miniecs.model.cluster import CapacityProvider
from miniecs.model.frozen import replace
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_scheduler import Resources

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Seen:
    """One capacity provider at one moment. group and members: of an emulated Auto Scaling group.

    needs: what each waiting task needs. warm_at: when the newest instance has warmed up; 0 when all have.
    """

    provider: CapacityProvider
    cluster_arn: str
    group: AutoScalingGroup | None
    members: list[GroupInstance]
    waiting: list[Task]
    needs: dict[str, Resources]
    reservation: Reservation
    target: int
    warm_at: float

    @property
    def wanted(self) -> int:
        """The group's desired capacity for this reservation, within its sizes."""
        group = self.group
        if group is None:
            return 0
        return min(max(scaling.desired(self.reservation, self.target), group.min_size), group.max_size)

    def is_too_large(self, task: Task) -> bool:
        """Whether a waiting task would not even fit on an empty instance of the group."""
        if self.group is None:
            return False
        return not scaling.fits(self.needs[task.arn], machine_of(self.group.instance_type))


def see(view: View, provider: CapacityProvider, cluster_arn: str, *, timing: Timing) -> Seen:
    group = capacity.group_of(view, provider, cluster_arn)
    settings = capacity.managed_scaling(provider)
    waiting = capacity.waiting(view, cluster_arn, provider.name)
    needs = {task.arn: _needs(view, task) for task in waiting}
    members = [m for m in capacity.members(view, group) if m.stays] if group is not None else []
    idle = lacking = 0
    if group is not None:
        idle = sum(capacity.is_idle(view, capacity.registration(view, group, m.instance_id)) for m in members)
        lacking = scaling.lacking(_batches(view, waiting, needs), machine_of(group.instance_type))
        if waiting and not lacking:
            idle = 0  # none of them fits on any instance: then the reservation stays at 100 %
    elif waiting:
        lacking = 1  # nobody knows of what type the group's instances are
    seen = scaling.reservation(
        len(members),
        idle,
        lacking,
        least_step=int(settings.get("minimumScalingStepSize", 1)),
        largest_step=int(settings.get("maximumScalingStepSize", 10_000)),
    )
    warm_up = timing.wait(float(settings.get("instanceWarmupPeriod", 300)))
    warm_at = max((_warm_at(member, warm_up) for member in members), default=0.0)
    target = int(settings.get("targetCapacity", 100))
    return Seen(provider, cluster_arn, group, members, waiting, needs, seen, target, warm_at)


def plan(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    """One capacity provider's managed scaling."""
    provider = view.get(CapacityProvider, arn)
    cluster = capacity.cluster_of(view, provider) if provider is not None else None
    known = view.get(ManagedScaling, arn)
    if provider is None or provider.status == "INACTIVE" or cluster is None:
        return _forgotten(view, arn) if known is not None else NOTHING
    before = known or ManagedScaling(arn)
    seen = see(view, provider, cluster.arn, timing=timing)
    if seen.group is None or not capacity.managed_scaling(provider):
        after, action, wake_at = _at_rest(before), None, None
    else:
        after, action, wake_at = _scale(view, seen, seen.group, before, now=now, timing=timing)
    actions: list[Action] = [] if action is None else [action]
    if after != before:
        version = view.version(ManagedScaling, arn) if known else 0
        actions.append(SetScaling(version, after, f"its reservation is {seen.reservation.percent:.0f} %"))
    return Plan(tuple(actions), wake_at)


def _forgotten(view: View, arn: str) -> Plan:
    because = "its capacity provider serves no cluster any more"
    return Plan((Forget(ManagedScaling, arn, view.version(ManagedScaling, arn), because),))


def _at_rest(state: ManagedScaling) -> ManagedScaling:
    return replace(state, above_since=None, below_since=None)


def _scale(
    view: View, seen: Seen, group: AutoScalingGroup, state: ManagedScaling, *, now: float, timing: Timing
) -> tuple[ManagedScaling, SetCapacity | None, float | None]:
    """What is remembered, what is done, and when to look again."""
    percent, wanted = seen.reservation.percent, seen.wanted
    version = view.version(AutoScalingGroup, group.arn)
    if percent > seen.target and seen.reservation.needed and wanted > group.desired_capacity:
        since = state.above_since if state.above_since is not None else now
        act_at = max(since + timing.scale_out_after, seen.warm_at)
        if now < act_at:
            wake_at = act_at if act_at < _NEVER else None
            return replace(state, above_since=since, below_since=None), None, wake_at
        told = f"adds {_instances(wanted - group.desired_capacity)}: reservation {percent:.0f} %"
        action = SetCapacity(group, version, wanted, seen.provider.arn, told, _why_more(seen))
        return _at_rest(state), action, None
    if percent < seen.target and wanted < group.desired_capacity:
        since = state.below_since if state.below_since is not None else now
        act_at = since + timing.scale_in_after
        if now < act_at:
            return replace(state, above_since=None, below_since=since), None, act_at
        told = f"removes {_instances(group.desired_capacity - wanted)}: reservation {percent:.0f} %"
        action = SetCapacity(group, version, wanted, seen.provider.arn, told, _why_fewer(seen, timing))
        return _at_rest(state), action, None
    return _at_rest(state), None, None


def _why_more(seen: Seen) -> str:
    counted = seen.reservation
    waiting = f"{waiting_words(seen.waiting)}; " if seen.waiting else ""
    needed = f"{_instances(counted.needed)} needed, {counted.running} there"
    return f"{waiting}{needed}, the target is {seen.target} %"


def _why_fewer(seen: Seen, timing: Timing) -> str:
    counted = seen.reservation
    return (
        f"{counted.needed} of {_instances(counted.running)} have had tasks other than daemons' for"
        f" {timing.scale_in_after:g} s; the target is {seen.target} %"
    )


def waiting_words(tasks: Iterable[Task]) -> str:
    """``6 tasks of web:3 wait, 1 task of batch:1 waits``."""
    counts = Counter(arns.name_of(task.task_definition_arn) for task in tasks)
    return ", ".join(
        f"1 task of {name} waits" if count == 1 else f"{count} tasks of {name} wait"
        for name, count in counts.items()
    )


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"


def _warm_at(member: GroupInstance, warm_up: float) -> float:
    """A machine that has not registered yet has not warmed up, however long that takes."""
    return _NEVER if member.lifecycle_state == PENDING else member.launched_at + warm_up


def _needs(view: View, task: Task) -> Resources:
    return demand_of_task(task, view.get(TaskDefinition, task.task_definition_arn))


def _batches(view: View, tasks: Iterable[Task], needs: dict[str, Resources]) -> list[Batch]:
    """Waiting tasks by what they need, and whether each needs an instance of its own."""
    counts: Counter[tuple[Resources, bool, str]] = Counter()
    for task in tasks:
        apart = _apart(view, task)
        counts[needs[task.arn], apart, task.group if apart else ""] += 1
    return [Batch(demand, count, apart) for (demand, apart, _), count in counts.items()]


def _apart(view: View, task: Task) -> bool:
    service = view.get(Service, task.service_arn) if task.service_arn is not None else None
    if service is not None:
        rules = service.placement_constraints
    else:
        rules = task.placement.constraints if task.placement is not None else ()
    return any(rule.type == "distinctInstance" for rule in rules)
