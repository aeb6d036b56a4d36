"""How fast services behind load balancers are up, and up again, beside what the engine alone needs for it.

Ten tasks behind a load balancer, from CreateService to its steady state, with ECS's waits ten times shorter,
against starting ten such containers through the engine's API; and from a container's crash until its
replacement is RUNNING, of which the engine's part is to say that it died, and to create and start another.
"""

from __future__ import annotations

import argparse
import time
from datetime import datetime
from typing import Any

import _docker
import boto3
from _report import figure

ROUNDS = 5
TASKS = 10
SCRIPT = "mkdir /w; echo ok > /w/index.html; httpd -p 80 -h /w; sleep 3600"
COMMAND = ["sh", "-c", SCRIPT]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    client = _docker.engine()
    scale = ("--instances", "3", "--time-scale", "10")
    with _docker.plain(client) as plain, _docker.up(*scale) as up:
        definition = up.register(
            "services", command=COMMAND, portMappings=[{"containerPort": 80}], stopTimeout=2
        )
        group = _load_balancer(up)
        steady(plain, up, definition, group, rounds)
        crashes(client, plain, up, definition, group, rounds)


def _load_balancer(up: _docker.Up) -> str:
    """A load balancer; the ARN of its target group."""
    elb = boto3.client(
        "elbv2",
        endpoint_url=up.ecs.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="x",
    )
    subnets = ["subnet-0000000a", "subnet-0000000b"]
    balancer = elb.create_load_balancer(Name="bench", Subnets=subnets)["LoadBalancers"][0]
    group = elb.create_target_group(
        Name="bench",
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-00000001",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    elb.modify_target_group_attributes(
        TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
    )
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return str(group)


def _create(up: _docker.Up, name: str, definition: str, group: str, count: int) -> None:
    up.ecs.create_service(
        serviceName=name,
        taskDefinition=definition,
        desiredCount=count,
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
    )


def _is_steady(up: _docker.Up, name: str) -> bool:
    service = up.ecs.describe_services(services=[name])["services"][0]
    return any("has reached a steady state" in event["message"] for event in service["events"])


def _remove(up: _docker.Up, name: str) -> None:
    up.ecs.delete_service(service=name, force=True)
    up.until_seen(
        lambda: up.ecs.describe_services(services=[name])["services"][0]["status"] == "INACTIVE",
        f"{name} to be INACTIVE",
        every=0.1,
    )
    time.sleep(2.0)  # what the engine still does after a stop is not what is measured


def steady(plain: _docker.Plain, up: _docker.Up, definition: str, group: str, rounds: int) -> None:
    """Ten tasks and ten plain containers, in turn."""
    ours, theirs = [], []
    options = {"ports": {"80/tcp": (plain.gateway, None)}, "mem_limit": "16m", "cpu_shares": 8}
    for number in range(rounds):
        theirs.append(plain.launch(TASKS, TASKS, **options))
        plain.clear()
        name = f"steady-{number}"
        began = time.perf_counter()
        _create(up, name, definition, group, TASKS)
        up.until_seen(lambda n=name: _is_steady(up, n), f"{name} to be steady", every=0.01)
        ours.append(time.perf_counter() - began)
        _remove(up, name)
    figure(f"services.steady ({TASKS} tasks, time scale 10)", ours, "s")
    figure(f"services.engine ({TASKS} containers)", theirs, "s")


def crashes(
    client: Any, plain: _docker.Plain, up: _docker.Up, definition: str, group: str, rounds: int
) -> None:
    """A killed container, until its replacement is RUNNING in DescribeTasks."""
    name = "crashes"
    _create(up, name, definition, group, 2)
    up.until_seen(lambda: _is_steady(up, name), f"{name} to be steady", every=0.1)
    options = {"ports": {"80/tcp": (plain.gateway, None)}, "mem_limit": "16m", "cpu_shares": 8}
    whole, ours = [], []
    with _docker.deaths(client) as deaths:
        for _ in range(rounds):
            launched = plain.launch(1, 1, **options)
            plain.clear()
            time.sleep(1.0)
            before = set(up.ecs.list_tasks(serviceName=name)["taskArns"])
            victim = up.task(min(before))["containers"][0]["runtimeId"]
            client.api.kill(victim)
            up.until_seen(lambda seen=before: _replaced(up, name, seen), "another task to be RUNNING")
            running = time.time()
            ended = _seconds(client.api.inspect_container(victim)["State"]["FinishedAt"])
            whole.append(running - ended)
            ours.append(running - ended - launched - (deaths[victim] - ended))
            up.until_seen(lambda: len(_running(up, name)) == 2, "two tasks", every=0.1)
            time.sleep(1.0)
    figure("services.crash_to_running", whole, "s")
    figure("services.crash_to_running.ours", ours, "s")


def _running(up: _docker.Up, name: str) -> list[str]:
    arns = up.ecs.list_tasks(serviceName=name)["taskArns"]
    tasks = up.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    return [task["taskArn"] for task in tasks if task["lastStatus"] == "RUNNING"]


def _replaced(up: _docker.Up, name: str, before: set[str]) -> bool:
    return not before.issuperset(_running(up, name))


def _seconds(moment: str) -> float:
    """RFC 3339 with nanoseconds, as the engine tells it."""
    return datetime.fromisoformat(f"{moment[:26].rstrip('Z')}+00:00").timestamp()


if __name__ == "__main__":
    main()
