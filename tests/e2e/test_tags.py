"""Tags on their way from services, task definitions and calls to tasks, with a kill -9 in the middle."""

from __future__ import annotations

from typing import Any

import pytest

from .aws_shapes import register, service, steady, tasks
from .conftest import StartServer
from .process import ServerProcess, until

EXTERNAL = {"type": "EXTERNAL"}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=3)


def pairs(**tags: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def as_dict(tags: list[dict[str, str]]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in tags}


def tagged_definition(ecs: Any, family: str) -> str:
    arn = register(ecs, family)
    ecs.tag_resource(resourceArn=arn, tags=pairs(of="definition", family=family))
    return arn


def of_tasks(ecs: Any, name: str) -> dict[str, dict[str, str]]:
    """Task -> its tags, of a service's tasks that are wanted."""
    arns = [each["taskArn"] for each in tasks(ecs, serviceName=name)]
    found = ecs.describe_tasks(tasks=arns, include=["TAGS"])["tasks"] if arns else []
    return {each["taskArn"]: as_dict(each["tags"]) for each in found}


def test_tasks_that_are_run_by_hand(server: ServerProcess, ecs: Any) -> None:
    definition = tagged_definition(ecs, "hand")
    made = server.aws(
        *("ecs", "run-task", "--task-definition", "hand", "--propagate-tags", "TASK_DEFINITION"),
        *("--enable-ecs-managed-tags", "--tags", "key=of,value=call", "key=empty"),
    )["tasks"][0]
    run = {"of": "call", "family": "hand", "empty": "", "aws:ecs:clusterName": "default"}
    assert as_dict(made["tags"]) == run
    server.restart()
    arn = made["taskArn"]
    assert as_dict(server.aws("ecs", "list-tags-for-resource", "--resource-arn", arn)["tags"]) == run
    (shown,) = ecs.describe_tasks(tasks=[arn])["tasks"]
    assert shown["tags"] == [], "they are shown only where that is asked for"

    (instance, *_) = ecs.list_container_instances()["containerInstanceArns"]
    (started,) = ecs.start_task(
        taskDefinition=definition,
        containerInstances=[instance],
        propagateTags="TASK_DEFINITION",
        enableECSManagedTags=True,
    )["tasks"]
    expected = {"of": "definition", "family": "hand", "aws:ecs:clusterName": "default"}
    assert as_dict(started["tags"]) == expected
    for operation in (
        ("run-task", "--task-definition", "hand"),
        ("start-task", "--task-definition", "hand", "--container-instances", instance),
    ):
        refused = server.refusal("ecs", *operation, "--propagate-tags", "SERVICE")
        assert "(InvalidParameterException)" in refused and "propagateTags SERVICE" in refused
    (plain,) = ecs.run_task(taskDefinition="hand")["tasks"]
    assert plain["tags"] == []


def test_a_services_tasks(server: ServerProcess, ecs: Any) -> None:
    """What is propagated is told when a task is made; changing it is no deployment."""
    tagged_definition(ecs, "shop")
    ecs.create_service(
        serviceName="shop",
        taskDefinition="shop",
        desiredCount=1,
        tags=pairs(of="service"),
        propagateTags="SERVICE",
        enableECSManagedTags=True,
    )
    server.restart()
    until("the service", lambda: steady(ecs, "shop", 1))
    managed = {"aws:ecs:clusterName": "default", "aws:ecs:serviceName": "shop"}
    (first,) = of_tasks(ecs, "shop")
    assert of_tasks(ecs, "shop") == {first: {"of": "service", **managed}}
    arn, (deployment,) = service(ecs, "shop")["serviceArn"], service(ecs, "shop")["deployments"]

    ecs.tag_resource(resourceArn=arn, tags=pairs(of="later"))
    ecs.update_service(service="shop", desiredCount=2)
    until("another task", lambda: steady(ecs, "shop", 2))
    tags = of_tasks(ecs, "shop")
    assert tags.pop(first) == {"of": "service", **managed}
    (second,) = tags
    assert tags == {second: {"of": "later", **managed}}

    updated = ecs.update_service(
        service="shop", propagateTags="TASK_DEFINITION", enableECSManagedTags=False, desiredCount=3
    )["service"]
    assert (updated["propagateTags"], updated["enableECSManagedTags"]) == ("TASK_DEFINITION", False)
    server.restart()
    until("a third", lambda: steady(ecs, "shop", 3))
    assert [each["id"] for each in service(ecs, "shop")["deployments"]] == [deployment["id"]]
    tags = of_tasks(ecs, "shop")
    assert (tags.pop(first)["of"], tags.pop(second)["of"]) == ("service", "later")
    assert list(tags.values()) == [{"of": "definition", "family": "shop"}]

    ecs.update_service(service="shop", propagateTags="NONE", forceNewDeployment=True)
    until("others in their places", lambda: steady(ecs, "shop", 3))
    assert list(of_tasks(ecs, "shop").values()) == [{}, {}, {}]
    shown = ecs.describe_services(services=["shop"], include=["TAGS"])["services"][0]
    assert as_dict(shown["tags"]) == {"of": "later"}


def test_a_daemons_tasks(ecs: Any) -> None:
    tagged_definition(ecs, "logs")
    ecs.create_service(
        serviceName="logs",
        taskDefinition="logs",
        schedulingStrategy="DAEMON",
        propagateTags="TASK_DEFINITION",
        enableECSManagedTags=True,
    )
    until("one on each instance", lambda: steady(ecs, "logs", 3))
    managed = {"aws:ecs:clusterName": "default", "aws:ecs:serviceName": "logs"}
    assert list(of_tasks(ecs, "logs").values()) == [{"of": "definition", "family": "logs", **managed}] * 3


def test_a_task_sets_tasks(server: ServerProcess, ecs: Any) -> None:
    """They have the tags of the service; those of the task set are its own."""
    tagged_definition(ecs, "parts")
    ecs.create_service(
        serviceName="parts",
        desiredCount=1,
        deploymentController=EXTERNAL,
        tags=pairs(of="service"),
        propagateTags="SERVICE",
        enableECSManagedTags=True,
    )
    made = ecs.create_task_set(
        cluster="default",
        service="parts",
        taskDefinition="parts",
        scale={"value": 100.0, "unit": "PERCENT"},
        tags=pairs(of="task set"),
    )["taskSet"]
    server.restart()
    until("its task", lambda: len(of_tasks(ecs, "parts")) == 1)
    managed = {"aws:ecs:clusterName": "default", "aws:ecs:serviceName": "parts"}
    assert list(of_tasks(ecs, "parts").values()) == [{"of": "service", **managed}]
    ecs.tag_resource(resourceArn=made["taskSetArn"], tags=pairs(color="green"))
    server.restart()
    listed = ecs.list_tags_for_resource(resourceArn=made["taskSetArn"])["tags"]
    assert as_dict(listed) == {"of": "task set", "color": "green"}
    described = ecs.describe_task_sets(cluster="default", service="parts", include=["TAGS"])["taskSets"]
    assert as_dict(described[0]["tags"]) == {"of": "task set", "color": "green"}


def test_tags_that_cannot_be(server: ServerProcess, ecs: Any) -> None:
    """At creation and later alike, in ECS's words, and nothing is made."""
    arn = ecs.create_cluster(clusterName="tagged")["cluster"]["clusterArn"]
    many = [f"key=k{number}" for number in range(51)]
    reserved = "Tag keys and values that start with 'aws:' are reserved for system use."
    for tags, words in (
        (["key=aws:mine,value=x"], reserved),
        (["key=mine,value=Aws:x"], reserved),
        (["key=a", "key=a"], "Duplicate tag keys found: a. Each tag key must be unique."),
        ([f"key={'k' * 129}"], "Member must have length less than or equal to 128"),
        ([f"key=k,value={'v' * 257}"], "Member must have length less than or equal to 256"),
        (["key=a*b"], "Member must satisfy regular expression pattern"),
        (many, "Member must have length less than or equal to 50"),
    ):
        for call in (
            ("create-cluster", "--cluster-name", "untagged"),
            ("tag-resource", "--resource-arn", arn),
        ):
            assert words in server.refusal("ecs", *call, "--tags", *tags), tags
    assert ecs.describe_clusters(clusters=["untagged"])["clusters"] == []
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == []
