"""Auto Scaling groups in random runs: planted bugs are caught, and runs are as large as promised."""

from __future__ import annotations

import pytest

from miniecs.sim import group_invariants as rules
from miniecs.sim import grouped
from miniecs.sim.scenario import DEPLOYMENTS, SERVICES, run

from .planted_group_bugs import BUGS
from .planting import must_catch

UNTIL_CAUGHT = 12
SEEDS = [seed for seed in range(100) if grouped.is_grouped(seed)]
CAUGHT_BY = {
    "waiting_tasks_take_any_instance": rules.ON_ITS_OWN,
    "strategies_are_forgotten": rules.OF_THE_STRATEGY,
    "groups_are_asked_for_more_than_their_maximum": rules.WITHIN_SIZES,
    "groups_launch_beyond_their_maximum": rules.NO_MORE,
    "instances_end_with_their_tasks": rules.EMPTIED,
    "termination_protection_is_forgotten": rules.PROTECTED,
    "tasks_wait_for_ever": rules.NOT_FOREVER,
    "groups_do_not_shrink": rules.AS_NEEDED,
    "machines_outlive_their_instances": rules.ONE_EACH,
}


def test_a_run_with_a_group_holds_and_repeats_exactly() -> None:
    first, again = run(SEEDS[0], with_history=True), run(SEEDS[0], with_history=True)
    assert first == again
    assert first.failure == ""
    assert first.actions["LaunchInstances"]


def test_every_run_has_its_services_and_deployments() -> None:
    for outcome in map(run, range(20, 26)):
        assert outcome.failure == ""
        assert outcome.services == SERVICES
        assert outcome.deployments >= DEPLOYMENTS


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    must_catch(name, run, SEEDS[:UNTIL_CAUGHT], CAUGHT_BY.get(name, ""))
