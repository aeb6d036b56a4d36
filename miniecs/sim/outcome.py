"""What came of a run: its failure, its counts, and the history that led there.

One form for every scenario, so that a batch can sum up runs of all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from miniecs.sim.broken import InvariantBroken
from miniecs.sim.record import Recorder
from miniecs.sim.task_set_rules import violations
from miniecs.sim.world import World


@dataclass
class Outcome:
    """How a run went. failure is '' when it went well. history: its last lines."""

    seed: int
    failure: str = ""
    history: list[str] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)  # situations of the load balancer
    commits: int = 0
    services: int = 0  # that were created
    deployments: int = 0  # of services that were there
    seconds: float = 0.0  # simulated


def played(outcome: Outcome, world: World, play: Callable[[], None], with_history: bool) -> Outcome:
    """What came of playing in this world."""
    recorder = Recorder(world.store, lambda: world.now)
    try:
        play()
    except InvariantBroken as broken:
        outcome.failure = str(broken)
    recorder.close()
    broken_rules = violations(recorder.entries, healthy_after=world.timing.healthy_after)
    outcome.failure = outcome.failure or "; ".join(map(str, broken_rules[:3]))
    if outcome.failure or with_history:
        outcome.history = world.history.lines()
    outcome.actions, outcome.faults = world.history.actions, world.history.faults
    outcome.met = world.data_plane.met
    if world.requests is not None:
        outcome.met += world.requests.met
    if world.releases is not None:
        outcome.met += world.releases.met
    if world.images is not None:
        outcome.met += world.images.met
    outcome.services, outcome.deployments = recorder.services_and_deployments()
    outcome.commits = world.invariants.checks if world.invariants is not None else 0
    outcome.seconds = world.history.elapsed
    return outcome
