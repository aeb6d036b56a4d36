"""Calls that come again because their answers were lost: by their client tokens nothing is made twice."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws_shapes import register, service, steady, tasks
from .conftest import StartServer
from .process import ServerProcess, until

NOT_IDEMPOTENT = "when calling the CreateService operation: Creation of service was not idempotent."


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=2)


def create(server: ServerProcess, name: str, token: str, count: int = 1) -> tuple[str, ...]:
    return (
        *("ecs", "create-service", "--service-name", name, "--task-definition", name),
        *("--desired-count", str(count), "--client-token", token),
    )


def test_create_service(server: ServerProcess, ecs: Any) -> None:
    """Answered again after a kill, an update and even once its task definition is INACTIVE."""
    definition = register(ecs, "shop")
    call = create(server, "shop", "token-1")
    made = server.aws(*call)["service"]
    server.restart()
    assert server.aws(*call)["service"]["serviceArn"] == made["serviceArn"]
    until("the service", lambda: steady(ecs, "shop", 1))
    newer = register(ecs, "shop")
    ecs.update_service(service="shop", taskDefinition=newer, desiredCount=2)
    ecs.deregister_task_definition(taskDefinition=definition)
    until("the newer revision", lambda: steady(ecs, "shop", 2))
    again = server.aws(*call)["service"]
    assert (again["serviceArn"], again["desiredCount"]) == (made["serviceArn"], 2)
    assert again["taskDefinition"] == newer
    assert [each["id"] for each in again["deployments"]] == [
        each["id"] for each in service(ecs, "shop")["deployments"]
    ]
    register(ecs, "other")
    for other in (create(server, "shop", "token-1", 3), create(server, "other", "token-1")):
        refused = server.refusal(*other)
        assert NOT_IDEMPOTENT in refused, refused
    assert NOT_IDEMPOTENT in server.refusal(*create(server, "shop", "token-2"))
    assert "other" not in str(ecs.list_services()["serviceArns"])


def test_a_token_whose_service_is_deleted(server: ServerProcess, ecs: Any) -> None:
    register(ecs, "gone")
    call = create(server, "gone", "token-of-gone")
    made = server.aws(*call)["service"]
    until("the service", lambda: steady(ecs, "gone", 1))
    ecs.delete_service(service="gone", force=True)
    server.restart()
    until("INACTIVE", lambda: service(ecs, "gone")["status"] == "INACTIVE")
    fresh = server.aws(*call)["service"]
    assert fresh["status"] == "ACTIVE" and fresh["createdAt"] > made["createdAt"]
    until("the service, anew", lambda: steady(ecs, "gone", 1))
    assert server.aws(*call)["service"]["createdAt"] == fresh["createdAt"]


def test_run_task(server: ServerProcess, ecs: Any) -> None:
    register(ecs, "job")
    call = {"taskDefinition": "job", "count": 2, "clientToken": "token-of-job"}
    first = sorted(each["taskArn"] for each in ecs.run_task(**call)["tasks"])
    server.restart()
    assert sorted(each["taskArn"] for each in ecs.run_task(**call)["tasks"]) == first
    assert sorted(each["taskArn"] for each in tasks(ecs, family="job")) == first
    with pytest.raises(ClientError) as refused:
        ecs.run_task(**{**call, "count": 1})
    assert refused.value.response["Error"]["Code"] == "ConflictException"
    assert sorted(refused.value.response["resourceIds"]) == first
    ecs.create_cluster(clusterName="elsewhere")
    server.request("POST", "/_miniecs/instances", {"cluster": "elsewhere"})
    other = ecs.run_task(cluster="elsewhere", **{**call, "count": 1})["tasks"]
    assert len(other) == 1, "a token counts in its cluster"
