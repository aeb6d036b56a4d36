"""DAEMON services: which instances, in which order, within which bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.control.messages import STUCK
from miniecs.control.plan import LaunchTasks, Say, SetService, StopTask
from miniecs.model import arns
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.service import Deployment, PlacementConstraint, Service
from miniecs.model.task import Task

from .cases import NOW, SCOPE, FakeView, completed, definition, deployment, instance, service, stopping, task
from .lab import Lab
from .test_rolling import plan


def daemon(*deployments: Deployment, low: int = 0, high: int = 100, **fields: Any) -> Service:
    return service(0, *deployments, low=low, high=high, scheduling_strategy="DAEMON", **fields)


def decided(of: Service, *things: Task | ContainerInstance) -> tuple[list[str], list[str]]:
    """(instances on which a task is launched, tasks that are stopped)"""
    actions = plan(FakeView(of, definition(1), definition(2), *things)).actions
    hosts: list[str] = []
    for action in actions:
        if isinstance(action, LaunchTasks):
            hosts = sorted(arns.name_of(arn) for arn in action.only_hosts or ())
            assert action.count == len(hosts)
    return hosts, [arns.name_of(action.task.arn) for action in actions if isinstance(action, StopTask)]


ONE, TWO, THREE = (instance(n) for n in (1, 2, 3))


def test_one_task_on_each_active_connected_instance() -> None:
    assert decided(daemon(deployment(1)), ONE, TWO, instance(3, status="DRAINING")) == (["ci1", "ci2"], [])
    assert decided(daemon(deployment(1)), ONE, TWO, task("a")) == (["ci2"], [])
    assert decided(daemon(deployment(1)), ONE, instance(2, agent_connected=False), task("a")) == ([], [])
    assert decided(daemon(deployment(1))) == ([], [])


def test_constraints_and_required_attributes_choose_the_instances() -> None:
    rule = PlacementConstraint("memberOf", "attribute:disk == ssd")
    with_disk = instance(2, attributes=(Attribute("disk", "ssd"),))
    spec = daemon(deployment(1), placement_constraints=(rule,))
    assert decided(spec, ONE, with_disk) == (["ci2"], [])
    assert decided(spec, ONE, with_disk, task("a"), task("b", on=2)) == ([], ["a"])


def test_a_rule_on_tasks_does_not_count_the_daemons_own() -> None:
    rule = PlacementConstraint("memberOf", "runningTasksCount < 1 and not(task:group == family:other)")
    spec = daemon(completed(1, 1), placement_constraints=(rule,))
    other = task("other", service_arn=None, group="family:other", on=2)
    assert decided(spec, ONE, TWO, task("a"), other) == ([], [])
    assert decided(spec, ONE, TWO, task("a"), task("b", on=2), other) == ([], ["b"])


def test_two_on_one_instance_are_one_too_many() -> None:
    assert decided(daemon(completed(1, 1)), ONE, task("a"), task("b")) == ([], ["b"])


def test_the_next_task_waits_until_the_last_has_gone() -> None:
    assert decided(daemon(completed(1, 1)), ONE, stopping("a")) == ([], [])


@pytest.mark.parametrize(
    ("low", "high", "hosts", "stopped"),
    [
        (0, 100, [], ["a", "b", "c"]),
        (34, 100, [], ["a"]),
        (67, 100, [], []),
        (100, 200, ["ci1", "ci2", "ci3"], []),
        (100, 134, ["ci1"], []),
    ],
)
def test_a_rolling_update_over_all_instances(
    low: int, high: int, hosts: list[str], stopped: list[str]
) -> None:
    spec = daemon(deployment(2), completed(1, 3), low=low, high=high)
    old = [task(name, 1, on=n) for n, name in ((1, "a"), (2, "b"), (3, "c"))]
    assert decided(spec, ONE, TWO, THREE, *old) == (hosts, stopped)


def test_bounds_that_leave_no_move_are_told() -> None:
    spec = daemon(deployment(2), completed(1, 1), low=100, high=100)
    actions = plan(FakeView(spec, definition(1), definition(2), ONE, task("a"))).actions
    assert [action.text for action in actions if isinstance(action, Say)] == [STUCK]
    spec = daemon(deployment(2), completed(1, 1))
    actions = plan(FakeView(spec, definition(1), definition(2), ONE, stopping("a"))).actions
    assert not [action for action in actions if isinstance(action, Say)]


def test_beside_the_old_task_the_new_one_takes_over_when_it_is_healthy() -> None:
    spec = daemon(deployment(2), completed(1, 1), low=100, high=200)
    assert decided(spec, ONE, task("old", 1), task("new", 2, started_at=NOW - 1)) == ([], [])
    assert decided(spec, ONE, task("old", 1), task("new", 2)) == ([], ["old"])


def test_the_daemon_leaves_a_draining_instance_after_all_others() -> None:
    spec = daemon(completed(1, 1))
    leaving = instance(1, status="DRAINING")
    lone = task("lone", service_arn=None, deployment_id=None)
    assert decided(spec, leaving, task("a"), lone) == ([], [])
    assert decided(spec, leaving, task("a")) == ([], ["a"])
    assert decided(spec, leaving, task("a", status="PENDING"), lone) == ([], ["a"])


def test_a_deployment_waits_for_a_protected_daemon() -> None:
    spec = daemon(deployment(2), completed(1, 2))
    old = [task("kept", 1, protection_expires_at=NOW + 60), task("old", 1, on=2)]
    assert decided(spec, ONE, TWO, *old) == ([], ["old"])
    view = FakeView(spec, definition(1), definition(2), ONE, TWO, *old)
    said = [action.text for action in plan(view).actions if isinstance(action, Say)]
    assert any("(taskSet ecs-svc/1) was unable to scale in" in text for text in said)
    assert plan(view).wake_at == NOW + 60


def test_a_failed_deployment_leaves_the_old_daemons_alone() -> None:
    failed = replace(deployment(2), rollout_state="FAILED")
    spec = daemon(failed, completed(1, 3))
    things = (definition(1), definition(2), ONE, TWO, THREE, task("a"), task("b", on=2))
    actions = plan(FakeView(spec, *things)).actions
    assert not [a for a in actions if isinstance(a, (StopTask, LaunchTasks, Say))], actions
    under_way = plan(FakeView(replace(spec, deployments=(deployment(2), completed(1, 3))), *things)).actions
    assert sum(isinstance(a, StopTask) for a in under_way) == 2


def test_an_unhealthy_daemon_is_replaced_where_it_is() -> None:
    spec = daemon(completed(1, 1))
    view = FakeView(spec, definition(1, check=True), ONE, task("a", health_status="UNHEALTHY"))
    stops = [action for action in plan(view).actions if isinstance(action, StopTask)]
    assert [stop.reason for stop in stops] == ["Task failed container health checks"]
    assert not [action for action in plan(view).actions if isinstance(action, LaunchTasks)]


def test_the_count_is_found_and_kept_on_the_service() -> None:
    history = plan(FakeView(daemon(deployment(1)), definition(1), ONE, TWO, task("a"), task("b", on=2)))
    after = next(action.after for action in history.actions if isinstance(action, SetService))
    assert (after.desired_count, after.primary.desired_count, after.steady) == (2, 2, True)


@pytest.mark.parametrize("connects", [0.0, 0.01, 5.0])
def test_on_an_instance_that_joins_daemons_start_before_what_waits_for_room(connects: float) -> None:
    """Each task of web takes a whole instance, and three are wanted; its agent connects later."""
    lab = Lab(definition(1, cpu=2048), definition(2, cpu=64), instances=1)
    logs = arns.service(SCOPE, "default", "logs")
    lab.deploy(replace(daemon(deployment(2)), arn=logs, name="logs"))
    lab.run(1)
    lab.deploy(service(3, deployment(1)))
    lab.run(1)
    lab.put(instance(2, cpu=2100, agent_connected=False))
    lab.run(connects)
    lab.put(instance(2, cpu=2100))
    lab.run(1)
    started = [task.service_arn for task in lab.store.all(Task)]
    assert started == [logs, logs], "2,100 units are enough for one of either, not for both"
