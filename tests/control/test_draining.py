"""Emptying a DRAINING instance: every minimum, maximum and count, with room elsewhere and without.

What must happen is said here by ECS's own sentences, as an end and as bounds on the way; what one step does
stands in tables, with the sentences that say why nothing moves.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import ceil, floor
from typing import Any

import pytest

from miniecs.control import deployments
from miniecs.control.explain import explain_service
from miniecs.control.messages import STUCK
from miniecs.control.plan import LaunchTasks, Say, StopTask
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import DeploymentConfiguration, Service
from miniecs.model.task import Task

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
from .lab import Lab
from .test_daemons import daemon
from .test_rolling import plan
from .test_task_sets import external, task_set

HERE, GOING = instance(1), instance(2, status="DRAINING")
SIZE = 128  # of a task, in CPU units and MiB

MINIMA = (0, 34, 50, 75, 100)
MAXIMA = (100, 125, 150, 200)


class Drain(Lab):
    """A steady service; some of its tasks are on an instance that begins to drain."""

    def __init__(self, desired: int, leaving: int, low: int, high: int, room: bool) -> None:
        spec = service(desired, completed(1, desired), low=low, high=high, steady=True)
        size: dict[str, Any] = {"reserved_cpu": SIZE, "reserved_memory": SIZE, "started_at": 0.0}
        tasks = [task(f"old{n}", on=2 if n < leaving else 1, **size) for n in range(desired)]
        staying = SIZE * (desired - leaving)
        super().__init__(spec, definition(), *tasks, instances=0)
        self.put(
            replace(HERE, cpu=4096 if room else staying, memory=4096 if room else staying),
            replace(GOING, status="ACTIVE"),
        )
        self.settle()
        assert self.plans == [], "it is steady before"
        self.lower = ceil(Fraction(desired * low, 100))
        self.upper = floor(Fraction(desired * high, 100))
        self.lowest, self.highest = desired, desired
        self.first = ""
        self.change(GOING, status="DRAINING")

    def _planned(self, key: Any, plan: Any) -> bool:
        for action in plan.actions:
            moves = isinstance(action, StopTask) or (isinstance(action, LaunchTasks) and action.count)
            if moves and not self.first:
                self.first = type(action).__name__
        return super()._planned(key, plan)

    def watch(self) -> None:
        healthy = [
            each
            for each in self.tasks("RUNNING")
            if each.wanted and each.started_at is not None and each.started_at + 40 <= self.now
        ]
        self.lowest = min(self.lowest, len(healthy))
        self.highest = max(self.highest, sum(not each.is_stopped for each in self.tasks()))

    def play(self) -> None:
        """Obedient agents for as long as it may take; every state in between is looked at."""
        quiet = 0
        while quiet < 3:  # rounds: longer than until a blocked placement is tried again
            quiet += 1
            for move in (self.start_pending, self.stop_stopping):
                self.run(1.0)
                self.watch()
                if move():
                    quiet = 0
            self.run(45.0)
            self.watch()

    @property
    def left(self) -> int:
        """Tasks on the DRAINING instance."""
        return sum(each.container_instance_arn == GOING.arn for each in self.tasks() if not each.is_stopped)

    @property
    def live(self) -> int:
        return sum(each.wanted for each in self.tasks("RUNNING"))


CASES = [
    (desired, leaving, low, high)
    for desired, low, high in product((1, 2, 3, 4), MINIMA, MAXIMA)
    for leaving in {1, desired}
]


@pytest.mark.parametrize(("desired", "leaving", "low", "high"), CASES)
def test_with_room_elsewhere_it_is_emptied_unless_the_bounds_allow_no_move(
    desired: int, leaving: int, low: int, high: int
) -> None:
    drain = Drain(desired, leaving, low, high, room=True)
    drain.play()
    assert drain.lowest >= drain.lower
    assert drain.highest <= max(drain.upper, desired)
    assert drain.live == desired
    stuck = drain.lower == desired == drain.upper
    assert drain.left == (leaving if stuck else 0)
    assert [text for text in drain.said() if STUCK in text] == [f"(service web) {STUCK}"] * stuck
    assert drain.service.steady is not stuck
    # A substitute comes first wherever maximumPercent has room for one.
    assert drain.first == ("" if stuck else "LaunchTasks" if drain.upper > desired else "StopTask")


@pytest.mark.parametrize(("desired", "leaving", "low", "high"), CASES)
def test_without_room_elsewhere_it_is_emptied_down_to_the_floor(
    desired: int, leaving: int, low: int, high: int
) -> None:
    """No start succeeds: tasks stop as far as minimumHealthyPercent lets them, and the others stay."""
    drain = Drain(desired, leaving, low, high, room=False)
    drain.play()
    assert drain.lowest >= drain.lower
    stopped = min(leaving, desired - drain.lower)
    assert (drain.live, drain.left) == (desired - stopped, leaving - stopped)
    # When room appears the service is whole again and the instance is emptied.
    drain.change(HERE, cpu=4096, memory=4096)
    drain.play()
    stuck = drain.lower == desired == drain.upper
    assert (drain.live, drain.left) == (desired, leaving if stuck else 0)


def test_back_to_active_ends_a_deadlock() -> None:
    drain = Drain(2, 1, 100, 100, room=True)
    drain.play()
    assert not drain.service.steady
    drain.change(GOING, status="ACTIVE")
    drain.play()
    assert drain.service.steady
    assert drain.left == 1
    assert not drain.launches()


@pytest.mark.parametrize(("low", "high"), [(50, 100), (100, 150)])
def test_other_bounds_end_a_deadlock(low: int, high: int) -> None:
    drain = Drain(2, 2, 100, 100, room=True)
    drain.play()
    assert drain.left == 2
    drain.put(replace(drain.service, deployment_configuration=DeploymentConfiguration(high, low)))
    drain.lower, drain.lowest = 1 if low == 50 else 2, 2
    drain.play()
    assert (drain.left, drain.live) == (0, 2)
    assert drain.lowest == drain.lower


# One step, by the tasks' health


def sick(name: str, **fields: Any) -> Task:
    return task(name, health_status="UNHEALTHY", **fields)


def fit(name: str, **fields: Any) -> Task:
    return task(name, health_status="HEALTHY", **fields)


def unsure(name: str, **fields: Any) -> Task:
    return task(name, health_status="UNKNOWN", **fields)


def starting(name: str, *, on: int = 2, **fields: Any) -> Task:
    return task(name, status="PENDING", on=on, **fields)


STEPS: list[tuple[str, int, int, int, list[Task], int, list[str]]] = [
    # what, desired, minimum, maximum, tasks, launched, stopped
    ("starts a substitute first", 2, 100, 200, [fit("a"), fit("b", on=2)], 1, []),
    ("as many as there is room for", 4, 100, 150, [fit(n, on=2) for n in "abcd"], 2, []),
    ("both at once", 4, 50, 150, [fit(n, on=2) for n in "abcd"], 2, ["a", "b"]),
    ("no room: stops first", 2, 50, 100, [fit("a"), fit("b", on=2)], 0, ["b"]),
    ("no room: down to the floor", 4, 50, 100, [fit(n, on=2) for n in "abcd"], 0, ["a", "b"]),
    ("no move", 2, 100, 100, [fit("a"), fit("b", on=2)], 0, []),
    ("no move by rounding", 3, 67, 133, [fit("a"), fit("b"), fit("c", on=2)], 0, []),
    ("the substitute is healthy", 2, 100, 200, [fit("a"), fit("b", on=2), fit("c")], 0, ["b"]),
    ("the substitute is not healthy yet", 2, 100, 200, [fit("a"), fit("b", on=2), unsure("c")], 0, []),
    ("the substitute is pending", 2, 100, 200, [fit("a"), fit("b", on=2), starting("c", on=1)], 0, []),
    ("pending: at once, whatever the bounds", 2, 100, 100, [fit("a"), starting("b")], 0, ["b"]),
    ("pending: its substitute comes with it", 2, 100, 200, [fit("a"), starting("b")], 1, ["b"]),
    ("pending, protected", 1, 100, 100, [starting("a", protection_expires_at=NOW + 9)], 0, ["a"]),
    ("unhealthy: a substitute first", 1, 100, 200, [sick("a", on=2)], 1, []),
    ("unhealthy, no room: it stops first", 2, 100, 100, [fit("a"), sick("b", on=2)], 0, ["b"]),
    ("unhealthy, no room: one at a time", 2, 100, 100, [sick("a", on=2), sick("b", on=2)], 0, ["a"]),
    ("not one more while one moves", 2, 100, 100, [sick("a", on=2), stopping("b", on=2)], 0, []),
    ("unhealthy goes, healthy stays", 2, 50, 100, [sick("a", on=2), fit("b", on=2)], 0, ["a"]),
    ("not healthy yet: by the running ones", 2, 50, 100, [unsure("a", on=2), fit("b")], 0, ["a"]),
    ("not healthy yet, and needed", 2, 100, 100, [unsure("a", on=2), fit("b")], 0, []),
    ("others that are not healthy do not count", 3, 34, 100, [fit("a", on=2), unsure("b"), fit("c")], 0, []),
    ("protected", 2, 50, 100, [fit("a", protection_expires_at=NOW + 9, on=2), fit("b")], 0, []),
    ("stopping ones take room", 2, 50, 100, [fit("a"), stopping("b", on=2)], 0, []),
    ("and a substitute when they are gone", 2, 50, 100, [fit("a")], 1, []),
    ("more than are wanted", 1, 100, 100, [fit("a"), fit("b", on=2)], 0, ["b"]),
    ("none is wanted", 0, 100, 100, [fit("b", on=2)], 0, ["b"]),
]


@pytest.mark.parametrize(
    ("desired", "low", "high", "tasks", "launched", "stopped"),
    [step[1:] for step in STEPS],
    ids=[step[0] for step in STEPS],
)
def test_one_step(
    desired: int, low: int, high: int, tasks: list[Task], launched: int, stopped: list[str]
) -> None:
    spec = service(desired, completed(1, desired), low=low, high=high)
    assert moves(spec, *tasks) == (launched, stopped)


@pytest.mark.parametrize(
    ("desired", "low", "high", "tasks", "launched", "stopped"),
    [step[1:] for step in STEPS if step[1]],
    ids=[step[0] for step in STEPS if step[1]],
)
def test_a_task_sets_step_is_that_of_a_service(
    desired: int, low: int, high: int, tasks: list[Task], launched: int, stopped: list[str]
) -> None:
    """Of 50 % of twice as many, beside another task set that none of it touches."""
    spec = external(2 * desired, low=low, high=high)
    other = [fit(f"other{n}", of=2) for n in range(desired)]
    sets = (task_set(1, scale=50, count=desired), task_set(2, scale=50, count=desired))
    assert moves(spec, *sets, *tasks, *other) == (launched, stopped)


def moves(spec: Service, *things: Any) -> tuple[int, list[str]]:
    """(how many tasks are launched, names of those that are stopped)"""
    view = FakeView(spec, definition(1, check=True), definition(2, check=True), HERE, GOING, *things)
    actions = plan(view).actions
    launched = sum(action.count for action in actions if isinstance(action, LaunchTasks))
    return launched, sorted(arns.name_of(each.task.arn) for each in actions if isinstance(each, StopTask))


@pytest.mark.parametrize(
    ("low", "high", "launched", "stopped"),
    [(100, 200, 2, []), (50, 100, 0, ["a"]), (100, 100, 0, []), (0, 100, 0, ["a", "b"])],
)
def test_in_the_middle_of_a_rolling_update_old_tasks_go_from_there_first(
    low: int, high: int, launched: int, stopped: list[str]
) -> None:
    spec = service(2, deployment(2, desired_count=2), completed(1, 2), low=low, high=high)
    assert moves(spec, fit("a", on=2), fit("b")) == (launched, stopped)


def test_the_load_balancers_word_counts_there_too() -> None:
    """Running is not healthy: what has no healthy target yet frees nobody."""
    spec = service(2, completed(1, 2, balanced=True), low=50, high=100)
    both = [fit("a", on=2), fit("b")]
    targets = [target(both[0], 1), target(both[1], 2, "initial")]
    assert moves(spec, group(), *both, *targets) == (0, [])
    assert moves(spec, group(), *both, targets[0], target(both[1], 2)) == (0, ["a"])


def test_what_finds_no_room_holds_the_drain_only_as_far_as_the_floor() -> None:
    since = deployment(1, rollout_state="COMPLETED", desired_count=2, blocked_until=NOW + 30)
    tasks = [fit("a", on=2), fit("b")]
    assert moves(service(2, since, low=50, high=200), *tasks) == (0, ["a"])
    assert moves(service(2, since, low=100, high=200), *tasks) == (0, [])


@pytest.mark.parametrize(("low", "stopped"), [(100, []), (50, ["a"]), (0, ["a", "b"])])
def test_a_failed_deployment_frees_the_instance_down_to_the_floor(low: int, stopped: list[str]) -> None:
    """It starts no substitutes, with a good one before it or without."""
    failed = deployment(2, rollout_state="FAILED", desired_count=2)
    there = [fit("a", of=2, on=2), fit("b", of=2, on=2)]
    assert moves(service(2, failed, low=low), *there) == (0, stopped)
    (reason,) = {
        each.because
        for each in plan(
            FakeView(service(2, failed, low=50), definition(2, check=True), GOING, *there)
        ).actions
        if isinstance(each, StopTask)
    }
    assert reason == (
        "its container instance is DRAINING; 2 of 2 healthy, minimumHealthyPercent 50 keeps 1: stops 1"
    )


# DAEMON

ALONE = task("alone", service_arn=None, deployment_id=None, on=2)
OTHERS = task("other", service_arn="arn:aws:ecs:us-east-1:000000000000:service/default/api", on=2)


@pytest.mark.parametrize("low", [0, 50, 100])
@pytest.mark.parametrize("high", [100, 200])
@pytest.mark.parametrize(
    ("there", "stopped"),
    [
        ([fit("a", on=2)], ["a"]),
        ([unsure("a", on=2)], ["a"]),
        ([sick("a", on=2)], ["a"]),
        ([fit("a", on=2, protection_expires_at=NOW + 9)], ["a"]),
        ([fit("a", on=2), ALONE], []),
        ([fit("a", on=2), OTHERS], []),
        ([fit("a", on=2), replace(OTHERS, desired_status="STOPPED")], []),
        ([sick("a", on=2), ALONE], ["a"]),
        ([starting("a"), ALONE], ["a"]),
    ],
)
def test_a_daemon_leaves_last_whatever_its_bounds(
    low: int, high: int, there: list[Task], stopped: list[str]
) -> None:
    """Nobody replaces it there, so that no floor can hold it: only ACTIVE instances count."""
    spec = daemon(completed(1, 1), low=low, high=high)
    assert moves(spec, fit("b"), *there) == (0, stopped)


# What is said


def told(spec: Service, *things: Any) -> list[str]:
    view = FakeView(spec, definition(1, check=True), definition(2, check=True), HERE, GOING, *things)
    return explain_service(view, spec, now=NOW, timing=TIMING)


def test_a_deadlock_is_explained_with_what_would_end_it() -> None:
    spec = service(3, completed(1, 3), low=67, high=133)
    tasks = [fit("a"), fit("b"), fit("c", on=2)]
    assert told(spec, *tasks) == [
        "Service web is ACTIVE: 3 tasks wanted; minimumHealthyPercent 67 keeps 3, maximumPercent 133"
        " allows 3.",
        "PRIMARY deployment ecs-svc/1 (web:1), COMPLETED: 2 healthy, 1 on DRAINING instances, 3 wanted.",
        "  1 task cannot start yet: 3 are there and at most 3 may be.",
        "  None can stop first: 3 are healthy and at least 3 must stay. Set maximumPercent to 134 or more, or"
        " minimumHealthyPercent to 66 or less.",
        "  Task c stays on its DRAINING container instance, which never drains with these bounds: set"
        " maximumPercent to 134 or more, or minimumHealthyPercent to 66 or less.",
    ]
    view = FakeView(spec, definition(1, check=True), HERE, GOING, *tasks)
    (said,) = [each for each in plan(view).actions if isinstance(each, Say)]
    assert (said.text, said.because) == (
        STUCK,
        "minimumHealthyPercent 67 keeps 3 and maximumPercent 133 allows 3: no task can stop first and none"
        " can start first; 1 cannot leave DRAINING container instances",
    )


@pytest.mark.parametrize("desired", range(1, 60))
def test_what_is_said_to_end_a_deadlock_ends_it(desired: int) -> None:
    """The nearest such bounds: one percent less of either would not do."""
    spec = service(desired, completed(1, desired), low=100, high=100)
    tasks = [fit(f"t{n}", on=2) for n in range(desired)]
    (line,) = [each for each in told(spec, *tasks) if "None can stop first" in each]
    found = re.search(r"maximumPercent to (\d+) or more, or minimumHealthyPercent to (\d+)", line)
    assert found is not None
    most, least = map(int, found.groups())
    for percent, upper in ((most, desired + 1), (most - 1, desired)):
        assert deployments.bounds(desired, DeploymentConfiguration(percent, 100))[1] == upper
    for percent, lower in ((least, desired - 1), (least + 1, desired)):
        assert deployments.bounds(desired, DeploymentConfiguration(100, percent))[0] == lower


BLOCKED = deployment(1, rollout_state="COMPLETED", desired_count=2, blocked_until=NOW + 30)
FAILED = deployment(2, rollout_state="FAILED", desired_count=1)


@pytest.mark.parametrize(
    ("spec", "things", "said"),
    [
        (
            service(2, completed(1, 2), low=100, high=200),
            [fit("a", on=2), fit("b")],
            "Task a leaves its DRAINING container instance once a healthy task has taken its place.",
        ),
        (
            service(2, completed(1, 2), low=50, high=100),
            [fit("a", on=2, protection_expires_at=NOW + 60), fit("b")],
            "Task a stays on its DRAINING container instance until its protection ends.",
        ),
        (
            service(2, BLOCKED, low=100, high=200),
            [fit("a", on=2), fit("b")],
            "Task a stays on its DRAINING container instance until a substitute finds room and is healthy;"
            " with a lower minimumHealthyPercent it would stop first.",
        ),
        (
            service(1, FAILED, low=100, high=200),
            [fit("a", of=2, on=2)],
            "Task a stays on its DRAINING container instance: its deployment has failed and starts no"
            " substitute, and at least 1 must stay. Update the service, or lower its minimumHealthyPercent.",
        ),
        (
            daemon(completed(1, 1)),
            [fit("a", on=2), ALONE],
            "Task a leaves its DRAINING container instance after all tasks that are no daemon's: 1 is there"
            " yet, 1 belongs to no service: nobody moves it, the drain waits until it ends or is stopped.",
        ),
        (
            daemon(completed(1, 1)),
            [fit("a", on=2), OTHERS],
            "Task a leaves its DRAINING container instance after all tasks that are no daemon's: 1 is there"
            " yet.",
        ),
    ],
)
def test_why_a_task_stays(spec: Service, things: list[Task | ContainerInstance], said: str) -> None:
    assert [line.strip() for line in told(spec, *things) if "DRAINING container" in line] == [said]
    assert moves(spec, *things)[1] == []


def test_a_task_set_that_cannot_leave_is_explained() -> None:
    spec = external(2, high=100)
    lines = told(spec, task_set(count=2), fit("a", on=2), fit("b"))
    assert lines[-1] == (
        "  Task a stays on its DRAINING container instance, which never drains with these bounds: set"
        " maximumPercent to 150 or more, or minimumHealthyPercent to 50 or less."
    )
