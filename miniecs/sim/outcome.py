"""What came of a run: its failure, its counts, and the history that led there.

One form for every scenario, so that a batch can sum up runs of all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from miniecs.sim.broken import InvariantBroken
from miniecs.sim.record import Recorder
from miniecs.sim.rules import read
from miniecs.sim.task_set_rules import Reader
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


class Watch:
    """Whoever plays in a world is watched: what breaks first, and all that its users could see."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._recorder = Recorder(world.store, lambda: world.now)
        self._rules = Reader(world.timing.healthy_after)
        self._read = 0  # entries of the record
        self._failure = ""

    def play(self, play: Callable[[], None]) -> None:
        """Nothing is played any more once something is broken."""
        if not self._failure:
            try:
                play()
            except InvariantBroken as broken:
                self._failure = str(broken)
        entries = self._recorder.entries
        read(self._rules, entries[self._read :])
        self._read = len(entries)

    def outcome(self, seed: int, with_history: bool) -> Outcome:
        """What came of it, at its end."""
        world, recorder = self._world, self._recorder
        recorder.close()
        outcome = Outcome(seed, self._failure or "; ".join(map(str, self._rules.found[:3])))
        if outcome.failure or with_history:
            outcome.history = world.history.lines()
        outcome.actions, outcome.faults = world.history.actions, world.history.faults
        outcome.met = world.data_plane.met
        for found in (world.requests, world.releases, world.images):
            if found is not None:
                outcome.met += found.met
        outcome.services, outcome.deployments = recorder.services_and_deployments()
        outcome.commits = world.invariants.checks if world.invariants is not None else 0
        outcome.seconds = world.history.elapsed
        return outcome


def played(seed: int, world: World, play: Callable[[], None], with_history: bool) -> Outcome:
    """What came of playing in this world."""
    watch = Watch(world)
    watch.play(play)
    return watch.outcome(seed, with_history)
