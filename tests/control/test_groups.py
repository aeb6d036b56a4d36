"""An emulated Auto Scaling group's loop: launches, who is ended, draining, and whose instances these are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from miniecs.control import groups
from miniecs.control.plan import (
    Action,
    EndInstance,
    Forget,
    LaunchInstances,
    Plan,
    SetInstance,
    SetMember,
)
from miniecs.model import arns
from miniecs.model.autoscaling import (
    IN_SERVICE,
    NOT_REGISTERED,
    PENDING,
    TERMINATING,
    AutoScalingGroup,
    GroupInstance,
)
from miniecs.model.cluster import CapacityProvider

from .cases import CLUSTER, NOW, OLD, SCOPE, TIMING, VERSION, FakeView, instance, service, task

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
GROUP = AutoScalingGroup(
    arns.auto_scaling_group(SCOPE, "group", "1"),
    "group",
    CLUSTER.arn,
    "t3.medium",
    ZONES,
    min_size=0,
    max_size=10,
    desired_capacity=2,
)
WITH_PROVIDER = replace(CLUSTER, capacity_providers=("cp",))


def provider(**settings: Any) -> CapacityProvider:
    settings = {"autoScalingGroupArn": GROUP.arn, "managedScaling": {"status": "ENABLED"}, **settings}
    return CapacityProvider(
        arns.capacity_provider(SCOPE, "cp"), "cp", SCOPE, auto_scaling_group_provider=settings
    )


def member(n: int, state: str = IN_SERVICE, **fields: Any) -> GroupInstance:
    """Instance n of the group, in the zones in turn; the later ones were launched later."""
    fields = {"launched_at": OLD + n, **fields}
    return GroupInstance(f"i-{n}", GROUP.arn, ZONES[n % 3], lifecycle_state=state, **fields)


def host(n: int, **fields: Any) -> Any:
    return instance(n, ec2_instance_id=f"i-{n}", **{"capacity_provider_name": "cp", **fields})


def plan(*things: Any, group: AutoScalingGroup = GROUP) -> Plan:
    view = FakeView(group, WITH_PROVIDER, provider(), *things)
    return groups.plan(view, group.arn, now=NOW, timing=TIMING)


def ended(actions: tuple[Action, ...]) -> list[str]:
    return [
        action.before.instance_id
        for action in actions
        if isinstance(action, SetMember) and action.after.lifecycle_state == TERMINATING
    ]


def test_what_is_missing_is_launched_in_the_emptiest_zones() -> None:
    (action,) = plan(member(0), host(0), group=replace(GROUP, desired_capacity=5)).actions
    assert isinstance(action, LaunchInstances)
    assert action.zones == ("us-east-1b", "us-east-1c", "us-east-1a", "us-east-1b")


def test_the_sizes_bound_what_is_desired() -> None:
    (action,) = plan(group=replace(GROUP, desired_capacity=50, max_size=3)).actions
    assert isinstance(action, LaunchInstances)
    assert len(action.zones) == 3
    assert not plan(group=replace(GROUP, desired_capacity=0)).actions
    (action,) = plan(group=replace(GROUP, desired_capacity=0, min_size=1)).actions
    assert isinstance(action, LaunchInstances)


def test_an_instance_is_in_service_when_its_agent_is_connected_and_is_the_providers() -> None:
    new = host(1, capacity_provider_name=None)
    moved, marked = plan(member(0), host(0), member(1, PENDING), new).actions
    assert isinstance(moved, SetMember)
    assert moved.after.lifecycle_state == IN_SERVICE
    assert isinstance(marked, SetInstance)
    assert marked.after == replace(new, capacity_provider_name="cp")
    away = host(1, agent_connected=False)
    assert plan(member(0), host(0), member(1, PENDING), away).actions == ()


def test_an_instance_without_a_registration_yet_is_waited_for() -> None:
    assert plan(member(0), host(0), member(1, PENDING)).actions == ()


def test_an_instance_that_is_not_wanted_any_more_ends_when_it_has_registered_or_does_not() -> None:
    staying = [member(1), host(1), member(2), host(2)]
    result = plan(*staying, member(0, PENDING))
    (chosen,) = result.actions
    assert isinstance(chosen, SetMember)
    assert (chosen.after.lifecycle_state, result.wake_at) == (NOT_REGISTERED, NOW + 120)
    (ending,) = plan(*staying, chosen.after, host(0)).actions
    assert isinstance(ending, EndInstance)
    assert plan(*staying, chosen.after).actions == ()
    (forgotten,) = plan(*staying, replace(chosen.after, terminating_at=NOW - 120)).actions
    assert forgotten == Forget(GroupInstance, "i-0", VERSION, "it did not register")


def test_an_instance_that_was_deregistered_is_replaced() -> None:
    forgotten, launched = plan(member(0), host(0), member(1), host(1, status="INACTIVE")).actions
    assert forgotten == Forget(GroupInstance, "i-1", VERSION, "its container instance was deregistered")
    assert isinstance(launched, LaunchInstances)


def test_of_the_fullest_zone_the_oldest_is_ended() -> None:
    everyone = [each for n in range(5) for each in (member(n), host(n))]
    busy = [task(f"t{n}", on=n) for n in range(5)]
    assert ended(plan(*everyone, *busy).actions) == ["i-0", "i-1", "i-2"]  # a and b have two each
    one = replace(GROUP, desired_capacity=4)
    assert ended(plan(*everyone, *busy, group=one).actions) == ["i-0"]


def test_what_was_drained_is_ended_before_what_has_tasks() -> None:
    """Ending another one would make room for nothing: its tasks would need a new instance."""
    everyone = [
        each for n in range(4) for each in (member(n), host(n, status="ACTIVE" if n != 2 else "DRAINING"))
    ]
    busy = [task(f"t{n}", on=n) for n in (0, 1, 3)]  # the zone of 2 has the fewest, and 2 is not the oldest
    group = replace(GROUP, desired_capacity=3)
    assert ended(plan(*everyone, *busy, group=group).actions) == ["i-2"]
    assert ended(plan(*everyone, *busy, task("t2", on=2), group=group).actions) == ["i-0"]


def test_what_is_ended_drains_at_once_and_ends_without_tasks() -> None:
    group = replace(GROUP, desired_capacity=1)
    result = plan(member(0), host(0), member(1), host(1), task("t", on=0), group=group)
    chosen, draining = result.actions
    assert isinstance(chosen, SetMember)
    assert isinstance(draining, SetInstance)
    assert (draining.after.status, result.wake_at) == ("DRAINING", NOW + TIMING.drain_limit)
    chosen, ending = plan(member(0), host(0), member(1), host(1), group=group).actions
    assert isinstance(ending, EndInstance)


def test_a_draining_instance_ends_when_its_tasks_have_left() -> None:
    staying = [member(0), host(0), member(1), host(1)]
    going = member(2, TERMINATING, terminating_at=NOW - 60)
    assert plan(*staying, going, host(2, status="DRAINING"), task("t", on=2)).actions == ()
    (action,) = plan(*staying, going, host(2, status="DRAINING")).actions
    assert isinstance(action, EndInstance)
    long_ago = replace(going, terminating_at=NOW - TIMING.drain_limit)
    (action,) = plan(*staying, long_ago, host(2, status="DRAINING"), task("t", on=2)).actions
    assert isinstance(action, EndInstance)
    assert "did not leave it" in action.because


def test_without_managed_draining_it_ends_with_its_tasks() -> None:
    things = [GROUP, WITH_PROVIDER, provider(managedDraining="DISABLED")]
    things += [member(0), host(0), member(1), host(1)]
    going = member(2, TERMINATING, terminating_at=NOW)
    view = FakeView(*things, going, host(2), task("t", on=2))
    (action,) = groups.plan(view, GROUP.arn, now=NOW, timing=TIMING).actions
    assert isinstance(action, EndInstance)


def test_protection_spares_instances_with_tasks_but_not_for_daemons() -> None:
    group = replace(GROUP, desired_capacity=0)
    daemon = replace(service(0), scheduling_strategy="DAEMON")
    things = [group, WITH_PROVIDER, provider(managedTerminationProtection="ENABLED"), daemon]
    things += [each for n in range(3) for each in (member(n), host(n))]
    alone = task("alone", on=0, service_arn=None, deployment_id=None)
    view = FakeView(*things, alone, task("logs", on=1))
    actions = groups.plan(view, group.arn, now=NOW, timing=TIMING).actions
    assert sorted(ended(actions)) == ["i-1", "i-2"]


def test_the_group_goes_with_its_cluster() -> None:
    view = FakeView(GROUP, replace(CLUSTER, status="INACTIVE"), member(0))
    actions = groups.plan(view, GROUP.arn, now=NOW, timing=TIMING).actions
    assert [(a.kind, a.key) for a in actions if isinstance(a, Forget)] == [
        (GroupInstance, "i-0"),
        (AutoScalingGroup, GROUP.arn),
    ]
