"""One random run: a cluster, services, users who change their minds, and faults; then it must come to rest.

A run is decided by its seed alone. It ends when all invariants held all the time and what is
wanted at the end runs; or with the first one that was broken, and the history that led there.
What many runs have in common is played once, and each of them goes on from it in a copy of the process: the
beginning, in which hosts join and services start, and the middle, which is ten of the sixteen steps that
follow. Of fewer seeds than there are beginnings, or middles, each has its own. The last one needs no copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

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

T = TypeVar("T")

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
MIDDLES = 4 * BEGINNINGS
_EARLY = 10  # steps of the middle, of DEPLOYMENTS + USER_STEPS + FAULTS


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    run = Run(seed % BEGINNINGS)
    run.go_on(seed % MIDDLES)
    return run.end(seed, with_history)


def runs(seeds: Sequence[int]) -> list[Outcome]:
    """The runs of seeds that have their beginning in common: it is played once, and each middle once."""
    beginning = Run(seeds[0] % BEGINNINGS)
    of_middles: dict[int, list[int]] = {}
    for seed in seeds:
        of_middles.setdefault(seed % MIDDLES, []).append(seed)
    parts = _each([partial(_ends, beginning, *middle) for middle in of_middles.items()])
    found = {outcome.seed: outcome for part in parts for outcome in part}
    return [found[seed] for seed in seeds]


def _ends(run: Run, middle: int, seeds: Sequence[int]) -> list[Outcome]:
    run.go_on(middle)
    return _each([partial(run.end, seed) for seed in seeds])


def _each(ways: Sequence[Callable[[], T]]) -> list[T]:
    """Go on in each of these ways from what there is now, which the last one may use up."""
    *others, last = ways
    return [*map(in_a_copy, others), last()]


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
        self._steps: list[Callable[[], None]] = [
            *[self._users.act] * USER_STEPS,
            *[self._users.deploy] * DEPLOYMENTS,
            *[self._strike] * FAULTS,
        ]
        self._watch = Watch(world)
        self._watch.play(self._begin)

    def go_on(self, middle: int) -> None:
        """Play the first steps of what happens, once."""
        self._draw_from(BEGINNINGS + middle)
        self._watch.play(partial(self._take_steps, _EARLY))

    def end(self, seed: int, with_history: bool = False) -> Outcome:
        """Play the rest, once."""
        self._draw_from(BEGINNINGS + MIDDLES + seed)
        self._watch.play(self._end)
        return _as_large_as_promised(self._watch.outcome(seed, with_history))

    def _draw_from(self, number: int) -> None:
        """What comes from now on is decided by this number, from which nothing was drawn before."""
        self._world.ids.begin_anew(2 * number)
        self._choices.begin_anew(2 * number + 1)

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

    def _take_steps(self, count: int) -> None:
        for _ in range(count):
            step = self._steps.pop(self._choices.number(len(self._steps)))
            step()
            # Half of what happens, happens in the middle of what the last step set going.
            self._world.run(self._choices.number((2_000, 30_000)[self._choices.number(2)]) / 1000)
            self._rest.check_explained()

    def _end(self) -> None:
        self._take_steps(len(self._steps))
        self._rest.come(DEPLOYMENTS)

    def _strike(self) -> None:
        """Some strokes of bad luck are two faults."""
        if self._world.history.faults.total() < FAULTS:
            self._bad_luck.strike()
