"""Every planted bug breaks an invariant within a few seeds: what the simulation guards, it guards."""

from __future__ import annotations

import pytest

from miniecs.sim.scenario import run

from .planted_bugs import BUGS
from .planting import must_catch

SEEDS = 12

CAUGHT_BY = {
    "floor_rounds_down": "our stops never go below minimumHealthyPercent",
    "ceiling_is_ignored": "our starts never go above maximumPercent",
    "late_reports_take_a_task_back": "lastStatus never goes back",
    "draining_instances_take_tasks": "tasks are placed on ACTIVE, connected instances",
    "lost_agents_get_tasks": "tasks are placed on ACTIVE, connected instances",
    "host_ports_are_not_accounted": "no host port twice",
    "memory_is_not_accounted": "no host holds more than it has",
    "tasks_stop_before_their_targets_are_drained": "no task is told to stop while it has targets",
    "protection_is_forgotten": "protected tasks are not stopped",
    "zones_are_never_balanced": "at rest zones are balanced",
    "rebalancing_stops_where_fewest_tasks_are": "rebalancing stops where most tasks are",
    "zones_of_every_service_are_balanced": "zones are rebalanced only where the service allows it",
    "pinned_images_are_sent_by_their_tags": "all tasks of a revision run the images",
    "digests_are_taken_from_whoever_told_last": "the images of a service revision are resolved once",
    "a_deployment_keeps_the_images_of_the_one_before": "a deployment resolves its image tags anew",
    "too_many_tasks_stay": "after the faults running = desired",
}
"""Where one invariant is bound to be the first that breaks; the others break several."""


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    must_catch(name, run, range(SEEDS), CAUGHT_BY.get(name, ""))
