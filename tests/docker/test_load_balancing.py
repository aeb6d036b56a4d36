"""Services behind load balancers on a real engine: no client notices what happens to the tasks.

Every request of a steady load is answered, and the engine itself is asked how many tasks ran.
"""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from .clusters import Clusters
from .counted import counted
from .daemon import Engine
from .load import Seen, steady
from .miniecs import Miniecs
from .waiting import until

SCALE = 10
STABLE_WITHIN = 90.0
RATE = 150.0  # requests a second
SUBNETS = ["subnet-0000000a", "subnet-0000000b"]


@pytest.fixture(scope="module")
def shared_miniecs(module_clusters: Clusters) -> Miniecs:
    return module_clusters.start("--time-scale", str(SCALE))


FARGATE = {
    "launchType": "FARGATE",
    "networkConfiguration": {
        "awsvpcConfiguration": {
            "subnets": SUBNETS,
            "securityGroups": ["sg-00000001"],
            "assignPublicIp": "ENABLED",
        }
    },
}


class Web:
    """A web server behind a load balancer. Each revision answers with its own word.

    Targets are asked every five seconds, and drain for twenty, at the cluster's time scale.
    """

    def __init__(self, miniecs: Miniecs, name: str, desired: int = 3, *, fargate: bool = False) -> None:
        self.miniecs = miniecs
        self.name = name
        self.fargate = fargate
        self.deleted = False
        elb = miniecs.client("elbv2")
        (balancer,) = elb.create_load_balancer(Name=name, Subnets=SUBNETS)["LoadBalancers"]
        self.balancer = balancer["LoadBalancerArn"]
        (group,) = elb.create_target_group(
            Name=name,
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-00000001",
            TargetType="ip" if fargate else "instance",
            HealthCheckPath="/",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"]
        self.group = group["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "20"}
        elb.modify_target_group_attributes(TargetGroupArn=self.group, Attributes=[delay])
        (listener,) = elb.create_listener(
            LoadBalancerArn=self.balancer,
            Protocol="HTTP",
            Port=8180,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}],
        )["Listeners"]
        self.listener = listener["ListenerArn"]
        self.service = miniecs.ecs.create_service(
            serviceName=name,
            taskDefinition=self.revision("one"),
            desiredCount=desired,
            loadBalancers=[{"targetGroupArn": self.group, "containerName": "web", "containerPort": 80}],
            **(FARGATE if fargate else {"role": "ecsServiceRole"}),
        )["service"]["serviceArn"]
        self.stable()

    def revision(self, word: str, serves: str = "/w/index.html") -> str:
        script = (
            f"trap 'exit 0' TERM; mkdir -p /w; echo {word} > {serves}; httpd -p 80 -h /w; "
            "while :; do sleep 0.1; done"
        )
        return self.miniecs.register(
            self.name,
            {"name": "web", "command": ["sh", "-c", script], "portMappings": [{"containerPort": 80}]},
            **({"networkMode": "awsvpc", "cpu": "256", "memory": "512"} if self.fargate else {}),
        )

    @property
    def address(self) -> str:
        """Where the load balancer listens on this machine."""
        (place,) = until("the listener", lambda: self.places())
        assert not place["problem"], place
        return str(place["addresses"][0])

    def places(self) -> list[dict[str, Any]]:
        balancers = self.miniecs.json("lb")["loadBalancers"]
        return [
            listener
            for balancer in balancers
            for listener in balancer["listeners"]
            if listener["arn"] == self.listener and listener["addresses"]
        ]

    def described(self) -> dict[str, Any]:
        (service,) = self.miniecs.ecs.describe_services(services=[self.service])["services"]
        return dict(service)

    def update(self, **changes: Any) -> None:
        self.miniecs.ecs.update_service(service=self.service, **changes)

    def stable(self, within: float = STABLE_WITHIN) -> None:
        """As the waiter services-stable sees it, and nothing of an old deployment left."""

        def look() -> bool:
            service = self.described()
            (deployment, *others) = service["deployments"]
            arrived = deployment["rolloutState"] == "COMPLETED"
            return not others and arrived and service["runningCount"] == service["desiredCount"]

        try:
            until(f"{self.name} to be stable", look, within, every=0.1)
        except AssertionError as failed:
            failed.add_note(f"{self.described()['events'][:10]}\n{self.miniecs.logs()}")
            raise

    def roll(self, word: str) -> None:
        self.update(taskDefinition=self.revision(word))
        self.stable()

    def health(self) -> list[str]:
        told = self.miniecs.client("elbv2").describe_target_health(TargetGroupArn=self.group)
        return [each["TargetHealth"]["State"] for each in told["TargetHealthDescriptions"]]

    def delete(self) -> None:
        """Once is enough."""
        if self.deleted:
            return
        self.deleted = True
        elb = self.miniecs.client("elbv2")
        self.miniecs.ecs.delete_service(service=self.service, force=True)
        elb.delete_load_balancer(LoadBalancerArn=self.balancer)
        until("the target group to be free", lambda: not self.health(), within=60.0)
        elb.delete_target_group(TargetGroupArn=self.group)


