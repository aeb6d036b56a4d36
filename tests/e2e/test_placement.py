"""Placement through boto3 and a real server: where tasks go, and ECS's words for where they cannot."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws_shapes import events, id_of, register, tasks
from .conftest import StartServer
from .process import ServerProcess, until

GUIDE = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
NO_INSTANCE = "was unable to place a task because no container instance met all of its requirements."
PORT = {"portMappings": [{"containerPort": 80, "hostPort": 8080}]}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=0)


def add(server: ServerProcess, cluster: str, zone: str = "us-east-1a", **attributes: str) -> str:
    """A t3.medium."""
    wanted = {"cluster": cluster, "zone": zone, "attributes": attributes}
    return str(server.request("POST", "/_miniecs/instances", wanted)["arn"])


@pytest.fixture(scope="module")
def only(server: ServerProcess, ecs: Any) -> str:
    """The one instance of the cluster `words`, with a task of family `holds` at port 8080."""
    ecs.create_cluster(clusterName="words")
    arn = add(server, "words")
    until("the agent", lambda: connected(ecs, "words") == 1)
    assert not ecs.run_task(cluster="words", taskDefinition=register(ecs, "holds", **PORT))["failures"]
    return arn


def connected(ecs: Any, cluster: str) -> int:
    return len(
        ecs.list_container_instances(cluster=cluster, filter="agentConnected == true")[
            "containerInstanceArns"
        ]
    )


def definition(ecs: Any, family: str, container: dict[str, Any], **more: Any) -> str:
    filled = {"name": "app", "image": "httpd:2.4", "cpu": 64, "memory": 64, **container}
    answer = ecs.register_task_definition(family=family, containerDefinitions=[filled], **more)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


REX = {"name": "data", "dockerVolumeConfiguration": {"driver": "rexray/ebs", "scope": "task"}}


@pytest.mark.parametrize(
    ("name", "container", "more", "asks", "reason", "said"),
    [
        ("cpu", {"cpu": 4096}, {}, {}, "RESOURCE:CPU", "has insufficient CPU units available."),
        ("memory", {"memory": 9999}, {}, {}, "RESOURCE:MEMORY", "has insufficient memory available."),
        ("port", PORT, {}, {}, "RESOURCE:PORTS", "is already using a port required by your task."),
        (
            "gpu",
            {"resourceRequirements": [{"type": "GPU", "value": "1"}]},
            {},
            {},
            "RESOURCE:GPU",
            "has insufficient GPU resource available.",
        ),
        (
            "attribute",
            {},
            {"volumes": [REX]},
            {},
            "ATTRIBUTE",
            "is missing an attribute required by your task.",
        ),
        (
            "member",
            {},
            {},
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:stack == prod"}]},
            "MemberOf placement constraint unsatisfied.",
            'encountered error "MemberOf placement constraint unsatisfied.".',
        ),
    ],
)
def test_run_task_and_a_service_say_the_same_in_their_own_words(
    ecs: Any,
    only: str,
    name: str,
    container: dict[str, Any],
    more: dict[str, Any],
    asks: dict[str, Any],
    reason: str,
    said: str,
) -> None:
    wanted = definition(ecs, name, container, **more)
    answer = ecs.run_task(cluster="words", taskDefinition=wanted, **asks)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["tasks"] == []
    (failure,) = answer["failures"]
    assert (failure["arn"], failure["reason"]) == (only, reason)
    assert failure["detail"]
    ecs.create_service(cluster="words", serviceName=name, taskDefinition=wanted, desiredCount=1, **asks)
    closest = f"The closest matching (container-instance {id_of(only)})"
    event = f"(service {name}) {NO_INSTANCE} {closest} {said}{GUIDE}"
    until("the event", lambda: events(ecs, name, "words") == [event], 20)
    ecs.delete_service(cluster="words", service=name, force=True)


def test_an_empty_cluster(ecs: Any) -> None:
    ecs.create_cluster(clusterName="empty")
    with pytest.raises(ClientError) as caught:
        ecs.run_task(cluster="empty", taskDefinition=register(ecs, "nowhere"))
    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": "No Container Instances were found in your cluster.",
    }


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        (
            {"placementStrategy": [{"type": "spread", "field": "zone"}]},
            "Field must be instanceId, host or attribute:NAME for the spread placement strategy.",
        ),
        (
            {"placementConstraints": [{"type": "distinctInstance", "expression": ""}]},
            "distinctInstance expression should not be specified.",
        ),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "attribute:stack =~ (a"}]},
            "Invalid placement constraint expression: a group is not closed at position 21: expected ')'",
        ),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "not " * 500 + "x"}]},
            "Invalid placement constraint expression: the expression is too long at position 2000: "
            "expected at most 2000 characters",
        ),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_scheduled(
    ecs: Any, only: str, asks: dict[str, Any], message: str
) -> None:
    before = {each["taskArn"] for each in tasks(ecs, "words")}
    with pytest.raises(ClientError) as caught:
        ecs.run_task(cluster="words", taskDefinition=register(ecs, "wrong"), **asks)
    assert caught.value.response["Error"] == {"Code": "InvalidParameterException", "Message": message}
    assert {each["taskArn"] for each in tasks(ecs, "words")} == before


def test_strategies_and_constraints_decide_where_tasks_go(server: ServerProcess, ecs: Any) -> None:
    ecs.create_cluster(clusterName="where")
    prod = [add(server, "where", zone, stack="prod") for zone in ("us-east-1a", "us-east-1a", "us-east-1b")]
    add(server, "where", "us-east-1c", stack="test")
    until("the agents", lambda: connected(ecs, "where") == 4)
    rule = {"type": "memberOf", "expression": "attribute:stack == prod"}
    zones = {"type": "spread", "field": "attribute:ecs.availability-zone"}

    def where(count: int, group: str, strategies: list[dict[str, str]], *more: dict[str, str]) -> list[str]:
        answer = ecs.run_task(
            cluster="where",
            taskDefinition=register(ecs, "goes"),
            count=count,
            group=group,
            placementConstraints=[rule, *more],
            placementStrategy=strategies,
        )
        return [each["containerInstanceArn"] for each in answer["tasks"]]

    spread = Counter(where(4, "spread", [zones]))
    assert spread[prod[2]] == spread[prod[0]] + spread[prod[1]] == 2
    packed = where(3, "packed", [{"type": "binpack", "field": "memory"}])
    assert len(set(packed)) == 1
    assert sorted(where(4, "apart", [], {"type": "distinctInstance"})) == sorted(prod)
