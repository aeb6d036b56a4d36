"""A task's life on the control plane's side: whole plans for each state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.control import messages, tasks
from miniecs.control.plan import NOTHING, AdvanceTask, DeregisterTarget, Forget, Plan, Say, StopTask
from miniecs.control.stopping import STOPPED_BY_USER, USER_INITIATED, stop
from miniecs.control.transitions import advanced
from miniecs.model.task import NetworkInterface, Task

from .cases import (
    GROUP_ARN,
    NOW,
    OLD,
    TIMING,
    VERSION,
    FakeView,
    completed,
    group,
    instance,
    service,
    stopping,
    target,
    task,
)


def plan(of: Task, *things: object) -> Plan:
    return tasks.plan(FakeView(of, instance(), *things), of.arn, now=NOW, timing=TIMING)


def advance(of: Task, status: str, because: str) -> Plan:
    return Plan((AdvanceTask(of, VERSION, status, because),))


@pytest.mark.parametrize("status", ["PENDING", "ACTIVATING", "RUNNING"])
def test_a_wanted_task_is_its_agents_business(status: str) -> None:
    assert plan(task("a", status=status)) == NOTHING


def test_a_placed_task_leaves_provisioning() -> None:
    placed = task("a", status="PROVISIONING")
    assert plan(placed) == advance(
        placed, "PENDING", "it has a host and needs nothing else before its agent gets it"
    )
    assert plan(replace(placed, container_instance_arn=None)) == NOTHING


@pytest.mark.parametrize(
    ("status", "then", "because"),
    [
        ("PROVISIONING", "STOPPED", "no agent has heard of it yet"),
        ("PENDING", "STOPPING", "it receives no requests yet"),
        ("ACTIVATING", "STOPPING", "it receives no requests yet"),
        ("RUNNING", "STOPPING", "it has no targets to drain"),
        ("DEPROVISIONING", "STOPPED", "its network interface is detached"),
    ],
)
def test_a_task_that_is_to_stop_without_targets(status: str, then: str, because: str) -> None:
    unwanted = stopping("a", status=status)
    assert plan(unwanted) == advance(unwanted, then, because)


def test_a_task_that_never_had_a_host_stops_at_once() -> None:
    unplaced = stopping("a", status="PROVISIONING", container_instance_arn=None)
    assert plan(unplaced) == advance(unplaced, "STOPPED", "no agent has heard of it yet")


def test_a_stopping_task_waits_for_its_agent() -> None:
    assert plan(stopping("a")) == NOTHING


def test_targets_drain_before_the_agent_is_told() -> None:
    unwanted = stopping("a", status="RUNNING")
    registered = target(unwanted)
    web = service(1, completed(1, 1))
    draining = replace(
        registered,
        state="draining",
        reason="Target.DeregistrationInProgress",
        description="Target deregistration is in progress",
        draining_until=NOW + 300,
    )
    assert plan(unwanted, registered, group(), web) == Plan(
        (
            DeregisterTarget(registered, VERSION, draining, "it is to stop"),
            Say(web, messages.deregistered(1, GROUP_ARN), "1 tasks are to stop"),
            Say(web, messages.draining_connections(1), "requests in flight may finish", task_set="ecs-svc/1"),
            AdvanceTask(unwanted, VERSION, "DEACTIVATING", "1 of its targets are draining"),
        )
    )
    deactivating = replace(unwanted, last_status="DEACTIVATING")
    assert plan(deactivating, draining, group(), web) == NOTHING
    assert plan(deactivating, group(), web) == advance(
        deactivating, "STOPPING", "it has no targets to drain"
    )


def test_an_ended_task_leaves_its_targets_as_it_gives_its_interface_back() -> None:
    ended = stopping("a", status="DEPROVISIONING")
    registered = target(ended)
    web = service(1, completed(1, 1))
    actions = plan(ended, registered, group(), web).actions
    assert [type(action) for action in actions] == [DeregisterTarget, Say, Say, AdvanceTask]
    assert actions[-1] == AdvanceTask(ended, VERSION, "STOPPED", "its network interface is detached")


def test_a_target_that_gets_no_requests_does_not_delay_its_task() -> None:
    unwanted = stopping("a", status="RUNNING")
    unused = target(unwanted, state="unused")
    web = service(1, completed(1, 1))
    assert plan(unwanted, unused, group(), web) == Plan(
        (
            DeregisterTarget(unused, VERSION, None, "it is to stop"),
            Say(web, messages.deregistered(1, GROUP_ARN), "1 tasks are to stop"),
            AdvanceTask(unwanted, VERSION, "STOPPING", "its targets needed no draining"),
        )
    )


def test_a_task_whose_instance_is_gone_is_ended_without_an_agent() -> None:
    lost = task("a")
    because = "its container instance is no longer registered"
    expected = Plan(
        (
            StopTask(
                lost, VERSION, "UserInitiated", "Container instance deregistration forced by user", because
            ),
            AdvanceTask(lost, VERSION, "STOPPED", because),
        )
    )
    for hosts in ((), (instance(1, status="INACTIVE"),)):
        assert tasks.plan(FakeView(lost, *hosts), lost.arn, now=NOW, timing=TIMING) == expected
    told = instance(1, status="INACTIVE", status_reason="Host EC2 (instance i-1) terminated.")
    stop_action = tasks.plan(FakeView(lost, told), lost.arn, now=NOW, timing=TIMING).actions[0]
    assert isinstance(stop_action, StopTask)
    assert stop_action.reason == "Host EC2 (instance i-1) terminated."


def test_a_task_on_a_disconnected_or_draining_instance_stays() -> None:
    for host in (instance(1, agent_connected=False), instance(1, status="DRAINING")):
        lone = task("a", service_arn=None)
        assert tasks.plan(FakeView(lone, host), lone.arn, now=NOW, timing=TIMING) == NOTHING


def test_a_stopped_task_is_kept_for_an_hour() -> None:
    gone = stopping("a", status="STOPPED", stopped_at=OLD)
    assert plan(gone) == Plan(wake_at=OLD + 3600)
    gone = replace(gone, stopped_at=NOW - 3600)
    assert plan(gone) == Plan((Forget(Task, gone.arn, VERSION, "it has been STOPPED for 3600 s"),))


def test_the_targets_of_a_crashed_task_are_drained() -> None:
    crashed = stopping("a", status="STOPPED", stopped_at=NOW)
    actions = plan(crashed, target(crashed), group(), service(1, completed(1, 1))).actions
    assert [type(action) for action in actions] == [DeregisterTarget, Say, Say]


def test_stop_says_why_once() -> None:
    running = task("a")
    stopped = stop(running, now=NOW, code=USER_INITIATED, reason=STOPPED_BY_USER)
    assert stopped == replace(
        running,
        desired_status="STOPPED",
        stop_code="UserInitiated",
        stopped_reason="Task stopped by user",
        stopping_at=NOW,
        version=2,
    )
    assert stop(stopped, now=NOW + 1, code="x", reason="y") is stopped


def test_advancing_never_goes_back() -> None:
    running = task("a")
    assert advanced(running, "PENDING", now=NOW) is running
    assert advanced(running, "RUNNING", now=NOW) is running
    deactivating = advanced(running, "DEACTIVATING", now=NOW)
    assert deactivating == replace(running, last_status="DEACTIVATING", deregistered_at=NOW, version=2)
    interface = NetworkInterface("eni-1", "att", "subnet-1", "02:00", "10.0.0.9", "ATTACHED")
    ended = advanced(replace(deactivating, network_interface=interface), "STOPPED", now=NOW + 1)
    assert (ended.last_status, ended.stopped_at, ended.execution_stopped_at) == ("STOPPED", NOW + 1, NOW + 1)
    assert [c.last_status for c in ended.containers] == ["STOPPED"]
    assert ended.network_interface == replace(interface, status="DELETED")
    assert ended.version == 3
