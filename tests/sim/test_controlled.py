"""Task sets on simulated time: every situation is met, a run repeats exactly, planted bugs are caught."""

from __future__ import annotations

from collections import Counter

import pytest

from miniecs.sim import task_set_invariants as invariants
from miniecs.sim.controlled import run

from .planted_task_set_bugs import BUGS
from .planting import must_catch

SEEDS = 30
UNTIL_CAUGHT = 12
CAUGHT_BY = {
    "shares_are_computed_with_fractions_of_two": invariants.SHARE,
    "scaling_leaves_a_task_set_steady": invariants.STEADY,
    "running_is_healthy_whatever_checks_it": invariants.STEADY,
    "a_deleted_task_set_goes_with_its_tasks": invariants.GONE,
    "two_are_primary": invariants.ONE,
    "a_task_set_starts_more_than_it_may": invariants.CEILING,
    "healthy_tasks_go_before_their_substitutes": invariants.FLOOR,
}
"""Where one rule is bound to be the first that breaks; the others break several."""


@pytest.mark.slow
def test_every_situation_of_task_sets_is_met_and_none_goes_wrong() -> None:
    met: Counter[str] = Counter()
    for outcome in map(run, range(SEEDS)):
        assert outcome.failure == "", "\n".join([*outcome.history, f"{outcome.seed}: {outcome.failure}"])
        met += outcome.met + outcome.actions
    wanted = ("SetTaskSet", "Forget", *invariants.SITUATIONS)
    assert {name: met[name] for name in wanted if met[name] < SEEDS // 3} == {}


def test_a_run_repeats_exactly() -> None:
    first, again = run(3, with_history=True), run(3, with_history=True)
    assert first == again
    assert first.failure == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    must_catch(name, run, range(UNTIL_CAUGHT), CAUGHT_BY.get(name, ""))
