"""Volumes that are configured at launch go with a service through updates, rollbacks and a killed server."""

from __future__ import annotations

from typing import Any

import pytest

from .aws_shapes import service, steady, task
from .conftest import StartServer
from .process import ServerProcess, until

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
NET = {"awsvpcConfiguration": {"subnets": ["subnet-0000000a"]}}


def volume(size: int) -> list[dict[str, Any]]:
    role = "arn:aws:iam::000000000000:role/ecsInfrastructureRole"
    return [{"name": "data", "managedEBSVolume": {"roleArn": role, "volumeType": "gp3", "sizeInGiB": size}}]


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=2)


def register(ecs: Any, image: str, **more: Any) -> str:
    mounts = [{"sourceVolume": "data", "containerPath": "/data"}]
    answer = ecs.register_task_definition(
        family="stateful",
        containerDefinitions=[{"name": "app", "image": image, "memory": 64, "mountPoints": mounts}],
        volumes=[{"name": "data", "configuredAtLaunch": True}],
        **more,
    )
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def again(server: ServerProcess) -> None:
    server.kill()
    server.start()


def sizes(ecs: Any) -> list[int]:
    """Of the volumes of the service's deployments, the newest first."""
    deployments = service(ecs, "stateful")["deployments"]
    return [each["managedEBSVolume"]["sizeInGiB"] for d in deployments for each in d["volumeConfigurations"]]


def test_a_services_volume(server: ServerProcess, ecs: Any) -> None:
    made = ecs.create_service(
        serviceName="stateful",
        taskDefinition=register(ecs, "busybox"),
        desiredCount=2,
        deploymentConfiguration=BREAKER,
        volumeConfigurations=volume(10),
    )
    assert "No EBS volume is made" in made["ResponseMetadata"]["HTTPHeaders"]["x-miniecs-hint"]
    again(server)
    assert sizes(ecs) == [10]
    until("its tasks", lambda: steady(ecs, "stateful", 2))
    completed = service(ecs, "stateful")["deployments"][0]["id"]
    bad = register(ecs, "sim/start-fails")
    ecs.update_service(service="stateful", taskDefinition=bad, volumeConfigurations=volume(20))
    again(server)
    newest = service(ecs, "stateful")["deployments"][0]
    assert newest["id"] == completed or sizes(ecs) == [20, 10]
    until("the rollback", lambda: service(ecs, "stateful")["deployments"][0]["id"] == completed)
    until("its end", lambda: steady(ecs, "stateful", 2))
    assert sizes(ecs) == [10], "a rollback returns to the volume of its revision"
    again(server)
    ecs.update_service(service="stateful", forceNewDeployment=True)
    until("the same anew", lambda: steady(ecs, "stateful", 2))
    assert sizes(ecs) == [10]


def test_a_task_of_fargate(ecs: Any) -> None:
    definition = register(
        ecs, "busybox", networkMode="awsvpc", cpu="256", memory="512", requiresCompatibilities=["FARGATE"]
    )
    (started,) = ecs.run_task(
        taskDefinition=definition,
        launchType="FARGATE",
        networkConfiguration=NET,
        volumeConfigurations=volume(10),
    )["tasks"]
    until("it to run", lambda: task(ecs, started["taskArn"])["lastStatus"] == "RUNNING")
