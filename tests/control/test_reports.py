"""Agents' reports: idempotent, monotone, and what ends a task."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from miniecs.control.reports import ContainerReport, TaskReport, apply_health, apply_report
from miniecs.model.container_definition import ContainerDefinition, HealthCheck
from miniecs.model.task import STATUS_ORDER, Container, NetworkBinding, NetworkInterface, Task
from miniecs.model.task_definition import TaskDefinition

from .cases import NOW, definition, stopping, task

BINDING = NetworkBinding("10.0.0.1", "tcp", 80, 32768)
PAIR = TaskDefinition(
    arn="arn:td",
    family="pair",
    revision=1,
    container_definitions=(
        ContainerDefinition(
            name="app", image="a", memory=1, health_check=HealthCheck(command=("CMD", "true"))
        ),
        ContainerDefinition(name="side", image="b", memory=1, essential=False),
    ),
)


def a_pair(**fields: Any) -> Task:
    pair = (Container("1", "app"), Container("2", "side"))
    return task("pair", status="PENDING", containers=pair, **fields)


def report(status: str | None, *containers: ContainerReport, **fields: Any) -> TaskReport:
    return TaskReport("arn", status, containers=containers, **fields)


def one(status: str | None = None, name: str = "app", **fields: Any) -> ContainerReport:
    return ContainerReport(name, status, **fields)


def test_running() -> None:
    pending = task("a", status="PENDING")
    running = apply_report(
        pending,
        definition(),
        report("RUNNING", one("RUNNING", runtime_id="d0c", network_bindings=(BINDING,)), pull_started_at=1.0),
        now=NOW,
    )
    container = replace(
        pending.containers[0], last_status="RUNNING", runtime_id="d0c", network_bindings=(BINDING,)
    )
    assert running == replace(
        pending,
        last_status="RUNNING",
        containers=(container,),
        started_at=NOW,
        pull_started_at=1.0,
        connectivity="CONNECTED",
        connectivity_at=NOW,
        version=2,
    )


def test_a_repeated_report_changes_nothing() -> None:
    said = report("RUNNING", one("RUNNING", runtime_id="d0c"))
    running = apply_report(task("a", status="PENDING"), definition(), said, now=NOW)
    assert apply_report(running, definition(), said, now=NOW + 9) is running


def test_an_essential_container_that_exits_ends_the_task() -> None:
    running = task("a")
    exited = apply_report(running, definition(), report(None, one("STOPPED", exit_code=1)), now=NOW)
    assert (exited.last_status, exited.desired_status, exited.stop_code, exited.stopped_reason) == (
        "RUNNING",
        "STOPPED",
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert (exited.execution_stopped_at, exited.stopping_at, exited.stopped_at) == (NOW, NOW, None)
    ended = apply_report(exited, definition(), report("STOPPED"), now=NOW + 1)
    assert (ended.last_status, ended.stopped_at, ended.execution_stopped_at) == ("STOPPED", NOW + 1, NOW)
    assert ended.version == running.version + 2


def test_a_container_that_is_not_essential_may_exit() -> None:
    running = apply_report(
        a_pair(), PAIR, report("RUNNING", one("RUNNING"), one("RUNNING", "side")), now=NOW
    )
    after = apply_report(running, PAIR, report(None, one("STOPPED", "side", exit_code=0)), now=NOW)
    assert (after.desired_status, after.containers[1].exit_code) == ("RUNNING", 0)
    assert after.version == running.version + 1


@pytest.mark.parametrize(
    ("container", "told", "code", "reason"),
    [
        (
            {"reason": "CannotPullContainerError: none"},
            None,
            "TaskFailedToStart",
            "Task failed to start",
        ),
        (
            {"exit_code": 143, "reason": "CannotStartContainerError: dependency graph"},
            None,
            "TaskFailedToStart",
            "Task failed to start",
        ),
        ({}, "UnrecogniedTaskError: no", "TaskFailedToStart", "UnrecogniedTaskError: no"),
        ({"exit_code": 1}, None, "EssentialContainerExited", "Essential container in task exited"),
    ],
)
def test_why_a_task_that_never_ran_stopped(
    container: dict[str, Any], told: str | None, code: str, reason: str
) -> None:
    said = report("STOPPED", one("STOPPED", **container), reason=told)
    ended = apply_report(task("a", status="PENDING"), definition(), said, now=NOW)
    assert (ended.last_status, ended.stop_code, ended.stopped_reason) == ("STOPPED", code, reason)
    assert ended.containers[0].reason == container.get("reason")


def test_who_wanted_the_stop_keeps_the_reason() -> None:
    unwanted = stopping("a", stop_code="UserInitiated", stopped_reason="mine")
    ended = apply_report(
        unwanted, definition(), report("STOPPED", one("STOPPED", exit_code=137)), now=NOW
    )
    assert (ended.stop_code, ended.stopped_reason, ended.containers[0].exit_code) == (
        "UserInitiated",
        "mine",
        137,
    )


def test_a_stopped_task_is_beyond_reports() -> None:
    gone = stopping("a", status="STOPPED")
    assert apply_report(gone, definition(), report("RUNNING", one("RUNNING")), now=NOW) is gone
    assert apply_health(gone, definition(check=True), {"app": "HEALTHY"}, now=NOW) is gone


def test_reports_in_any_order_never_go_back_and_end_the_same() -> None:
    said = [
        report("PENDING", one(image_digest="sha256:1")),
        report("RUNNING", one("RUNNING", runtime_id="d0c")),
        report("STOPPED", one("RUNNING"), one("STOPPED", exit_code=0)),
    ]
    for order in permutations([*said, *said]):
        seen = task("a", status="PENDING")
        for each in order:
            after = apply_report(seen, definition(), each, now=NOW)
            assert STATUS_ORDER[after.last_status] >= STATUS_ORDER[seen.last_status]
            assert after.version >= seen.version
            seen = after
        assert (seen.last_status, seen.containers[0].exit_code) == ("STOPPED", 0)


def test_an_awsvpc_task_gives_its_interface_back_first() -> None:
    interface = NetworkInterface("eni-1", "att-1", "subnet-1", "02:00", "10.0.0.9")
    pending = task("a", status="PENDING", network_interface=interface)
    own = definition(network_mode="awsvpc")
    attached = apply_report(pending, own, report(None, attachments=(("arn:…/att-1", "ATTACHED"),)), now=NOW)
    assert attached.network_interface == replace(interface, status="ATTACHED")
    ended = apply_report(attached, own, report("STOPPED", one("STOPPED", exit_code=0)), now=NOW)
    assert (ended.last_status, ended.stopped_at) == ("DEPROVISIONING", None)


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({"app": "HEALTHY", "side": "UNHEALTHY"}, "HEALTHY"),
        ({"app": "UNHEALTHY"}, "UNHEALTHY"),
        ({"side": "HEALTHY"}, "UNKNOWN"),
    ],
)
def test_task_health_is_that_of_essential_containers_with_checks(
    health: dict[str, str], expected: str
) -> None:
    before = a_pair()
    after = apply_health(before, PAIR, health, now=NOW)
    assert after.health_status == expected
    assert after.version == before.version + 1
    assert apply_health(after, PAIR, health, now=NOW) is after


def test_a_report_may_carry_health_too() -> None:
    said = report("RUNNING", one("RUNNING", health_status="HEALTHY"))
    running = apply_report(a_pair(), PAIR, said, now=NOW)
    assert (running.health_status, running.containers[0].health_status) == ("HEALTHY", "HEALTHY")


def test_a_container_in_the_report_twice_is_read_in_order() -> None:
    said = report("RUNNING", one("RUNNING", runtime_id="d0c"), one("STOPPED", exit_code=3))
    seen = apply_report(task("a", status="PENDING"), definition(), said, now=NOW)
    assert (seen.last_status, seen.desired_status, seen.stop_code) == (
        "RUNNING",
        "STOPPED",
        "EssentialContainerExited",
    )
    assert (seen.containers[0].runtime_id, seen.containers[0].exit_code) == ("d0c", 3)
