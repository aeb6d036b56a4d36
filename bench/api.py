"""Requests a second at 16 connections: DescribeClusters, RegisterTaskDefinition, RunTask.

Ours on its SQLite store, tasks on simulated hosts and taken through their lives meanwhile;
MiniStack and moto in memory, where a task is a record. In turn, several times, one machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import _load as load
import _servers as servers
import boto3
from _report import figure, ratio

ROUNDS = 3
SECONDS = 4.0
TARGET = "AmazonEC2ContainerServiceV20141113"
ASKED = {
    "DescribeClusters": {"ministack": 3, "moto": 10},
    "RegisterTaskDefinition": {"ministack": 3, "moto": 10},
    "RunTask": {"ministack": 3, "moto": 5},
}

DEFINITION = {
    "family": "bench",
    "containerDefinitions": [
        {
            "name": "web",
            "image": "busybox:latest",
            "cpu": 1,
            "memory": 6,
            "essential": True,
            "portMappings": [{"containerPort": 80, "hostPort": 0}],
            "environment": [{"name": "A", "value": "1"}],
            "command": ["sleep", "1000"],
        }
    ],
}
# moto counts a task's memory against instances of a fixed size, but not for Fargate.
FARGATE = {
    **DEFINITION,
    "family": "fargate",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "web", "image": "busybox:latest", "memory": 512}],
}

Start = Callable[[], AbstractContextManager[servers.Server]]


def bodies(server: servers.Server) -> dict[str, bytes]:
    """What each operation is asked, after the server was made ready for it."""
    ecs = boto3.client(
        "ecs",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="x",
    )
    ecs.create_cluster(clusterName="default")
    run: dict[str, object] = {"taskDefinition": "bench:1"}
    if server.name == "moto":
        ecs.register_task_definition(**FARGATE)
        network = {"awsvpcConfiguration": _network(server)}
        run = {"taskDefinition": "fargate:1", "launchType": "FARGATE", "networkConfiguration": network}
    else:
        ecs.register_task_definition(**DEFINITION)
    return {
        "DescribeClusters": json.dumps({"clusters": ["default"]}).encode(),
        "RegisterTaskDefinition": json.dumps(DEFINITION).encode(),
        "RunTask": json.dumps(run).encode(),
    }


def _network(server: servers.Server) -> dict[str, list[str]]:
    """A subnet and a security group of the default VPC."""
    ec2 = boto3.client(
        "ec2",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="x",
    )
    return {
        "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
        "securityGroups": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
    }


def main() -> None:
    servers.peers()
    starts: tuple[Start, ...] = (
        lambda: servers.miniecs(instances=3, instance_type="r5.24xlarge"),
        servers.ministack,
        servers.moto,
    )
    rates: dict[str, dict[str, list[float]]] = {operation: {} for operation in ASKED}
    for _ in range(ROUNDS):
        for start in starts:
            with start() as server:
                for operation, body in bodies(server).items():
                    request = load.json_request(server.port, f"{TARGET}.{operation}", body)
                    load.run(server.port, request, seconds=0.5)
                    result = load.run(server.port, request, seconds=SECONDS)
                    if result.failed or b'"failures":[{' in result.sample.replace(b" ", b""):
                        told = f"{result.failed} of {result.failed + result.answered} {operation} failed"
                        print(f"bench: {server.name}: {told}: {result.sample[-300:]!r}", file=sys.stderr)
                    rates[operation].setdefault(server.name, []).append(result.rate)
    for operation, by_server in rates.items():
        for name, values in by_server.items():
            figure(f"api.{operation}.{name}", values, "/s")
        for peer, asked in ASKED[operation].items():
            ratio(f"api.{operation}.ratio (to {peer})", by_server["miniecs"], by_server[peer], asked)


if __name__ == "__main__":
    main()
