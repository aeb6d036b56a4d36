"""Service deployments through every way that there is: their statuses and reasons, and what is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.control import deployments, failures, service_deployments, stages
from miniecs.control.explain import explain_service
from miniecs.control.service_deployments import KEPT
from miniecs.model import arns
from miniecs.model.alarm import ALARM, OK, MetricAlarm
from miniecs.model.service import (
    CircuitBreaker,
    DeploymentAlarms,
    DeploymentConfiguration,
    EarlySuccess,
    FailureThreshold,
    Revision,
    Service,
)
from miniecs.model.service_deployment import (
    SUCCESSORS,
    RevisionCounts,
    ServiceDeployment,
    ServiceRevision,
)

from .cases import NOW, SCOPE, completed, definition, deployment, service
from .lab import WEB, Lab

WEB_2 = Revision(arns.task_definition(SCOPE, "web", 2))
WEB_3 = Revision(arns.task_definition(SCOPE, "web", 3))
BREAKER = CircuitBreaker(enable=True, rollback=True)
SLOW = "slow"


def alarm(state: str = OK, name: str = SLOW, *, period: int = 60, periods: int = 3) -> MetricAlarm:
    settings = {"Period": period, "EvaluationPeriods": periods}
    return MetricAlarm(arns.alarm(SCOPE, name), name, SCOPE, settings, state=state)


def a_lab(desired: int = 2, *things: Any, **config: Any) -> Lab:
    """A service whose first deployment is complete."""
    lab = Lab(definition(1), definition(2), definition(3, check=True), *things)
    spec = service(desired, config=DeploymentConfiguration(**config))
    lab.deploy(replace(spec, deployments=()))
    lab.converge()
    lab.run(1.0)
    return lab


def releases(lab: Lab) -> list[ServiceDeployment]:
    """Oldest first."""
    return sorted(lab.store.all(ServiceDeployment), key=lambda each: each.created_at)


def told(lab: Lab) -> list[tuple[str, str | None]]:
    return [(each.status, each.status_reason) for each in releases(lab)]


def fail_pending(lab: Lab, rounds: int = 12) -> None:
    """Agents cannot start anything."""
    for _ in range(rounds):
        lab.run(10)
        for task in lab.tasks("PENDING"):
            lab.report(task, "STOPPED", reason="CannotPullContainerError: no such image")


def ask(lab: Lab, to: str, reason: str) -> None:
    """As StopServiceDeployment does."""
    lab.put(service_deployments.moved(releases(lab)[-1], to, now=lab.now, reason=reason))


def test_a_deployment_that_completes() -> None:
    lab = Lab(definition(1))
    lab.deploy(replace(service(2), deployments=()))
    (release,) = releases(lab)
    (revision,) = lab.store.all(ServiceRevision)
    assert (release.status, release.started_at, release.sources) == ("PENDING", None, ())
    assert (release.target.arn, revision.spec) == (revision.arn, service(2).revision)
    assert revision.arn == lab.service.primary.revision_arn
    begun = lab.now
    lab.settle()
    (release,) = releases(lab)
    assert (release.status, release.started_at, release.finished_at) == ("IN_PROGRESS", begun, None)
    lab.converge()
    (release,) = releases(lab)
    assert (release.status, release.status_reason, release.stopped_at) == ("SUCCESSFUL", None, None)
    assert release.finished_at == release.updated_at == lab.service.primary.updated_at
    assert release.target == RevisionCounts(revision.arn, lab.service.primary.id, 2, 2, 0)
    assert lab.service.completed is not None and lab.service.completed.id == lab.service.primary.id
    lab.check_idle()


def test_counts_are_live_until_the_end_and_then_those_of_the_end() -> None:
    lab = a_lab(2)
    old = lab.service.primary
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    lab.start_pending()
    live = service_deployments.counted(lab.store, lab.service, releases(lab)[-1])
    assert (live.target.requested, live.target.running, live.target.pending) == (2, 2, 0)
    assert live.sources == (RevisionCounts(old.revision_arn, old.id, 2, 2, 0),)
    lab.converge()
    ended = releases(lab)[-1]
    assert (ended.target.requested, ended.target.running) == (2, 2)
    assert ended.sources == (RevisionCounts(old.revision_arn, old.id, 0, 0, 0),)
    assert (ended.failure_count, ended.threshold) == (0, 3)


def test_a_newer_deployment_stops_the_one_before_it_first() -> None:
    lab = a_lab(2)
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    second = lab.service.primary.revision_arn
    lab.deploy(lab.service, WEB_3)
    assert [each.status for each in releases(lab)] == ["SUCCESSFUL", "STOP_REQUESTED", "PENDING"]
    lab.settle()
    assert told(lab)[1:] == [
        ("STOPPED", "Service deployment stopped because a newer service deployment was created."),
        ("IN_PROGRESS", None),
    ]
    assert releases(lab)[1].stopped_at == releases(lab)[1].finished_at == releases(lab)[2].started_at
    assert second in {each.arn for each in releases(lab)[2].sources}
    lab.check_idle()


def test_three_updates_before_the_loop_looks() -> None:
    lab = a_lab(1)
    for revision in (WEB_2, WEB_3, WEB_2):
        lab.now += 1
        lab.deploy(lab.service, revision)
    assert [e.status for e in releases(lab)[1:]] == ["STOP_REQUESTED", "STOP_REQUESTED", "PENDING"]
    lab.settle()
    assert [e.status for e in releases(lab)[1:]] == ["STOPPED", "STOPPED", "IN_PROGRESS"]
    lab.check_idle()


def test_the_breaker_without_rollback_stops_it() -> None:
    lab = a_lab(2, circuit_breaker=replace(BREAKER, rollback=False))
    lab.deploy(lab.service, WEB_2)
    fail_pending(lab)
    release = releases(lab)[-1]
    assert told(lab)[-1] == (
        "STOPPED",
        "Service deployment stopped because the circuit breaker threshold was exceeded.",
    )
    assert (release.breaker_tripped, release.rollback) == (True, None)
    assert release.failure_count >= release.threshold == 3
    assert release.stopped_at is not None
    assert lab.service.primary.rollout_state == "FAILED"
    lab.check_idle()


def test_the_breaker_with_rollback_brings_the_last_completed_back() -> None:
    lab = a_lab(2, circuit_breaker=BREAKER)
    good = lab.service.primary
    lab.deploy(lab.service, WEB_2)
    fail_pending(lab)
    reason = "Service deployment rolled back because the circuit breaker threshold was exceeded."
    assert told(lab)[-1][1] == reason
    lab.converge()
    release = releases(lab)[-1]
    assert (release.status, release.status_reason) == ("ROLLBACK_SUCCESSFUL", reason)
    assert release.rollback is not None
    assert (release.rollback.reason, release.rollback.service_revision_arn) == (reason, good.revision_arn)
    assert release.started_at < release.rollback.started_at <= release.finished_at  # type: ignore[operator]
    assert (release.stopped_at, release.breaker_tripped, release.failure_count) == (None, True, 4)
    assert [(d.id, d.rollout_state) for d in lab.service.deployments] == [(good.id, "COMPLETED")]
    assert len(releases(lab)) == 2, "a rollback is part of the service deployment that failed"
    assert release.target.requested == 0, "nothing is wanted of what failed, though it had nothing to stop"
    assert [source.requested for source in release.sources] == [2]
    lab.check_idle()


def test_a_rollback_finds_the_last_completed_deployment_after_its_tasks_are_gone() -> None:
    lab = a_lab(2, circuit_breaker=BREAKER, minimum_healthy_percent=0, maximum_percent=100)
    good = lab.service.primary
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    lab.stop_stopping()
    lab.settle()
    assert [d.id for d in lab.service.deployments] != [good.id] and len(lab.service.deployments) == 1
    fail_pending(lab, rounds=2)
    lab.settle()
    assert (lab.service.primary.id, lab.service.primary.rollout_state) == (good.id, "IN_PROGRESS")
    failed, back, started = lab.said()[-3:]
    assert failed.endswith("deployment failed: tasks failed to start.")
    assert back == f"(service web) rolling back to deployment {good.id}."
    assert started.startswith("(service web) has started 2 tasks: ")
    lab.converge()
    assert told(lab)[-1][0] == "ROLLBACK_SUCCESSFUL"
    assert {task.deployment_id for task in lab.tasks("RUNNING")} == {good.id}


def test_a_rollback_that_fails_itself_stands_still() -> None:
    lab = a_lab(2, circuit_breaker=BREAKER, minimum_healthy_percent=0, maximum_percent=100)
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    lab.stop_stopping()
    fail_pending(lab, rounds=60)
    assert told(lab)[-1] == (
        "ROLLBACK_FAILED",
        "Service deployment rollback failed because the circuit breaker threshold was exceeded.",
    )
    assert lab.service.primary.rollout_state == "FAILED"
    assert len([text for text in lab.said() if "rolling back" in text]) == 1
    lab.check_idle()
    lab.deploy(lab.service, WEB_2)
    lab.converge()
    assert told(lab)[-1][0] == "SUCCESSFUL", "the next deployment is another try"


def test_a_first_deployment_has_nothing_to_roll_back_to() -> None:
    lab = Lab(definition(1))
    spec = service(1, config=DeploymentConfiguration(circuit_breaker=BREAKER))
    lab.deploy(replace(spec, deployments=()))
    fail_pending(lab)
    assert told(lab) == [("ROLLBACK_FAILED", "No rollback candidate was found to run the rollback.")]
    assert releases(lab)[0].stopped_at is not None
    assert (lab.service.primary.rollout_state, lab.service.completed) == ("FAILED", None)


def test_a_newer_deployment_ends_a_rollback() -> None:
    lab = a_lab(2, circuit_breaker=BREAKER, minimum_healthy_percent=0, maximum_percent=100)
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    lab.stop_stopping()
    fail_pending(lab, rounds=4)
    assert told(lab)[-1][0] == "ROLLBACK_IN_PROGRESS"
    lab.deploy(lab.service, WEB_3)
    assert told(lab)[1:] == [
        ("ROLLBACK_FAILED", "Service deployment stopped because a newer service deployment was created."),
        ("PENDING", None),
    ]


@pytest.mark.parametrize("settled", [True, False])
def test_stopped_by_the_user_with_rollback(settled: bool) -> None:
    """Also while it is PENDING, and without any failure detection configured."""
    lab = a_lab(2)
    good = lab.service.primary
    bad = lab.deploy(lab.service, WEB_2).primary
    if settled:
        lab.settle()
    ask(lab, "ROLLBACK_REQUESTED", service_deployments.ROLLED_BACK_BY_USER)
    lab.settle()
    assert told(lab)[-1] == (
        # Nothing of it was there yet to be taken back where it was PENDING.
        "ROLLBACK_IN_PROGRESS" if settled else "ROLLBACK_SUCCESSFUL",
        "Service deployment rolled back because the user requested it.",
    )
    assert lab.service.primary.id == good.id
    assert f"(service web) (deployment {bad.id}) deployment failed: stopped by the user." in lab.said()
    lab.converge()
    assert told(lab)[-1][0] == "ROLLBACK_SUCCESSFUL"
    lab.check_idle()


def test_stopped_by_the_user_without_a_deployment_to_return_to() -> None:
    lab = Lab(definition(1))
    lab.deploy(replace(service(1), deployments=()))
    ask(lab, "ROLLBACK_REQUESTED", service_deployments.ROLLED_BACK_BY_USER)
    lab.settle()
    assert told(lab) == [("ROLLBACK_FAILED", service_deployments.NO_CANDIDATE)]


def test_aborted_by_the_user() -> None:
    lab = a_lab(2)
    good = lab.service.primary
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    ask(lab, "STOP_REQUESTED", service_deployments.STOPPED_BY_USER)
    lab.settle()
    assert told(lab)[-1] == ("STOPPED", "Service deployment stopped by the user.")
    assert [(d.rollout_state, d.status) for d in lab.service.deployments] == [
        ("FAILED", "PRIMARY"),
        ("COMPLETED", "ACTIVE"),
    ]
    assert [t.deployment_id for t in lab.tasks("RUNNING")] == [good.id, good.id]
    fail_pending(lab, rounds=4)
    assert lab.launches() == [2, 2], "nothing more is launched"
    lab.check_idle()


def test_the_last_completed_deployment_is_kept_up_beside_a_failed_one_also_without_tasks() -> None:
    lab = a_lab(1, circuit_breaker=replace(BREAKER, rollback=False))
    good = lab.service.primary
    lab.deploy(lab.service, WEB_2)
    fail_pending(lab)
    (last,) = lab.tasks("RUNNING")
    lab.report(last, "STOPPED", exit_code=1)
    lab.settle()
    assert [(d.id, d.rollout_state) for d in lab.service.deployments][1:] == [(good.id, "COMPLETED")]
    lab.start_pending()
    assert [t.deployment_id for t in lab.tasks("RUNNING")] == [good.id]
    lab.check_idle()


# Alarms


def alarmed(*states: str, rollback: bool = True, **alarm_fields: Any) -> Lab:
    """A steady service, with an alarm a0, a1 … in each state, that is deployed anew."""
    names = tuple(f"a{n}" for n in range(len(states)))
    alarms = DeploymentAlarms(names, enable=True, rollback=rollback)
    things = [alarm(OK, name, **alarm_fields) for name in names]
    lab = a_lab(1, *things, alarms=alarms)
    for name, state in zip(names, states, strict=True):
        lab.put(alarm(state, name, **alarm_fields))
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    return lab


@pytest.mark.parametrize("rollback", [True, False])
def test_an_alarm_ends_a_deployment(rollback: bool) -> None:
    lab = alarmed(OK, OK, rollback=rollback)
    good = lab.service.deployments[1]
    failed = lab.service.primary.id
    lab.put(alarm(ALARM, "a1"))
    lab.settle()
    release = releases(lab)[-1]
    assert release.triggered_alarms == ("a1",)
    assert (release.breaker_tripped, release.watched_alarms) == (False, ("a0", "a1"))
    assert f"(service web) (deployment {failed}) deployment failed: alarm detected." in lab.said()
    reasons = {d.id: d.rollout_state_reason for d in lab.service.deployments}
    assert reasons[failed] == "ECS deployment alarm: alarm detected."
    if not rollback:
        assert (release.status, release.status_reason) == (
            "STOPPED",
            "Service deployment stopped because of CloudWatch alarms in ALARM: a1.",
        )
        return
    assert (release.status, release.status_reason) == (
        "ROLLBACK_IN_PROGRESS",
        "Service deployment rolled back because of CloudWatch alarms in ALARM: a1.",
    )
    assert reasons[good.id] == f"ECS deployment alarm: rolling back to deploymentId {good.id}."
    lab.converge()
    assert told(lab)[-1][0] == "ROLLBACK_SUCCESSFUL", "alarms that are still on do not end a rollback"
    lab.check_idle()


def test_a_rollback_that_fails_itself_keeps_what_began_it() -> None:
    """The alarm that went off is still told of, and the breaker's count is that of the rollback's tasks."""
    alarms = DeploymentAlarms((SLOW,), enable=True, rollback=True)
    bounds = {"minimum_healthy_percent": 0, "maximum_percent": 100}
    lab = a_lab(2, alarm(), circuit_breaker=BREAKER, alarms=alarms, **bounds)
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    lab.stop_stopping()
    lab.put(alarm(ALARM))
    lab.settle()
    lab.stop_stopping()
    assert (told(lab)[-1][0], releases(lab)[-1].breaker_tripped) == ("ROLLBACK_IN_PROGRESS", False)
    fail_pending(lab, rounds=12)
    release = releases(lab)[-1]
    assert release.status == "ROLLBACK_FAILED"
    assert release.triggered_alarms == (SLOW,)
    assert (release.breaker_tripped, release.failure_count, release.threshold) == (True, 4, 3)
    assert release.rollback is not None
    assert release.rollback.reason.endswith("because of CloudWatch alarms in ALARM: slow.")
    lab.check_idle()


def test_an_alarm_that_was_deleted_ends_nothing_and_explain_says_so() -> None:
    lab = alarmed(OK, OK)
    gone = "Alarm a0, which is to end its deployments, was deleted: they go on without it."
    assert gone not in explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    with lab.store.transaction() as tx:
        tx.delete(MetricAlarm, arns.alarm(SCOPE, "a0"))
    lab.settle()
    assert gone in explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    lab.put(alarm(OK, "a0"))
    lab.settle()
    assert gone not in explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    lab.put(alarm(ALARM, "a0"))
    lab.settle()
    assert releases(lab)[-1].triggered_alarms == ("a0",), "it is heard again"


def test_an_alarm_that_is_on_already_is_not_watched() -> None:
    lab = alarmed(ALARM, OK)
    assert releases(lab)[-1].watched_alarms == ("a1",)
    lab.put(alarm(OK, "a0"))
    lab.settle()
    lab.put(alarm(ALARM, "a0"))
    lab.settle()
    assert told(lab)[-1] == ("IN_PROGRESS", None)


def test_a_deleted_alarm_ends_nothing_and_needs_no_bake_time() -> None:
    lab = alarmed(OK)
    with lab.store.transaction() as tx:
        tx.delete(MetricAlarm, arns.alarm(SCOPE, "a0"))
    lab.converge()
    assert told(lab)[-1][0] == "SUCCESSFUL"


def test_alarms_that_are_switched_off_meanwhile_end_nothing() -> None:
    lab = alarmed(OK)
    lab.put(replace(lab.service, deployment_configuration=DeploymentConfiguration()))
    lab.put(alarm(ALARM, "a0"))
    lab.converge()
    assert told(lab)[-1][0] == "SUCCESSFUL"


def test_alarms_are_watched_for_a_while_after_the_tasks_are_in_place() -> None:
    lab = alarmed(OK, period=60, periods=5)
    for _ in range(3):
        lab.run(41)
        lab.start_pending(), lab.stop_stopping()
    lab.run(1)
    release = releases(lab)[-1]
    assert len(lab.service.deployments) == 1 and release.baking_since is not None
    assert (release.status, lab.service.primary.rollout_state) == ("IN_PROGRESS", "IN_PROGRESS")
    lab.run(release.baking_since + 300 - lab.now - 1)
    assert (lab.service.primary.rollout_state, lab.service.steady) == ("IN_PROGRESS", False)
    lab.run(2)
    assert (told(lab)[-1][0], lab.service.primary.rollout_state) == ("SUCCESSFUL", "COMPLETED")
    lab.put(alarm(ALARM, "a0"))
    lab.run(10)
    assert told(lab)[-1][0] == "SUCCESSFUL", "what is complete is not rolled back"


def test_an_alarm_in_the_bake_time_rolls_back_to_what_has_no_tasks_any_more() -> None:
    lab = alarmed(OK, period=60, periods=5)
    good = lab.service.deployments[1]
    for _ in range(3):
        lab.run(41)
        lab.start_pending(), lab.stop_stopping()
    lab.run(1)
    assert [d.id for d in lab.service.deployments] != [good.id]
    lab.put(alarm(ALARM, "a0"))
    lab.settle()
    assert (lab.service.primary.id, told(lab)[-1][0]) == (good.id, "ROLLBACK_IN_PROGRESS")
    lab.converge()
    assert {t.deployment_id for t in lab.tasks("RUNNING")} == {good.id}


# The circuit breaker


@pytest.mark.parametrize(
    ("type", "value", "desired", "threshold"),
    [
        ("COUNT", 1, 1000, 1),
        ("COUNT", 7, 1, 7),
        ("COUNT", 500, 1, 500),
        ("BOUNDED_PERCENT", 50, 1, 3),
        ("BOUNDED_PERCENT", 50, 25, 13),
        ("BOUNDED_PERCENT", 100, 4, 4),
        ("BOUNDED_PERCENT", 50, 5000, 200),
        ("UNBOUNDED_PERCENT", 50, 1, 1),
        ("UNBOUNDED_PERCENT", 50, 0, 1),
        ("UNBOUNDED_PERCENT", 10, 25, 3),
        ("UNBOUNDED_PERCENT", 50, 5000, 2500),
    ],
)
def test_the_threshold(type: str, value: int, desired: int, threshold: int) -> None:
    assert deployments.breaker_threshold(desired, FailureThreshold(type, value)) == threshold
    breaker = replace(BREAKER, threshold=FailureThreshold(type, value))
    failing = deployment(1, desired_count=desired, failed_tasks=threshold - 1)
    spec = service(desired, failing, config=DeploymentConfiguration(circuit_breaker=breaker))
    assert not deployments.has_tripped(spec)
    tripped = replace(failing, failed_tasks=threshold)
    assert deployments.has_tripped(replace(spec, deployments=(tripped,)))


@pytest.mark.parametrize(
    ("fields", "reset", "trips"),
    [
        ({}, True, True),
        ({"started": True}, True, True),  # failed health checks, before any task was healthy
        ({"started": True, "proven": True}, True, False),
        ({"started": True, "proven": True}, False, True),
        ({"rollout_state": "COMPLETED"}, False, False),
        ({"rollout_state": "FAILED"}, True, False),
    ],
)
def test_when_the_breaker_trips(fields: dict[str, Any], reset: bool, trips: bool) -> None:
    breaker = replace(BREAKER, reset_on_healthy_task=reset)
    spec = service(
        2,
        deployment(1, failed_tasks=9, **fields),
        config=DeploymentConfiguration(circuit_breaker=breaker),
    )
    assert deployments.has_tripped(spec) is trips
    off = replace(spec, deployment_configuration=DeploymentConfiguration())
    assert not deployments.has_tripped(off)


def test_once_a_task_runs_failed_starts_count_no_more_and_failed_health_checks_do() -> None:
    lab = a_lab(2, circuit_breaker=BREAKER)
    lab.deploy(lab.service, WEB_3)
    lab.settle()
    first, *others = lab.tasks("PENDING")
    lab.report(others[0], "STOPPED", reason="CannotPullContainerError: no")
    assert lab.service.primary.failed_tasks == 1
    lab.report(first, "RUNNING")
    assert lab.service.primary.started
    for _ in range(4):
        lab.run(60)
        for task in lab.tasks("PENDING"):
            lab.report(task, "STOPPED", reason="CannotPullContainerError: no")
    assert lab.service.primary.failed_tasks == 1
    lab.put(replace(lab.tasks("RUNNING")[-1], health_status="UNHEALTHY"))
    lab.run(900)
    lab.start_pending()
    for _ in range(8):
        for task in lab.tasks("RUNNING"):
            if task.task_definition_arn.endswith(":3"):
                lab.put(replace(task, health_status="UNHEALTHY"))
        lab.run(61)
        lab.start_pending(), lab.stop_stopping()
    assert told(lab)[-1][0] == "ROLLBACK_SUCCESSFUL"


def test_a_healthy_task_resets_the_count_only_if_it_may() -> None:
    for reset, left in ((True, 0), (False, 2)):
        breaker = replace(BREAKER, reset_on_healthy_task=reset)
        lab = a_lab(3, circuit_breaker=breaker)
        lab.deploy(lab.service, WEB_2)
        lab.settle()
        one, two, three = lab.tasks("PENDING")
        lab.report(one, "STOPPED", reason="no")
        lab.report(two, "STOPPED", reason="no")
        lab.report(three, "RUNNING")
        lab.run(41)
        assert lab.service.primary.failed_tasks == left, reset


# Stages


@pytest.mark.parametrize(
    ("early", "rolling_back", "stages_", "enough"),
    [
        (None, False, ("SCALE_UP", "CLEAN_UP", "BAKE_TIME"), 10),
        (EarlySuccess(80, "BLOCKING"), False, ("SCALE_UP", "BAKE_TIME", "CLEAN_UP"), 8),
        (EarlySuccess(75, "DEFERRED"), False, ("SCALE_UP", "BAKE_TIME"), 8),
        (EarlySuccess(0, "DEFERRED"), False, ("SCALE_UP", "BAKE_TIME"), 1),
        (EarlySuccess(75, "DEFERRED"), True, ("SCALE_UP", "CLEAN_UP"), 10),
    ],
)
def test_the_stages_of_a_deployment(
    early: EarlySuccess | None, rolling_back: bool, stages_: tuple[str, ...], enough: int
) -> None:
    config = DeploymentConfiguration(early_success=early)
    assert stages.stages_of(config, rolling_back=rolling_back) == stages_
    assert stages.enough(config, 10, rolling_back=rolling_back) == enough
    assert stages.enough(config, 0, rolling_back=rolling_back) == 0


def _early(cleanup: str) -> Lab:
    """Ten tasks of a new revision, of which the first two never start; the bounds are 50 and 200."""
    early = EarlySuccess(80, cleanup)
    lab = a_lab(10, minimum_healthy_percent=50, early_success=early)
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    for task in lab.tasks("PENDING")[2:]:
        lab.report(task, "RUNNING")
    lab.run(41)
    return lab


def test_early_success_that_waits_for_the_cleanup() -> None:
    lab = _early("BLOCKING")
    assert told(lab)[-1][0] == "IN_PROGRESS"
    old = [task for task in lab.tasks() if task.task_definition_arn.endswith(":1")]
    assert not [task for task in old if task.wanted], "none waits for the last two substitutes"
    lab.stop_stopping()
    lab.settle()
    assert told(lab)[-1][0] == "SUCCESSFUL"
    assert releases(lab)[-1].target.running == 8
    assert (lab.service.primary.rollout_state, lab.service.steady) == ("COMPLETED", False)
    lab.converge()
    assert len(lab.tasks("RUNNING")) == 10 and lab.service.steady


def test_early_success_before_the_cleanup() -> None:
    lab = _early("DEFERRED")
    assert told(lab)[-1][0] == "SUCCESSFUL"
    assert (len(lab.service.deployments), lab.service.steady) == (2, False)
    lab.converge()
    assert len(lab.service.deployments) == 1 and lab.service.steady


# The history


def test_history_is_kept_for_ninety_days_and_goes_with_its_revisions() -> None:
    lab = a_lab(1)
    lab.run(86400)
    lab.deploy(lab.service, WEB_2)
    lab.converge()
    lab.run(89 * 86400 - 3600)
    assert len(releases(lab)) == 2
    lab.run(86400)
    assert [each.target.arn for each in releases(lab)] == [lab.service.primary.revision_arn]
    assert len(list(lab.store.all(ServiceRevision))) == 2, "the first is the other's source"
    lab.run(86400)
    assert releases(lab) == []
    assert [r.arn for r in lab.store.all(ServiceRevision)] == [lab.service.primary.revision_arn]


def test_a_service_has_so_many_and_no_more() -> None:
    lab = a_lab(1)
    (first,) = releases(lab)
    many = [
        replace(first, arn=f"{first.arn}{n}", target=replace(first.target, arn=f"{first.target.arn}{n}"))
        for n in range(KEPT)
    ]
    lab.put(*many)
    lab.deploy(lab.service, WEB_2)
    lab.converge()
    arns_left = {each.arn for each in lab.store.all(ServiceDeployment)}
    assert len(arns_left) == KEPT + 1
    assert first.arn not in arns_left and many[0].arn in arns_left


def test_a_deleted_services_history_goes_with_it() -> None:
    lab = a_lab(1)
    lab.deploy(lab.service, WEB_2)
    lab.put(replace(lab.service, status="DRAINING", desired_count=0))
    lab.put(service_deployments.deleted(releases(lab)[-1], now=lab.now))
    assert told(lab)[-1] == (
        "STOP_REQUESTED",
        "Service deployment stopped because the service is being deleted.",
    )
    lab.settle()
    lab.stop_stopping()
    lab.settle()
    assert (lab.service.status, releases(lab), list(lab.store.all(ServiceRevision))) == ("INACTIVE", [], [])


# Statuses


def test_a_status_never_goes_back() -> None:
    release = ServiceDeployment("arn", WEB, "c", RevisionCounts("r", "ecs-svc/1"))
    every = {*SUCCESSORS, *(to for successors in SUCCESSORS.values() for to in successors)}
    assert len(every) == 9
    for status, successors in SUCCESSORS.items():
        for to in every:
            before = replace(release, status=status)
            if to in successors:
                after = service_deployments.moved(before, to, now=NOW)
                assert (after.status, after.updated_at) == (to, NOW)
                assert (after.finished_at is None) is after.is_ongoing
            else:
                with pytest.raises(ValueError, match="cannot follow"):
                    service_deployments.moved(before, to, now=NOW)


@pytest.mark.parametrize(
    ("deployments_", "kept", "id"),
    [
        ((deployment(2), completed(1)), None, "ecs-svc/1"),
        ((deployment(3), deployment(2), completed(1)), None, "ecs-svc/1"),
        ((deployment(2),), completed(1), "ecs-svc/1"),
        ((deployment(2),), None, None),
        ((deployment(1),), completed(1), None),  # a rollback that fails has no other to return to
    ],
)
def test_what_a_rollback_returns_to(deployments_: tuple[Any, ...], kept: Any, id: str | None) -> None:
    found = failures.candidate(service(1, *deployments_, completed=kept))
    assert (found.id if found is not None else None) == id


def test_everything_is_found_again_by_a_new_reconciler() -> None:
    lab = alarmed(OK)
    lab.put(replace(releases(lab)[-1], status="ROLLBACK_REQUESTED"))
    lab.restarted().queue_everything()
    lab.settle()
    assert told(lab)[-1][0] == "ROLLBACK_IN_PROGRESS"
    lab.converge()
    lab.restarted()
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    lab.put(alarm(ALARM, "a0"))
    lab.settle()
    assert told(lab)[-1][0] == "ROLLBACK_IN_PROGRESS"


def test_a_service_from_before_there_was_a_history_is_deployed_as_ever() -> None:
    lab = Lab(definition(1), definition(2))
    lab.put(service(1, deployment(1, desired_count=1)))
    lab.converge()
    assert (lab.service.primary.rollout_state, releases(lab)) == ("COMPLETED", [])
    lab.deploy(lab.service, WEB_2)
    lab.converge()
    assert told(lab) == [("SUCCESSFUL", None)]
    assert isinstance(lab.service, Service)


def test_what_a_deployment_waits_for_and_how_the_last_one_ended_is_explained() -> None:
    lab = alarmed(OK, period=60, periods=5)
    for _ in range(3):
        lab.run(41)
        lab.start_pending(), lab.stop_stopping()
    lab.run(1)
    explained = explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert any(
        "Its tasks are healthy: it completes when alarm a0 stays quiet for 2" in line for line in explained
    )
    assert not [line for line in explained if "service deployment" in line]
    lab.put(alarm(ALARM, "a0"))
    lab.settle()
    explained = explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert (
        "Its newest service deployment is ROLLBACK_IN_PROGRESS: Service deployment rolled back because of"
        " CloudWatch alarms in ALARM: a0."
    ) in explained
