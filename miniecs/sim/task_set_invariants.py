"""What must be true of every simulated task set: its count, its stability, where its status goes, its tasks.

ECS's arithmetic stands here a second time, in whole numbers, and nothing of ``control`` is asked: a wrong
rounding there must not be right here too. What a loop has to notice first is looked at some seconds later.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import partial

from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet
from miniecs.sim.broken import broken
from miniecs.sim.invariants import targets_before
from miniecs.sim.world import World
from miniecs.store import Change, Commit

SHARE = "a task set's computed count is its share of desiredCount, rounded up"
STEADY = "a task set is steady only when all of its tasks run, and no others"
TOLD = "a task set that is not as it should be is STABILIZING soon"
ALL_STEADY = "a service of task sets is steady only when all of them are"
FORWARD = "a task set becomes PRIMARY and ACTIVE, and from DRAINING it only goes"
ONE = "at most one task set of a service is PRIMARY, and the service shows what it runs"
NO_ROOM = "a service has five task sets at most"
DRAINED = "a task set that is being deleted stops its tasks at once, and starts none"
GONE = "a task set goes after its last task, and soon"
CEILING = "a task set's starts never go above maximumPercent of its count"
FLOOR = "a task set's stops never go below minimumHealthyPercent of its count"

SOON = 5.0  # seconds of a control plane that is up
MOST = 5
SITUATIONS = (
    "task set created",
    "task set counted anew",
    "task set promoted",
    "task set demoted",
    "task set drains with tasks",
    "task set drains without tasks",
    "task set gone",
    "task set steady",
    "task set unsteady",
    "task set steady beside another",
    "task set of half a task",
    "task set starts",
    "task set stops",
)
_WAYS = {
    ("ACTIVE", "PRIMARY"),
    ("PRIMARY", "ACTIVE"),
    ("ACTIVE", "DRAINING"),
    ("PRIMARY", "DRAINING"),
}
_SCALING = "Scaling activity"


class TaskSetInvariants:
    """Follows a world's task sets. ``met`` counts the situations that there were."""

    def __init__(self, world: World) -> None:
        assert world.invariants is not None
        self._world = world
        self._store = world.store
        self._rules = world.invariants
        self._touched: dict[str, float] = {}  # task set -> when it or a task of it has changed last
        self.met: Counter[str] = Counter()
        self._store.subscribe(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        started: Counter[tuple[str, str]] = Counter()
        stopped: dict[tuple[str, str], list[Task]] = {}
        services: dict[str, None] = {}
        for change in commit.changes:
            if change.kind is TaskSet:
                self._moved(change.before, change.after)
                of: TaskSet = change.after or change.before
                services[of.service_arn] = None
            elif change.kind is Task and (change.after or change.before).service_arn is not None:
                self._count(change, started, stopped)
            elif change.kind is Service and change.after is not None:
                services[change.after.arn] = None
                if change.after.steady and not (change.before is not None and change.before.steady):
                    self._all_steady(change.after)
        for arn in services:
            self._one_primary(arn)
        for arn, id in started:
            self._check_ceiling(arn, id)
        for (arn, id), tasks in stopped.items():
            self._check_floor(arn, id, tasks, commit)

    # A task set by itself

    def _moved(self, before: TaskSet | None, after: TaskSet | None) -> None:
        if after is None:
            assert before is not None
            self._gone(before)
            return
        self._look_soon(after.arn)
        service = self._store.get(Service, after.service_arn)
        assert service is not None
        if before is None:
            self.met["task set created"] += 1
            if (after.deployment.desired_count, after.stability_status) != (0, "STABILIZING"):
                broken(STEADY, f"{after} is new")
            if len(self._store.find(TaskSet, "service", service.arn)) > MOST:
                broken(NO_ROOM, service.name)
            return
        self._status(before, after)
        if before.deployment.desired_count != after.deployment.desired_count:
            self.met["task set counted anew"] += 1
            if after.deployment.desired_count != _share(service, after):
                broken(SHARE, _told(service, after))
        self._stability(service, before, after)

    def _status(self, before: TaskSet, after: TaskSet) -> None:
        if before.status != after.status:
            if (before.status, after.status) not in _WAYS:
                broken(FORWARD, f"{after.arn} {before.status} -> {after.status}")
            with_tasks = "with" if self._live(after) else "without"
            self.met[
                {
                    "PRIMARY": "task set promoted",
                    "ACTIVE": "task set demoted",
                    "DRAINING": f"task set drains {with_tasks} tasks",
                }[after.status]
            ] += 1
        if before.status == "DRAINING" and before.scale != after.scale:
            broken(FORWARD, f"{after.arn} is DRAINING and was scaled")

    def _stability(self, service: Service, before: TaskSet, after: TaskSet) -> None:
        if after.stability_status != "STEADY_STATE":
            self.met["task set unsteady"] += before.stability_status == "STEADY_STATE"
            return
        if after.deployment.desired_count != _share(service, after) or after.status == "DRAINING":
            broken(STEADY, _told(service, after))
        if before.stability_status == "STEADY_STATE":
            return
        live = self._live(after)
        running = [task for task in live if task.wanted and task.last_status == "RUNNING"]
        if not len(live) == len(running) == _share(service, after):
            broken(STEADY, f"{_told(service, after)}: {len(running)} run, {len(live)} are there")
        if not all(self._is_in_order(service, after, task) for task in running):
            broken(STEADY, f"{_told(service, after)}: some are not healthy")
        self.met["task set steady"] += 1
        self.met["task set steady beside another"] += (
            len(self._store.find(TaskSet, "service", service.arn)) > 1
        )
        exact = Fraction(str(after.scale)) * service.desired_count / 100
        self.met["task set of half a task"] += exact.denominator > 1

    def _is_in_order(self, service: Service, task_set: TaskSet, task: Task) -> bool:
        """Where nothing but their age tells of health, RUNNING is enough for a task set."""
        if self._rules.is_healthy(service, task):
            return True
        return not (self._rules.is_checked(task) or task_set.deployment.revision.load_balancers)

    def _gone(self, task_set: TaskSet) -> None:
        self.met["task set gone"] += 1
        service = self._store.get(Service, task_set.service_arn)
        if service is None or service.status != "ACTIVE":
            return  # they go with their service
        if task_set.status != "DRAINING":
            broken(FORWARD, f"{task_set.arn} went as {task_set.status}")
        if self._live(task_set):
            broken(GONE, f"{task_set.arn} with {len(self._live(task_set))} tasks")

    # What belongs together

    def _one_primary(self, service_arn: str) -> None:
        service = self._store.get(Service, service_arn)
        if service is None or service.status != "ACTIVE":
            return
        found = self._store.find(TaskSet, "service", service_arn)
        primary = [each for each in found if each.status == "PRIMARY"]
        if len(primary) > 1:
            broken(ONE, f"{service.name}: {[each.id for each in primary]}")
        if primary and primary[0].deployment.revision != service.revision:
            broken(ONE, f"{service.name} shows {service.revision.task_definition_arn}, not {primary[0]}")

    def _all_steady(self, service: Service) -> None:
        if service.deployment_controller == "ECS":
            return
        found = self._store.find(TaskSet, "service", service.arn)
        unsteady = [each.id for each in found if each.stability_status != "STEADY_STATE"]
        known = {each.id for each in found}
        strays = [t.arn for t in self._of(service.arn) if t.deployment_id not in known]
        if not found or unsteady or strays:
            broken(ALL_STEADY, f"{service.name}: {unsteady} are not, {strays} belong to none")

    # Starts and stops

    def _count(
        self,
        change: Change,
        started: Counter[tuple[str, str]],
        stopped: dict[tuple[str, str], list[Task]],
    ) -> None:
        before: Task | None = change.before
        after: Task | None = change.after
        if after is None or after.service_arn is None:
            return
        key = after.service_arn, after.deployment_id or ""
        task_set = self._task_set(*key)
        if task_set is None:
            return
        self._look_soon(task_set.arn)
        if before is None:
            self.met["task set starts"] += 1
            started[key] += 1
        elif before.wanted and not after.wanted and (after.stopped_reason or "").startswith(_SCALING):
            self.met["task set stops"] += 1
            stopped.setdefault(key, []).append(before)

    def _check_ceiling(self, service_arn: str, id: str) -> None:
        service, task_set = self._store.get(Service, service_arn), self._task_set(service_arn, id)
        if service is None or task_set is None:
            return
        if task_set.status == "DRAINING":
            broken(DRAINED, f"{task_set.arn} starts a task")
        most = _share(service, task_set) * service.deployment_configuration.maximum_percent // 100
        live = [task for task in self._live(task_set) if self._rules.counts(task)]
        if len(live) > most:
            broken(CEILING, f"{_told(service, task_set)}: {len(live)} tasks, at most {most}")

    def _check_floor(self, service_arn: str, id: str, tasks: list[Task], commit: Commit) -> None:
        """Only healthy tasks are looked after, as for services; what is deleted keeps none."""
        service, task_set = self._store.get(Service, service_arn), self._task_set(service_arn, id)
        if service is None or service.status != "ACTIVE" or task_set is None:
            return
        targets = targets_before(commit)
        lost = [t for t in tasks if self._rules.is_healthy(service, t, targets.get(t.arn, ()))]
        if task_set.status == "DRAINING" or not lost:
            return
        percent = service.deployment_configuration.minimum_healthy_percent
        least = -(-_share(service, task_set) * percent // 100)
        left = [t for t in self._live(task_set) if t.wanted and self._rules.is_healthy(service, t)]
        if len(left) < least:
            broken(FLOOR, f"{_told(service, task_set)}: {len(left)} healthy, at least {least}")

    # What takes a moment

    def _look_soon(self, arn: str) -> None:
        is_due = arn in self._touched
        self._touched[arn] = self._world.now
        if not is_due:
            self._world.timeline.call_at(self._world.now + SOON, partial(self._look, arn))

    def _look(self, arn: str) -> None:
        since = max(self._touched[arn], self._world.up_since)
        if not self._world.is_up or since + SOON > self._world.now:
            again = max(since + SOON, self._world.now + 1.0)
            self._world.timeline.call_at(again, partial(self._look, arn))
            return
        del self._touched[arn]
        task_set = self._store.get(TaskSet, arn)
        service = self._store.get(Service, task_set.service_arn) if task_set is not None else None
        if task_set is not None and service is not None and service.status == "ACTIVE":
            self._check(service, task_set)

    def _check(self, service: Service, task_set: TaskSet) -> None:
        """Nothing of it has changed for a while."""
        if task_set.deployment.desired_count != _share(service, task_set):
            broken(SHARE, _told(service, task_set))
        live = self._live(task_set)
        wanted = [task for task in live if task.wanted]
        if task_set.status == "DRAINING":
            unprotected = [task.arn for task in wanted if not task.is_protected(self._world.now)]
            if unprotected:
                broken(DRAINED, f"{task_set.arn} still has {unprotected}")
            if not live:
                broken(GONE, f"{task_set.arn} is still there")
            return
        running = [task for task in wanted if task.last_status == "RUNNING"]
        is_whole = len(live) == len(running) == task_set.deployment.desired_count
        if task_set.stability_status == "STEADY_STATE" and not is_whole:
            broken(TOLD, f"{_told(service, task_set)}: {len(running)} run, {len(live)} are there")

    def check_at_rest(self) -> None:
        """Every task set has what it should have, and says so."""
        for task_set in self._store.all(TaskSet):
            service = self._store.get(Service, task_set.service_arn)
            assert service is not None
            self._check(service, task_set)
            if task_set.stability_status != "STEADY_STATE":
                broken(TOLD, f"{_told(service, task_set)} is {task_set.stability_status} at rest")

    # Looking up

    def _task_set(self, service_arn: str, id: str) -> TaskSet | None:
        found = self._store.find(TaskSet, "service", service_arn)
        return next((each for each in found if each.id == id), None)

    def _of(self, service_arn: str) -> list[Task]:
        return [task for task in self._store.find(Task, "service", service_arn) if not task.is_stopped]

    def _live(self, task_set: TaskSet) -> list[Task]:
        """All of its tasks that have not STOPPED, those that are stopping too."""
        return [task for task in self._of(task_set.service_arn) if task.deployment_id == task_set.id]


def _share(service: Service, task_set: TaskSet) -> int:
    """In thousandths of a percent, so that nothing is rounded but the end."""
    if task_set.status == "DRAINING":
        return 0
    thousandths = round(task_set.scale * 1000)
    return -(-service.desired_count * thousandths // 100_000)


def _told(service: Service, task_set: TaskSet) -> str:
    return (
        f"{service.name} {task_set.id} {task_set.status} {task_set.stability_status}: {task_set.scale:g} % of"
        f" {service.desired_count} are {task_set.deployment.desired_count}"
    )
