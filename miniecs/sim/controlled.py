"""One random run of services whose deployments somebody else makes: task sets come, grow, swap and go.

Two services, one for an EXTERNAL controller and one for CODE_DEPLOY behind a load balancer; whoever deploys
to them calls at any time what they like, and the faults are those of a cluster. In the end each service has
one task set, which runs all that is wanted.
"""

from __future__ import annotations

from typing import Any

from miniecs.model import arns
from miniecs.model.task_set import DRAINING, TaskSet
from miniecs.sim.bad_luck import BadLuck
from miniecs.sim.broken import broken
from miniecs.sim.choices import Choices
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import EXTERNAL, GOOD_IMAGE, Kind
from miniecs.sim.outcome import Outcome, played
from miniecs.sim.services import Services
from miniecs.sim.task_set_invariants import TaskSetInvariants
from miniecs.sim.users import Users
from miniecs.sim.world import World

STEPS = 24
LIMIT = 2400.0  # seconds until everything is as wanted
AT_REST = "task sets come to rest"

_BAD = ("sim/pull-fails", "sim/never-healthy", "sim/exit-1-after-20", "sim/answers-503")
_SCALES = (0.0, 10.0, 33.3, 50.0, 66.6, 99.9, 100.0)
_HEALTH_CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
_EXTERNAL = Kind("external", service={"deploymentController": EXTERNAL})
_BALANCED = Kind(
    "balanced",
    {"portMappings": [{"containerPort": 80, "hostPort": 0}]},
    {"deploymentController": {"type": "CODE_DEPLOY"}, "healthCheckGracePeriodSeconds": 20},
    balanced=True,
)


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    world = World(seed, hosts=6, types=("m5.2xlarge",))
    invariants = TaskSetInvariants(world)
    outcome = played(seed, world, Run(world, Choices(seed * 2 + 1), invariants).play, with_history)
    outcome.met += invariants.met
    return outcome


