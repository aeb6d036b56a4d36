"""One random run: a cluster, services, users who change their minds, and faults; then it must come to rest.

A run is decided by its seed alone. It ends when all invariants held all the time and what is
wanted at the end runs; or with the first one that was broken, and the history that led there.
Before anything goes wrong, hosts have joined and services run: a third of the work. Of more seeds than
there are beginnings several share one, and each goes on from it in a copy of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from miniecs.sim import grouped
from miniecs.sim.bad_luck import BadLuck
from miniecs.sim.choices import Choices
from miniecs.sim.copies import in_a_copy
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import KINDS, PROVIDED
from miniecs.sim.outcome import Outcome, Watch
from miniecs.sim.rest import Rest
from miniecs.sim.services import Services
from miniecs.sim.users import Users
from miniecs.sim.world import World
from miniecs_agent.sim.engine import Latencies

MIN_HOSTS = 20
FAULTS = 10  # in each run
SERVICES = 5
DEPLOYMENTS = 3  # at least, amid the faults
USER_STEPS = 3  # of any other sort
LATENCIES = Latencies(pull=(0.5, 8.0), start=(0.1, 2.0), stop=(0.1, 3.0))  # slow: faults meet what goes on
# What costs much and shows little is done less than by a server, in seconds:
SETTLE = 2.0  # that a service rests after a plan; after a server's 0.05 it is planned half as often again
HEARTBEAT_EVERY = 50.0  # agents bear a silence of 60
BEGINNINGS = 500


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    return Run(seed % BEGINNINGS).go_on(seed, with_history)


def runs(seeds: Sequence[int]) -> Iterator[Outcome]:
    """The runs of seeds that have their beginning in common, which is played once."""
    beginning = Run(seeds[0] % BEGINNINGS)
    for seed in seeds:
        yield in_a_copy(partial(beginning.go_on, seed))


def _as_large_as_promised(outcome: Outcome) -> Outcome:
    """A run in which too little happened has shown too little."""
    faults = outcome.faults.total()
    if not outcome.failure and (
        outcome.services < SERVICES or outcome.deployments < DEPLOYMENTS or faults < FAULTS
    ):
        had = f"{outcome.services} services, {outcome.deployments} deployments and {faults} faults"
        outcome.failure = f"a run is as large as promised: only {had}"
    return outcome


class Run:
    """The users and the bad luck of one run, which begins as all runs do that have this beginning."""

    def __init__(self, beginning: int) -> None:
        choices = Choices(beginning * 2 + 1)
        world = World(
            beginning,
            hosts=MIN_HOSTS + choices.number(3),
            zones=3,
            types=("m5.large", "c5.xlarge"),
            timing=grouped.TIMING if grouped.is_grouped(beginning) else None,
            latencies=LATENCIES,
            settle=SETTLE,
            heartbeat_every=HEARTBEAT_EVERY,
        )
        faults = Faults(world)
        self._world = world
        self._choices = choices
        self._services = Services(world, choices)
        self._users = Users(world, choices, self._services)
        self._bad_luck = BadLuck(world, choices, faults)
        self._rest = Rest(world, choices, faults, self._services, self._users)
        self._watch = Watch(world)
        self._watch.play(self._begin)

    def go_on(self, seed: int, with_history: bool = False) -> Outcome:
        """Play to the end, once."""
        after = 2 * (BEGINNINGS + seed)  # no beginning has drawn from these
        self._world.ids.begin_anew(after)
        self._choices.begin_anew(after + 1)
        self._watch.play(self._play)
        return _as_large_as_promised(self._watch.outcome(seed, with_history))

    def _begin(self) -> None:
        world = self._world
        world.run(5.0)
        kinds = self._choices.some(KINDS, SERVICES)
        if grouped.is_grouped(world.seed):
            grouped.add_group(world, self._choices)
            kinds[:2] = [PROVIDED[0], self._choices.one((PROVIDED[1], kinds[0]))]
        for kind in kinds:
            self._services.create(kind)
        if grouped.is_grouped(world.seed):
            grouped.begin(world, self._choices)
        world.run(45.0 + self._choices.number(15))

    def _play(self) -> None:
        steps: list[Callable[[], None]] = [
            *[self._users.act] * USER_STEPS,
            *[self._users.deploy] * DEPLOYMENTS,
            *[self._strike] * FAULTS,
        ]
        while steps:
            step = steps.pop(self._choices.number(len(steps)))
            step()
            # Half of what happens, happens in the middle of what the last step set going.
            self._world.run(self._choices.number((2_000, 30_000)[self._choices.number(2)]) / 1000)
            self._rest.check_explained()
        self._rest.come(DEPLOYMENTS)

    def _strike(self) -> None:
        """Some strokes of bad luck are two faults."""
        if self._world.history.faults.total() < FAULTS:
            self._bad_luck.strike()
