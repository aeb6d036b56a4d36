"""Probe results into target states: thresholds and reason codes of Elastic Load Balancing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.control import targets
from miniecs.control.health import ProbeResult, judge
from miniecs.control.plan import NOTHING, Plan, RemoveTarget
from miniecs.model.load_balancing import HealthCheck, Target

from .cases import GROUP_ARN, NOW, VERSION, FakeView, group

OK = ProbeResult(True, 200)
BAD = ProbeResult(False, 503)
NEW = Target(GROUP_ARN, "i-1", 80, "initial", "Elb.RegistrationInProgress")


def judged(target: Target, *results: ProbeResult, healthy: int = 5, unhealthy: int = 2) -> Target:
    check = HealthCheck(healthy_threshold=healthy, unhealthy_threshold=unhealthy)
    for result in results:
        target = judge(target, group(health_check=check), result, now=NOW)
    return target


def test_a_new_target_is_healthy_after_one_success() -> None:
    assert judged(NEW, OK) == replace(
        NEW, state="healthy", reason=None, description=None, successes=1, was_healthy=True, checked_at=NOW
    )


def test_a_new_target_that_fails_is_being_checked_and_then_unhealthy() -> None:
    assert judged(NEW, BAD) == replace(
        NEW,
        reason="Elb.InitialHealthChecking",
        description="Initial health checks in progress",
        failures=1,
        checked_at=NOW,
    )
    assert judged(NEW, BAD, BAD) == replace(
        NEW,
        state="unhealthy",
        reason="Target.ResponseCodeMismatch",
        description="Health checks failed with these codes: [503]",
        failures=2,
        checked_at=NOW,
    )


@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_recovering_takes_the_healthy_threshold_in_a_row(threshold: int) -> None:
    sick = judged(NEW, OK, BAD, BAD)
    assert sick.state == "unhealthy"
    almost = judged(sick, *[OK] * (threshold - 1), healthy=threshold)
    assert almost.state == "unhealthy"
    assert judged(almost, OK, healthy=threshold).state == "healthy"
    assert judged(almost, BAD, OK, healthy=threshold).state == "unhealthy"


@pytest.mark.parametrize("threshold", [2, 3, 10])
def test_failing_takes_the_unhealthy_threshold_in_a_row(threshold: int) -> None:
    well = judged(NEW, OK)
    assert judged(well, *[BAD] * (threshold - 1), unhealthy=threshold).state == "healthy"
    assert judged(well, *[BAD] * (threshold - 1), OK, BAD, unhealthy=threshold).state == "healthy"
    assert judged(well, *[BAD] * threshold, unhealthy=threshold).state == "unhealthy"


@pytest.mark.parametrize(
    ("result", "reason", "description"),
    [
        (BAD, "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]"),
        (ProbeResult(False, None, "timeout"), "Target.Timeout", "Request timed out"),
        (ProbeResult(False, None, "refused"), "Target.FailedHealthChecks", "Health checks failed"),
    ],
)
def test_reasons(result: ProbeResult, reason: str, description: str) -> None:
    seen = judged(NEW, result, result)
    assert (seen.reason, seen.description) == (reason, description)


@pytest.mark.parametrize("state", ["draining", "unused", "unavailable"])
def test_what_is_not_probed_is_not_judged(state: str) -> None:
    still = replace(NEW, state=state)
    assert judged(still, OK) is still


def test_a_draining_target_goes_when_its_time_is_over() -> None:
    draining = replace(NEW, state="draining", draining_until=NOW + 5)
    view = FakeView(draining)
    assert targets.plan(view, draining.key, now=NOW) == Plan(wake_at=NOW + 5)
    removed = RemoveTarget(draining, VERSION, "its deregistration delay is over")
    assert targets.plan(view, draining.key, now=NOW + 5) == Plan((removed,))
    assert targets.plan(FakeView(NEW), NEW.key, now=NOW) == NOTHING
    assert targets.plan(FakeView(), NEW.key, now=NOW) == NOTHING


def test_a_draining_target_stays_while_its_data_plane_may_not_know() -> None:
    draining = replace(NEW, state="draining", draining_until=NOW - 5)
    view = FakeView(draining)
    assert targets.plan(view, draining.key, now=NOW, stays_until=NOW + 3) == Plan(wake_at=NOW + 3)
    [action] = targets.plan(view, draining.key, now=NOW + 3, stays_until=NOW + 3).actions
    assert isinstance(action, RemoveTarget)