class Run:
    """The services, those who deploy to them, and the bad luck."""

    def __init__(self, world: World, choices: Choices, invariants: TaskSetInvariants) -> None:
        self._world = world
        self._choices = choices
        self._invariants = invariants
        self._faults = Faults(world)
        self._bad_luck = BadLuck(world, choices, self._faults)
        self._services = Services(world, choices)
        self._users = Users(world, choices, self._services)

    def play(self) -> None:
        self._world.run(5.0)
        for kind in (_EXTERNAL, _BALANCED):
            self._services.create(kind)
        for _ in range(STEPS):
            self._act()
            # Half of what happens, happens in the middle of what the last step set going.
            self._world.run(self._choices.number((3_000, 60_000)[self._choices.number(2)]) / 1000)
        self._come_to_rest()

    # Steps

    def _act(self) -> None:
        """One step of somebody, which may be refused, or of bad luck, which is not."""
        step = self._choices.one(
            (
                self._create,
                self._create,
                self._scale,
                self._scale,
                self._promote,
                self._delete,
                self._delete_by_force,
                self._recount,
                self._users.drain,
                self._users.undrain,
                self._users.protect,
                self._bad_luck.strike,
                self._bad_luck.strike,
            )
        )
        if step != self._bad_luck.strike:
            self._world.run_until(lambda: self._world.is_up, limit=200.0)
        self._world.attempt(step)

    def _create(self) -> None:
        image = self._choices.one(_BAD) if self._choices.number(4) == 0 else GOOD_IMAGE
        self._make(self._any_service(), image, self._choices.one(_SCALES))

    def _scale(self) -> None:
        task_set = self._any_task_set()
        if task_set is not None:
            self._call("UpdateTaskSet", task_set, scale=_percent(self._choices.one(_SCALES)))

    def _promote(self) -> None:
        task_set = self._any_task_set()
        if task_set is not None:
            self._promoted(task_set)

    def _delete(self) -> None:
        """As a careful controller does: of one that is not primary, and scaled to nothing before."""
        task_set = self._any_task_set()
        if task_set is not None:
            if self._choices.number(2):
                self._call("UpdateTaskSet", task_set, scale=_percent(0.0))
                self._world.run(self._choices.number(20_000) / 1000)
            self._call("DeleteTaskSet", task_set)

    def _delete_by_force(self) -> None:
        task_set = self._any_task_set()
        if task_set is not None:
            self._call("DeleteTaskSet", task_set, force=True)

    def _recount(self) -> None:
        name = self._any_service()
        self._world.ecs("UpdateService", service=name, desiredCount=self._choices.number(10))

    # The end

    def _come_to_rest(self) -> None:
        """First what is good of all that is there, then one task set of each service."""
        world = self._world
        self._faults.heal()
        world.run(200.0)
        world.run_until(lambda: world.is_up, limit=200.0)
        assert world.invariants is not None
        world.invariants.check_reported()
        self._users.undrain()
        for task_set in self._sorted():
            if task_set.status != DRAINING and not self._is_good(task_set):
                self._call("DeleteTaskSet", task_set, force=True)
        self._rest()
        for name in self._services.by_name:
            world.ecs("UpdateService", service=name, desiredCount=4 + self._choices.number(4))
            self._make_the_only_one(name)
        self._rest()
        world.invariants.check_at_rest()

    def _make_the_only_one(self, name: str) -> None:
        there = [each for each in self._sorted() if each.service_arn == self._arn(name)]
        if len(there) == 5:
            self._call("DeleteTaskSet", there.pop(), force=True)
            self._world.run_until(lambda: self._count(name) < 5, limit=LIMIT)
        made = self._make(name, GOOD_IMAGE, 100.0)
        found = next(each for each in self._sorted() if each.id == made)
        self._promoted(found)
        for task_set in there:
            self._call("DeleteTaskSet", task_set, force=True)

    def _rest(self) -> None:
        """Run until nothing is left to do; then it must be as it should be."""
        world = self._world
        end = world.now + LIMIT
        while world.now < end and not self._is_at_rest():
            world.run(20.0)
        world.run(200.0)
        if not self._is_at_rest():
            there = [(each.id, each.status, each.stability_status) for each in self._sorted()]
            broken(AT_REST, f"after {LIMIT:g} s there are {there}")
        self._invariants.check_at_rest()

    def _is_at_rest(self) -> bool:
        if any(each.stability_status != "STEADY_STATE" for each in self._sorted()):
            return False
        live = [each for each in self._world.tasks() if not each.is_stopped]
        return all(each.wanted and each.last_status == "RUNNING" for each in live)

    # Task sets

    def _make(self, name: str, image: str, scale: float) -> str:
        """CreateTaskSet; its id."""
        kind = self._services.by_name[name]
        params: dict[str, Any] = {}
        if kind.balanced:
            shown = self._world.ecs("DescribeServices", services=[name])["services"][0]
            params["loadBalancers"] = shown["loadBalancers"]
        if image == "sim/never-healthy" or self._choices.number(3) == 0:
            kind = Kind(name, {**kind.container, "healthCheck": _HEALTH_CHECK}, balanced=kind.balanced)
        made = self._world.ecs(
            "CreateTaskSet",
            cluster=self._world.cluster,
            service=name,
            taskDefinition=self._services.register(kind, image),
            scale=_percent(scale),
            externalId=image,
            **params,
        )
        return str(made["taskSet"]["id"])

    def _call(self, operation: str, task_set: TaskSet, **params: Any) -> None:
        self._world.ecs(
            operation,
            cluster=self._world.cluster,
            service=arns.name_of(task_set.service_arn),
            taskSet=task_set.id,
            **params,
        )

    def _promoted(self, task_set: TaskSet) -> None:
        self._world.ecs(
            "UpdateServicePrimaryTaskSet",
            cluster=self._world.cluster,
            service=arns.name_of(task_set.service_arn),
            primaryTaskSet=task_set.id,
        )

    def _is_good(self, task_set: TaskSet) -> bool:
        return task_set.external_id in (GOOD_IMAGE, None)

    def _any_service(self) -> str:
        return self._choices.one(list(self._services.by_name))

    def _any_task_set(self) -> TaskSet | None:
        found = self._sorted()
        return self._choices.one(found) if found else None

    def _sorted(self) -> list[TaskSet]:
        """All of them, the oldest first."""
        return sorted(self._world.store.all(TaskSet), key=lambda each: (each.deployment.created_at, each.id))

    def _count(self, name: str) -> int:
        return sum(each.service_arn == self._arn(name) for each in self._world.store.all(TaskSet))

    def _arn(self, name: str) -> str:
        return arns.service(self._world.scope, self._world.cluster, name)


def _percent(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "PERCENT"}
