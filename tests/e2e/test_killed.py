"""The server dies by SIGKILL at many moments; nothing that it had answered or started is lost or doubled."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .aws_shapes import register, service, steady
from .conftest import StartServer
from .process import NotReached, ServerProcess, until

SEED = 20
KILLS = 16
ORDER = (
    *("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"),
    *("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"),
)


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[ServerProcess]:
    server = start_server(time_scale=20.0, instances=3)
    ecs = server.client("ecs")
    for family in ("web", "batch"):
        register(ecs, family)
    yield server


def make_front(server: ServerProcess) -> str:
    """A service behind a target group, whose container waits for two others; its target group."""
    ecs, elb = server.client("ecs"), server.client("elbv2")
    made = elb.create_load_balancer(Name="front", Subnets=["subnet-a", "subnet-b"])
    balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(
        Name="front",
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-1",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "20"}
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    register_front(ecs)
    ecs.create_service(
        serviceName="front",
        taskDefinition="front",
        desiredCount=2,
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
    )
    return str(group)


def register_front(ecs: Any) -> None:
    size = {"cpu": 16, "memory": 16}
    check = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
    app = {
        "name": "app",
        "image": "httpd:2.4",
        "portMappings": [{"containerPort": 80}],
        "dependsOn": [
            {"containerName": "init", "condition": "SUCCESS"},
            {"containerName": "side", "condition": "HEALTHY"},
        ],
    }
    init = {"name": "init", "image": "sim/exit-0-after-0.1", "essential": False}
    side = {"name": "side", "image": "busybox", "essential": False, "healthCheck": check}
    ecs.register_task_definition(
        family="front", containerDefinitions=[{**each, **size} for each in (app, init, side)]
    )


class Watcher:
    """Remembers what it was told of each task, and objects when a later answer takes it back."""

    def __init__(self, ecs: Any) -> None:
        self._ecs = ecs
        self.seen: dict[str, dict[str, Any]] = {}

    def look(self) -> None:
        """Ask for every task that it knows or that is listed."""
        arns = set(self.seen)
        for status in ("RUNNING", "STOPPED"):
            pages = self._ecs.get_paginator("list_tasks").paginate(desiredStatus=status)
            arns |= {arn for page in pages for arn in page["taskArns"]}
        ordered = sorted(arns)
        for start in range(0, len(ordered), 100):
            answer = self._ecs.describe_tasks(tasks=ordered[start : start + 100])
            assert answer["failures"] == [], "a task was lost"
            for task in answer["tasks"]:
                self.told(task)

    def told(self, task: dict[str, Any]) -> None:
        before = self.seen.get(task["taskArn"])
        if before is not None:
            assert task["version"] >= before["version"], (before, task)
            assert ORDER.index(task["lastStatus"]) >= ORDER.index(before["lastStatus"]), (before, task)
            assert (before["desiredStatus"], task["desiredStatus"]) != ("STOPPED", "RUNNING"), (before, task)
            assert before.get("containerInstanceArn") == task.get("containerInstanceArn"), (before, task)
            if task["version"] == before["version"]:
                assert task["lastStatus"] == before["lastStatus"], (before, task)
        self.seen[task["taskArn"]] = task


def test_a_task_of_before_can_be_stopped_after(server: ServerProcess) -> None:
    ecs = server.client("ecs")
    (task,) = ecs.run_task(taskDefinition="web")["tasks"]
    arn = task["taskArn"]

    def status() -> str:
        return str(ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"])

    until("the task to run", lambda: status() == "RUNNING")
    containers = server.containers()
    server.restart()
    assert (status(), server.containers()) == ("RUNNING", containers)
    ecs.stop_task(task=arn)
    server.restart()
    until("the task to stop", lambda: status() == "STOPPED")
    assert server.containers() == []


def test_what_was_answered_survives(server: ServerProcess) -> None:
    """Writes of every kind, with a kill between two calls and no pause before it."""
    ecs, elb = server.client("ecs"), server.client("elbv2")
    made: list[tuple[str, Any]] = []
    for number in range(4):
        cluster = ecs.create_cluster(clusterName=f"made-{number}")["cluster"]["clusterArn"]
        definition = register(ecs, f"made-{number}", image=f"busybox:{number}")
        group = elb.create_target_group(Name=f"made-{number}", Protocol="HTTP", Port=80, VpcId="vpc-1")
        ecs.put_account_setting(name="containerInsights", value=("enabled", "disabled")[number % 2])
        server.kill()
        made += [("cluster", cluster), ("definition", definition), ("group", group["TargetGroups"][0])]
        server.start()
        setting = ecs.list_account_settings(name="containerInsights")["settings"]
        assert [each["value"] for each in setting] == [("enabled", "disabled")[number % 2]]
    clusters = {arn for kind, arn in made if kind == "cluster"}
    assert clusters <= set(ecs.list_clusters()["clusterArns"])
    definitions = {arn for kind, arn in made if kind == "definition"}
    assert definitions <= set(ecs.list_task_definitions()["taskDefinitionArns"])
    groups = [each for kind, each in made if kind == "group"]
    found = {group["TargetGroupArn"]: group for group in elb.describe_target_groups()["TargetGroups"]}
    assert [found[group["TargetGroupArn"]] for group in groups] == groups
    assert register(ecs, "made-0").endswith(":2"), "revisions go on where they were"


def test_services_through_many_kills(server: ServerProcess) -> None:
    """Rolling updates, scaling, single tasks that come and go; a kill at a moment that nobody chose."""
    moments = random.Random(SEED)
    ecs = server.client("ecs")
    watcher = Watcher(ecs)
    ecs.create_service(serviceName="shop", taskDefinition="web", desiredCount=4)
    ecs.create_service(serviceName="logs", taskDefinition="web", schedulingStrategy="DAEMON")
    group = make_front(server)
    alone: list[str] = []
    ended: list[str] = []
    desired, revision = 4, ""
    for kill in range(KILLS):
        match kill % 4:
            case 0:
                revision = register(ecs, "web")
                ecs.update_service(service="shop", taskDefinition=revision)
            case 1:
                alone += [t["taskArn"] for t in ecs.run_task(taskDefinition="batch", count=2)["tasks"]]
                register_front(ecs)
                ecs.update_service(service="front", taskDefinition="front")
            case 2:
                desired = moments.randint(2, 7)
                ecs.update_service(service="shop", desiredCount=desired)
            case 3:
                ended.append(alone.pop(0))
                assert ecs.stop_task(task=ended[-1])["task"]["desiredStatus"] == "STOPPED"
                ecs.update_service(service="logs", taskDefinition=revision)
        time.sleep(moments.choice((0.0, 0.02, 0.1, 0.3, 0.7)))
        if kill % 3 == 0:
            watcher.look()
        server.restart()
        watcher.look()
        shop = service(ecs, "shop")
        assert (shop["desiredCount"], shop["taskDefinition"]) == (desired, revision)

    wanted = {"service:shop": desired, "service:front": 2, "service:logs": 3, "family:batch": len(alone)}

    def settled() -> bool:
        watcher.look()
        live = [t for t in watcher.seen.values() if t["lastStatus"] != "STOPPED"]
        return (
            Counter(t["group"] for t in live) == wanted
            and {t["lastStatus"] for t in live} == {"RUNNING"}
            and all(steady(ecs, name, wanted[f"service:{name}"]) for name in ("shop", "front", "logs"))
        )

    until("the services at their desired counts and nothing else", settled, within=60.0, every=0.2)
    live = [t for t in watcher.seen.values() if t["lastStatus"] == "RUNNING"]
    assert {t["taskDefinitionArn"] for t in live if t["group"] == "service:shop"} == {revision}
    assert sorted(t["taskArn"] for t in live if t["group"] == "family:batch") == sorted(alone)
    for arn in ended:
        task = watcher.seen[arn]
        assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "UserInitiated")
    health = server.client("elbv2").describe_target_health(TargetGroupArn=group)
    states = [each["TargetHealth"]["State"] for each in health["TargetHealthDescriptions"]]
    assert states == ["healthy", "healthy"]
    _match_hosts(server, live)
    assert "Traceback" not in server.log


def _match_hosts(server: ServerProcess, live: list[dict[str, Any]]) -> None:
    """Each container that should run does so once, on its task's host, and nothing else is counted there."""
    expected = [
        (t["containerInstanceArn"], t["taskArn"], container["name"])
        for t in live
        for container in t["containers"]
        if container["lastStatus"] == "RUNNING"
    ]
    found = [(c["instance"], c["task"], c["name"]) for c in server.containers() if c["state"] == "running"]
    assert sorted(found) == sorted(expected)
    ecs = server.client("ecs")
    arns = ecs.list_container_instances()["containerInstanceArns"]
    for instance in ecs.describe_container_instances(containerInstances=arns)["containerInstances"]:
        here = [t for t in live if t["containerInstanceArn"] == instance["containerInstanceArn"]]
        assert (instance["runningTasksCount"], instance["pendingTasksCount"]) == (len(here), 0)
        left = {r["name"]: r.get("integerValue") for r in instance["remainingResources"]}
        whole = {r["name"]: r.get("integerValue") for r in instance["registeredResources"]}
        assert whole["CPU"] - left["CPU"] == sum(int(t["cpu"]) for t in here)
        assert whole["MEMORY"] - left["MEMORY"] == sum(int(t["memory"]) for t in here)


