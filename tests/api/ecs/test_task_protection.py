"""UpdateTaskProtection and GetTaskProtection: what is answered, for how long, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model import arns
from miniecs.model.task import Task
from miniecs_api.context import ApiSettings
from tests.api.conftest import Aws

from .conftest import Ecs


def arn(id: str) -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/default/{id}"


def with_tasks(aws: Aws, desired: int = 3) -> Ecs:
    """A service of three tasks, a, b and c, and `alone`, which is nobody's."""
    ecs = Ecs(aws)
    ecs("CreateCluster", clusterName="default")
    definition = aws.register_task_definition("web")
    made = ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=desired)["service"]
    task = Task(arn("alone"), made["clusterArn"], definition, "family:web", last_status="RUNNING")
    with aws.store.transaction() as tx:
        tx.put(task)
        for id in "abc":
            tx.put(replace(task, arn=arn(id), group="service:web", service_arn=made["serviceArn"]))
    return ecs


@pytest.fixture
def ecs(aws: Aws) -> Ecs:
    return with_tasks(aws)


def protect(ecs: Ecs, *tasks: str, on: bool = True, **params: Any) -> dict[str, Any]:
    return ecs("UpdateTaskProtection", cluster="default", tasks=list(tasks), protectionEnabled=on, **params)


def shown(ecs: Ecs, *tasks: str) -> list[dict[str, Any]]:
    answer = ecs("GetTaskProtection", cluster="default", tasks=list(tasks))
    assert answer["failures"] == []
    return list(answer["protectedTasks"])


@pytest.mark.parametrize(("params", "minutes"), [({}, 120), ({"expiresInMinutes": 1}, 1)])
def test_protection_lasts_two_hours_unless_told(ecs: Ecs, params: dict[str, Any], minutes: int) -> None:
    until = ecs.aws.clock.time + minutes * 60
    protected = {"taskArn": arn("a"), "protectionEnabled": True, "expirationDate": until}
    assert protect(ecs, "a", **params) == {"protectedTasks": [protected], "failures": []}
    assert shown(ecs, arn("a"), "b") == [protected, {"taskArn": arn("b"), "protectionEnabled": False}]
    ecs.aws.clock.time = until
    assert shown(ecs, "a") == [{"taskArn": arn("a"), "protectionEnabled": False}]


def test_protection_is_renewed_and_taken_back(ecs: Ecs) -> None:
    protect(ecs, "a", expiresInMinutes=5)
    ecs.aws.clock.time += 60
    (renewed,) = protect(ecs, "a", expiresInMinutes=5)["protectedTasks"]
    assert renewed["expirationDate"] == ecs.aws.clock.time + 300
    none = {"taskArn": arn("a"), "protectionEnabled": False}
    assert protect(ecs, "a", on=False) == {"protectedTasks": [none], "failures": []}
    assert shown(ecs, "a") == [none]


def test_one_call_answers_for_each_task_once(ecs: Ecs) -> None:
    answer = protect(ecs, "a", arn("a"), "b", "alone", "nobody")
    assert [task["taskArn"] for task in answer["protectedTasks"]] == [arn("a"), arn("b")]
    failures = [
        {"arn": arn("alone"), "reason": "TASK_NOT_VALID"},
        {"arn": arn("nobody"), "reason": "MISSING"},
    ]
    assert answer["failures"] == failures
    asked = ecs("GetTaskProtection", cluster="default", tasks=["alone", "nobody", "c"])
    assert asked["failures"] == failures
    assert [task["taskArn"] for task in asked["protectedTasks"]] == [arn("c")]


def test_a_task_that_is_to_stop_cannot_be_protected(ecs: Ecs) -> None:
    ecs("StopTask", task="a")
    failure = {"arn": arn("a"), "reason": "TASK_NOT_VALID"}
    assert protect(ecs, "a") == {"protectedTasks": [], "failures": [failure]}


def test_stop_task_stops_a_protected_task(ecs: Ecs) -> None:
    protect(ecs, "a")
    assert ecs("StopTask", task="a")["task"]["desiredStatus"] == "STOPPED"


def test_no_more_tasks_are_protected_than_the_service_wants(aws: Aws) -> None:
    ecs = with_tasks(aws, desired=2)
    answer = protect(ecs, "a", "b", "c")
    assert [task["taskArn"] for task in answer["protectedTasks"]] == [arn("a"), arn("b")]
    blocked = {"arn": arn("c"), "reason": "DEPLOYMENT_BLOCKED"}
    assert answer["failures"] == [blocked]
    assert protect(ecs, "a")["failures"] == [], "a renewal makes no more of them"
    ecs("UpdateService", service="web", desiredCount=1)
    assert protect(ecs, "a")["failures"] == [{"arn": arn("a"), "reason": "DEPLOYMENT_BLOCKED"}]
    protect(ecs, "b", on=False)
    assert protect(ecs, "a")["failures"] == []
    aws.clock.time += 7200
    assert protect(ecs, "c")["failures"] == [], "what has expired counts no more"


def test_the_time_scale_shortens_protection(make_aws: Callable[..., Aws]) -> None:
    ecs = with_tasks(make_aws(settings=ApiSettings(timing=Timing().scaled(60))))
    (protected,) = protect(ecs, "a", expiresInMinutes=10)["protectedTasks"]
    assert protected["expirationDate"] == ecs.aws.clock.time + 10


def test_protecting_is_no_state_change(ecs: Ecs) -> None:
    seq = ecs.aws.store.events(limit=1)[-1].seq
    protect(ecs, "a")
    assert ecs.aws.store.events(after=seq) == []
    assert ecs("DescribeTasks", tasks=["a"])["tasks"][0]["version"] == 1
    assert arns.name_of(arn("a")) == "a"


@pytest.mark.parametrize(
    ("operation", "params", "message"),
    [
        ("UpdateTaskProtection", {"tasks": []}, "Tasks cannot be empty."),
        ("GetTaskProtection", {"tasks": []}, "Tasks cannot be empty."),
        ("GetTaskProtection", {}, "Tasks cannot be empty."),
        ("UpdateTaskProtection", {"tasks": ["a"] * 11}, "Tasks must have at most 10 members."),
        ("GetTaskProtection", {"tasks": ["a"] * 101}, "Tasks must have at most 100 members."),
        (
            "UpdateTaskProtection",
            {"tasks": ["a"], "expiresInMinutes": 0},
            "expiresInMinutes must be between 1 and 2880.",
        ),
        (
            "UpdateTaskProtection",
            {"tasks": ["a"], "expiresInMinutes": 2881},
            "expiresInMinutes must be between 1 and 2880.",
        ),
        (
            "UpdateTaskProtection",
            {"tasks": ["a"], "protectionEnabled": False, "expiresInMinutes": 5},
            "expiresInMinutes can only be set when protectionEnabled is true.",
        ),
    ],
)
def test_refusals(ecs: Ecs, operation: str, params: dict[str, Any], message: str) -> None:
    base = {"protectionEnabled": True} if operation == "UpdateTaskProtection" else {}
    refusal = ecs.refusal(operation, cluster="default", **{**base, **params})
    assert refusal == ("InvalidParameterException", message)


def test_an_unknown_cluster(ecs: Ecs) -> None:
    refusal = ecs.refusal("GetTaskProtection", cluster="none", tasks=["a"])
    assert refusal == ("ClusterNotFoundException", "Cluster not found.")
