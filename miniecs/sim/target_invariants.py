"""What must be true of every simulated target: when it comes, how long it drains, and when it goes.

That the data plane was told is read off the simulated proxy, not off what the control plane believes.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.sim.broken import broken
from miniecs.sim.runs import deployment_of
from miniecs.store import Commit
from miniecs_api.tables import RETURNS_WITHIN

if TYPE_CHECKING:
    from miniecs.sim.world import World

AFTER_RUNNING = "only a RUNNING task's target is registered"
REGISTERED = "every RUNNING task is registered soon"
DRAINED = "a target that may have had requests drains before it goes"
WHOLE_DELAY = "draining lasts its whole delay from when the load balancer hears of it"
ONCE = "draining ends once its delay is over"

REGISTERED_WITHIN = 5.0  # seconds of a control plane that is up
_MOMENT = 0.1  # seconds in which the load balancer hears of something
_USED = ("initial", "healthy", "unhealthy")


class TargetInvariants:
    """Follows a world's targets, and their tasks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._up_since = world.now
        self._drains_since: dict[str, float] = {}  # as the store says
        self._anew: dict[str, float] = {}  # when it was to drain anew
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def follow(self) -> None:
        """A control plane has started. What it follows, it now hears before us."""
        self._up_since = self._world.now
        self._unsubscribe()
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is Target:
                self._target(change.before, change.after)
            elif change.kind is Task and change.after is not None:
                was = change.before.last_status if change.before is not None else ""
                if change.after.last_status == "RUNNING" != was:
                    self._look_soon(change.after.arn)

    def _target(self, before: Target | None, after: Target | None) -> None:
        if after is not None and (before is None or before.task_arn != after.task_arn):
            task = self._store.get(Task, after.task_arn or "")
            if after.task_arn is not None and (task is None or task.last_status != "RUNNING"):
                broken(AFTER_RUNNING, f"{after.key} {task and task.last_status}")
        if after is not None and after.state == "draining":
            if before is None or before.state != "draining":
                self._drains_since[after.key] = self._world.now
            else:
                self._anew[after.key] = self._world.now
                self._world.data_plane.met["targets that drained anew"] += 1
            return
        target = after or before
        assert target is not None
        began = self._drains_since.pop(target.key, None)
        if after is None and before is not None:
            if began is not None:
                self._check_drained(before, began)
                self._anew.pop(target.key, None)
            elif before.state in _USED and self._delay(before) > 0:
                broken(DRAINED, f"{before.key} {before.state}")

    def _check_drained(self, target: Target, began: float) -> None:
        plane, now, delay = self._world.data_plane, self._world.now, self._delay(target)
        told = plane.drains_since.get(target.key)
        if told is None:
            if plane.alive and target.key in plane.back_ends():
                broken(WHOLE_DELAY, f"{target.key} is gone and the load balancer never heard that it drains")
            told = self._anew.get(target.key, began)  # it is not in the tables: its host is gone
        since = max(began, told)
        if now < since + delay - _MOMENT:
            broken(WHOLE_DELAY, f"{target.key} drained {now - since:.3f} of {delay:g} s")
        if now > max(since + delay, self._up_since + RETURNS_WITHIN) + _MOMENT:
            broken(ONCE, f"{target.key} drained {now - since:.3f} s, its delay is {delay:g} s")

    def _delay(self, target: Target) -> float:
        group = self._store.get(TargetGroup, target.target_group_arn)
        set = dict(group.attributes) if group is not None else {"deregistration_delay.timeout_seconds": "0"}
        delay = float(set.get("deregistration_delay.timeout_seconds", "300"))
        return self._world.timing.wait(delay)

    def _look_soon(self, task_arn: str) -> None:
        at = self._world.now + REGISTERED_WITHIN
        self._world.timeline.call_at(at, partial(self._check_registered, task_arn))

    def _check_registered(self, task_arn: str) -> None:
        task = self._store.get(Task, task_arn)
        if task is None or task.last_status != "RUNNING" or not task.wanted:
            return
        service = self._store.get(Service, task.service_arn or "")
        if service is None or service.status != "ACTIVE":
            return
        if not self._world.is_up or self._up_since + REGISTERED_WITHIN > self._world.now:
            self._look_soon(task_arn)
            return
        deployment = deployment_of(self._store, service, task)
        wanted = {b.target_group_arn for b in deployment.revision.load_balancers} if deployment else set()
        there = {target.target_group_arn for target in self._store.find(Target, "task", task_arn)}
        if missing := wanted - there - {None}:
            broken(REGISTERED, f"{task_arn} has no target in {missing}")
