"""The arithmetic of summaries, on samples that are made up and small enough to be done by hand."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.scenarios.recording import (
    DeploymentRecord,
    Recording,
    Sample,
    ServiceSample,
    TaskRecord,
    ZoneSample,
)
from miniecs.scenarios.summary import (
    Disruption,
    Rollout,
    Share,
    Use,
    Wait,
    disruption,
    is_lost,
    percentile,
    summary,
    use,
    wait,
)


def task(**changes: Any) -> TaskRecord:
    given: dict[str, Any] = {"id": "t", "definition": "web:1", "owner": "web", "of_service": True}
    return TaskRecord(**given | {"asked_at": 0.0, "created_at": 0.0} | changes)


def at(moment: float, **zones: ZoneSample) -> Sample:
    return Sample(moment, {}, zones)


def served(moment: float, desired: int, healthy: int, working: int | None = None, **more: Any) -> Sample:
    at_work = healthy if working is None else working
    floor = more.pop("floor", desired)
    return Sample(moment, {"web": ServiceSample(desired, floor, 0, at_work, healthy, at_work, **more)}, {})


def test_utilisation_is_weighted_by_time_and_by_what_there_is() -> None:
    samples = [
        at(0, a=ZoneSample(1, 1000, 100, 0, 50, 0), b=ZoneSample(1, 1000, 100, 1000, 0, 1)),
        at(30, a=ZoneSample(1, 1000, 100, 400, 50, 1)),  # zone b is gone
    ]
    # (1000 * 30 + 400 * 10) of (2000 * 30 + 1000 * 10); memory (50 * 30 + 50 * 10) of (200 * 30 + 100 * 10)
    assert use(samples, 40) == Use(Share(34 / 70, 0.5), Share(2000 / 7000, 0.5), 1.75, 1.0)
    assert use(samples, 40, "b") == Use(Share(1.0, 1.0), Share(0.0, 0.0), 0.75, 0.75)
    assert use([], 0) == Use(Share(0.0, 0.0), Share(0.0, 0.0), 0.0, 0.0)


def test_pending_time_counts_from_when_a_task_was_asked_for() -> None:
    ran = [2.0, 3.0, 4.0, 15.0]
    tasks = [task(asked_at=float(n), created_at=n + 1.0, running_at=ran[n]) for n in range(4)]
    assert wait([*tasks, task()]) == Wait(tasks=4, mean=4.5, p95=12.0, most=12.0, never=1)
    assert wait([]) == Wait(0, 0.0, 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("count", "percent", "place"), [(1, 95, 0), (20, 95, 18), (21, 95, 19), (100, 95, 94), (3, 0, 0)]
)
def test_percentiles_are_values_that_occurred(count: int, percent: float, place: int) -> None:
    assert percentile(list(range(count)), percent) == place


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, False),  # still there
        ({"stopped_at": 9.0, "stop_code": "EssentialContainerExited", "exit_code": 0}, True),
        ({"stopped_at": 9.0, "stop_code": "ServiceSchedulerInitiated"}, False),
        ({"stopped_at": 9.0, "stop_code": "UserInitiated"}, False),
        ({"stopped_at": 9.0, "stop_code": "TerminationNotice"}, True),
        ({"stopped_at": 9.0, "stop_code": "TerminationNotice", "running_at": None}, False),  # it never ran
        ({"stopped_at": 9.0, "exit_code": 0, "of_service": False}, False),  # its own end
        ({"stopped_at": 9.0, "exit_code": 1, "of_service": False}, True),
        ({"stopped_at": 9.0, "exit_code": None, "of_service": False}, True),
    ],
)
def test_a_task_is_lost_that_ran_and_that_nobody_stopped(changes: dict[str, Any], lost: bool) -> None:
    assert is_lost(task(**{"running_at": 1.0} | changes)) is lost


def test_a_service_misses_only_what_it_had() -> None:
    samples = [
        served(0, 3, 0),  # it begins
        served(10, 3, 3),
        served(20, 3, 3, working=1),  # two are lost, and ECS does not know
        served(25, 3, 1),
        served(31, 3, 3),
        served(40, 6, 3),  # it grows
        served(50, 6, 6),
        served(60, 2, 2),  # it shrinks
        served(70, 2, 1, working=2),  # a new revision's, not yet healthy
    ]
    assert disruption("web", samples, [task(), task(owner="other")], 75) == Disruption(
        lost=1, least=1, desired=3, below_floor=11.0 + 5.0, short=22.0, blocked=0.0
    )


def test_a_floor_of_less_than_all_is_what_counts() -> None:
    samples = [served(0, 4, 4, floor=2), served(10, 4, 2, floor=2), served(20, 4, 1, floor=2)]
    found = disruption("web", samples, [], 25)
    assert (found.below_floor, found.least, found.short) == (5.0, 1, 2 * 10 + 3 * 5)


def test_a_service_that_never_had_its_tasks_has_lost_none() -> None:
    samples = [served(0, 4, 0, blocked=True), served(10, 4, 2, blocked=True), served(12, 4, 3)]
    assert disruption("web", samples, [], 20) == Disruption(0, None, 0, 0.0, 0.0, 12.0)


def test_a_service_that_is_created_again_begins_again() -> None:
    samples = [served(0, 2, 2), Sample(10, {}, {}), served(20, 2, 0)]
    assert disruption("web", samples, [], 30) == Disruption(0, 2, 2, 0.0, 0.0, 0.0)


def test_the_whole_of_a_recording() -> None:
    recording = Recording("title", "v", 7, duration=60.0)
    recording.samples = [served(0, 1, 1)]
    recording.tasks = [task(running_at=2.0, stopped_at=9.0), task(owner="batch", of_service=False)]
    recording.deployments = [
        DeploymentRecord("1", "web", "web:1", 0.0, "COMPLETED", 42.0),
        DeploymentRecord("2", "web", "web:2", 50.0, failed_tasks=3),
    ]
    recording.refusals["RESOURCE:CPU"] = recording.refused = 5
    found = summary(recording)
    assert found.rollouts == (
        Rollout("web", "web:1", "COMPLETED", 42.0, 0),
        Rollout("web", "web:2", "IN_PROGRESS", 10.0, 3),
    )
    assert (found.lost, found.refused, found.failures) == (1, 5, {"": {"RESOURCE:CPU": 5}})
    assert {owner: (w.tasks, w.never) for owner, w in found.waits.items()} == {
        "": (1, 1),
        "web": (1, 0),
        "batch": (0, 1),
    }