def test_writers_in_the_middle_of_a_kill(server: ServerProcess) -> None:
    """Four clients write as fast as they can; what had been answered before the kill is there after it."""
    ecs = server.client("ecs")
    answered: list[str] = []
    dead = threading.Event()

    def write(name: str) -> None:
        number = 0
        while not dead.is_set():
            number += 1
            try:
                answer = ecs.create_cluster(clusterName=f"{name}-{number}")
            except (BotoCoreError, ClientError):
                return
            if "cluster" not in answer:
                return  # cut off after its headers, which botocore takes for an empty answer
            answered.append(answer["cluster"]["clusterArn"])

    writers = [threading.Thread(target=write, args=(f"writer-{n}",)) for n in range(4)]
    for writer in writers:
        writer.start()
    try:
        until("100 answers", lambda: len(answered) >= 100)
    finally:
        server.kill()
        dead.set()
        for writer in writers:
            writer.join(30.0)
    server.start()
    pages = ecs.get_paginator("list_clusters").paginate()
    there = [arn for page in pages for arn in page["clusterArns"]]
    assert set(answered) <= set(there)
    assert len(there) == len(set(there))
    unanswered = {arn for arn in there if "/writer-" in arn} - set(answered)
    assert len(unanswered) <= len(writers), "at most the call that each was in"


def test_the_watcher_objects() -> None:
    """The watcher must be able to fail."""
    task = {
        "taskArn": "t",
        "version": 3,
        "lastStatus": "STOPPED",
        "desiredStatus": "STOPPED",
        "containerInstanceArn": "a",
    }
    for lie in (
        {"version": 2},
        {"version": 4, "lastStatus": "RUNNING"},
        {"version": 4, "desiredStatus": "RUNNING"},
        {"version": 4, "containerInstanceArn": "b"},
    ):
        watcher = Watcher(None)
        watcher.told(task)
        with pytest.raises(AssertionError):
            watcher.told({**task, **lie})
    with pytest.raises(NotReached, match="waited 0 s for rain; at last there was False"):
        until("rain", lambda: False, within=0.0)
