"""Deployments on a real engine that succeed, fail, roll back and are interrupted; it counts the tasks.

Without a load balancer: a task is healthy forty seconds after it runs, at the cluster's time scale.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .clusters import Clusters
from .commands import OBEDIENT
from .counted import counted
from .daemon import Engine
from .history import History
from .miniecs import Miniecs
from .waiting import NotReached, until

SCALE = 20
CRASHING = ["sh", "-c", "exit 3"]
MISSING = ["/no/such/command"]
STABLE_WITHIN = 90.0
KILLS = 20


@pytest.fixture(scope="module")
def shared_miniecs(module_clusters: Clusters) -> Miniecs:
    return module_clusters.start("--time-scale", str(SCALE))


class Deployed:
    """A service of one container each."""

    def __init__(self, miniecs: Miniecs, name: str, **settings: Any) -> None:
        self.miniecs, self.name = miniecs, name
        self.good = self.revision(OBEDIENT)
        miniecs.ecs.create_service(serviceName=name, taskDefinition=self.good, **settings)
        self.stable()

    def revision(self, command: list[str], **more: Any) -> str:
        return self.miniecs.register(self.name, {"name": "main", "command": command, **more})

    def update(self, **changes: Any) -> None:
        self.miniecs.ecs.update_service(service=self.name, **changes)

    def described(self) -> dict[str, Any]:
        (service,) = self.miniecs.ecs.describe_services(services=[self.name])["services"]
        return dict(service)

    @property
    def primary(self) -> dict[str, Any]:
        return dict(self.described()["deployments"][0])

    def is_stable(self) -> bool:
        service = self.described()
        deployment, *others = service["deployments"]
        arrived = deployment["rolloutState"] == "COMPLETED"
        return not others and arrived and service["runningCount"] == service["desiredCount"]

    def stable(self) -> dict[str, Any]:
        try:
            until(f"{self.name} to be stable", self.is_stable, STABLE_WITHIN)
        except AssertionError as failed:
            failed.add_note(f"{self.described()}\n{self.miniecs.logs()}")
            raise
        return self.described()

    @property
    def said(self) -> list[str]:
        """Its events without the service's name, the newest first."""
        return [each["message"].partition(") ")[2] for each in self.described()["events"]]

    def launched_by(self, deployment: str) -> set[str]:
        """ARNs of its tasks, those that have stopped too."""
        ecs = self.miniecs.ecs
        return {
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in ecs.list_tasks(startedBy=deployment, desiredStatus=status)["taskArns"]
        }

    def tasks(self) -> list[dict[str, Any]]:
        arns = self.miniecs.ecs.list_tasks(serviceName=self.name)["taskArns"]
        return list(self.miniecs.ecs.describe_tasks(tasks=arns)["tasks"]) if arns else []


@pytest.fixture
def web(miniecs: Miniecs) -> Iterator[Deployed]:
    """Four tasks, of which two must stay and six may be."""
    bounds = {"minimumHealthyPercent": 50, "maximumPercent": 150}
    yield Deployed(miniecs, "rolled", desiredCount=4, deploymentConfiguration=bounds)
    miniecs.ecs.delete_service(service="rolled", force=True)


