"""What miniecs explain says: whole answers for the ways in which a service or a task can wait."""

from __future__ import annotations

from dataclasses import replace

from miniecs.control.explain import explain_service, explain_task
from miniecs.model.event import Event, EventKind
from miniecs.model.service import Service

from .cases import (
    NOW,
    TIMING,
    FakeView,
    completed,
    definition,
    deployment,
    group,
    instance,
    service,
    stopping,
    target,
    task,
)

HEAD = (
    "Service web is ACTIVE: 2 tasks wanted; minimumHealthyPercent 100 keeps 2, maximumPercent 200 allows 4."
)


def told(of: Service, *things: object, events: tuple[Event, ...] = ()) -> list[str]:
    view = FakeView(of, definition(1), definition(2), instance(), *things, events=events)
    return explain_service(view, of, now=NOW, timing=TIMING)


def test_a_steady_service() -> None:
    assert told(service(2, completed(1, 2), steady=True), task("a"), task("b")) == [
        HEAD,
        "PRIMARY deployment ecs-svc/1 (web:1), COMPLETED: 2 healthy, 2 wanted.",
        "It is steady: nothing is left to do.",
    ]


def test_a_rolling_update_under_way() -> None:
    rolling = service(2, deployment(2, desired_count=2), completed(1, 1))
    assert told(
        rolling,
        task("old", 1),
        task("young", 2, started_at=NOW - 10),
        task("new", 2, status="PENDING"),
        stopping("gone", 1),
    ) == [
        HEAD,
        "PRIMARY deployment ecs-svc/2 (web:2), IN_PROGRESS: 1 running but not yet healthy, 1 pending, 2"
        " wanted.",
        "  Task young counts as healthy 30 s from now, 40 s after RUNNING.",
        "  Task new: It waits for its agent to report that all containers run.",
        "ACTIVE deployment ecs-svc/1 (web:1), COMPLETED: 1 healthy, 1 wanted.",
        "1 tasks are stopping: gone.",
    ]


def test_a_deadlock() -> None:
    stuck = service(1, deployment(2, desired_count=1), completed(1, 1), high=100)
    assert told(stuck, task("old", 1)) == [
        "Service web is ACTIVE: 1 task wanted; minimumHealthyPercent 100 keeps 1, maximumPercent 100"
        " allows 1.",
        "PRIMARY deployment ecs-svc/2 (web:2), IN_PROGRESS: no tasks, 1 wanted.",
        "  1 tasks cannot start yet: 1 are there (0 of them stopping) and at most 1 may be.",
        "  None can stop first: 1 are healthy and at least 1 must stay. Update minimumHealthyPercent or"
        " maximumPercent.",
        "ACTIVE deployment ecs-svc/1 (web:1), COMPLETED: 1 healthy, 1 wanted.",
    ]


def test_a_placement_that_found_no_host() -> None:
    blocked = service(2, deployment(1, desired_count=2, blocked_until=NOW + 20))
    decision = Event(
        EventKind.DECISION, blocked.arn, NOW - 40, message="2 tasks not placed", because="add 1 MiB"
    )
    assert told(blocked, events=(decision,)) == [
        HEAD,
        "PRIMARY deployment ecs-svc/1 (web:1), IN_PROGRESS: no tasks, 2 wanted.",
        "  2 tasks not placed.",
        "  add 1 MiB.",
        "  Placement is tried again when capacity appears, or in 20 s.",
    ]


def test_launches_that_fail() -> None:
    failing = service(2, deployment(1, desired_count=2, launch_failures=3, last_failure_at=NOW - 5))
    failed = stopping(
        "failed", status="STOPPED", started_at=None, stop_code="TaskFailedToStart", stopped_at=NOW - 5
    )
    failed = replace(
        failed, containers=(replace(failed.containers[0], reason="CannotPullContainerError: no"),)
    )
    assert told(failing, failed)[2] == (
        "  The next launch waits 15 s: 3 launches in a row ended before RUNNING; the last one:"
        " CannotPullContainerError: no."
    )
    tripped = service(
        2,
        deployment(
            1, desired_count=2, rollout_state="FAILED", rollout_state_reason="ECS deployment failed."
        ),
    )
    assert told(tripped)[2] == "  It launches nothing more: ECS deployment failed."


