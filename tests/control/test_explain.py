"""What miniecs explain says: whole answers for the ways in which a service or a task can wait."""

from __future__ import annotations

from dataclasses import replace

from miniecs.control.explain import explain_service, explain_task
from miniecs.model.event import Event, EventKind
from miniecs.model.service import Service

from .cases import (
    BALANCER,
    NOW,
    TIMING,
    FakeView,
    completed,
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
        "  Task new: it waits for its agent to report that all containers run.",
        "ACTIVE deployment ecs-svc/1 (web:1), COMPLETED: 1 healthy, 1 wanted.",
        "  Its task stops as new ones become healthy: 1 is healthy in all, 2 wanted.",
        "1 task is stopping:",
        "  Task gone has been stopping for 1000 s: its agent has yet to report that the containers have"
        " stopped.",
    ]


def test_a_deadlock() -> None:
    stuck = service(1, deployment(2, desired_count=1), completed(1, 1), high=100)
    assert told(stuck, task("old", 1)) == [
        "Service web is ACTIVE: 1 task wanted; minimumHealthyPercent 100 keeps 1, maximumPercent 100"
        " allows 1.",
        "PRIMARY deployment ecs-svc/2 (web:2), IN_PROGRESS: no tasks, 1 wanted.",
        "  1 task cannot start yet: 1 is there and at most 1 may be.",
        "  None can stop first: 1 is healthy and at least 1 must stay. Set maximumPercent to 200 or more, or"
        " minimumHealthyPercent to 0.",
        "ACTIVE deployment ecs-svc/1 (web:1), COMPLETED: 1 healthy, 1 wanted.",
        "  Its task stops as new ones become healthy: 1 is healthy in all, 1 wanted.",
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
    assert told(tripped)[2:] == [
        "  It launches nothing more: ECS deployment failed.",
        "  Nothing takes the place of tasks that stop until UpdateService begins another deployment.",
    ]


def test_targets_that_are_not_healthy() -> None:
    balanced = service(4, deployment(1, desired_count=4, balanced=True), high=150)
    sick, new, retried, mute = task("sick"), task("new"), task("retried"), task("mute")
    code = {
        "reason": "Target.ResponseCodeMismatch",
        "description": "Health checks failed with these codes: [503]",
    }
    assert told(
        balanced,
        group(),
        listener(),
        BALANCER,
        sick,
        new,
        retried,
        mute,
        target(sick, 1, "unhealthy", failures=2, **code),
        target(new, 2, "initial"),
        target(retried, 3, "initial", failures=1),
        target(mute, 4, "unhealthy", failures=2, reason="Target.Timeout"),
    )[1:] == [
        "Load balancer lb sends requests to all 4 targets in target group web, as none is healthy (it fails"
        " open).",
        "PRIMARY deployment ecs-svc/1 (web:1), IN_PROGRESS: 2 running but not yet healthy, 2 unhealthy, 4"
        " wanted.",
        "  Task new: target i-1:2 waits for its first health check (GET / every 30 s).",
        "  Task retried: target i-1:3 has yet to pass a health check (GET / every 30 s): 1 check failed, 2"
        " make it unhealthy.",
        "  Task sick is unhealthy: 503 from /, 2 checks in a row failed; it stops once a healthy task has"
        " taken its place.",
        "  Task mute is unhealthy: no answer in time to GET /, 2 checks in a row failed; it stops once a"
        " healthy task has taken its place.",
    ]


def test_unhealthy_tasks_that_no_substitute_can_replace_first() -> None:
    full = service(1, deployment(1, desired_count=1, balanced=True), low=0, high=100)
    sick = task("sick")
    assert told(full, group(), sick, target(sick, 1, "unhealthy", failures=3))[-2:] == [
        "  1 task cannot start yet: 1 is there and at most 1 may be.",
        "  Task sick is unhealthy: GET / is refused or cut off, 3 checks in a row failed; unhealthy"
        " tasks stop one at a time, as no substitute can start before.",
    ]


def test_an_unhealthy_task_in_its_grace_period() -> None:
    patient = service(
        1, deployment(1, desired_count=1, balanced=True), health_check_grace_period=60
    )
    sick = task("sick", started_at=NOW - 48)
    assert told(patient, group(), sick, target(sick, 1, "unhealthy", failures=2))[-1] == (
        "  Task sick is unhealthy, but in its grace period for 12 s more: GET / is refused or cut"
        " off, 2 checks in a row failed."
    )


def test_targets_that_can_never_be_healthy() -> None:
    balanced = service(2, deployment(1, desired_count=2, balanced=True))
    unused, bare = task("unused"), task("bare")
    assert told(balanced, group(), unused, bare, target(unused, 1, "unused"))[1:] == [
        "No listener or rule forwards to target group web: its targets get no requests.",
        "PRIMARY deployment ecs-svc/1 (web:1), IN_PROGRESS: 2 running but not yet healthy, 2 wanted.",
        "  Task unused cannot become healthy, its target i-1:1 is unused: no listener or rule forwards to"
        " target group web.",
        "  Task bare has no target yet: its agent has not told a host port of app:80.",
    ]
    assert told(balanced, listening(bare, 32768))[1::2] == [
        "Its target group web was deleted, so no task can become healthy: the service still names it.",
        "  Task bare has no target yet: target group web was deleted.",
    ]
    assert told(balanced, group(), listening(bare, 32768))[-1] == (
        "  Task bare has no target yet: it is being registered in target group web."
    )


def test_draining_tasks_and_what_waits_for_them() -> None:
    rolling = service(2, deployment(2, desired_count=2, balanced=True), completed(1, 0, balanced=True))
    a, b = task("a", 2), task("b", 2)
    old = [stopping(name, 1, "DEACTIVATING") for name in "uvwxy"]
    targets = [target(each, n, "draining", draining_until=NOW + 10 + n) for n, each in enumerate(old, 3)]
    targets += [target(a, 1), target(b, 2)]
    assert told(rolling, group(), listener(), BALANCER, a, b, *old, *targets)[1:] == [
        "Load balancer lb sends requests to 2 of 2 targets in target group web; 5 drain.",
        "PRIMARY deployment ecs-svc/2 (web:2), IN_PROGRESS: 2 healthy, 2 wanted.",
        "  Its tasks are healthy: it completes when those of older deployments have stopped.",
        "ACTIVE deployment ecs-svc/1 (web:1), COMPLETED: no tasks, 0 wanted.",
        "5 tasks are stopping:",
        "  Task u drains for 13 s more.",
        "  Task v drains for 14 s more.",
        "  Task w drains for 15 s more.",
        "  2 more are like these.",
    ]


def test_a_failed_deployment_beside_the_last_good_one() -> None:
    failed = service(
        1,
        deployment(2, desired_count=1, rollout_state="FAILED", rollout_state_reason="ECS deployment failed."),
        completed(1, 1),
    )
    assert told(failed, task("old"))[1:] == [
        "PRIMARY deployment ecs-svc/2 (web:2), FAILED: no tasks, 1 wanted.",
        "  It launches nothing more: ECS deployment failed.",
        "ACTIVE deployment ecs-svc/1 (web:1), COMPLETED: 1 healthy, 1 wanted.",
        "  Its tasks stay, as the newest deployment has failed.",
    ]


def test_tasks_on_a_draining_instance() -> None:
    emptied = service(1, completed(1, 1))
    view = FakeView(emptied, definition(1), instance(2, status="DRAINING"), task("a", on=2))
    assert explain_service(view, emptied, now=NOW, timing=TIMING)[-1] == (
        "  Task a leaves its DRAINING container instance once a healthy task has taken its place."
    )


def test_a_task_with_a_target() -> None:
    sick = task("sick")
    recovering = target(sick, 1, "unhealthy", successes=3)
    view = FakeView(sick, instance(), group(), recovering)
    assert explain_task(view, sick, now=NOW, timing=TIMING)[-1] == (
        "Its target i-1:1 in target group web is unhealthy: GET / is refused or cut off; since then"
        " 3 checks in a row passed, 2 to go."
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
    view = FakeView(pulling, instance())
    assert explain_task(view, pulling, now=NOW, timing=TIMING)[-1] == "Its images are being pulled."
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
        "It drains for 100 s more: requests in flight may finish, new ones go elsewhere.",
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