@pytest.fixture
def web(miniecs: Miniecs) -> Iterator[Web]:
    made = Web(miniecs, "web")
    yield made
    made.delete()


def none_failed(seen: Seen) -> None:
    assert seen.sent > RATE, "the load was none"
    assert not seen.failures, f"{len(seen.failures)} of {seen.sent}: {seen.failures[:10]}"
    assert sum(seen.answers.values()) == seen.sent


def test_no_request_fails_whatever_becomes_of_the_tasks(web: Web, miniecs: Miniecs, engine: Engine) -> None:
    with steady(web.address, RATE) as seen:
        for word in ("two", "three", "four", "five", "six"):
            with counted(engine, miniecs, web.name) as ran:
                web.roll(word)
            assert (ran.fewest, ran.most) >= (3, 4), "the old ones run until new ones are healthy"
            assert ran.most <= 6, "no more than maximumPercent"
            assert f"{word}\n" in seen.bodies
        web.update(desiredCount=5)
        web.stable()
        web.update(desiredCount=2)
        web.stable()
        drained = miniecs.instances()[0]["containerInstanceArn"]
        for status in ("DRAINING", "ACTIVE"):
            miniecs.ecs.update_container_instances_state(containerInstances=[drained], status=status)
            web.stable()
        (task, *_) = miniecs.ecs.list_tasks(serviceName=web.name)["taskArns"]
        miniecs.ecs.stop_task(task=task)
        until("the task to have stopped", lambda: miniecs.task(task)["lastStatus"] == "STOPPED", 60.0)
        web.stable()
        web.update(taskDefinition=web.revision("seven"))
        time.sleep(1.0)
        miniecs.kill("server")
        miniecs.is_back()
        web.stable()
    none_failed(seen)
    assert seen.bodies >= {"one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"}


def test_a_version_that_fails_its_health_check_takes_no_traffic(web: Web) -> None:
    with steady(web.address, 100.0) as seen:
        web.update(taskDefinition=web.revision("sick", serves="/w/other.html"))
        until("tasks to fail their health checks", lambda: "unhealthy" in web.health(), within=60.0)
        time.sleep(3.0)
        deployments = web.described()["deployments"]
        assert [each["status"] for each in deployments] == ["PRIMARY", "ACTIVE"]
        assert deployments[0]["rolloutState"] == "IN_PROGRESS"
        assert deployments[1]["runningCount"] == 3, "the old version serves on"
        web.roll("well")
    none_failed(seen)
    assert seen.bodies == {"one\n", "well\n"}


def test_a_killed_container_is_replaced(web: Web, miniecs: Miniecs, engine: Engine) -> None:
    (arn, *_) = miniecs.ecs.list_tasks(serviceName=web.name)["taskArns"]
    runtime_id = miniecs.task(arn)["containers"][0]["runtimeId"]
    with steady(web.address, 100.0) as seen:
        engine.client.api.kill(runtime_id)
        until("the task to have stopped", lambda: miniecs.task(arn)["lastStatus"] == "STOPPED")
        time.sleep(0.3)  # the table is on its way
        lost = len(seen.failures)
        web.stable()
        time.sleep(1.0)
    wrong = [what for _, what in seen.failures if not (what.startswith("502") or is_cut_off(what))]
    assert not wrong, "a load balancer answers, unless half of the target's answer was passed on already"
    assert len(seen.failures) == lost, "no request goes to a task that is known to have stopped"
    assert lost < 50
    until("its target to be gone", lambda: web.health() == ["healthy"] * 3)


