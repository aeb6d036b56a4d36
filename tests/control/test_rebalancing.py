"""Availability Zone rebalancing: its preconditions, each step of a move, and whole histories."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from miniecs.control import rebalancing, rollout
from miniecs.control.explain import explain_service
from miniecs.control.plan import LaunchTasks, Plan, Say, SetService, StopTask
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.network import Subnet
from miniecs.model.service import DeploymentConfiguration, PlacementStrategy, Revision, Service
from miniecs.model.task import Task

from .cases import (
    NOW,
    OLD,
    SCOPE,
    TIMING,
    FakeView,
    completed,
    definition,
    deployment,
    instance,
    service,
    stopping,
    task,
)
from .lab import Lab
from .test_rolling import plan

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"
SPREAD = PlacementStrategy("spread", "attribute:ecs.availability-zone")


def steady(desired: int, **fields: Any) -> Service:
    defaults = {"availability_zone_rebalancing": "ENABLED", "steady": True, "steady_since": OLD}
    return service(desired, completed(1, desired), **{**defaults, **fields})


def in_zones(**zones: int) -> list[Task]:
    """in_zones(a=2): two healthy tasks in zone a."""
    return [
        task(f"{letter}{n}", availability_zone=f"us-east-1{letter}")
        for letter, count in zones.items()
        for n in range(count)
    ]


def planned(spec: Service, *tasks: Task, room: dict[str, bool] | None = None, **options: Any) -> Plan:
    view = FakeView(spec, definition(1), definition(2), instance(), *tasks)
    given = {A: True, B: True, C: True} if room is None else room
    return plan(view, zones=lambda asked: given, **options)


def starts(of: Plan) -> dict[str, int]:
    return {a.zone: a.count for a in of.actions if isinstance(a, LaunchTasks)}


def stops(of: Plan) -> list[str]:
    return [arns.name_of(a.task.arn) for a in of.actions if isinstance(a, StopTask)]


def said(of: Plan) -> list[str]:
    return [a.text for a in of.actions if isinstance(a, Say)]


def test_an_unbalanced_service_starts_where_tasks_are_fewest() -> None:
    spec = steady(4)
    actions = planned(spec, *in_zones(a=3, b=1), room={A: True, B: True}).actions
    because = (
        "3 tasks are in us-east-1a and 1 in us-east-1b: starts 1 there before as many stop where most are"
    )
    assert actions == (
        SetService(
            spec, 7, replace(spec, steady=False, unbalanced=True), "its tasks are no longer as desired"
        ),
        Say(
            spec,
            "is not AZ balanced with 3 tasks in us-east-1a, 1 tasks in us-east-1b. AZ Rebalancing in"
            " progress.",
            "the zones differ by 2 tasks",
            "SERVICE_REBALANCING_STARTED",
        ),
        LaunchTasks(spec, 7, "ecs-svc/1", 1, because, zone=B),
    )


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        ({"a": 2, "b": 1, "c": 1}, {}),
        ({"a": 2, "b": 2, "c": 1}, {}),
        ({"a": 3, "b": 1, "c": 1}, {B: 1}),
        ({"a": 2, "b": 1}, {C: 1}),
        ({"a": 6}, {B: 2, C: 2}),
        ({"a": 5, "b": 4}, {C: 3}),
        ({"a": 1}, {}),
    ],
)
def test_how_many_start_where(zones: dict[str, int], expected: dict[str, int]) -> None:
    tasks = in_zones(**zones)
    assert starts(planned(steady(len(tasks)), *tasks)) == expected


def test_maximum_percent_bounds_what_starts_at_once() -> None:
    tasks = in_zones(a=6)
    assert starts(planned(steady(6, high=150), *tasks)) == {B: 2, C: 1}
    assert starts(planned(steady(6, high=117), *tasks)) == {B: 1}
    assert starts(planned(steady(6, high=116), *tasks)) == {}


def test_zones_without_room_are_no_aim_and_are_looked_at_again() -> None:
    tasks = in_zones(a=4)
    assert starts(planned(steady(4), *tasks, room={A: True, B: False, C: True})) == {C: 2}
    nowhere = planned(steady(4), *tasks, room={A: True, B: False})
    assert nowhere == Plan((), NOW + TIMING.placement_retry)
    assert planned(steady(4), *tasks, room={A: True}) == Plan()


def test_what_was_begun_ends_when_there_is_no_room_any_more() -> None:
    spec = steady(4, unbalanced=True)
    stopped = planned(spec, *in_zones(a=4), room={A: True, B: False})
    assert said(stopped) == ["stopped AZ Rebalancing."]
    assert planned(replace(spec, unbalanced=False), *in_zones(a=4), room={A: True, B: False}).actions == ()


def in_subnets(*zones: str, **fields: Any) -> tuple[Revision, list[Subnet]]:
    subnets = [Subnet(SCOPE, f"subnet-{zone}", "vpc-1", zone) for zone in zones]
    network = {"awsvpcConfiguration": {"subnets": [subnet.id for subnet in subnets]}}
    definition = arns.task_definition(SCOPE, "web", 1)
    return Revision(definition, network_configuration=network, **fields), subnets


def test_tasks_with_interfaces_move_only_to_zones_of_their_subnets() -> None:
    revision, subnets = in_subnets(A, B)
    spec = replace(steady(6), deployments=(replace(completed(1, 6), revision=revision),))
    view = FakeView(spec, definition(1), instance(), *in_zones(a=6), *subnets)
    assert starts(plan(view, zones=lambda asked: {A: True, B: True, C: True})) == {B: 3}


def test_on_fargate_every_zone_of_the_subnets_has_room() -> None:
    revision, subnets = in_subnets(A, C, launch_type="FARGATE")
    spec = replace(steady(4), deployments=(replace(completed(1, 4), revision=revision),))
    view = FakeView(spec, definition(1), instance(), *in_zones(a=4), *subnets)
    assert starts(plan(view, zones=lambda asked: {})) == {C: 2}


@pytest.mark.parametrize(
    "fields",
    [
        {"availability_zone_rebalancing": "DISABLED"},
        {"high": 100},
        {"placement_strategy": (PlacementStrategy("binpack", "cpu"), SPREAD)},
        {"scheduling_strategy": "DAEMON"},
        {"status": "DRAINING"},
        {"steady_since": NOW - TIMING.rebalance_after + 1},
    ],
)
def test_what_keeps_a_service_from_being_rebalanced(fields: dict[str, Any]) -> None:
    assert starts(planned(steady(4, **fields), *in_zones(a=4))) == {}


def test_a_deployment_a_missing_task_and_a_blocked_placement_come_first() -> None:
    tasks = in_zones(a=4)
    rolling = replace(
        steady(4), deployments=(deployment(2, desired_count=4), replace(completed(1, 4), status="ACTIVE"))
    )
    assert "us-east-1b" not in starts(planned(rolling, *tasks))
    assert set(starts(planned(steady(5), *tasks))) == {""}
    blocked = replace(steady(4), deployments=(replace(completed(1, 4), blocked_until=NOW + 9),))
    assert starts(planned(blocked, *tasks)) == {}
    young = [*tasks[:3], replace(tasks[3], started_at=NOW - 1)]
    assert starts(planned(replace(steady(4), steady=False), *young)) == {}


def test_a_service_that_just_became_steady_waits_a_while() -> None:
    unsteady = steady(4, steady=False)
    first = planned(unsteady, *in_zones(a=4))
    assert said(first) == ["has reached a steady state."]
    assert first.wake_at == NOW + TIMING.rebalance_after


def moving(*names: str, **fields: Any) -> tuple[Service, list[Task]]:
    """Four wanted, three in a and one in b; the named tasks were started in b for it."""
    new = [task(name, availability_zone=B, **fields) for name in names]
    spec = steady(4, steady=False, unbalanced=True, moves=tuple(each.arn for each in new))
    return spec, [*in_zones(a=3, b=1), *new]


def test_while_the_new_task_is_not_healthy_nothing_stops() -> None:
    for fields in ({"status": "PENDING"}, {"started_at": NOW - 1}):
        spec, tasks = moving("new", **fields)
        assert planned(spec, *tasks).actions == ()


def test_once_it_is_healthy_one_stops_in_the_fullest_zone() -> None:
    spec, tasks = moving("new")
    done = planned(spec, *tasks)
    assert stops(done) == ["a0"]
    (stop,) = [a for a in done.actions if isinstance(a, StopTask)]
    assert stop.reason == "Availability-zone rebalancing initiated by (deployment ecs-svc/1)"
    assert stop.because == "task new in us-east-1b is healthy in its place"
    assert said(done) == ["has stopped 1 running tasks in us-east-1a due to AZ rebalancing: (task a0)."]
    (after,) = [a.after for a in done.actions if isinstance(a, SetService)]
    assert (after.moves, after.unbalanced, after.steady) == ((), True, False)


def test_balanced_is_said_when_it_is_steady_again() -> None:
    spec = steady(4, steady=False, unbalanced=True)
    tasks = in_zones(a=2, b=2)
    room = {A: True, B: True}
    assert said(planned(spec, *tasks, stopping("a2"), room=room)) == []
    done = planned(spec, *tasks, room=room)
    assert said(done) == [
        "has reached a steady state.",
        "is AZ balanced with 2 tasks in us-east-1a, 2 tasks in us-east-1b.",
    ]
    (after,) = [a.after for a in done.actions if isinstance(a, SetService)]
    assert (after.steady, after.unbalanced, after.steady_since) == (True, False, NOW)


def test_each_healthy_task_stops_one_and_the_others_wait() -> None:
    new = [task("fit", availability_zone=B), task("young", availability_zone=C, started_at=NOW - 1)]
    spec = steady(6, steady=False, unbalanced=True, moves=tuple(each.arn for each in new))
    done = planned(spec, *in_zones(a=6), *new)
    assert stops(done) == ["a0"]
    (after,) = [a.after for a in done.actions if isinstance(a, SetService)]
    assert after.moves == (new[1].arn,)


def test_a_task_that_died_meanwhile_is_replaced_by_the_new_one() -> None:
    spec, tasks = moving("new")
    done = planned(spec, *tasks[1:])
    assert (starts(done), stops(done)) == ({}, [])
    (after, *_) = [a.after for a in done.actions if isinstance(a, SetService)]
    assert after.moves == ()


def test_an_unhealthy_task_elsewhere_is_no_reason_to_stop_a_healthy_one() -> None:
    spec, tasks = moving("new", health_status="HEALTHY")
    tasks = [replace(each, health_status="HEALTHY") for each in tasks]
    tasks[1] = replace(tasks[1], health_status="UNHEALTHY")
    view = FakeView(spec, definition(1, check=True), instance(), *tasks)
    assert stops(plan(view, zones=lambda asked: {A: True, B: True})) == ["a1"], "only the unhealthy one"


def test_what_leaves_a_draining_instance_in_the_same_plan_is_not_counted_twice() -> None:
    new = [task("fit", availability_zone=B), task("young", availability_zone=C, started_at=NOW - 1)]
    spec = steady(6, steady=False, unbalanced=True, moves=tuple(each.arn for each in new))
    leaving, *others = in_zones(a=6)
    leaving = replace(leaving, container_instance_arn=instance(2).arn)
    hosts = [instance(1), instance(2, status="DRAINING")]
    view = FakeView(spec, definition(1), *hosts, leaving, *others, *new)
    done = plan(view, zones=lambda asked: {A: True, B: True, C: True})
    assert stops(done) == ["a0"], "seven are healthy of six: one goes, for whichever reason"


def test_a_new_task_that_fails_is_forgotten() -> None:
    spec, tasks = moving("gone")
    (after,) = [a.after for a in planned(spec, *tasks[:-1]).actions if isinstance(a, SetService)]
    assert (after.moves, after.steady) == ((), True)


def test_a_deployment_ends_the_rebalancing() -> None:
    spec, tasks = moving("new", started_at=NOW - 1)
    spec = replace(
        spec, deployments=(deployment(2, desired_count=4), replace(completed(1, 4), status="ACTIVE"))
    )
    ended = planned(spec, *tasks)
    assert "stopped AZ Rebalancing." in said(ended)
    (after,) = [a.after for a in ended.actions if isinstance(a, SetService)]
    assert (after.moves, after.unbalanced) == ((), False)


def test_switching_it_off_stops_what_is_beyond_the_count() -> None:
    spec, tasks = moving("new", status="PENDING")
    ended = planned(replace(spec, availability_zone_rebalancing="DISABLED"), *tasks)
    assert stops(ended) == ["new"]
    assert "stopped AZ Rebalancing." in said(ended)


def test_scaling_in_meanwhile_stops_as_many_and_no_more() -> None:
    spec, tasks = moving("new", status="PENDING")
    done = planned(rollout.scale(spec, 2, now=NOW), *tasks)
    assert stops(done) == ["new", "a0", "a1"]


def protected(tasks: list[Task], *names: str) -> list[Task]:
    return [
        replace(each, protection_expires_at=NOW + 60) if arns.name_of(each.arn) in names else each
        for each in tasks
    ]


def test_protected_tasks_are_not_moved() -> None:
    spec, tasks = moving("new")
    assert stops(planned(spec, *protected(tasks, "a0", "a1"))) == ["a2"]
    held = planned(spec, *protected(tasks, "a0", "a1", "a2"))
    text = (
        "was unable to AZ Rebalance because (taskSet ecs-svc/1) was unable to scale in due to"
        " (reason 3 tasks under protection)"
    )
    assert (stops(held), said(held), held.wake_at) == ([], [text], NOW + 60)
    none = planned(steady(4), *protected(in_zones(a=3, b=1), "a0", "a1", "a2"))
    assert (starts(none), said(none), none.wake_at) == ({}, [text], NOW + 60)


@pytest.mark.parametrize(
    ("strategy", "percent", "placement", "expected"),
    [
        ("REPLICA", 200, (), ""),
        ("REPLICA", 200, (SPREAD, PlacementStrategy("binpack", "memory")), ""),
        ("DAEMON", 200, (), "the DAEMON scheduling strategy"),
        ("REPLICA", 100, (), "maximumPercent <= 100"),
        ("REPLICA", 200, (PlacementStrategy("random"),), "random as the first placement strategy"),
        (
            "REPLICA",
            200,
            (PlacementStrategy("spread", "instanceId"), SPREAD),
            "spread(instanceId) as the first placement strategy",
        ),
    ],
)
def test_what_settings_rule_it_out(
    strategy: str, percent: int, placement: tuple[PlacementStrategy, ...], expected: str
) -> None:
    configuration = DeploymentConfiguration(percent, 100)
    assert rebalancing.why_not(strategy, configuration, placement) == expected


# Histories: the real reconciler and scheduler.


def a_lab(desired: int, **fields: Any) -> Lab:
    lab = Lab(definition(1), definition(2))
    spec = replace(service(desired), availability_zone_rebalancing="ENABLED", **fields)
    lab.deploy(spec, Revision(arns.task_definition(SCOPE, "web", 1)))
    lab.converge()
    return lab


def zones(lab: Lab) -> Counter[str | None]:
    return Counter(each.availability_zone for each in lab.tasks("RUNNING") if each.wanted)


def lose(lab: Lab, zone: str) -> list[ContainerInstance]:
    """Every instance of a zone is deregistered by force."""
    gone = [i for i in lab.store.all(ContainerInstance) if i.availability_zone == zone]
    for each in gone:
        lab.change(each, status="INACTIVE", agent_connected=False)
    return gone


def test_a_zone_is_lost_and_comes_back() -> None:
    lab = a_lab(6)
    assert zones(lab) == {A: 2, B: 2, C: 2}
    gone = lose(lab, B)
    lab.converge()
    assert zones(lab) == {A: 3, C: 3}
    before = len(lab.said())
    for each in gone:
        lab.put(replace(each, arn=each.arn + "-new", status="ACTIVE", agent_connected=True))
    counts = []
    for _ in range(40):
        lab.run(10)
        lab.start_pending()
        lab.stop_stopping()
        counts.append(sum(each.wanted for each in lab.tasks("PENDING", "RUNNING")))
        lab.settle()
        lab.check_idle()
    assert zones(lab) == {A: 2, B: 2, C: 2}
    assert max(counts) == 8 and min(counts) == 6, "two at once, and never fewer than are wanted"
    assert [text.split("(service web) ")[1] for text in lab.said()[before:]] == [
        "is not AZ balanced with 3 tasks in us-east-1a, 3 tasks in us-east-1c, 0 tasks in us-east-1b. AZ"
        " Rebalancing in progress.",
        "has started 2 tasks in us-east-1b to AZ Rebalance: (task t9) (task t10).",
        *[text.split("(service web) ")[1] for text in lab.said()[before + 2 : -2]],
        "has reached a steady state.",
        "is AZ balanced with 2 tasks in us-east-1a, 2 tasks in us-east-1b, 2 tasks in us-east-1c.",
    ]
    moved = [each for each in lab.tasks("STOPPED") if "Availability-zone" in (each.stopped_reason or "")]
    assert sorted(str(each.availability_zone) for each in moved) == [A, C]
    lab.run(100_000)
    assert zones(lab) == {A: 2, B: 2, C: 2}, "and it stays so"


def test_a_move_survives_a_new_reconciler_and_is_explained() -> None:
    lab = a_lab(4)
    gone = lose(lab, B)
    lab.converge()
    for each in gone:
        lab.put(replace(each, arn=each.arn + "-new", status="ACTIVE", agent_connected=True))
    lab.run(60)
    (move,) = lab.service.moves
    lines = explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert (
        f"Zones are rebalanced: task {arns.name_of(move)[:8]} has been started in us-east-1b; once it is"
        " healthy, one in us-east-1a stops." in lines
    )
    lab.restarted()
    lab.converge()
    assert sorted(zones(lab).values()) == [1, 1, 2]
    assert lab.service.moves == ()


def test_an_unbalanced_service_says_what_it_waits_for() -> None:
    spec = steady(4)
    view = FakeView(spec, definition(1), *(instance(n) for n in (1, 2)), *in_zones(a=4))
    lines = explain_service(view, spec, now=NOW, timing=TIMING)
    assert "Tasks by zone: 4 in us-east-1a." in lines
    waits = [line for line in lines if "not balanced" in line]
    assert waits == [
        "Its zones are not balanced: it has 0 tasks in us-east-1b, where no container instance has room"
        " for one; it looks again every 60 s and when one joins."
    ]
    off = replace(spec, availability_zone_rebalancing="DISABLED")
    assert "Its zones are not balanced, and availabilityZoneRebalancing is DISABLED." in explain_service(
        view, off, now=NOW, timing=TIMING
    )