def breaker(rollback: bool) -> dict[str, Any]:
    return {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": rollback}}}


def test_a_rolling_update_stays_within_its_bounds(web: Deployed, miniecs: Miniecs, engine: Engine) -> None:
    with counted(engine, miniecs, web.name) as ran:
        web.update(taskDefinition=web.revision(OBEDIENT))
        assert [each["status"] for each in web.described()["deployments"]] == ["PRIMARY", "ACTIVE"]
        service = web.stable()
    assert ran.fewest >= 2 and ran.most <= 6, ran.running
    assert ran.most > 4, "new tasks start before old ones stop"
    assert {each["taskDefinitionArn"] for each in web.tasks()} == {service["taskDefinition"]}
    assert web.said[0] == "has reached a steady state."


@pytest.mark.parametrize("command", [CRASHING, MISSING], ids=["exits", "cannot start"])
def test_a_crashing_version_is_rolled_back(web: Deployed, command: list[str], engine: Engine) -> None:
    before = web.primary["id"]
    with counted(engine, web.miniecs, web.name) as ran:
        web.update(taskDefinition=web.revision(command), **breaker(rollback=True))
        failed = web.primary["id"]
        until("it to be rolled back", lambda: web.primary["id"] == before, STABLE_WITHIN)
        service = web.stable()
    assert ran.fewest >= 2, ran.running
    assert service["taskDefinition"] == web.good
    assert {each["taskDefinitionArn"] for each in web.tasks()} == {web.good}
    told = web.said
    assert f"(deployment {failed}) deployment failed: tasks failed to start." in told
    assert f"rolling back to deployment {before}." in told


def test_without_rollback_a_failed_version_stands_still(web: Deployed) -> None:
    web.update(taskDefinition=web.revision(CRASHING), **breaker(rollback=False))
    failed = web.primary["id"]
    until("it to fail", lambda: web.primary["rolloutState"] == "FAILED", STABLE_WITHIN)
    primary = web.primary
    assert (primary["id"], primary["failedTasks"] >= 3) == (failed, True)
    assert primary["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    running = [each["taskArn"] for each in web.tasks() if each["lastStatus"] == "RUNNING"]
    assert len(running) >= 2, "the old version serves on"
    launched = web.launched_by(failed)
    # Longer than any launch would have been put off: nothing is launched any more.
    with pytest.raises(NotReached):
        until("another launch", lambda: web.launched_by(failed) - launched, 5.0)
    web.update(taskDefinition=web.good)
    web.stable()


def test_a_version_that_is_never_healthy_replaces_nobody(web: Deployed, engine: Engine) -> None:
    check = {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "retries": 1, "timeout": 5}
    with counted(engine, web.miniecs, web.name) as ran:
        web.update(taskDefinition=web.revision(OBEDIENT, healthCheck=check), **breaker(rollback=True))
        until("it to be rolled back", lambda: web.primary["taskDefinition"] == web.good, STABLE_WITHIN)
        web.stable()
    assert ran.fewest >= 2, ran.running
    assert {each["taskDefinitionArn"] for each in web.tasks()} == {web.good}


def test_a_daemon_follows_instances_that_join_and_drain(miniecs: Miniecs) -> None:
    daemon = Deployed(miniecs, "daemon", schedulingStrategy="DAEMON")
    arn = ""

    def where() -> list[str]:
        return sorted(t["containerInstanceArn"] for t in daemon.tasks() if t["lastStatus"] == "RUNNING")

    def everywhere() -> list[str]:
        instances = miniecs.instances()
        return sorted(each["containerInstanceArn"] for each in instances if each["status"] == "ACTIVE")

    try:
        assert where() == everywhere()
        (arn,) = miniecs.ok("instance", "add", "--type", "t3.small").split()
        until("a task on the new instance", lambda: arn in where(), STABLE_WITHIN)
        daemon.stable()
        miniecs.ecs.update_container_instances_state(containerInstances=[arn], status="DRAINING")
        until("none on the drained one", lambda: arn not in where() and len(where()) == 3, STABLE_WITHIN)
        assert where() == everywhere()
        assert daemon.stable()["desiredCount"] == 3
    finally:
        miniecs.ecs.delete_service(service="daemon", force=True)
        if arn:
            miniecs.ok("instance", "rm", arn, "--force")


def test_protected_tasks_outlast_scaling_in_and_a_deployment(web: Deployed, miniecs: Miniecs) -> None:
    kept = [each["taskArn"] for each in web.tasks()[:2]]
    told = miniecs.ecs.update_task_protection(
        cluster="default", tasks=kept, protectionEnabled=True, expiresInMinutes=10
    )
    assert (len(told["protectedTasks"]), told["failures"]) == (2, [])
    web.update(desiredCount=2, taskDefinition=web.revision(OBEDIENT))
    until("the others to go", lambda: {each["taskArn"] for each in web.tasks()} >= set(kept), STABLE_WITHIN)
    until("the event", lambda: any("2 tasks under protection" in text for text in web.said), STABLE_WITHIN)
    assert {miniecs.task(arn)["lastStatus"] for arn in kept} == {"RUNNING"}
    miniecs.ecs.update_task_protection(cluster="default", tasks=kept, protectionEnabled=False)
    service = web.stable()
    assert service["runningCount"] == 2
    assert not {each["taskArn"] for each in web.tasks()} & set(kept)


def test_a_deployment_outlives_its_control_plane_killed_at_twenty_moments(
    web: Deployed, miniecs: Miniecs, engine: Engine, history: History
) -> None:
    """Killed again as soon as it answers, a little later each time: whatever it was doing, it goes on."""
    first = web.revision(OBEDIENT)
    with counted(engine, miniecs, web.name) as ran:
        web.update(taskDefinition=first)
        for kill in range(KILLS):
            pause = 0.02 * kill
            miniecs.is_back()
            time.sleep(pause)
            miniecs.kill("server")
            if kill == KILLS // 2:
                miniecs.is_back()
                web.update(taskDefinition=web.revision(OBEDIENT))
        miniecs.is_back()
        service = web.stable()
    assert ran.fewest >= 2 and ran.most <= 6, ran.running
    tasks = web.tasks()
    assert {each["taskDefinitionArn"] for each in tasks} == {service["taskDefinition"]}
    for task in tasks:
        history.once(task["taskArn"], "create", "start")