def test_targets_that_are_not_healthy() -> None:
    balanced = service(2, deployment(1, desired_count=2, balanced=True))
    sick, new = task("sick"), task("new")
    assert told(
        balanced,
        group(),
        sick,
        new,
        target(sick, 1, "unhealthy", description="Request timed out"),
        target(new, 2, "initial"),
    )[2:] == [
        "  Task new waits for its target i-1:2, which is initial.",
        "  Task sick is unhealthy: its target i-1:1 is unhealthy (Request timed out).",
    ]


def test_a_target_group_that_was_deleted() -> None:
    balanced = service(1, deployment(1, desired_count=1, balanced=True))
    lines = told(balanced, task("new", started_at=NOW - 100))
    assert lines[2] == (
        f"  Task new waits for target group {group().arn}, which was deleted: the service still names it."
    )


def test_a_pending_task() -> None:
    pending = task("a", status="PENDING", because="2 are wanted; it fits")
    away = instance(1, agent_connected=False)
    assert explain_task(FakeView(pending, away), pending, now=NOW, timing=TIMING) == [
        "Task a of web:1: lastStatus PENDING, desiredStatus RUNNING.",
        "It was started: 2 are wanted; it fits.",
        "It is on container instance ci1 (us-east-1b), which is ACTIVE; its agent is not connected.",
        "It waits for the agent of container instance ci1, which is not connected.",
    ]
    pulling = replace(pending, pull_started_at=NOW, because="")
    assert explain_task(FakeView(pulling, instance()), pulling, now=NOW, timing=TIMING)[-1] == "Its images are being pulled."
    unplaced = replace(pulling, container_instance_arn=None)
    assert explain_task(FakeView(unplaced), unplaced, now=NOW, timing=TIMING)[1:] == [
        "It has no container instance yet.",
        "It waits for a container instance with room for it.",
    ]


def test_a_task_that_is_to_stop() -> None:
    unwanted = stopping(
        "a", status="DEACTIVATING", stop_code="UserInitiated", stopped_reason="Task stopped by user"
    )
    draining = target(unwanted, 1, "draining", draining_until=NOW + 100)
    assert explain_task(FakeView(unwanted, instance(), draining), unwanted, now=NOW, timing=TIMING)[2:] == [
        "It is to stop: Task stopped by user (UserInitiated).",
        "Target i-1:1 drains for another 100 s.",
    ]
    told_agent = replace(unwanted, last_status="STOPPING")
    assert explain_task(FakeView(told_agent, instance()), told_agent, now=NOW, timing=TIMING)[-1] == (
        "It waits for its agent to report that the containers have stopped."
    )


def test_a_task_that_has_stopped() -> None:
    gone = stopping(
        "a", status="STOPPED", stop_code="TaskFailedToStart", stopped_reason="Task failed to start"
    )
    gone = replace(gone, containers=(replace(gone.containers[0], reason="CannotPullContainerError: no."),))
    assert explain_task(FakeView(gone), gone, now=NOW, timing=TIMING) == [
        "Task a of web:1: lastStatus STOPPED, desiredStatus STOPPED.",
        "Its container instance ci1 is gone.",
        "It stopped: Task failed to start (TaskFailedToStart).",
        "Container app: it never ran, CannotPullContainerError: no.",
    ]


def test_what_to_do_about_an_engines_words() -> None:
    words = "CannotStartContainerError: Bind for 172.31.0.1:80 failed: port is already allocated"
    gone = stopping("a", status="STOPPED", stop_code="TaskFailedToStart", stopped_reason="")
    gone = replace(gone, containers=(replace(gone.containers[0], reason=words),))
    assert explain_task(FakeView(gone), gone, now=NOW, timing=TIMING)[-2:] == [
        f"Container app: it never ran, {words}.",
        "What to do: something else on this machine listens there: free the port, or use hostPort 0.",
    ]
