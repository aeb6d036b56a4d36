"""Tasks with an address of their own on a real engine: who reaches whom, who dies, and what is left."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from .clusters import Clusters
from .daemon import Engine
from .miniecs import Miniecs
from .waiting import until

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-0000000a", "subnet-0000000b"]}}
FARGATE = {"launchType": "FARGATE", "networkConfiguration": NETWORK}
SIZE = {"networkMode": "awsvpc", "cpu": "256", "memory": "512"}
# Each says its own name at port 80, and ends as soon as it is told to.
WEB = {
    "name": "web",
    "command": [
        "sh",
        "-c",
        "trap 'exit 0' TERM; mkdir /w; hostname > /w/index.html; httpd -p 80 -h /w; "
        "while :; do sleep 0.1; done",
    ],
    "portMappings": [{"containerPort": 80}],
}
SIDE = {"name": "side", "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]}


def address(task: Mapping[str, Any]) -> str:
    [own] = {each["privateIpv4Address"] for c in task["containers"] for each in c["networkInterfaces"]}
    return str(own)


def named(address: str) -> str:
    return f"ip-{address.replace('.', '-')}.ec2.internal\n"


def asked(address: str) -> str:
    """What the task at an address says to the host; it may need a moment to listen."""

    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    return until(f"{address} to answer", ask)


def inside(miniecs: Miniecs, task: Mapping[str, Any], *command: str) -> str:
    return miniecs.ok("exec", "-c", "side", task["taskArn"], "--", *command)


def of_owner(miniecs: Miniecs, engine: Engine, label: str, kind: str = "containers") -> list[str]:
    """Ids of what the engine has of this cluster with a label."""
    wanted = {"label": [f"miniecs.owner={miniecs.settings['owner']}", label]}
    api = engine.client.api
    found = api.networks(filters=wanted) if kind == "networks" else api.containers(all=True, filters=wanted)
    return [str(each["Id"]) for each in found]


@pytest.fixture
def miniecs(clusters: Clusters) -> Miniecs:
    return clusters.start("--instances", "2", "--zones", "2")


def launched(miniecs: Miniecs, count: int = 2, **how: Any) -> list[dict[str, Any]]:
    definition = miniecs.register("web", WEB, SIDE, **SIZE)
    return [miniecs.reaches(arn, "RUNNING") for arn in miniecs.run(definition, count, **(how or FARGATE))]


def test_two_tasks_listen_on_one_port_each_at_its_own_address(miniecs: Miniecs, engine: Engine) -> None:
    before = miniecs.instances()
    tasks = launched(miniecs)
    one, two = map(address, tasks)
    assert one != two
    assert [asked(one), asked(two)] == [named(one), named(two)]
    # Containers of one task share localhost; tasks reach each other.
    assert inside(miniecs, tasks[0], "wget", "-qO-", "http://localhost/") == named(one)
    assert inside(miniecs, tasks[0], "wget", "-qO-", f"http://{two}/") == named(two)
    mac = {each["name"]: each["value"] for each in tasks[0]["attachments"][0]["details"]}["macAddress"]
    assert mac in inside(miniecs, tasks[0], "cat", "/sys/class/net/eth0/address")
    # Fargate's machine is nobody's container instance.
    assert [task.get("containerInstanceArn") for task in tasks] == [None, None]
    assert [i["containerInstanceArn"] for i in miniecs.instances()] == [
        i["containerInstanceArn"] for i in before
    ]
    assert {container["name"] for task in tasks for container in task["containers"]} == {"web", "side"}
    assert len(of_owner(miniecs, engine, "miniecs.pause")) == 2


def test_tasks_on_container_instances_reach_their_ports_and_their_neighbours(miniecs: Miniecs) -> None:
    [own] = launched(miniecs, 1, networkConfiguration=NETWORK)
    assert own["containerInstanceArn"] in [i["containerInstanceArn"] for i in miniecs.instances()]
    assert asked(address(own)) == named(address(own))
    bridge = miniecs.register("bridge", WEB, SIDE)
    [published] = [miniecs.reaches(arn, "RUNNING") for arn in miniecs.run(bridge)]
    [binding] = next(c for c in published["containers"] if c["name"] == "web")["networkBindings"]
    at = f"{binding['bindIP']}:{binding['hostPort']}"
    name = asked(at)
    assert inside(miniecs, own, "wget", "-qO-", f"http://{at}/") == name
    # Docker keeps its bridges apart: docs/differences.md says so.
    words = ("exec", "-c", "side", published["taskArn"], "--", "wget", "-T", "2", "-qO-")
    assert miniecs.command(*words, f"http://{address(own)}/").returncode != 0


def test_an_agent_that_is_killed_finds_its_tasks_interfaces_again(miniecs: Miniecs, engine: Engine) -> None:
    tasks = launched(miniecs)
    pauses = of_owner(miniecs, engine, "miniecs.pause")
    killed = miniecs.kill("agent")
    until("another agent", lambda: any(pid != killed for pid in miniecs.processes("agent")))
    until("it to be connected", lambda: all(each["agentConnected"] for each in miniecs.instances()))
    assert [asked(address(task)) for task in tasks] == [named(address(task)) for task in tasks]
    assert of_owner(miniecs, engine, "miniecs.pause") == pauses
    miniecs.ecs.stop_task(task=tasks[0]["taskArn"])
    stopped = miniecs.reaches(tasks[0]["taskArn"], "STOPPED")
    assert stopped["attachments"][0]["status"] == "DELETED"
    until("its interface to be gone", lambda: len(of_owner(miniecs, engine, "miniecs.pause")) == 1)
    assert asked(address(tasks[1])) == named(address(tasks[1]))


def test_a_task_whose_interface_is_taken_away_stops(miniecs: Miniecs, engine: Engine) -> None:
    [task] = launched(miniecs, 1)
    [pause] = of_owner(miniecs, engine, "miniecs.pause")
    engine.client.api.remove_container(pause, force=True)
    stopped = miniecs.reaches(task["taskArn"], "STOPPED")
    assert stopped["stopCode"] == "EssentialContainerExited"


def test_a_fargate_service_is_kept_at_its_count(miniecs: Miniecs, engine: Engine) -> None:
    definition = miniecs.register("web", WEB, SIDE, **SIZE)
    elb, subnets = miniecs.client("elbv2"), NETWORK["awsvpcConfiguration"]["subnets"]
    made = elb.create_target_group(
        Name="web", Protocol="HTTP", Port=80, VpcId="vpc-0000000a", TargetType="ip"
    )
    group = made["TargetGroups"][0]["TargetGroupArn"]
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]
    )
    balanced = [{"targetGroupArn": group, "containerName": "web", "containerPort": 80}]
    miniecs.ecs.create_service(
        serviceName="web", taskDefinition=definition, desiredCount=2, loadBalancers=balanced, **FARGATE
    )

    def running() -> list[dict[str, Any]]:
        arns = miniecs.ecs.list_tasks(serviceName="web")["taskArns"]
        tasks = miniecs.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return [task for task in tasks if task["lastStatus"] == "RUNNING"]

    until("two tasks", lambda: len(running()) == 2)
    first = running()[0]
    web = next(each["runtimeId"] for each in first["containers"] if each["name"] == "web")
    engine.client.containers.get(web).kill()
    arn = first["taskArn"]
    until("another task", lambda: len([t for t in running() if t["taskArn"] != arn]) == 2)
    addresses = {address(task) for task in running()}
    assert len(addresses) == 2

    def targets() -> dict[str, str]:
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in found}

    until("both to be healthy targets", lambda: targets() == dict.fromkeys(addresses, "healthy"))
    miniecs.ecs.delete_service(service="web", force=True)
    until("no interface to be left", lambda: not of_owner(miniecs, engine, "miniecs.pause"))


def test_a_reset_leaves_no_network(miniecs: Miniecs, engine: Engine) -> None:
    launched(miniecs, 1)
    assert len(of_owner(miniecs, engine, "miniecs.vpc", "networks")) == 1
    request = urllib.request.Request(f"{miniecs.endpoint}/_miniecs/reset", method="POST")
    with urllib.request.urlopen(request, timeout=90) as answer:
        assert answer.status == 200
    assert of_owner(miniecs, engine, "miniecs.vpc", "networks") == []
    assert of_owner(miniecs, engine, "miniecs.instance") == []
