"""Every bug between tasks and load balancer is caught within a few seeds, by the rule that forbids it."""

from __future__ import annotations

import pytest

from miniecs.sim.balanced import run
from miniecs.sim.requests import NO_FAILURE, NOT_SICK, ONLY_LOST
from miniecs.sim.target_invariants import AFTER_RUNNING, DRAINED, ONCE, REGISTERED, WHOLE_DELAY

from .planted_lb_bugs import BUGS
from .planting import first_failure, must_catch

SEEDS = 60

CAUGHT_BY = {
    "tasks_stop_without_draining": "no task is told to stop while it has targets",
    "targets_go_without_draining": DRAINED,
    "new_targets_go_without_draining": DRAINED,
    "the_deregistration_delay_is_ignored": WHOLE_DELAY,
    "tables_have_unhealthy_targets_as_healthy": NOT_SICK,
    "tables_have_new_targets_as_healthy": NOT_SICK,
    "tables_lack_draining_targets": NO_FAILURE,
    "targets_are_registered_before_their_tasks_run": AFTER_RUNNING,
    "targets_are_never_registered": REGISTERED,
    "old_tasks_stop_before_new_ones_are_healthy": "our stops never go below minimumHealthyPercent",
    "new_tasks_start_after_old_ones_have_stopped": "our stops never go below minimumHealthyPercent",
    "draining_begins_anew_when_the_control_plane_restarts": ONCE,
    "draining_counts_though_the_data_plane_never_heard_of_it": WHOLE_DELAY,
    "targets_go_before_the_data_plane_could_say_what_it_knows": WHOLE_DELAY,
    "changes_of_targets_are_not_told_to_the_data_plane": NO_FAILURE,
    "crashed_tasks_keep_their_targets_and_nothing_is_probed": ONLY_LOST,
    "failed_probes_are_not_counted": ONLY_LOST,
    "unhealthy_tasks_all_stop_at_once": NO_FAILURE,
    "the_proxy_fails_closed": NO_FAILURE,
    "the_proxy_ends_what_is_in_flight_as_a_target_drains": NO_FAILURE,
}
"""Where one rule is bound to be the first that breaks; the others break several."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    must_catch(name, run, range(SEEDS), CAUGHT_BY.get(name, ""))


@pytest.mark.slow
def test_requests_alone_catch_what_the_rules_about_targets_would_catch_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rules tell the cause; that clients suffer is what makes them rules."""
    for rule in ("_on_commit", "_check_registered"):
        monkeypatch.setattr(f"miniecs.sim.target_invariants.TargetInvariants.{rule}", lambda *_: None)
    monkeypatch.setattr("miniecs.sim.invariants.Invariants._on_commit", lambda *_: None)
    for name in (
        "tasks_stop_without_draining",
        "targets_go_without_draining",
        "new_targets_go_without_draining",
        "the_deregistration_delay_is_ignored",
        "new_tasks_start_after_old_ones_have_stopped",
        "tables_have_draining_targets_as_healthy",
        "draining_counts_though_the_data_plane_never_heard_of_it",
        "targets_go_before_the_data_plane_could_say_what_it_knows",
    ):
        with monkeypatch.context() as patch:
            BUGS[name](patch)
            caught = first_failure(run, range(SEEDS))
            assert caught.startswith(NO_FAILURE), f"{name}: {caught}"
