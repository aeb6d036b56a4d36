"""Tasks protected from scale-in and deployments: for how long, which ones, and what waits for them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from .aws_shapes import events, register, service, steady, task, tasks
from .conftest import StartServer
from .process import ServerProcess, until


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=2)


def make_service(ecs: Any, name: str, **settings: Any) -> list[str]:
    """A service that has come up; its tasks."""
    register(ecs, name)
    ecs.create_service(serviceName=name, taskDefinition=name, **settings)
    until(f"{name}", lambda: service(ecs, name)["desiredCount"] and is_up(ecs, name))
    return [each["taskArn"] for each in tasks(ecs, serviceName=name)]


def is_up(ecs: Any, name: str) -> bool:
    return steady(ecs, name, service(ecs, name)["desiredCount"])


def protect(server: ServerProcess, on: bool, *arns: str, minutes: int | None = None) -> dict[str, Any]:
    """As a script does."""
    enabled = "--protection-enabled" if on else "--no-protection-enabled"
    expires = () if minutes is None else ("--expires-in-minutes", str(minutes))
    tasks = ("--cluster", "default", "--tasks", *arns)
    answer: dict[str, Any] = server.aws("ecs", "update-task-protection", *tasks, enabled, *expires)
    return answer


def expiry(answer: dict[str, Any]) -> float:
    """When the one task that is protected is no longer, in seconds since the epoch."""
    (protected,) = answer["protectedTasks"]
    assert protected["protectionEnabled"]
    return float(protected["expirationDate"])


def explained(server: ServerProcess, name: str) -> list[str]:
    return list(server.request("GET", f"/_miniecs/explain?name={name}")["lines"])


def test_which_tasks_can_be_protected_and_for_how_long(server: ServerProcess, ecs: Any) -> None:
    kept, gone = make_service(ecs, "shop", desiredCount=2)
    (alone,) = (each["taskArn"] for each in ecs.run_task(taskDefinition="shop")["tasks"])
    ecs.stop_task(task=gone)
    until("a task to stop", lambda: task(ecs, gone)["lastStatus"] == "STOPPED")
    nobody = kept[:-1] + ("0" if kept[-1] != "0" else "1")
    answer = protect(server, True, kept, alone, gone, nobody)
    assert [(each["arn"], each["reason"]) for each in answer["failures"]] == [
        (alone, "TASK_NOT_VALID"),
        (gone, "TASK_NOT_VALID"),
        (nobody, "MISSING"),
    ]
    first = expiry(answer)
    assert first - time.time() == pytest.approx(120 * 60 / server.scale, abs=60)
    longer = expiry(protect(server, True, kept, minutes=2880))
    assert longer - first > (2880 - 120) * 60 / server.scale
    server.restart()
    shown = server.aws("ecs", "get-task-protection", "--cluster", "default", "--tasks", kept, alone)
    assert (expiry(shown), shown["failures"]) == (longer, [{"arn": alone, "reason": "TASK_NOT_VALID"}])
    shorter = expiry(protect(server, True, kept, minutes=1))
    assert shorter < first, "a call counts from its own moment, also where the protection becomes shorter"
    (off,) = protect(server, False, kept)["protectedTasks"]
    assert off == {"taskArn": kept, "protectionEnabled": False}
    many = ("--cluster", "default", "--tasks", *[kept] * 11)
    for minutes, words in (
        (("--expires-in-minutes", "0"), "expiresInMinutes must be between 1 and 2880."),
        (("--expires-in-minutes", "2881"), "expiresInMinutes must be between 1 and 2880."),
        ((), "Tasks must have at most 10 members."),
    ):
        named = many if not minutes else many[:4]
        refused = server.refusal("ecs", "update-task-protection", *named, "--protection-enabled", *minutes)
        assert "(InvalidParameterException)" in refused and words in refused


def test_a_deployment_that_has_no_room_beside_a_protected_task(server: ServerProcess, ecs: Any) -> None:
    """It waits until the protection ends, through kills of the server, and says until when."""
    bounds = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    kept, other = make_service(
        ecs, "full", desiredCount=2, deploymentConfiguration=bounds, availabilityZoneRebalancing="DISABLED"
    )
    protect(server, True, kept, minutes=5)
    ecs.update_service(service="full", taskDefinition=register(ecs, "full"))
    ends = expiry(protect(server, True, kept, minutes=8))
    server.restart()
    until("the other one to be replaced", lambda: task(ecs, other)["lastStatus"] == "STOPPED")
    old = service(ecs, "full")["deployments"][-1]["id"]
    held = (
        f"(service full) was unable to reach steady state because (taskSet {old}) was unable to scale in"
        " due to (reason 1 tasks under protection)"
    )
    until("it to say why", lambda: held in events(ecs, "full"))
    waits = r"  1 is protected from scale-in and deployments, the first for \d+ s more\."
    assert [line for line in explained(server, "full") if re.match(waits, line)]
    now = service(ecs, "full")
    assert [each["rolloutState"] for each in now["deployments"]] == ["IN_PROGRESS", "COMPLETED"]
    server.restart()
    assert time.time() < ends, "too slow a machine to see it wait"
    until("the deployment, when the protection has ended", lambda: steady(ecs, "full", 2))
    stopped = task(ecs, kept)
    assert stopped["stoppingAt"].timestamp() >= ends
    assert events(ecs, "full").count(held) == 1


def test_a_daemons_protected_task(server: ServerProcess, ecs: Any) -> None:
    """A deployment leaves it alone until somebody takes the protection back."""
    kept, other = make_service(ecs, "logs", schedulingStrategy="DAEMON")
    protect(server, True, kept)
    ecs.update_service(service="logs", taskDefinition=register(ecs, "logs"))
    server.restart()
    until("the other one to be replaced", lambda: task(ecs, other)["lastStatus"] == "STOPPED")
    until("it to say why", lambda: "(reason 1 tasks under protection)" in str(events(ecs, "logs")))
    assert task(ecs, kept)["desiredStatus"] == "RUNNING"
    assert "1 is protected from scale-in and deployments" in " ".join(explained(server, "logs"))
    protect(server, False, kept)
    until("the deployment", lambda: steady(ecs, "logs", 2))
    assert task(ecs, kept)["lastStatus"] == "STOPPED"
