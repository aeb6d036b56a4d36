"""One random run: a cluster, services, users who change their minds, and faults; then it must come to rest.

A run is decided by its seed alone. It ends when all invariants held all the time and what is
wanted at the end runs; or with the first one that was broken, and the history that led there.
"""

from __future__ import annotations

from collections.abc import Callable

from miniecs.sim import grouped
from miniecs.sim.bad_luck import BadLuck
from miniecs.sim.choices import Choices
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import KINDS, PROVIDED
from miniecs.sim.outcome import Outcome, played
from miniecs.sim.rest import Rest
from miniecs.sim.services import Services
from miniecs.sim.users import Users
from miniecs.sim.world import World

MIN_HOSTS = 20
FAULTS = 10  # in each run
SERVICES = 5
DEPLOYMENTS = 3  # at least, amid the faults
USER_STEPS = 3  # of any other sort
# What costs much and shows little is done less than by a server, in seconds:
SETTLE = 1.0  # that a service rests after a plan; a server's twentieth of that makes it plan half as often again
HEARTBEAT_EVERY = 50.0  # agents bear a silence of 60


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    outcome = Outcome(seed)
    choices = Choices(seed * 2 + 1)
    world = World(
        seed,
        hosts=MIN_HOSTS + choices.number(3),
        zones=3,
        types=("m5.large", "c5.xlarge"),
        timing=grouped.TIMING if grouped.is_grouped(seed) else None,
        settle=SETTLE,
        heartbeat_every=HEARTBEAT_EVERY,
    )
    return _as_large_as_promised(played(outcome, world, Run(world, choices).play, with_history))


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
    """The users and the bad luck of one run."""

    def __init__(self, world: World, choices: Choices) -> None:
        faults = Faults(world)
        self._world = world
        self._choices = choices
        self._services = Services(world, choices)
        self._users = Users(world, choices, self._services)
        self._bad_luck = BadLuck(world, choices, faults)
        self._rest = Rest(world, choices, faults, self._services, self._users)

    def play(self) -> None:
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
        steps: list[Callable[[], None]] = [
            *[self._users.act] * USER_STEPS,
            *[self._users.deploy] * DEPLOYMENTS,
            *[self._bad_luck.strike] * FAULTS,
        ]
        while steps:
            step = steps.pop(self._choices.number(len(steps)))
            step()
            # Half of what happens, happens in the middle of what the last step set going.
            world.run(self._choices.number((2_000, 30_000)[self._choices.number(2)]) / 1000)
            self._rest.check_explained()
        self._rest.come(DEPLOYMENTS)
