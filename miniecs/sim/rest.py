"""The end of a random run: no more faults, only what can run is wanted, and everything must end as wanted.

That nothing bad happened on the way says little if what is wanted never comes to be.
"""

from __future__ import annotations

from typing import Any

from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.sim import grouped
from miniecs.sim.choices import Choices
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import GOOD_IMAGE, Kind
from miniecs.sim.services import Services
from miniecs.sim.users import Users
from miniecs.sim.world import World

REST_LIMIT = 2400.0  # seconds after the last fault until everything must be as wanted


class Rest:
    """Brings a world to rest, and sees whether it is as it should be."""

    def __init__(
        self, world: World, choices: Choices, faults: Faults, services: Services, users: Users
    ) -> None:
        self._world = world
        self._choices = choices
        self._faults = faults
        self._services = services
        self._users = users

    def come(self, deployments: int) -> None:
        """No more faults, only good images and hosts that may be used: everything must end as wanted.

        What runs well is left as the faults left it, unless there were fewer deployments than these.
        """
        world = self._world
        self._faults.heal()
        world.run(100.0)  # hosts that were lost are noticed and replaced, the control plane is up
        world.run_until(lambda: world.is_up, limit=200.0)
        if world.invariants is not None:
            world.invariants.check_reported()
        self.check_explained()
        self._users.undrain()
        self._services.set_alarms("OK")
        has_group = grouped.is_grouped(world.seed)
        if has_group:
            grouped.end_standalone(world)
        for kind in self._services.by_name.values():
            if wanted := self._wanted(kind, deployments):
                self._services.update(kind, **wanted)
        self._rest()
        if self._choices.number(6):
            return
        for kind in self._services.by_name.values():
            if kind.service.get("schedulingStrategy") != "DAEMON":
                # A group that shrinks empties instances: then too the bounds have to allow moves.
                self._services.update(kind, desiredCount=(3 if has_group else 1) + self._choices.number(4))
        self._rest()

    def _wanted(self, kind: Kind, deployments: int) -> dict[str, Any]:
        """What is to change about a service for the end."""
        changes: dict[str, Any] = {}
        if self._services.deployed < deployments or not self._services.runs_well(kind):
            changes["taskDefinition"] = self._services.register(kind, GOOD_IMAGE)
        service = self._services.get(kind)
        if service is not None and service.scheduling_strategy == "REPLICA":
            # With one or two tasks some of the bounds allow no move: ECS deadlocks then, and so do we.
            if service.desired_count < 3 or self._choices.number(2):
                changes["desiredCount"] = 3 + self._choices.number(4)
        return changes

    def _rest(self) -> None:
        """Run until everything is as wanted, and see whether it is."""
        world = self._world
        end = world.now + REST_LIMIT
        rested = False
        while world.now < end and not rested:
            while world.now < end and not self._is_at_rest():
                world.run(10.0)
            # What is only slow has ended by now, and zones that had no room were looked at once more.
            world.run(world.timing.placement_retry + 10.0)
            rested = self._is_at_rest()  # zones that were balanced meanwhile may have emptied an instance
        assert world.invariants is not None
        world.invariants.check_at_rest()
        assert world.group_invariants is not None
        world.group_invariants.check_at_rest()

    def _is_at_rest(self) -> bool:
        store = self._world.store
        if any(service.status == "ACTIVE" and not service.steady for service in store.all(Service)):
            return False
        if any(target.state == "draining" for target in store.all(Target)):
            return False  # its task may have ended before it
        if self._world.group_invariants is not None and not self._world.group_invariants.are_settled():
            return False
        return not any(
            task.desired_status == "STOPPED" or task.last_status != "RUNNING"
            for task in store.find(Task, "cluster", self._world.cluster_arn)
            if not task.is_stopped
        )

    def check_explained(self) -> None:
        if self._world.invariants is not None:
            self._world.invariants.check_explained()
        if self._world.group_invariants is not None:
            self._world.group_invariants.check_waiting()
