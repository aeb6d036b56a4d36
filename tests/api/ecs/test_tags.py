"""Tags: on every kind of resource that ECS tags, with their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model.frozen import replace
from miniecs.model.scope import Scope
from miniecs.model.task import Task

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

HERE = "arn:aws:ecs:us-east-1:000000000000:"
GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/web"
RESERVED = "Tag keys and values that start with 'aws:' are reserved for system use."


def pairs(**tags: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def a_cluster(ecs: Ecs) -> str:
    return str(ecs("CreateCluster")["cluster"]["clusterArn"])


def a_capacity_provider(ecs: Ecs) -> str:
    made = ecs("CreateCapacityProvider", name="cp", autoScalingGroupProvider={"autoScalingGroupArn": GROUP})
    return str(made["capacityProvider"]["capacityProviderArn"])


def a_task_definition(ecs: Ecs) -> str:
    return ecs.aws.register_task_definition("web")


def a_container_instance(ecs: Ecs) -> str:
    a_cluster(ecs)
    return ecs.aws.register_instance()


def a_task(ecs: Ecs) -> str:
    a_container_instance(ecs)
    a_task_definition(ecs)
    return str(ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"])


def a_service(ecs: Ecs) -> str:
    a_cluster(ecs)
    a_task_definition(ecs)
    made = ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    return str(made["service"]["serviceArn"])


def a_task_set(ecs: Ecs) -> str:
    a_cluster(ecs)
    a_task_definition(ecs)
    ecs("CreateService", serviceName="web", deploymentController={"type": "EXTERNAL"})
    made = ecs("CreateTaskSet", cluster="default", service="web", taskDefinition="web")
    return str(made["taskSet"]["taskSetArn"])


KINDS = [
    a_cluster, a_capacity_provider, a_task_definition, a_container_instance, a_task, a_service, a_task_set
]  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
def test_tag_untag_and_list(ecs: Ecs, make: Callable[[Ecs], str]) -> None:
    arn = make(ecs)
    assert ecs("ListTagsForResource", resourceArn=arn) == {"tags": []}
    assert ecs("TagResource", resourceArn=arn, tags=pairs(team="blue", stage="test")) == {}
    assert ecs("TagResource", resourceArn=arn, tags=[{"key": "team", "value": "red"}, {"key": "empty"}]) == {}
    assert ecs("ListTagsForResource", resourceArn=arn) == {
        "tags": pairs(team="red", stage="test", empty="")
    }
    assert ecs("UntagResource", resourceArn=arn, tagKeys=["team", "none"]) == {}
    assert ecs("ListTagsForResource", resourceArn=arn) == {"tags": pairs(stage="test", empty="")}


def test_describing_shows_them(ecs: Ecs) -> None:
    arn = a_task_definition(ecs)
    ecs("TagResource", resourceArn=arn, tags=pairs(team="blue"))
    described = ecs("DescribeTaskDefinition", taskDefinition="web", include=["TAGS"])
    assert described["tags"] == pairs(team="blue")


def test_limits(ecs: Ecs) -> None:
    arn = a_cluster(ecs)
    ecs("TagResource", resourceArn=arn, tags=[{"key": f"k{n}", "value": ""} for n in range(50)])
    ecs("TagResource", resourceArn=arn, tags=pairs(k3="again"))
    for tags, message in (
        (pairs(more=""), "The maximum number of tags on a resource is 50."),
        ([{"key": "AWS:x", "value": ""}], RESERVED),
        ([{"key": "x", "value": "aws:y"}], RESERVED),
        ([{"value": "x"}], "Tag keys cannot be null or empty."),
        ([{"key": "a"}, {"key": "a"}], "Duplicate tag keys found: a. Each tag key must be unique."),
    ):
        assert ecs.refusal("TagResource", resourceArn=arn, tags=tags) == (
            "InvalidParameterException",
            message,
        )
    assert ecs.refusal("UntagResource", resourceArn=arn, tagKeys=["aws:x"]) == (
        "InvalidParameterException",
        "Tag keys that start with 'aws:' are reserved for system use.",
    )


def test_what_is_propagated_counts_against_the_limit_and_managed_tags_do_not(ecs: Ecs) -> None:
    arn = a_task_definition(ecs)
    a_container_instance(ecs)
    many = [{"key": f"k{n}", "value": ""} for n in range(49)]
    ecs("TagResource", resourceArn=arn, tags=many)
    asked = {"taskDefinition": "web", "propagateTags": "TASK_DEFINITION", "enableECSManagedTags": True}
    (task,) = ecs("RunTask", **asked, tags=pairs(k0="own", k49="own"))["tasks"]
    assert len(task["tags"]) == 51
    assert {each["key"]: each["value"] for each in task["tags"]}["k0"] == "own"
    assert ecs.refusal("RunTask", **asked, tags=pairs(k49="", k50="")) == (
        "InvalidParameterException",
        "The maximum number of tags on a resource is 50.",
    )


def test_a_stopped_tasks_tags_are_shown_and_change_no_more(ecs: Ecs) -> None:
    arn = a_task(ecs)
    ecs("TagResource", resourceArn=arn, tags=pairs(team="blue"))
    with ecs.aws.store.transaction() as tx:
        task = tx.get(Task, arn)
        assert task is not None
        tx.put(replace(task, last_status="STOPPED", desired_status="STOPPED"))
    message = "The specified task is stopped. Specify a running task and try again."
    stopped = ("InvalidParameterException", message)
    assert ecs.refusal("TagResource", resourceArn=arn, tags=pairs(team="red")) == stopped
    assert ecs.refusal("UntagResource", resourceArn=arn, tagKeys=["team"]) == stopped
    assert ecs("ListTagsForResource", resourceArn=arn) == {"tags": pairs(team="blue")}


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("TagResource", {"tags": []}),
    ("UntagResource", {"tagKeys": []}),
    ("ListTagsForResource", {}),
]


@pytest.mark.parametrize(("operation", "params"), CALLS)
def test_bad_arns(ecs: Ecs, operation: str, params: dict[str, Any]) -> None:
    for arn, message in (
        ("web", "The ARN provided is invalid."),
        ("arn:aws:s3:::bucket", "The ARN provided is invalid."),
        (HERE + "cluster/", "The ARN provided is invalid."),
        (HERE + "cluster/a/b", "The ARN provided is invalid."),
        (HERE + "task/a/b/c", "The ARN provided is invalid."),
        (HERE + "container/a", "The resource type 'container' is not supported for tagging."),
        (HERE + "service/web", "Long arn format must be used for tagging operations"),
        (HERE + "task/0f", "Long arn format must be used for tagging operations"),
        (HERE + "container-instance/0f", "Long arn format must be used for tagging operations"),
        (
            HERE + "capacity-provider/FARGATE",
            "The specified capacity provider is reserved and cannot be tagged.",
        ),
    ):
        assert ecs.refusal(operation, resourceArn=arn, **params) == ("InvalidParameterException", message)


@pytest.mark.parametrize(("operation", "params"), CALLS)
def test_what_is_not_there(ecs: Ecs, operation: str, params: dict[str, Any]) -> None:
    code = "InvalidParameterException" if operation == "ListTagsForResource" else "ResourceNotFoundException"
    for resource, name in (
        ("service/default/web", "service"),
        ("task/default/0f", "task"),
        ("container-instance/default/0f", "container instance"),
        ("task-definition/web:1", "task definition"),
        ("capacity-provider/cp", "capacity provider"),
    ):
        assert ecs.refusal(operation, resourceArn=HERE + resource, **params) == (
            code,
            f"The specified {name} was not found.",
        )
    arn = a_cluster(ecs)
    ecs.aws.scope = Scope("111111111111", "us-east-1")
    assert ecs.refusal(operation, resourceArn=arn, **params) == (
        "ClusterNotFoundException",
        "Cluster not found.",
    )


@pytest.mark.parametrize(("operation", "params"), CALLS)
def test_what_is_inactive(ecs: Ecs, operation: str, params: dict[str, Any]) -> None:
    arn = a_cluster(ecs)
    ecs("DeleteCluster", cluster=arn)
    assert ecs.refusal(operation, resourceArn=arn, **params) == (
        "InvalidParameterException",
        "The specified cluster is inactive. Specify an active cluster and try again.",
    )
