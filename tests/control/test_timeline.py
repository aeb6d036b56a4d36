"""Timelines of deployments: hand-made events whose counts can be told by heart, and a whole history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from miniecs.control import timeline
from miniecs.control.census import take
from miniecs.control.lives import AGE, CONTAINERS, NOT_TOLD, STATES, TARGETS, Health
from miniecs.control.timeline import Timeline
from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.load_balancing import Target
from miniecs.model.service import CircuitBreaker, DeploymentConfiguration, Revision
from miniecs.model.task import Task

from .cases import SCOPE, definition, service, task
from .lab import WEB, Lab

BY_AGE = {"ecs-svc/1": Health(AGE, 40.0), "ecs-svc/2": Health(AGE, 40.0)}


def was(at: float, of: Task, **fields: Any) -> Event:
    return Event(EventKind.TASK, of.arn, at, state=replace(of, **fields))


def happened(at: float, name: str, id: str = "", reason: str = "") -> Event:
    kind = EventKind.DEPLOYMENT if id else EventKind.SERVICE_ACTION
    return Event(kind, WEB, at, name=name, id=id, reason=reason)


def tell(*events: Event, tasks: Any = (), health: Mapping[str, Health] = BY_AGE, **more: Any) -> Timeline:
    given = {"since": 0.0, "now": 1000.0, "quiet": 600.0} | more
    return timeline.tell(events, tasks, WEB, health, **given)


def at(told: Timeline, moment: float, id: str) -> dict[str, int]:
    """The counts that hold at a moment, without zeros."""
    n = max(n for n, time in enumerate(told.times) if time <= moment)
    return {state: told.counts[id][state][n] for state in STATES if told.counts[id][state][n]}


A = task("a", 1, "PENDING", created_at=100.0, started_at=None)
ID = A.deployment_id or ""
LIFE = (
    was(100, A),
    was(110, A, last_status="RUNNING", started_at=110.0),
    was(200, A, last_status="RUNNING", started_at=110.0, desired_status="STOPPED", stopping_at=200.0),
    was(230, A, last_status="STOPPED", started_at=110.0, desired_status="STOPPED", stopped_at=230.0),
)


@pytest.fixture(autouse=True)
def of_deployment_1() -> None:
    assert (ID, A.service_arn) == ("ecs-svc/1", WEB)


def test_a_task_goes_through_its_states() -> None:
    told = tell(*LIFE)
    assert told.times[:5] == (100, 110, 150, 200, 230)
    found = [at(told, moment, ID) for moment in (100, 109, 110, 149, 150, 199, 200, 230)]
    assert found == [
        {"starting": 1}, {"starting": 1}, {"settling": 1}, {"settling": 1},
        {"healthy": 1}, {"healthy": 1}, {"stopping": 1}, {},
    ]  # fmt: skip
    assert told.definitions == {ID: "web:1"}


def test_what_is_still_to_come_is_not_told() -> None:
    told = tell(*LIFE[:2], now=130.0)
    assert (told.times[-1], at(told, 130, ID)) == (130.0, {"settling": 1})


def test_a_task_that_stops_before_it_is_healthy_never_was() -> None:
    stopped = was(120, A, last_status="STOPPED", started_at=110.0, stopped_at=120.0)
    told = tell(*LIFE[:2], stopped)
    assert not any(told.counts[ID]["healthy"])
    assert at(told, 120, ID) == {}


def test_container_health_is_as_it_was_reported_and_the_grace_period_counts() -> None:
    running = {"last_status": "RUNNING", "started_at": 110.0}
    told = tell(
        LIFE[0],
        was(110, A, **running),
        was(115, A, **running, health_status="UNHEALTHY"),
        was(180, A, **running, health_status="HEALTHY"),
        was(300, A, **running, health_status="UNHEALTHY"),
        health={ID: Health(CONTAINERS, grace=60.0)},
    )
    found = [at(told, moment, ID) for moment in (110, 115, 169, 170, 180, 300)]
    assert found == [
        {"settling": 1}, {"settling": 1}, {"settling": 1}, {"unhealthy": 1}, {"healthy": 1}, {"unhealthy": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("health", [{ID: Health(NOT_TOLD)}, {}])
def test_behind_target_groups_tasks_are_only_running(health: Mapping[str, Health]) -> None:
    told = tell(*LIFE, health=health)
    assert [at(told, moment, ID) for moment in (110, 150, 200)] == [
        {"running": 1}, {"running": 1}, {"stopping": 1},
    ]  # fmt: skip


BALANCED = {ID: Health(TARGETS, grace=60.0, groups=("one", "two"))}


def target(at: float, group: str, state: str) -> Event:
    return Event(EventKind.TARGET, A.arn, at, name=state, reason=group)


def test_behind_target_groups_a_task_is_healthy_when_all_its_targets_are() -> None:
    told = tell(
        *LIFE[:2],
        target(120, "one", "healthy"),
        target(130, "two", "unhealthy"),
        target(180, "two", "healthy"),
        target(190, "one", "draining"),  # somebody deregistered it
        *LIFE[2:],
        health=BALANCED,
    )
    found = [at(told, moment, ID) for moment in (110, 120, 130, 169, 170, 180, 190, 200, 230)]
    assert found == [
        {"settling": 1}, {"settling": 1}, {"settling": 1}, {"settling": 1}, {"unhealthy": 1},
        {"healthy": 1}, {"settling": 1}, {"stopping": 1}, {},
    ]  # fmt: skip


def test_with_both_kinds_of_checks_both_count() -> None:
    health = {ID: Health(TARGETS, groups=("one",), checked=True)}
    running = {"last_status": "RUNNING", "started_at": 110.0}
    healthy = was(140, A, **running, health_status="HEALTHY")
    told = tell(*LIFE[:2], target(120, "one", "healthy"), healthy, health=health)
    assert [at(told, moment, ID) for moment in (120, 139, 140)] == [
        {"settling": 1}, {"settling": 1}, {"healthy": 1},
    ]  # fmt: skip


def test_targets_of_which_no_event_is_left_are_as_they_were_or_not_told_of() -> None:
    health = {ID: Health(TARGETS, groups=("one",))}
    running = replace(A, last_status="RUNNING", started_at=110.0)
    now = Target("one", "i-1", 80, state="healthy", task_arn=A.arn)
    assert at(tell(tasks=[running], targets=[now], since=120.0, health=health), 120, ID) == {"healthy": 1}
    told = tell(*LIFE[2:], since=150.0, health=health)  # its target is gone, and what was told of it
    assert at(told, 150, ID) == {"running": 1}
    told = tell(target(160, "one", "unhealthy"), *LIFE[2:], since=150.0, health=health)
    assert [at(told, moment, ID) for moment in (150, 160)] == [{"running": 1}, {"unhealthy": 1}]


def test_other_services_are_left_out() -> None:
    foreign = replace(A, service_arn=arns.service(SCOPE, "default", "api"))
    told = tell(was(100, foreign), happened(50, "SERVICE_SOMETHING", "ecs-svc/1"), tasks=[foreign])
    assert (told.counts, told.happenings, told.times) == ({}, (), (1000.0,))


def test_tasks_whose_events_were_dropped_are_known_by_their_own_times() -> None:
    old = replace(A, last_status="RUNNING", started_at=110.0)
    told = tell(tasks=[old], since=120.0)
    assert told.times[0] == 120.0
    assert [at(told, moment, ID) for moment in (120, 149, 150)] == [
        {"settling": 1}, {"settling": 1}, {"healthy": 1},
    ]  # fmt: skip
    told = tell(LIFE[3], since=190.0)
    assert at(told, 190, ID) == {"healthy": 1}
    only_stop = replace(LIFE[3], state=replace(A, last_status="STOPPED", started_at=110.0, stopping_at=200.0))
    assert at(tell(only_stop, since=190.0), 200, ID) == {"stopping": 1}


def test_what_happened_before_anything_is_known_is_not_told() -> None:
    began = happened(100, "SERVICE_DEPLOYMENT_IN_PROGRESS", ID)
    assert [each.kind for each in tell(began, *LIFE).happenings] == ["began"]
    assert tell(began, *LIFE, since=105.0).happenings == ()


def test_happenings_in_words_and_a_failure_before_its_rollback() -> None:
    back = "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1."
    told = tell(
        happened(1, "SERVICE_DEPLOYMENT_IN_PROGRESS", "ecs-svc/1", "in progress"),
        happened(2, "SERVICE_DEPLOYMENT_COMPLETED", "ecs-svc/1"),
        happened(2, "SERVICE_STEADY_STATE"),
        happened(3, "SERVICE_DEPLOYMENT_IN_PROGRESS", "ecs-svc/2"),
        happened(4, "SERVICE_DEPLOYMENT_IN_PROGRESS", "ecs-svc/1", back),
        happened(4, "SERVICE_DEPLOYMENT_FAILED", "ecs-svc/2", "tasks failed to start."),
    )
    assert [(each.at, each.kind, each.deployment_id) for each in told.happenings] == [
        (1, "began", "ecs-svc/1"),
        (2, "completed", "ecs-svc/1"),
        (2, "steady", ""),
        (3, "began", "ecs-svc/2"),
        (4, "failed", "ecs-svc/2"),
        (4, "rollback", "ecs-svc/1"),
    ]
    assert list(told.counts) == ["ecs-svc/1", "ecs-svc/2"]
    assert told.happenings[4].reason == "tasks failed to start."


def test_a_rollback_that_is_complete_at_once_begins_before() -> None:
    back = "ECS deployment stopped by the user: rolling back to deploymentId ecs-svc/1."
    told = tell(
        happened(4, "SERVICE_DEPLOYMENT_IN_PROGRESS", "ecs-svc/1", back),
        happened(4, "SERVICE_DEPLOYMENT_FAILED", "ecs-svc/2"),
        happened(4, "SERVICE_DEPLOYMENT_COMPLETED", "ecs-svc/1"),
    )
    assert [each.kind for each in told.happenings] == ["failed", "rollback", "completed"]


def test_a_story_begins_after_the_last_long_quiet() -> None:
    b = replace(A, arn=A.arn + "b", deployment_id="ecs-svc/2", created_at=5000.0)
    new = (was(5000, b), was(5010, b, last_status="RUNNING", started_at=5010.0))
    told = tell(*LIFE[:2], *new, now=9000.0)
    assert 4990 < told.times[0] < 5000  # the first one became healthy at 150, and nothing happened until 5000
    assert 5050 < told.times[-1] < 5060
    assert at(told, told.times[0], ID) == {"healthy": 1}
    # A task that has been starting all the while is no quiet.
    assert tell(LIFE[0], *new, now=9000.0).times[0] == 100
    assert tell(*LIFE[:2], *new, now=9000.0, quiet=6000.0).times[0] == 100


def test_many_changes_keep_so_many_moments_and_the_last_counts() -> None:
    tasks = [replace(A, arn=f"{A.arn}{n}", created_at=100 + n / 100) for n in range(3000)]
    told = tell(*(was(each.created_at, each) for each in tasks))
    assert 2 < len(told.times) <= timeline.MOST_TIMES + 2
    assert told.counts[ID]["starting"][-1] == 3000


def test_a_rollback_of_the_real_loops_ends_as_the_census_counts_and_twice_the_same() -> None:
    breaker = DeploymentConfiguration(circuit_breaker=CircuitBreaker(enable=True, rollback=True))
    lab = Lab(definition(1), definition(2))
    lab.deploy(replace(service(4, config=breaker), deployments=()))
    lab.converge()
    first = lab.service.primary.id
    lab.deploy(lab.service, Revision(arns.task_definition(SCOPE, "web", 2)))
    second = lab.service.primary.id
    for _ in range(40):
        lab.run(60)
        for each in lab.tasks("PENDING"):
            lab.report(each, "STOPPED", exit_code=1)
        lab.stop_stopping()
        if lab.service.primary.id == first:
            break
    lab.converge()
    events = lab.store.events(
        kinds=(EventKind.TASK, EventKind.DEPLOYMENT, EventKind.SERVICE_ACTION), limit=9999
    )
    health = {first: Health(AGE, 40.0), second: Health(AGE, 40.0)}

    def told() -> Timeline:
        tasks = lab.store.find(Task, "service", WEB)
        return timeline.tell(events, tasks, WEB, health, since=0.0, now=lab.now, quiet=6000.0)

    made = told()
    assert made == told()
    counted = take(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert at(made, lab.now, first) == {"healthy": len(counted.cohorts[0].healthy)} == {"healthy": 4}
    assert at(made, lab.now, second) == {}
    assert max(made.counts[second]["starting"]) > 0
    assert not any(made.counts[second]["healthy"])
    kinds = [(each.kind, each.deployment_id) for each in made.happenings if each.deployment_id]
    assert ("failed", second) in kinds and ("rollback", first) in kinds