def test_the_proxy_is_back_at_once_also_without_a_server(web: Web, miniecs: Miniecs) -> None:
    address = web.address
    for also in ((), ("server",)):
        for role in also:
            miniecs.kill(role)
        killed = miniecs.kill("proxy")
        began = time.monotonic()
        try:
            until("the load balancer to answer", lambda: answers(address), within=20.0, every=0.01)
        except AssertionError as failed:
            failed.add_note(f"{web.places()}\n{web.health()}\n{miniecs.processes()}\n{miniecs.logs()}")
            raise
        took = time.monotonic() - began
        assert miniecs.pid("proxy") != killed
        # A second is asked for; a machine that runs other tests at the same time is given some more.
        assert took < (1.0 if os.getloadavg()[0] < 1 else 10.0)
    miniecs.is_back()
    web.roll("after")
    until("the new version to be served", lambda: ask(address) == "after\n")


def test_containers_reach_it_too(web: Web, miniecs: Miniecs, engine: Engine) -> None:
    (place,) = until("a second address", lambda: [e for e in web.places() if len(e["addresses"]) == 2])
    _, address = place["addresses"]
    assert ask(address) == "one\n", "and so does this machine"
    arns = miniecs.ecs.list_tasks(serviceName=web.name)["taskArns"]
    for arn in arns:
        said = miniecs.ok("exec", arn, "--", "wget", "-q", "-O", "-", f"http://{address}/")
        assert said == "one\n", "from every instance's network"
    label = f"miniecs.load-balancer={web.balancer}"
    assert len(engine.client.api.networks(filters={"label": label})) == 1
    web.delete()
    until("its network to be gone", lambda: not engine.client.api.networks(filters={"label": label}))


def is_cut_off(failure: str) -> bool:
    """Whether the head of an answer had come: its body's length is known."""
    return "IncompleteReadError" in failure and "undefined" not in failure


def ask(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        return str(answer.read().decode())


def answers(address: str) -> bool:
    try:
        return bool(ask(address))
    except OSError:
        return False


def test_each_fargate_task_is_a_target_of_its_own(miniecs: Miniecs) -> None:
    web = Web(miniecs, "fargate", 2, fargate=True)
    try:
        with steady(web.address, RATE) as seen:
            web.roll("two")
            web.update(desiredCount=3)
            web.stable()
            told = miniecs.client("elbv2").describe_target_health(TargetGroupArn=web.group)
            targets = {each["Target"]["Id"] for each in told["TargetHealthDescriptions"]}
            tasks = miniecs.ecs.list_tasks(serviceName=web.name)["taskArns"]
            described = miniecs.ecs.describe_tasks(tasks=tasks)["tasks"]
            addresses = {
                each["value"]
                for task in described
                for each in task["attachments"][0]["details"]
                if each["name"] == "privateIPv4Address"
            }
            assert targets == addresses and len(addresses) == 3
            web.update(desiredCount=1)
            web.stable()
        none_failed(seen)
        assert seen.bodies == {"one\n", "two\n"}
    finally:
        web.delete()


def test_without_a_time_scale(clusters: Clusters, engine: Engine) -> None:
    """One rolling update as it is on AWS: targets drain for their twenty seconds before their tasks stop."""
    miniecs = clusters.start("--instances", "2")
    web = Web(miniecs, "whole", 2)
    began = time.monotonic()
    with steady(web.address, RATE) as seen, counted(engine, miniecs, web.name) as ran:
        web.roll("two")
    took = time.monotonic() - began
    none_failed(seen)
    assert (ran.fewest, ran.most) == (2, 4)
    assert took > 20.0, "old tasks run until their targets have drained"
    assert web.health().count("healthy") == 2
