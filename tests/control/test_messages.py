"""Service events word for word, and when ECS would not repeat them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.control import messages
from miniecs.model.event import EventKind
from miniecs_scheduler import Decision, Rejection

from .cases import GROUP_ARN, NOW, TIMING, FakeView, instance, message, service, target, task

A, B = task("a"), task("b")
NO_HOST = "was unable to place a task because no container instance met all of its requirements."
GUIDE = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."


def decision(reason: str | None) -> Decision:
    closest = None if reason is None else Rejection(instance(1).arn, reason, "words")  # type: ignore[arg-type]
    return Decision((), 1, 1 if reason else 0, {}, (), closest, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (messages.started([A, B], 0), "has started 2 tasks: (task a) (task b)."),
        (
            messages.started([A], 1),
            "has started 1 tasks: (task a). Amazon ECS replaced 1 tasks due to an unhealthy status.",
        ),
        (messages.stopped_running([A]), "has stopped 1 running tasks: (task a)."),
        (messages.stopped_pending(3), "stopped 3 pending tasks."),
        (messages.registered(2, GROUP_ARN), f"registered 2 targets in (target-group {GROUP_ARN})"),
        (messages.deregistered(2, GROUP_ARN), f"deregistered 2 targets in (target-group {GROUP_ARN})"),
        (messages.draining_connections(2), "has begun draining connections on 2 tasks."),
        (messages.deployment_completed("ecs-svc/1"), "(deployment ecs-svc/1) deployment completed."),
        (
            messages.deployment_failed("ecs-svc/1"),
            "(deployment ecs-svc/1) deployment failed: tasks failed to start.",
        ),
        (messages.rolling_back("ecs-svc/1"), "rolling back to deployment ecs-svc/1."),
        (messages.unhealthy_container(A), "(task a) failed container health checks."),
        (
            messages.unhealthy_target(A, replace(target(A), description="Request timed out")),
            f"(task a) (port 32768) is unhealthy in (target-group {GROUP_ARN}) due to (reason Request timed"
            " out).",
        ),
        (
            messages.protected("ecs-svc/1", 2),
            "was unable to reach steady state because (taskSet ecs-svc/1) was unable to scale in due to"
            " (reason 2 tasks under protection)",
        ),
        (messages.STEADY, "has reached a steady state."),
        (messages.IMPAIRED, "is unable to consistently start tasks successfully."),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (None, " Reason: No Container Instances were found in your cluster."),
        (
            "RESOURCE:CPU",
            " The closest matching (container-instance ci1) has insufficient CPU units available.",
        ),
        (
            "RESOURCE:MEMORY",
            " The closest matching (container-instance ci1) has insufficient memory available.",
        ),
        (
            "RESOURCE:PORTS",
            " The closest matching (container-instance ci1) is already using a port required by your task.",
        ),
        ("AGENT", ' The closest matching (container-instance ci1) encountered error "AGENT".'),
        (
            "ATTRIBUTE",
            " The closest matching (container-instance ci1) is missing an attribute required by your task.",
        ),
        (
            "RESOURCE:GPU",
            " The closest matching (container-instance ci1) has insufficient GPU resource available.",
        ),
        (
            "RESOURCE:ENI",
            ' The closest matching (container-instance ci1) encountered error "RESOURCE:ENI".',
        ),
        (
            "MemberOf placement constraint unsatisfied.",
            " The closest matching (container-instance ci1) encountered error"
            ' "MemberOf placement constraint unsatisfied.".',
        ),
    ],
)
def test_why_a_task_was_not_placed(reason: str | None, said: str) -> None:
    assert messages.unplaced(decision(reason)) == NO_HOST + said + GUIDE


CPU = messages.unplaced(decision("RESOURCE:CPU"))


@pytest.mark.parametrize(
    ("before", "unsaid"),
    [
        ([], True),
        ([(CPU, 60)], False),
        ([(CPU.replace("ci1", "ci9"), 60)], False),  # another instance is closest: no new matter
        ([(messages.unplaced(decision("RESOURCE:PORTS")), 60)], True),
        ([(CPU, 6 * 3600 - 1)], False),
        ([(CPU, 6 * 3600)], True),
        ([(CPU, 60), (messages.STEADY, 30)], True),
        ([(CPU, 60), (messages.started([A], 0), 30)], True),
        ([(messages.STEADY, 60), (CPU, 30)], False),
        ([(CPU, 60), (messages.STUCK, 30)], False),
    ],
)
def test_identical_events_rest_until_resolved_or_for_six_hours(
    before: list[tuple[str, float]], unsaid: bool
) -> None:
    events = [replace(message(text, NOW - ago), kind=EventKind.SERVICE_MESSAGE) for text, ago in before]
    view = FakeView(events=events)
    old = replace(service(1), created_at=NOW - 7 * 3600)
    assert messages.is_unsaid(view, old, CPU, now=NOW, timing=TIMING) is unsaid


def test_what_a_deleted_service_of_its_name_said_is_not_the_services() -> None:
    """Neither is it shown, nor does it keep the new service from saying the same."""
    new = replace(service(1), created_at=NOW - 10)
    events = [replace(message(CPU, NOW - ago), kind=EventKind.SERVICE_MESSAGE) for ago in (11, 10)]
    assert messages.said(FakeView(events=events), new) == events[1:]
    assert messages.is_unsaid(FakeView(events=events[:1]), new, CPU, now=NOW, timing=TIMING)
    assert not messages.is_unsaid(FakeView(events=events), new, CPU, now=NOW, timing=TIMING)
