"""ECS's rules for services, checked on a record of what happened: a second opinion on the controller.

Written from what AWS documents and importing nothing of ours: what the controller gets wrong must not be
got wrong here in the same way. A record is read from its start, each entry against the state that
those before it left.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]

TASK_STATES = (
    "PROVISIONING", "PENDING", "ACTIVATING", "RUNNING",
    "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED",
)  # fmt: skip
SERVICE_STATES = ("ACTIVE", "DRAINING", "INACTIVE")
HEALTHY_AFTER = 40.0  # seconds of RUNNING that count as healthy where nothing checks a task
SCALING = "Scaling activity initiated by "
UNRESOLVED = 3  # tasks that may fail before an image's digest is known: a fourth is not tried with a breaker
BREAKER = "ECS deployment circuit breaker: "
STEADY = "has reached a steady state."
_SAID_AT_LAST = ("stoppedAt", "stopCode", "stoppedReason")
BY_ITSELF = ("TaskFailedToStart", "EssentialContainerExited")

# The rules, by the names under which a broken one is told.
ORDER = "lastStatus never goes back"
FINAL = "a task that is to stop stays so, and one that has STOPPED says why"
STARTED = "a RUNNING task has a startedAt"
MOVED = "a task stays on its container instance"
FLOOR = "scaling and replacing never go below minimumHealthyPercent"
CEILING = "starting never goes above maximumPercent"
ONE_PRIMARY = "a service has exactly one PRIMARY deployment"
ROLLOUT = "IN_PROGRESS ends in COMPLETED or FAILED; only a rollback begins one again that was COMPLETED"
COMPLETE = "COMPLETED means that all desired tasks are healthy and no other deployment has any"
TRIPS = "the circuit breaker launches nothing once its threshold is reached"
TRIPPED_EARLY = "the circuit breaker fails a deployment only for as many failed tasks as its threshold"
ROLLED_BACK = "a tripped circuit breaker rolls back exactly when it is to and a COMPLETED deployment is there"
SERVICE_LIFE = "a service goes from ACTIVE over DRAINING to INACTIVE, and launches nothing on its way"
STEADY_SAID = "a steady state is one deployment with all its tasks RUNNING and none under way"
ONE_EACH = "a daemon has one task of a deployment on an instance"
RULES = (
    ORDER, FINAL, STARTED, MOVED, FLOOR, CEILING, ONE_PRIMARY, ROLLOUT, COMPLETE, TRIPS, TRIPPED_EARLY,
    ROLLED_BACK, SERVICE_LIFE, STEADY_SAID, ONE_EACH,
)  # fmt: skip


@dataclass(frozen=True)
class Violation:
    """A rule that was broken: which, when, and in numbers."""

    rule: str
    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: at {self.at:.3f} {self.what}"


def violations(record: Iterable[Entry], *, healthy_after: float = HEALTHY_AFTER) -> list[Violation]:
    """Every rule that the record breaks, in the order in which it does."""
    return read(Reader(healthy_after), record)


def read(reader: Reader, record: Iterable[Entry]) -> list[Violation]:
    """Read on; every rule that was broken until here."""
    for entry in record:
        reader.read(entry)
    return reader.found


@dataclass
class _Counted:
    """What the circuit breaker can know of one deployment, from the tasks alone."""

    never_ran: int = 0  # in a row, that STOPPED without having been RUNNING
    never_ran_in_all: int = 0
    failed_checks: int = 0
    exited: int = 0  # that were RUNNING and ended by themselves
    was_running: bool = False
    proven: bool = False  # a task of it was healthy


@dataclass
class Reader:
    """Judges entry by entry. Services of task sets are only known to it: see task_set_rules."""

    healthy_after: float
    found: list[Violation] = field(default_factory=list)
    tasks: dict[str, Entry] = field(default_factory=dict)
    services: dict[str, Entry] = field(default_factory=dict)
    instances: dict[str, str] = field(default_factory=dict)
    targets: dict[str, Entry] = field(default_factory=dict)
    checked: dict[str, bool] = field(default_factory=dict)
    tasks_of: dict[str, dict[str, Entry]] = field(default_factory=dict)
    targets_of: dict[str, dict[str, Entry]] = field(default_factory=dict)
    counted: dict[str, _Counted] = field(default_factory=dict)
    completed: dict[str, set[str]] = field(default_factory=dict)  # service -> deployments that ever were
    at: float = 0.0

    def read(self, entry: Entry) -> None:
        self.at = entry["at"]
        tasks = before(self.tasks, entry.get("tasks", ()), "taskArn")
        services = before(self.services, entry.get("services", ()), "serviceArn")
        lost = self._healthy_that_are_stopped(entry)
        self._take(entry)
        self._judge(tasks, services, lost)
        for message in entry.get("messages", ()):
            if message["text"] == STEADY:
                self._steady(message["service"])
        for key in entry.get("gone", ()):
            self._forget(key)

    def _judge(
        self, tasks: Mapping[str, Entry | None], services: Mapping[str, Entry | None], lost: list[Entry]
    ) -> None:
        """What has changed, against what it was. lost: see _healthy_that_are_stopped."""
        for arn, was in tasks.items():
            self._task(was, self.tasks[arn])
        for arn, was in services.items():
            self._service(was, self.services[arn])
        new = [self.tasks[arn] for arn, was in tasks.items() if was is None]
        self._bounds([task for task in new if task["serviceArn"] is not None], lost)

    def _break(self, rule: str, what: str) -> None:
        self.found.append(Violation(rule, self.at, what))

    # The state

    def _take(self, entry: Entry) -> None:
        for definition in entry.get("definitions", ()):
            self.checked[definition["taskDefinitionArn"]] = definition["hasHealthCheck"]
        for instance in entry.get("instances", ()):
            self.instances[instance["containerInstanceArn"]] = instance["status"]
        for service in entry.get("services", ()):
            self.services[service["serviceArn"]] = service
        for target in entry.get("targets", ()):
            self.targets[target["key"]] = target
            self.targets_of.setdefault(target["taskArn"] or "", {})[target["key"]] = target
        for task in entry.get("tasks", ()):
            self.tasks[task["taskArn"]] = task
            if task["serviceArn"] is None:
                continue
            of_service = self.tasks_of.setdefault(task["serviceArn"], {})
            of_service[task["taskArn"]] = task
            if task["lastStatus"] == "STOPPED":
                del of_service[task["taskArn"]]

    def _forget(self, key: str) -> None:
        self.services.pop(key, None)
        target = self.targets.pop(key, None)
        if target is not None:
            self.targets_of.get(target["taskArn"] or "", {}).pop(key, None)
        task = self.tasks.pop(key, None)
        if task is not None:
            self.tasks_of.get(task["serviceArn"] or "", {}).pop(key, None)

    def _is_healthy(self, task: Entry) -> bool:
        """As ECS counts it: 40 s after RUNNING without checks; else the container, every target, or both."""
        if task["lastStatus"] != "RUNNING" or self._has_lost_its_host(task):
            return False
        deployment = self._deployment_of(task)
        if deployment is None:
            return False
        has_check = self.checked.get(task["taskDefinitionArn"], False)
        if has_check and task["healthStatus"] != "HEALTHY":
            return False
        if deployment["loadBalancers"]:
            targets = self.targets_of.get(task["taskArn"], {}).values()
            return len(targets) >= deployment["loadBalancers"] and all(
                target["state"] == "healthy" for target in targets
            )
        return has_check or self.at - (task["startedAt"] or self.at) >= self.healthy_after

    def _has_lost_its_host(self, task: Entry) -> bool:
        return self.instances.get(task["containerInstanceArn"] or "") == "INACTIVE"

    def _deployment_of(self, task: Entry) -> Entry | None:
        service = self.services.get(task["serviceArn"] or "")
        deployments = service["deployments"] if service is not None else ()
        return next((each for each in deployments if each["id"] == task["startedBy"]), None)

    def _live(self, service_arn: str) -> list[Entry]:
        """Tasks that maximumPercent counts: all that have not STOPPED, those that are stopping too."""
        tasks = self.tasks_of.get(service_arn, {}).values()
        return [task for task in tasks if not self._has_lost_its_host(task)]

    # Tasks

    def _task(self, was: Entry | None, task: Entry) -> None:
        arn = task["taskArn"]
        if was is not None:
            if TASK_STATES.index(task["lastStatus"]) < TASK_STATES.index(was["lastStatus"]):
                self._break(ORDER, f"{arn} {was['lastStatus']} -> {task['lastStatus']}")
            if was["desiredStatus"] == "STOPPED" != task["desiredStatus"]:
                self._break(FINAL, f"{arn} is wanted again")
            if was["containerInstanceArn"] not in (None, task["containerInstanceArn"]):
                self._break(MOVED, arn)
        if task["lastStatus"] == "RUNNING" and task["startedAt"] is None:
            self._break(STARTED, arn)
        if task["lastStatus"] == "STOPPED" and not all(task[each] for each in _SAID_AT_LAST):
            self._break(FINAL, f"{arn} has STOPPED without a time, a code or a reason")
        if task["serviceArn"] is None:
            return
        if was is None:
            self._launched(task)
        self._count(was, task)

    def _count(self, was: Entry | None, task: Entry) -> None:
        """What the circuit breaker sees of this change."""
        counted = self.counted.setdefault(task["startedBy"] or "", _Counted())
        if task["lastStatus"] == "RUNNING" and (was is None or was["lastStatus"] != "RUNNING"):
            counted.was_running = True
            counted.never_ran = 0
        if task["lastStatus"] == "STOPPED" and (was is None or was["lastStatus"] != "STOPPED"):
            never_ran = task["startedAt"] is None and task["stopCode"] in BY_ITSELF
            counted.never_ran += never_ran
            counted.never_ran_in_all += never_ran and not counted.was_running
            counted.exited += task["startedAt"] is not None and task["stopCode"] in BY_ITSELF
        reason = task["stoppedReason"] or ""
        failed = "failed" in reason and "health checks" in reason
        if failed and (was is None or not was["stoppedReason"]):
            counted.failed_checks += 1

    def _launched(self, task: Entry) -> None:
        service = self.services.get(task["serviceArn"])
        if service is None or service["status"] != "ACTIVE":
            self._break(SERVICE_LIFE, f"{task['taskArn']} was launched for a service that is not ACTIVE")
            return
        if not is_ecs(service):
            return
        deployment = self._deployment_of(task)
        if deployment is None:
            self._break(ROLLOUT, f"{task['taskArn']} was launched by {task['startedBy']}, which is not there")
            return
        counted = self.counted.setdefault(deployment["id"], _Counted())
        is_over = not counted.was_running and counted.never_ran >= _threshold_of(service)
        # One that has come to its end, even with no tasks wanted, is watched no more.
        is_watched = deployment["status"] == "PRIMARY" and deployment["rolloutState"] != "COMPLETED"
        if _breaker(service)["enable"] and is_watched and is_over:
            self._break(TRIPS, f"{deployment['id']} launches after {counted.never_ran} failed tasks")

    # Bounds

    def _healthy_that_are_stopped(self, entry: Entry) -> list[Entry]:
        """Tasks that were healthy and that this entry stops for the sake of their service's count."""
        lost: list[Entry] = []
        for task in entry.get("tasks", ()):
            was = self.tasks.get(task["taskArn"])
            if was is None or was["desiredStatus"] != "RUNNING" or task["desiredStatus"] != "STOPPED":
                continue
            if (task["stoppedReason"] or "").startswith(SCALING) and self._is_healthy(was):
                lost.append(task)
        return lost

    def _bounds(self, launched: list[Entry], lost: list[Entry]) -> None:
        for arn in {task["serviceArn"] for task in launched} & self.services.keys():
            service = self.services[arn]
            if service["schedulingStrategy"] == "DAEMON":
                self._daemon(arn)
                continue
            if not is_ecs(service):
                continue
            desired, percent = service["desiredCount"], service["deploymentConfiguration"]["maximumPercent"]
            most, live = math.floor(desired * percent / 100), len(self._live(arn))
            if live > most:
                self._break(CEILING, f"{arn}: {live} tasks, {percent} % of {desired} are {most}")
        for arn, count in Counter(task["serviceArn"] for task in lost).items():
            maybe = self.services.get(arn)
            if maybe is None or maybe["status"] != "ACTIVE" or maybe["schedulingStrategy"] == "DAEMON":
                continue
            if not is_ecs(maybe):
                continue
            percent = maybe["deploymentConfiguration"]["minimumHealthyPercent"]
            least = math.ceil(maybe["desiredCount"] * percent / 100)
            left = sum(t["desiredStatus"] == "RUNNING" and self._is_healthy(t) for t in self._live(arn))
            if left < least:
                self._break(FLOOR, f"{arn}: {left} healthy after stopping {count}, {least} must stay")

    def _daemon(self, arn: str) -> None:
        on: Counter[tuple[str, str]] = Counter(
            (task["containerInstanceArn"], task["startedBy"])
            for task in self._live(arn)
            if task["desiredStatus"] == "RUNNING"
        )
        for (instance, deployment), count in on.items():
            if count > 1:
                self._break(ONE_EACH, f"{count} tasks of {deployment} on {instance}")

    # Services

    def _service(self, was: Entry | None, service: Entry) -> None:
        arn, deployments = service["serviceArn"], service["deployments"]
        known = {each["id"]: each for each in was["deployments"]} if was is not None else {}
        if was is not None and SERVICE_STATES.index(service["status"]) < SERVICE_STATES.index(was["status"]):
            if was["status"] != "INACTIVE":  # an INACTIVE name may be taken again
                self._break(SERVICE_LIFE, f"{arn} {was['status']} -> {service['status']}")
        if service["status"] == "INACTIVE" and any(t["desiredStatus"] == "RUNNING" for t in self._live(arn)):
            self._break(SERVICE_LIFE, f"{arn} is INACTIVE and still wants tasks")
        if service["status"] != "ACTIVE":
            self.completed.pop(arn, None)
            return
        if not is_ecs(service):
            return
        statuses = [each["status"] for each in deployments]
        if statuses.count("PRIMARY") != 1 or statuses[0] != "PRIMARY":
            self._break(ONE_PRIMARY, f"{arn}: {statuses}")
        for deployment in deployments:
            self._rollout(service, known, deployment)
        self._rolled_back(service, known)
        now_completed = (each["id"] for each in deployments if each["rolloutState"] == "COMPLETED")
        self.completed.setdefault(arn, set()).update(now_completed)

    def _rollout(self, service: Entry, known: Mapping[str, Entry], deployment: Entry) -> None:
        was, state = known.get(deployment["id"]), deployment["rolloutState"]
        if was is None or self._begins_again(was, deployment):
            self.counted[deployment["id"]] = _Counted()  # a rollback counts from nothing
        earlier = was["rolloutState"] if was is not None else "IN_PROGRESS"
        if earlier == state:
            return
        told = f"{deployment['id']} {earlier} -> {state}"
        if earlier == "COMPLETED" and state == "FAILED":
            self._break(ROLLOUT, told)
        elif earlier != "IN_PROGRESS" and not self._is_rolled_back_to(service, was, deployment):
            self._break(ROLLOUT, told)
        elif state == "COMPLETED":
            self._completed(service, deployment)
        elif state == "FAILED" and deployment["rolloutStateReason"].startswith(BREAKER):
            self._tripped(service, deployment)

    def _is_rolled_back_to(self, service: Entry, was: Entry | None, deployment: Entry) -> bool:
        """Only what was COMPLETED once, even if it has FAILED since, in an earlier rollback."""
        ever = self.completed.get(service["serviceArn"], set())
        return deployment["id"] in ever and self._begins_again(was, deployment)

    def _begins_again(self, was: Entry | None, deployment: Entry) -> bool:
        return was is not None and (was["status"], deployment["status"]) == ("ACTIVE", "PRIMARY")

    def _completed(self, service: Entry, deployment: Entry) -> None:
        wanted = [t for t in self._live(service["serviceArn"]) if t["desiredStatus"] == "RUNNING"]
        own = [task for task in wanted if task["startedBy"] == deployment["id"]]
        healthy = sum(map(self._is_healthy, own))
        early = service["deploymentConfiguration"].get("earlySuccessCriteria")
        if early is not None:
            enough = math.ceil(deployment["desiredCount"] * early["healthyPercent"] / 100)
            is_clean = early["sourceServiceRevisionCleanup"] == "DEFERRED" or len(wanted) == len(own)
            if healthy >= enough and is_clean:
                return
        if len(wanted) != len(own) or healthy != len(own) or len(own) != deployment["desiredCount"]:
            others = len(wanted) - len(own)
            self._break(
                COMPLETE,
                f"{deployment['id']}: {healthy} of {len(own)} healthy, {deployment['desiredCount']} desired,"
                f" {others} of other deployments",
            )

    def _tripped(self, service: Entry, deployment: Entry) -> None:
        counted = self.counted.get(deployment["id"], _Counted())
        failed, least = _failed(counted), _threshold_of(service)
        if not counted.was_running and failed >= UNRESOLVED:
            least = UNRESOLVED
        if not _breaker(service)["enable"] or failed < least:
            self._break(TRIPPED_EARLY, f"{deployment['id']}: {failed} failed tasks, the threshold is {least}")

    def _rolled_back(self, service: Entry, known: Mapping[str, Entry]) -> None:
        """The deployment that failed just now is still PRIMARY, unless there is one to go back to."""
        for deployment in service["deployments"]:
            was = known.get(deployment["id"])
            failed = deployment["rolloutState"] == "FAILED"
            has_tripped = failed and deployment["rolloutStateReason"].startswith(BREAKER)
            if was is None or was["rolloutState"] == "FAILED" or not has_tripped:
                continue
            was_rollback = "rolling back" in was["rolloutStateReason"]
            good = not was_rollback and bool(
                self.completed.get(service["serviceArn"], set()) - {deployment["id"]}
            )
            should, has = _breaker(service)["rollback"] and good, deployment["status"] == "ACTIVE"
            if should != has:
                self._break(ROLLED_BACK, f"{deployment['id']}: rolled back {has}, was to be {should}")

    def _steady(self, arn: str) -> None:
        service = self.services.get(arn)
        if service is None or not is_ecs(service):
            return
        live = self._live(arn)
        running = sum(t["lastStatus"] == "RUNNING" and t["desiredStatus"] == "RUNNING" for t in live)
        if len(service["deployments"]) != 1 or running != service["desiredCount"] or len(live) != running:
            self._break(
                STEADY_SAID,
                f"{arn}: {running} of {service['desiredCount']} RUNNING, {len(live)} there,"
                f" {len(service['deployments'])} deployments",
            )


def is_ecs(service: Entry) -> bool:
    """Whether ECS makes the service's deployments; task sets have rules of their own."""
    return bool(service.get("deploymentController", "ECS") == "ECS")


def _failed(counted: _Counted) -> int:
    return counted.never_ran_in_all + counted.failed_checks + counted.exited


def before(known: Mapping[str, Entry], now: Iterable[Entry], key: str) -> dict[str, Entry | None]:
    """What is told of now, as it was; None for what is new."""
    return {each[key]: known.get(each[key]) for each in now}


def threshold(desired: int, type: str = "BOUNDED_PERCENT", value: int = 50) -> int:
    """Failed tasks that trip the circuit breaker: half of the desired ones, at least 3 and at most 200."""
    if type == "COUNT":
        return value
    share = math.ceil(desired * value / 100)
    return min(200, max(3, share)) if type == "BOUNDED_PERCENT" else max(1, share)


def _threshold_of(service: Entry) -> int:
    configured = _breaker(service).get("thresholdConfiguration") or {}
    return threshold(service["desiredCount"], **configured)


def _breaker(service: Entry) -> Entry:
    breaker: Entry = service["deploymentConfiguration"]["deploymentCircuitBreaker"]
    return breaker
