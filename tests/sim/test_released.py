"""Releases on simulated time: each ends as its settings say, every status is met, planted bugs are caught."""

from __future__ import annotations

from collections import Counter

import pytest

from miniecs.sim import release_invariants, rules
from miniecs.sim.release_invariants import STATUSES
from miniecs.sim.released import EXPECTED, RELEASES, run

from .planted_release_bugs import BUGS
from .planting import must_catch

SEEDS = 60
UNTIL_CAUGHT = 12
CAUGHT_BY = {
    "releases_do_not_end_with_their_deployments": release_invariants.TOGETHER,
    "a_stopped_release_is_pending_again": release_invariants.FORWARD,
    "revisions_are_not_kept": release_invariants.KNOWN,
    "the_breaker_never_trips": EXPECTED,
    "alarms_are_not_heard": release_invariants.HEARD,
    "what_users_ask_for_is_not_heard": release_invariants.HEARD,
    "there_is_no_bake_time": release_invariants.BAKED,
    "history_is_forgotten_at_once": release_invariants.REMEMBERED,
    "early_success_comes_too_early": rules.COMPLETE,
}
"""Where one rule is bound to be the first that breaks; the others break several."""


@pytest.mark.slow
def test_every_release_ends_as_its_settings_say_and_every_status_is_met() -> None:
    met: Counter[str] = Counter()
    for outcome in map(run, range(SEEDS)):
        assert outcome.failure == "", "\n".join([*outcome.history, f"{outcome.seed}: {outcome.failure}"])
        met += outcome.met
    assert {status: met[status] for status in STATUSES if met[status] < SEEDS // 4} == {}
    assert met["service deployment PENDING"] > RELEASES * SEEDS


def test_a_run_repeats_exactly() -> None:
    first, again = run(3, with_history=True), run(3, with_history=True)
    assert first == again
    assert first.failure == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    must_catch(name, run, range(UNTIL_CAUGHT), CAUGHT_BY.get(name, ""))
