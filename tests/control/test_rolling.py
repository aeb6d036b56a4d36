"""The rolling arithmetic: every desired count, bound and state of the tasks, against ECS's own formulas."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest

from miniecs.control import services
from miniecs.control.deployments import bounds, breaker_threshold
from miniecs.control.messages import STUCK
from miniecs.control.plan import LaunchTasks, Plan, Say, StopTask
from miniecs.model import arns
from miniecs.model.service import DeploymentConfiguration, Service
from miniecs.model.task import Task

from .cases import (
    NOW,
    TIMING,
    FakeView,
    completed,
    definition,
    deployment,
    instance,
    message,
    service,
    stopping,
    task,
)


def in_order(of: Service, candidates: Sequence[Task]) -> Sequence[Task]:
    return candidates


def plan(view: FakeView, **options: Any) -> Plan:
    return services.plan(view, service(0).arn, now=NOW, timing=TIMING, order=in_order, **options)


def decided(view: FakeView, **options: bool) -> tuple[int, list[str]]:
    """(how many tasks are launched, names of those that are stopped)"""
    actions = plan(view, **options).actions
    launched = sum(action.count for action in actions if isinstance(action, LaunchTasks))
    return launched, [arns.name_of(action.task.arn) for action in actions if isinstance(action, StopTask)]


def world(of: Service, *tasks: Task, instances: int = 1) -> FakeView:
    hosts = [instance(n) for n in range(1, instances + 1)]
    return FakeView(of, definition(1), definition(2), *hosts, *tasks)


PERCENTS = [0, 1, 25, 33, 50, 66, 75, 99, 100]


@pytest.mark.parametrize("desired", range(11))
@pytest.mark.parametrize("low", PERCENTS)
@pytest.mark.parametrize("high", [100, 101, 110, 125, 133, 150, 200, 300])
def test_bounds(desired: int, low: int, high: int) -> None:
    exact = Fraction(desired)
    assert bounds(desired, DeploymentConfiguration(high, low)) == (
        ceil(exact * low / 100),
        floor(exact * high / 100),
    )


@pytest.mark.parametrize("desired", range(1, 11))
@pytest.mark.parametrize("low", PERCENTS)
@pytest.mark.parametrize("high", [100, 125, 150, 200])
def test_a_rolling_update_ends_within_its_bounds_or_is_told_to_be_stuck(
    desired: int, low: int, high: int
) -> None:
    """Tasks obey at once: each round applies the plan, checks the bounds, and goes on until nothing moves."""
    old = [task(f"old{n}", 1) for n in range(desired)]
    new: list[Task] = []
    spec = service(desired, deployment(2, desired_count=desired), completed(1, desired), low=low, high=high)
    lower, upper = bounds(desired, spec.deployment_configuration)
    for _ in range(4 * desired + 4):
        launched, stopped = decided(world(spec, *old, *new))
        assert len(old) + len(new) + launched <= max(upper, desired)
        assert len(old) + len(new) - len(stopped) >= lower
        if not launched and not stopped:
            break
        new += [task(f"new{len(new) + n}", 2) for n in range(launched)]
        old = [each for each in old if arns.name_of(each.arn) not in stopped]
    if lower == desired == upper:
        assert (len(old), len(new)) == (desired, 0)
        assert STUCK in [action.text for action in plan(world(spec, *old)).actions if isinstance(action, Say)]
    else:
        assert (len(old), len(new)) == (0, desired)


@pytest.mark.parametrize(
    ("desired", "low", "high", "old", "new", "launched", "stopped"),
    [
        (3, 100, 200, 3, 0, 3, 0),  # start all, stop none yet
        (3, 100, 200, 3, 1, 2, 1),  # one substitute is healthy
        (4, 50, 100, 4, 0, 0, 2),  # no room: stop down to the floor
        (4, 50, 200, 4, 0, 4, 0),  # room: nothing needs to stop first
        (4, 50, 150, 4, 0, 2, 2),  # both at once
        (4, 50, 100, 2, 2, 0, 2),
        (10, 90, 100, 10, 0, 0, 1),
        (2, 75, 125, 2, 0, 0, 0),  # 75 % of 2 is 2, 125 % of 2 is 2
        (3, 67, 133, 3, 0, 0, 0),  # floor 3 (2.01 rounded up), ceiling 3 (3.99 rounded down)
        (1, 0, 200, 1, 0, 1, 0),
        (1, 0, 100, 1, 0, 0, 1),
    ],
)
def test_one_step(
    desired: int, low: int, high: int, old: int, new: int, launched: int, stopped: int
) -> None:
    spec = service(desired, deployment(2), completed(1, desired), low=low, high=high)
    tasks = [task(f"old{n}", 1) for n in range(old)] + [task(f"new{n}", 2) for n in range(new)]
    assert decided(world(spec, *tasks)) == (launched, [f"old{n}" for n in range(stopped)])


def test_a_task_counts_as_healthy_forty_seconds_after_running() -> None:
    spec = service(1, deployment(2), completed(1, 1))
    young = task("new", 2, started_at=NOW - 39)
    view = world(spec, task("old", 1), young)
    assert decided(view) == (0, [])
    assert plan(view).wake_at == NOW + 1
    assert decided(world(spec, task("old", 1), task("new", 2, started_at=NOW - 40))) == (0, ["old"])


def test_stopping_tasks_count_towards_the_ceiling_unless_told_otherwise() -> None:
    spec = service(2, deployment(2), completed(1, 2), low=0, high=100)
    view = world(spec, stopping("old0", 1), stopping("old1", 1))
    assert decided(view) == (0, [])
    assert decided(view, ceiling_counts_stopping=False) == (2, [])


def test_pending_and_unhealthy_tasks_of_an_older_deployment_go_first() -> None:
    spec = service(3, deployment(2), completed(1, 3), low=50)
    checked = definition(1, check=True)
    tasks = [
        task("healthy", 1, health_status="HEALTHY"),
        task("unhealthy", 1, health_status="UNHEALTHY"),
        task("pending", 1, "PENDING"),
        task("new0", 2),
        task("new1", 2),
    ]
    view = FakeView(spec, checked, definition(2), instance(), *tasks)
    assert decided(view) == (1, ["pending", "unhealthy"])


def test_scale_in_stops_what_does_not_run_first_and_skips_protected_tasks() -> None:
    spec = service(1, completed(1, 1))
    tasks = [
        task("protected", protection_expires_at=NOW + 60),
        task("a"),
        task("b"),
        task("pending", status="PENDING"),
    ]
    view = world(spec, *tasks)
    assert decided(view) == (0, ["pending", "a", "b"])
    assert plan(view).wake_at == NOW + 60


def test_scale_in_never_stops_the_healthy_while_the_young_would_do() -> None:
    spec = service(2, completed(1, 2))
    young = [task(f"young{n}", started_at=NOW - 1) for n in range(2)]
    assert decided(world(spec, task("h0"), task("h1"), *young)) == (0, ["young0", "young1"])


def test_an_unhealthy_task_is_replaced_before_it_is_stopped() -> None:
    spec = service(2, completed(1, 2))
    sick = task("sick", health_status="UNHEALTHY")
    fine = task("fine", health_status="HEALTHY")

    def view(*more: Task) -> FakeView:
        return FakeView(spec, definition(1, check=True), instance(), sick, fine, *more)

    launch = plan(view()).actions[0]
    assert isinstance(launch, LaunchTasks)
    assert (launch.count, launch.replaced) == (1, 1)
    assert decided(view(task("new", status="PENDING"))) == (0, [])
    assert decided(view(task("new", health_status="HEALTHY"))) == (0, ["sick"])


def test_without_room_unhealthy_tasks_stop_one_at_a_time() -> None:
    spec = service(2, completed(1, 2), high=100)
    sick = [task(f"sick{n}", health_status="UNHEALTHY") for n in range(2)]
    view = FakeView(spec, definition(1, check=True), instance(), *sick)
    assert decided(view) == (0, ["sick0"])
    view = FakeView(spec, definition(1, check=True), instance(), stopping("sick0"), sick[1])
    assert decided(view) == (0, [])


def test_without_room_the_next_unhealthy_task_stays_until_the_last_ones_substitute_runs() -> None:
    spec = service(3, completed(1, 3), high=100)
    sick = [task(f"sick{n}", health_status="UNHEALTHY") for n in range(2)]

    def view(*more: Task) -> FakeView:
        return FakeView(spec, definition(1, check=True), instance(), *sick, *more)

    assert decided(view()) == (1, [])  # the place is free: this plan gives it away
    assert decided(view(task("new", status="PENDING"))) == (0, [])
    assert decided(view(task("new", health_status="UNKNOWN"))) == (0, ["sick0"])


def test_the_grace_period_ignores_failing_checks() -> None:
    sick = task("sick", health_status="UNHEALTHY", started_at=NOW - 30)
    for grace, launched in ((31, 0), (30, 1)):
        spec = service(1, completed(1, 1), health_check_grace_period=grace)
        view = FakeView(spec, definition(1, check=True), instance(), sick)
        assert decided(view) == (launched, [])


def test_draining_instances_lose_pending_tasks_at_once_and_running_ones_within_the_bounds() -> None:
    hosts = [instance(1), instance(2, status="DRAINING")]
    tasks = [task("here"), task("there", on=2), task("waiting", status="PENDING", on=2)]

    def view(low: int, high: int, *more: Task) -> FakeView:
        spec = service(3, completed(1, 3), low=low, high=high)
        return FakeView(spec, definition(1), *hosts, *tasks, *more)

    assert decided(view(100, 200)) == (2, ["waiting"])
    assert decided(view(100, 200, task("new0"), task("new1"))) == (0, ["waiting", "there"])
    assert decided(view(34, 100)) == (0, ["waiting"])
    assert decided(view(33, 100)) == (0, ["waiting", "there"])


def test_draining_at_a_hundred_percent_stays_stuck_and_says_so_once() -> None:
    spec = service(1, completed(1, 1), high=100)
    things = (spec, definition(1), instance(2, status="DRAINING"), task("there", on=2))
    said = [action for action in plan(FakeView(*things)).actions if isinstance(action, Say)]
    assert said == [
        Say(
            spec,
            STUCK,
            "minimumHealthyPercent 100 keeps 1 and maximumPercent 100 allows 1: no task can stop first and"
            " none can start first; 1 cannot leave DRAINING container instances",
        )
    ]
    told = FakeView(*things, events=[message(STUCK, NOW - 60)])
    assert not [action for action in plan(told).actions if isinstance(action, Say)]


def test_a_failed_deployment_starts_nothing_and_the_one_before_it_is_kept_up() -> None:
    failed = deployment(2, rollout_state="FAILED")
    spec = service(3, failed, completed(1, 3))
    assert decided(world(spec, task("old0", 1), task("old1", 1))) == (1, [])
    (launch,) = [a for a in plan(world(spec, task("old0", 1))).actions if isinstance(a, LaunchTasks)]
    assert (launch.deployment_id, launch.count) == ("ecs-svc/1", 2)
    assert decided(world(service(3, failed))) == (0, [])


@pytest.mark.parametrize(
    ("desired", "threshold"), [(0, 3), (1, 3), (6, 3), (7, 4), (10, 5), (25, 13), (400, 200), (5000, 200)]
)
def test_the_circuit_breakers_threshold(desired: int, threshold: int) -> None:
    assert breaker_threshold(desired) == threshold


def test_a_deployment_waits_for_protected_tasks_and_says_so() -> None:
    spec = service(2, deployment(2, desired_count=2), completed(1, 2))
    new = [task(f"new{n}", 2) for n in range(2)]
    view = world(spec, task("kept", protection_expires_at=NOW + 60), task("old"), *new)
    assert decided(view) == (0, ["old"])
    text = (
        "was unable to reach steady state because (taskSet ecs-svc/1) was unable to scale in due to"
        " (reason 1 tasks under protection)"
    )
    (said,) = [a for a in plan(view).actions if isinstance(a, Say) and "protection" in a.text]
    assert (said.text, said.because) == (text, "1 task is protected from scale-in")
    assert plan(view).wake_at == NOW + 60
    later = world(spec, task("kept", protection_expires_at=NOW), *new)
    assert decided(later) == (0, ["kept"])


def test_scale_in_says_nothing_of_protected_tasks_that_are_not_in_its_way() -> None:
    spec = service(1, completed(1, 1))
    view = world(spec, task("kept", protection_expires_at=NOW + 60), task("a"))
    assert decided(view) == (0, ["a"])
    assert not [a for a in plan(view).actions if isinstance(a, Say) and "protection" in a.text]


def test_an_unhealthy_task_is_replaced_though_it_is_protected() -> None:
    spec = service(1, completed(1, 1))
    sick = task("sick", health_status="UNHEALTHY", protection_expires_at=NOW + 60)
    view = FakeView(
        spec, definition(1, check=True), instance(), sick, task("new", health_status="HEALTHY")
    )
    assert decided(view) == (0, ["sick"])
