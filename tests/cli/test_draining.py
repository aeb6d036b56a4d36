"""A drain that cannot end, as its user meets it: what the CLIs say of it, and that following them ends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Cli, until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cli-draining")]

STUCK = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration."
    " Update the minimumHealthyPercent or maximumPercent value and try again."
)


def described(cli: Cli, name: str) -> dict[str, Any]:
    found = cli.ecs("DescribeServices", services=[name])["services"][0]
    assert isinstance(found, dict)
    return found


def said(cli: Cli, name: str) -> list[str]:
    return [event["message"] for event in described(cli, name)["events"]]


def steady(cli: Cli, name: str) -> bool:
    return said(cli, name)[:1] == [f"(service {name}) has reached a steady state."]


def on(cli: Cli, instance: str) -> list[str]:
    """Groups of the tasks that are on a container instance."""
    tasks = cli.client.get("tasks")["tasks"]
    return sorted(each["group"] for each in tasks if each["instance"] == instance)


def test_bounds_that_allow_no_move(running: Cli) -> None:
    running.make_service("web", 3)
    exact = {"minimumHealthyPercent": 67, "maximumPercent": 133}
    running.ecs("UpdateService", service="web", deploymentConfiguration=exact)
    until(lambda: steady(running, "web"), "web is steady")
    instance = next(each["instance"] for each in running.tasks("web"))
    drained = running.ok("instance", "drain", instance[:8])
    assert "shows what is left" in drained
    until(lambda: f"(service web) {STUCK}" in said(running, "web"), "the event of a deadlock")
    assert said(running, "web").count(f"(service web) {STUCK}") == 1
    remedy = "et maximumPercent to 134 or more, or minimumHealthyPercent to 66 or less."
    explained = running.ok("explain", "web")
    assert "cannot start yet: 3 are there and at most 3 may be." in explained
    assert f"None can stop first: 3 are healthy and at least 3 must stay. S{remedy}" in explained
    stays = "stays on its DRAINING container instance, which never drains with these bounds"
    assert f"{stays}: s{remedy}" in explained
    assert "Service web moves 1 of them: `miniecs explain web` says what it waits for." in running.ok(
        "explain", instance
    )
    assert len(on(running, instance)) == 1

    bounds = json.dumps({"minimumHealthyPercent": 66, "maximumPercent": 133})
    running.aws("ecs", "update-service", "--service", "web", "--deployment-configuration", bounds)
    until(lambda: not on(running, instance) and steady(running, "web"), "the instance is empty")
    steps = [" ".join(text.split()[2:6]) for text in reversed(said(running, "web"))]
    assert steps[steps.index("was unable to stop") + 1 :] == [
        "has stopped 1 running",
        "has started 1 tasks:",
        "has reached a steady",
    ]
    assert "Nothing is left on it." in running.ok("explain", instance)
    running.ecs("UpdateContainerInstancesState", containerInstances=[instance], status="ACTIVE")


def test_a_daemon_waits_for_a_task_that_nobody_moves(running: Cli) -> None:
    container = {"name": "app", "image": "httpd:2.4", "cpu": 64, "memory": 64}
    running.ecs("RegisterTaskDefinition", family="logs", containerDefinitions=[container])
    running.ecs("CreateService", serviceName="logs", taskDefinition="logs", schedulingStrategy="DAEMON")
    until(lambda: steady(running, "logs"), "logs is steady")
    instance = running.tasks("logs")[0]["instance"]
    (alone,) = running.ecs("StartTask", taskDefinition="logs", containerInstances=[instance])["tasks"]
    running.ok("instance", "drain", instance)
    waits = (
        "leaves its DRAINING container instance after all tasks that are no daemon's: 1 is there yet, 1"
        " belongs to no service: nobody moves it, the drain waits until it ends or is stopped."
    )
    until(lambda: waits in running.ok("explain", "logs"), "the daemon waits")
    text = running.ok("explain", instance)
    assert "Of the tasks, 1 belongs to no service: nobody moves it" in text
    until(lambda: on(running, instance) == ["family:logs", "service:logs"], "web's task to leave")
    running.aws("ecs", "stop-task", "--task", alone["taskArn"])
    until(lambda: on(running, instance) == [], "the instance is empty")
    until(lambda: steady(running, "logs"), "logs is steady with one fewer")
    assert described(running, "logs")["desiredCount"] == 2
