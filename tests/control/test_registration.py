"""Targets entering and leaving a target group."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.control.registration import deregistered, followed_use, registered
from miniecs.model.load_balancing import Target

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/blue/0123456789abcdef"
NEW = registered(GROUP, "10.0.0.1", 80, in_use=True, now=100.0, availability_zone="us-east-1a", task_arn="t")
UNUSED = registered(
    GROUP, "10.0.0.1", 80, in_use=False, now=100.0, availability_zone="us-east-1a", task_arn="t"
)
HEALTHY = replace(NEW, state="healthy", reason=None, description=None, was_healthy=True, successes=3)


def test_registered() -> None:
    assert NEW == Target(
        target_group_arn=GROUP,
        id="10.0.0.1",
        port=80,
        state="initial",
        reason="Elb.RegistrationInProgress",
        description="Target registration is in progress",
        availability_zone="us-east-1a",
        task_arn="t",
        registered_at=100.0,
    )
    assert UNUSED == replace(
        NEW,
        state="unused",
        reason="Target.NotInUse",
        description="Target group is not configured to receive traffic from the load balancer",
    )


@pytest.mark.parametrize("state", ["healthy", "unhealthy", "unavailable", "initial"])
def test_what_may_have_got_traffic_drains(state: str) -> None:
    target = replace(HEALTHY, state=state)
    draining = deregistered(target, now=200.0, delay=30.0)
    assert draining == replace(
        target,
        state="draining",
        reason="Target.DeregistrationInProgress",
        description="Target deregistration is in progress",
        draining_until=230.0,
    )
    assert deregistered(target, now=200.0, delay=0.0) is None


def test_what_got_none_is_gone_at_once() -> None:
    assert deregistered(UNUSED, now=200.0, delay=30.0) is None


def test_a_draining_target_keeps_its_time() -> None:
    draining = deregistered(HEALTHY, now=200.0, delay=30.0)
    assert draining is not None
    assert deregistered(draining, now=210.0, delay=300.0) is draining
    assert followed_use(draining, in_use=False, now=210.0) is draining


def test_targets_follow_the_use_of_their_group() -> None:
    assert followed_use(UNUSED, in_use=True, now=300.0) == replace(NEW, registered_at=300.0)
    assert followed_use(HEALTHY, in_use=False, now=300.0) == replace(UNUSED, registered_at=300.0)
    assert followed_use(UNUSED, in_use=False, now=300.0) is UNUSED
    assert followed_use(HEALTHY, in_use=True, now=300.0) is HEALTHY
