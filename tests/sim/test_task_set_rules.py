"""The checker's rules of task sets: a good history breaks none, for each there is one that breaks it, and it
sees planted bugs by itself, with the invariants of simulated task sets looking away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from miniecs.sim import controlled, outcome, rules, task_set_rules
from miniecs.sim.controlled import run
from miniecs.sim.task_set_rules import violations

from .planted_task_set_bugs import BUGS
from .test_rules import SERVICE, Record, target

BLUE, GREEN = "ecs-svc/1", "ecs-svc/2"
SEEDS = 12


class SetRecord(Record):
    """A service of four tasks for an EXTERNAL controller, with no task set yet."""

    def __init__(self, **service: Any) -> None:
        super().__init__(
            **{"desiredCount": 4, "deploymentController": "EXTERNAL", "deployments": [], **service}
        )
        self.sets: dict[str, dict[str, Any]] = {}

    def has(self, id: str = BLUE, **now: Any) -> Self:
        """A task set as it now is."""
        self.sets[id] = {**_NEW, "taskSetArn": f"arn of {id}", "id": id, **self.sets.get(id, {}), **now}
        return self.enter(taskSets=[self.sets[id]])

    def steady(self, *names: str, id: str = BLUE, count: int = 4) -> Self:
        """A whole task set that has come up."""
        self.has(id).has(id, computedDesiredCount=count).runs(*names, by=id)
        return self.has(id, stabilityStatus="STEADY_STATE")

    def goes(self, id: str) -> Self:
        return self.enter(gone=[f"arn of {id}"])

    @property
    def broken(self) -> list[str]:
        return [each.rule for each in violations(self.entries)]


_NEW = {
    "serviceArn": SERVICE, "status": "ACTIVE", "scale": 100.0, "computedDesiredCount": 0,
    "stabilityStatus": "STABILIZING", "loadBalancers": 0,
}  # fmt: skip


def up() -> SetRecord:
    return SetRecord().steady(*"abcd").has(status="PRIMARY")


def test_a_swap_from_blue_to_green_breaks_no_rule() -> None:
    record = up()
    record.says(rules.STEADY)
    record.has(GREEN, scale=33.3).has(GREEN, computedDesiredCount=2).runs("e", "f", by=GREEN)
    record.has(GREEN, stabilityStatus="STEADY_STATE")
    record.has(GREEN, scale=100.0, stabilityStatus="STABILIZING").has(GREEN, computedDesiredCount=4)
    record.runs("g", "h", by=GREEN).has(GREEN, stabilityStatus="STEADY_STATE")
    record.enter(taskSets=[{**record.sets[BLUE], "status": "ACTIVE"}]).enter(after=0.0)
    record.has(status="ACTIVE").has(GREEN, status="PRIMARY")
    record.has(status="DRAINING", stabilityStatus="STABILIZING", computedDesiredCount=0)
    record.scaled_away(*"abcd").stopped(*"abcd").enter(
        messages=[{"service": SERVICE, "text": rules.STEADY}], gone=[f"arn of {BLUE}"]
    )
    assert [str(each) for each in violations(record.entries)] == []


BROKEN: dict[str, list[Callable[[], Record]]] = {
    task_set_rules.SHARE: [
        lambda: SetRecord().has(scale=66.6).has(computedDesiredCount=2),
        lambda: SetRecord().has(computedDesiredCount=4).has(status="DRAINING").has(computedDesiredCount=1),
    ],
    task_set_rules.SETTLED: [
        lambda: SetRecord().steady("a", "b", "c"),
        lambda: SetRecord().steady(*"abcde"),
        lambda: SetRecord().has(computedDesiredCount=4).runs(*"abcd").task("e", startedBy=BLUE)
        .has(stabilityStatus="STEADY_STATE"),
        # All RUNNING, and one on an instance that it has to leave.
        lambda: SetRecord().has(computedDesiredCount=4).runs(*"abcd")
        .enter(instances=[{"containerInstanceArn": "i-1", "status": "DRAINING"}])
        .has(stabilityStatus="STEADY_STATE"),
        # All RUNNING, and not healthy: by their own checks, and by their targets.
        lambda: SetRecord().enter(definitions=[{"taskDefinitionArn": "web:1", "hasHealthCheck": True}])
        .steady(*"abcd"),
        lambda: SetRecord(desiredCount=1).has(loadBalancers=1, computedDesiredCount=1).runs("a")
        .enter(targets=[target("a", "initial")]).has(stabilityStatus="STEADY_STATE"),
        # Scaled, by the service and by the task set, and told to be steady for a while yet.
        lambda: up().serves(desiredCount=5),
        lambda: up().has(scale=50.0),
        lambda: up().has(status="DRAINING"),
    ],
    task_set_rules.SET_LIFE: [
        lambda: up().has(status="DRAINING", stabilityStatus="STABILIZING").has(status="ACTIVE"),
        lambda: SetRecord().has(status="DRAINING"),
        lambda: up().has(status="DRAINING", stabilityStatus="STABILIZING").task("e", startedBy=BLUE),
        lambda: up().task("e", startedBy=GREEN),
        lambda: up().has(status="DRAINING", stabilityStatus="STABILIZING").goes(BLUE),
        lambda: SetRecord().has().goes(BLUE),
    ],
    task_set_rules.SETS: [
        lambda: up().has(GREEN, status="PRIMARY"),
        lambda: [record := SetRecord(), *(record.has(f"ecs-svc/{n}") for n in range(6))][0],
    ],
    rules.FLOOR: [
        lambda: up().scaled_away("a"),
        # There are healthy ones enough, of another task set.
        lambda: up().steady(*"efgh", id=GREEN).scaled_away("a"),
    ],
    rules.CEILING: [
        lambda: SetRecord(desiredCount=1).has().task("a", "b", "c", startedBy=BLUE),
        # There is room for them, for another task set.
        lambda: SetRecord(desiredCount=1).has().has(GREEN).task("a", "b", "c", startedBy=BLUE),
    ],
    rules.STEADY_SAID: [
        lambda: SetRecord().says(rules.STEADY),
        lambda: up().has(GREEN).says(rules.STEADY),
        lambda: up().steady("e", "f", "g", "h", id=GREEN)
        .has(GREEN, status="DRAINING", stabilityStatus="STABILIZING").says(rules.STEADY),
    ],
    rules.SERVICE_LIFE: [lambda: up().serves(status="DRAINING").task("e", startedBy=BLUE)],
}  # fmt: skip


def test_every_rule_of_task_sets_has_a_history_that_breaks_it() -> None:
    assert set(task_set_rules.RULES) - set(rules.RULES) <= set(BROKEN)


@pytest.mark.parametrize(
    ("rule", "history"),
    [pytest.param(rule, each, id=f"{rule} {n}") for rule in BROKEN for n, each in enumerate(BROKEN[rule])],
)
def test_a_broken_rule_is_told(rule: str, history: Callable[[], Record]) -> None:
    assert rule in history().broken


def test_what_a_deleted_service_takes_along_is_nobodys_business() -> None:
    record = up()
    record.serves(status="DRAINING").has(status="DRAINING").scaled_away(*"abcd")
    record.serves(status="INACTIVE").goes(BLUE)
    assert record.broken == []


@pytest.mark.parametrize(
    ("scale", "desired", "count"), [(66.6, 10, 7), (50.0, 3, 2), (0.1, 1, 1), (0.0, 9, 0), (99.9, 1000, 999)]
)
def test_share(scale: float, desired: int, count: int) -> None:
    assert task_set_rules.share({"desiredCount": desired}, {"status": "ACTIVE", "scale": scale}) == count


def test_the_checker_knows_nothing_of_ours() -> None:
    lines = Path(task_set_rules.__file__).read_text().splitlines()
    first, second = (line for line in lines if line.startswith(("import ", "from ")) and "miniecs" in line)
    assert first == "from miniecs.sim import rules" and second.startswith("from miniecs.sim.rules import ")


class Blind:
    """Invariants of task sets that see nothing, so that a run goes on for longer."""

    def __init__(self, world: object) -> None:
        self.met: Counter[str] = Counter()

    def check_at_rest(self) -> None:
        """As it may be."""


CAUGHT_BY = {
    "shares_are_rounded_down": task_set_rules.SHARE,
    "shares_are_computed_with_fractions_of_two": task_set_rules.SHARE,
    "scaling_leaves_a_task_set_steady": task_set_rules.SETTLED,
    "running_is_healthy_whatever_checks_it": task_set_rules.SETTLED,
    "a_deleted_task_set_goes_with_its_tasks": task_set_rules.SET_LIFE,
    "two_are_primary": task_set_rules.SETS,
    "a_task_set_starts_more_than_it_may": rules.CEILING,
    "healthy_tasks_go_before_their_substitutes": rules.FLOOR,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUGHT_BY)
def test_a_planted_bug_is_seen_in_the_record(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else may have noticed it, the checker does, from the record alone."""
    seen: Counter[str] = Counter()

    class Heard(task_set_rules.Reader):
        def _break(self, rule: str, what: str) -> None:
            seen[rule] += 1
            super()._break(rule, what)

    monkeypatch.setattr(controlled, "TaskSetInvariants", Blind)
    monkeypatch.setattr(outcome, "Reader", Heard)
    assert not run(0).failure and not seen
    BUGS[name](monkeypatch)
    for seed in range(SEEDS):
        run(seed)
        if seen[CAUGHT_BY[name]]:
            return
    raise AssertionError(f"{name} went unnoticed in {SEEDS} seeds; what was seen: {seen}")
