"""Task sets: each is kept at its share of the service's desiredCount, and goes with its last task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.control import services, task_sets
from miniecs.control.explain import explain_service
from miniecs.control.plan import (
    DeregisterTarget,
    Forget,
    LaunchTasks,
    Plan,
    Say,
    SetService,
    SetTaskSet,
    StopTask,
)
from miniecs.model import arns
from miniecs.model.service import DeploymentConfiguration, Service
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet

from .cases import (
    BALANCER,
    GROUP_ARN,
    NOW,
    OLD,
    TIMING,
    VERSION,
    FakeView,
    definition,
    deployment,
    group,
    instance,
    listener,
    listening,
    service,
    stopping,
    target,
    task,
)
from .lab import Lab
from .test_rolling import in_order

STEADY = "STEADY_STATE"


def external(desired: int, **fields: Any) -> Service:
    of = service(desired, deployment_controller="EXTERNAL", **fields)
    return replace(of, deployments=())


def task_set(n: int = 1, *, scale: float = 100.0, count: int = 0, **fields: Any) -> TaskSet:
    """Task set n of task definition web:n; count: what was computed last."""
    own = {name: fields.pop(name) for name in ("status", "balanced") if name in fields}
    of = deployment(n, desired_count=count, created_at=OLD + n, **{"status": "ACTIVE", **own})
    arn = arns.task_set(service(0).arn, of.id)
    return TaskSet(arn, service(0).arn, service(0).cluster_arn, of, scale=scale, stability_at=OLD, **fields)


def plan(*things: object) -> Plan:
    view = FakeView(definition(1), definition(2), instance(), *things)
    return services.plan(view, service(0).arn, now=NOW, timing=TIMING, order=in_order)


def launched(of: Plan) -> dict[str, int]:
    return {a.deployment_id: a.count for a in of.actions if isinstance(a, LaunchTasks)}


def stopped(of: Plan) -> list[str]:
    return [arns.name_of(a.task.arn) for a in of.actions if isinstance(a, StopTask)]


def after(of: Plan, n: int = 1) -> TaskSet:
    (found,) = [a.after for a in of.actions if isinstance(a, SetTaskSet) and a.after.id == f"ecs-svc/{n}"]
    return found


@pytest.mark.parametrize(
    ("desired", "scale", "count"),
    [(0, 100, 0), (4, 0, 0), (4, 25, 1), (4, 26, 2), (3, 50, 2), (10, 0.1, 1), (5000, 66.6, 3330)],
)
def test_the_computed_count_is_a_share_rounded_up(desired: int, scale: float, count: int) -> None:
    assert task_sets.computed(external(desired), task_set(scale=scale)) == count


def test_a_new_task_set_is_counted_and_started() -> None:
    of, new = external(3), task_set(scale=50)
    counted = replace(new, deployment=replace(new.deployment, desired_count=2, updated_at=NOW))
    alone = replace(of, desired_count=2, deployments=(counted.deployment,))
    launch, *_ = [a for a in plan(of, new).actions if isinstance(a, LaunchTasks)]
    because = "50 % of the service's desiredCount 3"
    assert plan(of, new) == Plan(
        (
            SetTaskSet(new, VERSION, counted, because),
            Say(of, "updated computedDesiredCount for taskSet ecs-svc/1 to 2.", because),
            replace(launch, count=2, deployment_id="ecs-svc/1", version=VERSION, task_set_version=VERSION),
        )
    )
    assert launch.service.arn == alone.arn


def test_each_task_set_has_a_count_of_its_own() -> None:
    first, second = task_set(1, count=4), task_set(2, scale=25)
    running = [task(name, 1) for name in "abcd"]
    decided = plan(external(4), first, second, *running)
    assert launched(decided) == {"ecs-svc/2": 1}
    assert stopped(decided) == []
    assert (after(decided, 1).stability_status, after(decided, 1).stability_at) == (STEADY, NOW)
    assert after(decided, 2).stability_status == "STABILIZING"


def test_a_service_without_task_sets_does_nothing() -> None:
    assert plan(external(3)) == Plan()


def test_a_task_set_and_then_its_service_are_steady_once() -> None:
    of, young = external(1), task_set(count=1)
    decided = plan(of, young, task("a"))
    settled = replace(young, stability_status=STEADY, stability_at=NOW)
    assert decided == Plan(
        (
            SetTaskSet(young, VERSION, settled, "it is STEADY_STATE now"),
            SetService(of, VERSION, replace(of, steady=True), "its task sets have changed"),
            Say(
                of,
                "updated state to STEADY_STATE.",
                "1 tasks are wanted and run, and none is stopping",
                name="TASKSET_STEADY_STATE",
                task_set="ecs-svc/1",
            ),
            Say(
                of,
                "has reached a steady state.",
                "every task set has the tasks that it should have and none is stopping",
                name="SERVICE_STEADY_STATE",
            ),
        )
    )
    assert plan(replace(of, steady=True), settled, task("a")) == Plan()


@pytest.mark.parametrize(
    ("tasks", "status"),
    [
        ([task("a"), task("b")], STEADY),
        ([task("a"), task("b", started_at=NOW - 1)], STEADY),  # nothing checks them: RUNNING is enough
        ([task("a")], "STABILIZING"),
        ([task("a"), task("b", status="PENDING")], "STABILIZING"),
        ([task("a"), task("b"), stopping("c")], "STABILIZING"),
        ([task("a"), task("b"), stopping("c", 2)], STEADY),  # another task set's
        ([task("a"), task("b"), task("c")], "STABILIZING"),
    ],
)
def test_stability_is_true_to_the_tasks(tasks: list[Task], status: str) -> None:
    before = task_set(count=2)
    decided = plan(external(2), before, task_set(2, scale=0), *tasks)
    changed = [a.after for a in decided.actions if isinstance(a, SetTaskSet) and a.before == before]
    assert [each.stability_status for each in changed] == ([STEADY] if status == STEADY else [])


def test_a_task_set_behind_a_load_balancer_is_steady_when_its_targets_are_healthy() -> None:
    running = task("a")
    world = (external(1), group(), listener(), BALANCER, running)
    before = task_set(count=1, balanced=True)
    young = plan(*world, before, target(running, state="initial"))
    assert not any(isinstance(a, SetTaskSet) for a in young.actions)
    healthy = plan(*world, before, target(running, state="healthy"))
    assert after(healthy).stability_status == STEADY
    ill = plan(*world, replace(before, stability_status=STEADY), target(running, state="unhealthy"))
    assert after(ill).stability_status == "STABILIZING"
    assert launched(ill) == {"ecs-svc/1": 1}  # its substitute; the ill one stops when that is healthy
    unregistered = listening(running, 40001)
    said = [a for a in plan(*world[:-1], unregistered, before).actions if isinstance(a, Say)]
    (registered,) = [(a.text, a.task_set) for a in said]
    assert registered == (f"registered 1 targets in (target-group {GROUP_ARN})", "ecs-svc/1")


def test_maximum_percent_bounds_the_substitutes_of_each_task_set() -> None:
    running = task("a")
    bounds = DeploymentConfiguration(100, 0)
    ill = target(running, state="unhealthy")
    world = (external(1, config=bounds), group(), listener(), BALANCER, running, ill)
    decided = plan(*world, task_set(count=1, balanced=True))
    assert (launched(decided), stopped(decided)) == ({}, ["a"])


def test_scaling_in_stops_the_surplus() -> None:
    decided = plan(external(2), task_set(scale=50, count=2), task("a"), task("b"))
    assert stopped(decided) == ["a"]
    assert after(decided).deployment.desired_count == 1


def test_a_deleted_task_set_drains_its_targets_and_goes_with_its_last_task() -> None:
    going = task_set(count=1, status="DRAINING", balanced=True)
    running = task("a")
    of = external(1, steady=True)
    decided = plan(of, group(), listener(), BALANCER, going, running, target(running))
    assert stopped(decided) == ["a"]
    assert [a.target.task_arn for a in decided.actions if isinstance(a, DeregisterTarget)] == [running.arn]
    assert not any(isinstance(a, Forget) for a in decided.actions)
    assert after(decided).deployment.desired_count == 0
    going = task_set(status="DRAINING", balanced=True)
    assert plan(replace(of, steady=False), going, stopping("a")).actions == ()
    gone = plan(replace(of, steady=False), going)
    assert gone.actions == (Forget(TaskSet, going.arn, VERSION, "it was deleted and has no tasks left"),)


def test_a_protected_task_of_a_deleted_task_set_stays_until_its_protection_ends() -> None:
    going = task_set(status="DRAINING")
    decided = plan(external(1), going, task("a", protection_expires_at=NOW + 60), task("b"))
    assert (stopped(decided), decided.wake_at) == (["b"], NOW + 60)
    assert "due to (reason 1 tasks under protection)" in str(decided.actions)


def test_tasks_of_a_task_set_that_is_gone_are_stopped() -> None:
    assert stopped(plan(external(1), task("a", 2))) == ["a"]


def test_a_deleted_service_takes_its_task_sets_with_it() -> None:
    of = external(0, status="DRAINING")
    decided = plan(of, task_set(status="DRAINING"))
    assert [a.kind for a in decided.actions if isinstance(a, Forget)] == [TaskSet]
    assert stopped(plan(of, task_set(status="DRAINING"), task("a"))) == ["a"]


def lab(desired: int, **fields: Any) -> Lab:
    return Lab(definition(1), definition(2), external(desired), **fields)


def kept(at: Lab) -> dict[str, TaskSet]:
    return {each.id: each for each in at.store.all(TaskSet)}


def test_a_swap_step_by_step() -> None:
    at = lab(2)
    at.put(task_set(1))
    at.converge()
    assert at.said() == [
        "(service web) updated computedDesiredCount for taskSet ecs-svc/1 to 2.",
        "(service web, taskSet ecs-svc/1) has started 2 tasks: (task t1) (task t2).",
        "(service web, taskSet ecs-svc/1) updated state to STEADY_STATE.",
        "(service web) has reached a steady state.",
    ]
    assert {each.started_by for each in at.tasks()} == {"ecs-svc/1"}
    at.put(task_set(2))
    at.settle()
    at.start_pending()
    at.settle()
    assert {id: each.stability_status for id, each in kept(at).items()} == {
        "ecs-svc/1": STEADY,
        "ecs-svc/2": STEADY,
    }
    old = kept(at)["ecs-svc/1"]
    at.put(task_sets.with_status(old, "DRAINING", now=at.now))
    at.converge()
    assert kept(at).keys() == {"ecs-svc/2"}
    assert [each.deployment_id for each in at.tasks("RUNNING")] == ["ecs-svc/2"] * 2
    assert at.said()[-4:] == [
        "(service web) has reached a steady state.",
        "(service web) updated computedDesiredCount for taskSet ecs-svc/1 to 0.",
        "(service web) has stopped 2 running tasks: (task t1) (task t2).",
        "(service web) has reached a steady state.",
    ]
    at.check_idle()


def test_each_task_set_is_explained() -> None:
    view = FakeView(
        definition(1),
        definition(2),
        instance(),
        external(4),
        task_set(1, count=4, status="PRIMARY"),
        task_set(2, scale=25, count=1),
        *(task(name, 1) for name in "abc"),
        task("d", 1, "PENDING"),
        stopping("e", 2),
    )
    said = explain_service(view, external(4), now=NOW, timing=TIMING)
    assert said[1] == (
        "PRIMARY task set ecs-svc/1 (web:1), 100 % of 4, STABILIZING: 3 healthy, 1 pending, 4 wanted."
    )
    assert said[3] == "ACTIVE task set ecs-svc/2 (web:2), 25 % of 4, STABILIZING: no tasks, 1 wanted."
    assert "1 task is stopping:" in said
    assert explain_service(FakeView(), external(1), now=NOW, timing=TIMING)[1:] == [
        "It has no task sets: CreateTaskSet makes one."
    ]


def test_launches_that_fail_are_throttled_for_the_task_set_alone() -> None:
    at = lab(1)
    at.put(task_set(1), task_set(2))
    at.settle()
    for _ in range(3):
        for each in at.tasks("PENDING"):
            if each.deployment_id == "ecs-svc/1":
                at.report(each, "STOPPED", exit_code=1)
            else:
                at.report(each, "RUNNING")
        at.settle()
    assert kept(at)["ecs-svc/1"].deployment.launch_failures == 2
    assert kept(at)["ecs-svc/2"].deployment.launch_failures == 0
    assert kept(at)["ecs-svc/2"].stability_status == STEADY
    impaired = "(service web) is unable to consistently start tasks successfully."
    assert at.said().count(impaired) == 1
    # What the other one starts resolves nothing.
    at.put(replace(kept(at)["ecs-svc/2"], scale=0.0))
    at.settle()
    at.put(replace(kept(at)["ecs-svc/2"], scale=100.0))
    at.settle()
    assert at.said()[-1].startswith("(service web, taskSet ecs-svc/2) has started 1 tasks")
    assert at.said().count(impaired) == 1
    at.check_idle()


def test_what_finds_no_host_waits_for_one() -> None:
    at = lab(1, instances=0)
    at.put(task_set(1))
    at.settle()
    assert at.tasks() == []
    assert kept(at)["ecs-svc/1"].deployment.blocked_until > at.now
    at.put(replace(kept(at)["ecs-svc/1"], scale=0.0))
    at.settle()
    tries = len(at.launches())
    at.put(replace(kept(at)["ecs-svc/1"], scale=100.0))
    at.settle()
    assert len(at.launches()) == tries + 1  # what is asked for anew is tried at once
    at.put(instance(1))
    at.settle()
    assert len(at.tasks("PENDING")) == 1
    assert kept(at)["ecs-svc/1"].deployment.blocked_until == 0.0


def test_a_plan_of_a_task_set_that_has_changed_since_is_not_carried_out() -> None:
    at = lab(1)
    at.put(task_set(1))
    seen: list[object] = []

    def overtake(key: object, plan: Plan) -> bool:
        if launched(plan) and not seen:
            seen.append(key)
            at.put(replace(kept(at)["ecs-svc/1"], scale=0.0))
        return True

    at.reconciler.on_planned = overtake
    at.settle()
    assert seen and at.tasks() == []
