"""The checker of ECS's rules: a good history breaks none, and for each rule there is one that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from miniecs.sim import rules
from miniecs.sim.rules import Entry, violations

SERVICE = "arn:aws:ecs:us-east-1:000000000000:service/default/web"
ONE, TWO = "ecs-svc/1", "ecs-svc/2"


class Record:
    """A history as it is written down by hand: each call is an entry, at a second of its own."""

    def __init__(self, **service: Any) -> None:
        self.entries: list[Entry] = []
        self.tasks: dict[str, dict[str, Any]] = {}
        self.at = 0.0
        self.service: dict[str, Any] = {
            "serviceArn": SERVICE,
            "status": "ACTIVE",
            "desiredCount": 2,
            "schedulingStrategy": "REPLICA",
            "deploymentConfiguration": {
                "maximumPercent": 200,
                "minimumHealthyPercent": 100,
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            },
            "deployments": [deployment(ONE)],
            **service,
        }
        self.enter(
            definitions=[{"taskDefinitionArn": "web:1", "hasHealthCheck": False}],
            instances=[{"containerInstanceArn": each, "status": "ACTIVE"} for each in ("i-1", "i-2")],
            services=[self.service],
        )

    def enter(self, after: float = 1.0, **entry: Any) -> Self:
        self.at += after
        self.entries.append({"at": self.at, **entry})
        return self

    def task(self, *names: str, after: float = 1.0, **now: Any) -> Self:
        """Tasks as they now are."""
        self.at += after
        for name in names:
            task = {**self.tasks.get(name, _NEW), "taskArn": name, **now}
            if task["lastStatus"] == "RUNNING" and task["startedAt"] is None:
                task["startedAt"] = self.at
            self.tasks[name] = task
        self.entries.append({"at": self.at, "tasks": [self.tasks[name] for name in names]})
        return self

    def runs(self, *names: str, by: str = ONE) -> Self:
        """Launched, RUNNING, and healthy by its age."""
        self.task(*names, startedBy=by).task(*names, lastStatus="RUNNING")
        self.at += 60
        return self

    def scaled_away(self, *names: str) -> Self:
        return self.task(
            *names, desiredStatus="STOPPED", stopCode="ServiceSchedulerInitiated",
            stoppedReason=f"{rules.SCALING}(deployment {ONE})",
        )  # fmt: skip

    def stopped(self, *names: str) -> Self:
        """By themselves, unless they were told to."""
        for name in names:
            code = self.tasks[name]["stopCode"] or "EssentialContainerExited"
            why = self.tasks[name]["stoppedReason"] or "Essential container in task exited"
            self.task(
                name, lastStatus="STOPPED", desiredStatus="STOPPED", stoppedAt=self.at + 1,
                stopCode=code, stoppedReason=why,
            )  # fmt: skip
        return self

    def serves(self, *deployments: dict[str, Any], **now: Any) -> Self:
        """The service as it now is."""
        self.service = {**self.service, **now, **({"deployments": list(deployments)} if deployments else {})}
        return self.enter(services=[self.service])

    def says(self, text: str) -> Self:
        return self.enter(messages=[{"service": SERVICE, "text": text}])

    @property
    def broken(self) -> list[str]:
        return [each.rule for each in violations(self.entries)]


_NEW = {
    "serviceArn": SERVICE, "startedBy": ONE, "taskDefinitionArn": "web:1", "containerInstanceArn": "i-1",
    "lastStatus": "PENDING", "desiredStatus": "RUNNING", "healthStatus": "UNKNOWN", "createdAt": 0.0,
    "startedAt": None, "stoppedAt": None, "stopCode": None, "stoppedReason": None,
}  # fmt: skip


def deployment(id: str, status: str = "PRIMARY", state: str = "IN_PROGRESS", **more: Any) -> dict[str, Any]:
    return {
        "id": id, "status": status, "rolloutState": state, "rolloutStateReason": f"ECS deployment {id} …",
        "failedTasks": 0, "desiredCount": 2, "taskDefinition": "web:1", "loadBalancers": 0, **more,
    }  # fmt: skip


def completed(**service: Any) -> Record:
    """A service of two tasks that has come up."""
    return Record(**service).runs("a", "b").serves(deployment(ONE, state="COMPLETED")).says(rules.STEADY)


def failed(id: str, status: str) -> dict[str, Any]:
    return deployment(id, status, "FAILED", rolloutStateReason=f"{rules.BREAKER}tasks failed to start.")


def target(task: str, state: str) -> Entry:
    return {"key": f"target of {task}", "taskArn": task, "state": state}


def crashing(count: int, record: Record, older: str = "COMPLETED") -> Record:
    """A second deployment of which so many tasks end before they ran."""
    record.serves(deployment(TWO), deployment(ONE, "ACTIVE", older))
    for number in range(count):
        record.task(f"x{number}", startedBy=TWO).stopped(f"x{number}")
    return record


def test_a_rolling_update_and_a_rollback_break_no_rule() -> None:
    record = crashing(3, completed())
    record.serves(deployment(ONE), failed(TWO, "ACTIVE"))
    record.serves(deployment(ONE, state="COMPLETED")).says(rules.STEADY)
    record.serves(deployment("ecs-svc/3"), deployment(ONE, "ACTIVE", "COMPLETED"))
    record.runs("c", "d", by="ecs-svc/3").scaled_away("a", "b").stopped("a", "b")
    record.serves(deployment("ecs-svc/3", state="COMPLETED")).says(rules.STEADY)
    record.serves(status="DRAINING").scaled_away("c", "d").serves(status="INACTIVE")
    assert [str(each) for each in violations(record.entries)] == []


BROKEN: dict[str, list[Callable[[], Record]]] = {
    rules.ORDER: [lambda: completed().task("a", lastStatus="PENDING")],
    rules.FINAL: [
        lambda: completed().task("a", desiredStatus="STOPPED").task("a", desiredStatus="RUNNING"),
        lambda: Record().task("a").task("a", lastStatus="STOPPED", desiredStatus="STOPPED", stoppedAt=9.0),
    ],
    rules.STARTED: [lambda: Record().enter(tasks=[{**_NEW, "taskArn": "a", "lastStatus": "RUNNING"}])],
    rules.MOVED: [lambda: completed().task("a", containerInstanceArn="i-2")],
    rules.FLOOR: [
        lambda: completed().scaled_away("a"),
        lambda: Record(desiredCount=1).runs("a").task("b").task("b", lastStatus="RUNNING").scaled_away("a"),
        # The one that stays is RUNNING, and unhealthy.
        lambda: Record(desiredCount=1)
        .enter(definitions=[{"taskDefinitionArn": "web:1", "hasHealthCheck": True}])
        .runs("a", "b").task("a", "b", healthStatus="HEALTHY")
        .task("b", healthStatus="UNHEALTHY").scaled_away("a"),
        # So does the one whose target is not healthy.
        lambda: Record(desiredCount=1, deployments=[deployment(ONE, loadBalancers=1)])
        .runs("a", "b")
        .enter(targets=[target("a", "healthy"), target("b", "initial")])
        .scaled_away("a"),
    ],
    rules.CEILING: [
        lambda: completed().task("c", "d", "e"),
        lambda: Record().runs("a", "b", "c", "d").scaled_away("a").task("e"),  # one that is stopping counts
    ],
    rules.ONE_PRIMARY: [
        lambda: Record().serves(deployment(TWO), deployment(ONE)),
        lambda: Record().serves(deployment(TWO, "ACTIVE"), deployment(ONE)),
    ],
    rules.ROLLOUT: [
        lambda: completed().serves(deployment(ONE)),
        lambda: Record().serves(deployment(ONE, state="FAILED")).serves(deployment(ONE)),
        lambda: completed().serves(deployment(ONE, state="FAILED")),
        lambda: Record().task("a", startedBy=TWO),
    ],
    rules.COMPLETE: [
        lambda: Record().runs("a").serves(deployment(ONE, state="COMPLETED")),
        lambda: Record().task("a", "b").task("a", "b", lastStatus="RUNNING")
        .serves(deployment(ONE, state="COMPLETED")),
        lambda: completed().serves(deployment(TWO), deployment(ONE, "ACTIVE", "COMPLETED"))
        .runs("c", "d", by=TWO).serves(deployment(TWO, state="COMPLETED")),
    ],
    rules.TRIPS: [lambda: crashing(3, completed()).task("y", startedBy=TWO)],
    rules.TRIPPED_EARLY: [
        lambda: crashing(2, completed()).serves(deployment(ONE), failed(TWO, "ACTIVE")),
        lambda: crashing(2, completed(desiredCount=10)).serves(deployment(ONE), failed(TWO, "ACTIVE")),
    ],
    rules.ROLLED_BACK: [
        lambda: crashing(3, completed())
        .serves(failed(TWO, "PRIMARY"), deployment(ONE, "ACTIVE", "COMPLETED")),
        lambda: crashing(3, Record(), older="IN_PROGRESS").serves(deployment(ONE), failed(TWO, "ACTIVE")),
    ],
    rules.SERVICE_LIFE: [
        lambda: completed().serves(status="DRAINING").task("c"),
        lambda: completed().serves(status="DRAINING").serves(status="ACTIVE"),
        lambda: completed().serves(status="DRAINING").serves(status="INACTIVE"),
    ],
    rules.STEADY_SAID: [
        lambda: Record().runs("a").says(rules.STEADY),
        lambda: completed().task("c").says(rules.STEADY),
        lambda: completed().serves(deployment(TWO), deployment(ONE, "ACTIVE", "COMPLETED"))
        .says(rules.STEADY),
    ],
    rules.ONE_EACH: [lambda: Record(schedulingStrategy="DAEMON").task("a").task("b")],
}  # fmt: skip


def test_every_rule_has_a_history_that_breaks_it() -> None:
    assert set(BROKEN) == set(rules.RULES)


@pytest.mark.parametrize(
    ("rule", "history"),
    [pytest.param(rule, each, id=f"{rule} {n}") for rule in BROKEN for n, each in enumerate(BROKEN[rule])],
)
def test_a_broken_rule_is_told(rule: str, history: Callable[[], Record]) -> None:
    assert rule in history().broken


@pytest.mark.parametrize("desired,failures", [(1, 3), (6, 3), (7, 4), (100, 50), (400, 200), (5000, 200)])
def test_threshold(desired: int, failures: int) -> None:
    assert rules.threshold(desired) == failures


@pytest.mark.parametrize(
    ("type", "value", "desired", "failures"),
    [("COUNT", 7, 1, 7), ("UNBOUNDED_PERCENT", 50, 5000, 2500), ("BOUNDED_PERCENT", 100, 4, 4)],
)
def test_thresholds_that_are_configured(type: str, value: int, desired: int, failures: int) -> None:
    assert rules.threshold(desired, type, value) == failures


def configured(**more: Any) -> dict[str, Any]:
    return {**Record().service["deploymentConfiguration"], **more}


def test_early_success_is_complete_with_as_many_as_it_asks_for() -> None:
    for cleanup, healthy, others, is_right in (
        ("DEFERRED", "c", True, True), ("BLOCKING", "c", True, False), ("BLOCKING", "c", False, True),
        ("DEFERRED", "", True, False),
    ):  # fmt: skip
        early = {"healthyPercent": 50, "sourceServiceRevisionCleanup": cleanup}
        record = completed().serves(
            deployment(TWO), deployment(ONE, "ACTIVE", "COMPLETED"),
            deploymentConfiguration=configured(earlySuccessCriteria=early, minimumHealthyPercent=0),
        )  # fmt: skip
        if healthy:
            record.runs(healthy, by=TWO)
        if not others:
            record.scaled_away("a", "b").stopped("a", "b")
        record.serves(deployment(TWO, state="COMPLETED"), deployment(ONE, "ACTIVE", "COMPLETED"))
        assert (rules.COMPLETE not in record.broken) is is_right, (cleanup, healthy, others)


def test_a_rollback_that_fails_itself_is_not_rolled_back() -> None:
    record = crashing(3, completed())
    again = f"{rules.BREAKER}rolling back to deploymentId {ONE}."
    record.serves(deployment(ONE, rolloutStateReason=again), failed(TWO, "ACTIVE"))
    for number in range(3):
        record.task(f"y{number}", startedBy=ONE).stopped(f"y{number}")
    record.serves(failed(ONE, "PRIMARY"), failed(TWO, "ACTIVE"))
    assert record.broken == []


def test_what_failed_as_a_rollback_may_be_rolled_back_to_again() -> None:
    record = crashing(3, completed())
    record.serves(deployment(ONE), failed(TWO, "ACTIVE")).serves(failed(ONE, "PRIMARY"))
    assert rules.ROLLOUT not in record.broken
    record.serves(deployment("ecs-svc/3"), failed(ONE, "ACTIVE"))
    record.serves(deployment(ONE), failed("ecs-svc/3", "ACTIVE"))
    assert rules.ROLLOUT not in record.broken
    never = Record().serves(deployment(TWO), failed(ONE, "ACTIVE")).serves(deployment(ONE))
    assert rules.ROLLOUT in never.broken, "it was never COMPLETED"


def test_tasks_that_were_lost_with_their_host_hold_nothing() -> None:
    bounded = {**Record().service["deploymentConfiguration"], "maximumPercent": 100}
    record = Record(deploymentConfiguration=bounded)
    record.runs("a", "b").enter(instances=[{"containerInstanceArn": "i-1", "status": "INACTIVE"}])
    record.task("c", "d", containerInstanceArn="i-2")
    assert record.broken == []


def test_the_checker_knows_nothing_of_ours() -> None:
    lines = Path(rules.__file__).read_text().splitlines()
    assert [line for line in lines if line.startswith(("import ", "from ")) and "miniecs" in line] == []
