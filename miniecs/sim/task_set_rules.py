"""ECS's rules for task sets, beside those for services and read with them: the second opinion on both.

Like ``rules``, and with nothing else of ours: written from what AWS documents. That each task set keeps to
the service's percentages by itself, on its own count, is ours (docs/differences.md).
Source: ECS API reference, "TaskSet"; ECS developer guide, "External deployment".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from miniecs.sim import rules
from miniecs.sim.rules import CEILING, FLOOR, HEALTHY_AFTER, STEADY_SAID, Entry, Violation, before, is_ecs

SHARE = "a task set's computed count is its share of the service's desiredCount, rounded up"
SETTLED = "a task set is in STEADY_STATE only with as many healthy tasks as it should have, and none else"
SET_LIFE = "a task set is ACTIVE or PRIMARY, then DRAINING, which launches nothing; it goes after its tasks"
SETS = "a service has five task sets at most, and at most one of them is PRIMARY"
RULES = (*rules.RULES, SHARE, SETTLED, SET_LIFE, SETS)

_MOST = 5
_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")


def violations(record: Iterable[Entry], *, healthy_after: float = HEALTHY_AFTER) -> list[Violation]:
    """Every rule that the record breaks, in the order in which it does."""
    return rules.read(Reader(healthy_after), record)


@dataclass
class Reader(rules.Reader):
    sets: dict[str, Entry] = field(default_factory=dict)
    sets_of: dict[str, dict[str, Entry]] = field(default_factory=dict)  # service -> id -> task set
    changed: Mapping[str, Entry | None] = field(default_factory=dict)

    def read(self, entry: Entry) -> None:
        self.changed = before(self.sets, entry.get("taskSets", ()), "taskSetArn")
        super().read(entry)

    # The state

    def _take(self, entry: Entry) -> None:
        super()._take(entry)
        for task_set in entry.get("taskSets", ()):
            self.sets[task_set["taskSetArn"]] = task_set
            self.sets_of.setdefault(task_set["serviceArn"], {})[task_set["id"]] = task_set

    def _forget(self, key: str) -> None:
        gone = self.sets.pop(key, None)
        if gone is not None:
            del self.sets_of[gone["serviceArn"]][gone["id"]]
            self._gone(gone)
        super()._forget(key)

    def _deployment_of(self, task: Entry) -> Entry | None:
        return super()._deployment_of(task) or self._set_of(task)

    def _set_of(self, task: Entry) -> Entry | None:
        return self.sets_of.get(task["serviceArn"] or "", {}).get(task["startedBy"] or "")

    def _live_of(self, task_set: Entry) -> list[Entry]:
        return [task for task in self._live(task_set["serviceArn"]) if task["startedBy"] == task_set["id"]]

    def _active(self, service_arn: str) -> Entry | None:
        """The service, where it is one of task sets and not being deleted."""
        service = self.services.get(service_arn)
        return None if service is None or service["status"] != "ACTIVE" or is_ecs(service) else service

    # The rules

    def _judge(
        self, tasks: Mapping[str, Entry | None], services: Mapping[str, Entry | None], lost: list[Entry]
    ) -> None:
        super()._judge(tasks, services, lost)
        if not self.sets:
            return  # as in most records
        for arn, was in self.changed.items():
            self._task_set(was, self.sets[arn])
        for arn in {self.sets[each]["serviceArn"] for each in self.changed} | services.keys():
            if self._active(arn) is not None:
                self._together(arn)

    def _task_set(self, was: Entry | None, now: Entry) -> None:
        service = self._active(now["serviceArn"])
        if service is None:
            return
        if was is not None and was["status"] == "DRAINING" != now["status"]:
            self._break(SET_LIFE, f"{now['id']} DRAINING -> {now['status']}")
        if was is None and now["status"] == "DRAINING":
            self._break(SET_LIFE, f"{now['id']} is new and DRAINING")
        counted = was["computedDesiredCount"] if was is not None else 0
        if now["computedDesiredCount"] not in (counted, share(service, now)):
            self._break(SHARE, _told(service, now))
        if now["stabilityStatus"] == "STEADY_STATE" and not _is_steady(was):
            self._settled(service, now)

    def _settled(self, service: Entry, now: Entry) -> None:
        live = self._live_of(now)
        running = [task for task in live if task["lastStatus"] == "RUNNING"]
        pending = sum(task["lastStatus"] in _PENDING for task in live)
        ready = sum(map(self._is_ready, running))
        if not share(service, now) == len(running) == ready or pending or now["status"] == "DRAINING":
            self._break(
                SETTLED, f"{_told(service, now)}: {ready} of {len(running)} ready, {pending} pending"
            )

    def _is_ready(self, task: Entry) -> bool:
        """Healthy as far as anything checks it, and on an instance on which it may stay."""
        if self.instances.get(task["containerInstanceArn"] or "") == "DRAINING":
            return False
        task_set = self._set_of(task)
        is_checked = self.checked.get(task["taskDefinitionArn"], False)
        if task_set is not None and not is_checked and not task_set["loadBalancers"]:
            return True
        return self._is_healthy(task)

    def _together(self, arn: str) -> None:
        service, found = self.services[arn], self.sets_of.get(arn, {}).values()
        primary = sum(each["status"] == "PRIMARY" for each in found)
        if primary > 1 or len(found) > _MOST:
            self._break(SETS, f"{arn}: {len(found)}, {primary} of them PRIMARY")
        for each in found:
            if _is_steady(each) and each["computedDesiredCount"] != share(service, each):
                self._break(SETTLED, f"{_told(service, each)}: scaled, and still steady")

    def _gone(self, task_set: Entry) -> None:
        if self._active(task_set["serviceArn"]) is None:
            return
        left = len(self._live_of(task_set))
        if left or task_set["status"] != "DRAINING":
            self._break(SET_LIFE, f"{task_set['id']} went as {task_set['status']} with {left} tasks")

    def _launched(self, task: Entry) -> None:
        super()._launched(task)
        if self._active(task["serviceArn"]) is None:
            return
        task_set = self._set_of(task)
        if task_set is None or task_set["status"] == "DRAINING":
            status = "not there" if task_set is None else "DRAINING"
            self._break(SET_LIFE, f"{task['taskArn']} was launched by {task['startedBy']}, which is {status}")

    def _bounds(self, launched: list[Entry], lost: list[Entry]) -> None:
        super()._bounds(launched, lost)
        if not self.sets:
            return
        for service, task_set, _ in self._parts(launched):
            percent = service["deploymentConfiguration"]["maximumPercent"]
            most, live = share(service, task_set) * percent // 100, len(self._live_of(task_set))
            if live > most:
                self._break(CEILING, f"{_told(service, task_set)}: {live} tasks, {percent} % are {most}")
        for service, task_set, count in self._parts(lost):
            percent = service["deploymentConfiguration"]["minimumHealthyPercent"]
            least = math.ceil(share(service, task_set) * percent / 100)
            live_ones = self._live_of(task_set)
            left = sum(t["desiredStatus"] == "RUNNING" and self._is_healthy(t) for t in live_ones)
            if left < least:
                what = f"{left} healthy after stopping {count}, {least} must stay"
                self._break(FLOOR, f"{_told(service, task_set)}: {what}")

    def _parts(self, tasks: list[Entry]) -> list[tuple[Entry, Entry, int]]:
        """(service, task set, how many of these tasks are its), where they are of task sets."""
        counted = Counter((task["serviceArn"], task["startedBy"]) for task in tasks)
        found = []
        for (arn, id), count in counted.items():
            service, task_set = self._active(arn), self.sets_of.get(arn, {}).get(id)
            if service is not None and task_set is not None:
                found.append((service, task_set, count))
        return found

    def _steady(self, arn: str) -> None:
        super()._steady(arn)
        if self._active(arn) is None:
            return
        found = self.sets_of.get(arn, {}).values()
        staying = [each for each in found if each["status"] != "DRAINING"]
        unsteady = [each["id"] for each in staying if not _is_steady(each)]
        kept = {each["id"] for each in staying}
        others = [task["taskArn"] for task in self._live(arn) if task["startedBy"] not in kept]
        if not staying or unsteady or others:
            self._break(STEADY_SAID, f"{arn}: {unsteady} are not, {others} are of no task set that stays")


def share(service: Entry, task_set: Entry) -> int:
    """In thousandths of a percent, so that nothing is rounded but the end; what is DRAINING wants none."""
    if task_set["status"] == "DRAINING":
        return 0
    return int(-(-service["desiredCount"] * round(task_set["scale"] * 1000) // 100_000))


def _is_steady(task_set: Entry | None) -> bool:
    return task_set is not None and task_set["stabilityStatus"] == "STEADY_STATE"


def _told(service: Entry, task_set: Entry) -> str:
    return (
        f"{task_set['id']} {task_set['status']}, {task_set['scale']:g} % of {service['desiredCount']},"
        f" computed {task_set['computedDesiredCount']}"
    )
