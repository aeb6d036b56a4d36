"""Task definitions: what is answered, how revisions are numbered, found, retired and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model.scope import Scope
from miniecs.model.task_definition import TaskDefinition, TaskDefinitionFamily

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

ARN = "arn:aws:ecs:us-east-1:000000000000:task-definition/"
NOT_THERE = (
    "The specified task definition does not exist. Specify a valid account, family, revision and try again."
)
STILL_ACTIVE = (
    "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
)
MINIMAL: dict[str, Any] = {"containerDefinitions": [{"name": "app", "image": "busybox", "memory": 64}]}


def register(ecs: Ecs, family: str = "web", **params: Any) -> str:
    answered = ecs("RegisterTaskDefinition", family=family, **{**MINIMAL, **params})
    return str(answered["taskDefinition"]["taskDefinitionArn"])


def ports(ecs: Ecs, mode: str, *mappings: dict[str, Any]) -> list[dict[str, Any]]:
    container = {**MINIMAL["containerDefinitions"][0], "portMappings": list(mappings)}
    arn = register(ecs, containerDefinitions=[container], networkMode=mode)
    described = ecs("DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]
    return list(described["containerDefinitions"][0]["portMappings"])


def test_the_least_that_registers_and_what_ecs_makes_of_it(ecs: Ecs) -> None:
    assert ecs("RegisterTaskDefinition", family="web", **MINIMAL) == {
        "taskDefinition": {
            "taskDefinitionArn": ARN + "web:1",
            "family": "web",
            "revision": 1,
            "status": "ACTIVE",
            "networkMode": "bridge",
            "containerDefinitions": [
                {
                    "name": "app",
                    "image": "busybox",
                    "cpu": 0,
                    "memory": 64,
                    "portMappings": [],
                    "essential": True,
                    "environment": [],
                    "mountPoints": [],
                    "volumesFrom": [],
                    "systemControls": [],
                }
            ],
            "volumes": [],
            "placementConstraints": [],
            "requiresAttributes": [],
            "compatibilities": ["EXTERNAL", "EC2"],
            "registeredAt": 1_700_000_000.0,
            "registeredBy": "arn:aws:iam::000000000000:root",
        }
    }


def test_a_fargate_definition_with_everything_that_is_filled_in(ecs: Ecs) -> None:
    answered = ecs(
        "RegisterTaskDefinition",
        family="web",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu=".5 vCPU",
        memory="2GB",
        volumes=[{"name": "scratch"}],
        tags=[{"key": "team", "value": "blue"}],
        containerDefinitions=[
            {
                "name": "app",
                "image": "nginx",
                "portMappings": [{"containerPort": 80}],
                "healthCheck": {"command": ["CMD-SHELL", "true"]},
                "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch"}],
            }
        ],
    )
    assert answered["tags"] == [{"key": "team", "value": "blue"}]
    definition = answered["taskDefinition"]
    assert (definition["cpu"], definition["memory"]) == ("512", "2048")
    assert definition["compatibilities"] == ["EC2", "FARGATE", "MANAGED_INSTANCES"]
    assert definition["requiresCompatibilities"] == ["FARGATE"]
    assert definition["volumes"] == [{"name": "scratch", "host": {}}]
    container = definition["containerDefinitions"][0]
    assert container["portMappings"] == [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]
    assert container["healthCheck"] == {
        "command": ["CMD-SHELL", "true"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
    }


@pytest.mark.parametrize(
    ("given", "answered"),
    [("1 vCPU", "1024"), ("1vcpu", "1024"), (".25 vCPU", "256"), ("0.125 VCPU", "128"), (" 0512 ", "512")],
)
def test_cpu_is_answered_as_a_number(ecs: Ecs, given: str, answered: str) -> None:
    arn = register(ecs, cpu=given)
    assert ecs("DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]["cpu"] == answered


@pytest.mark.parametrize(("given", "answered"), [("2GB", "2048"), ("0.5 gb", "512"), ("1024", "1024")])
def test_memory_is_answered_as_a_number(ecs: Ecs, given: str, answered: str) -> None:
    arn = register(ecs, memory=given)
    assert ecs("DescribeTaskDefinition", taskDefinition=arn)["taskDefinition"]["memory"] == answered


def test_the_host_ports_of_each_network_mode(ecs: Ecs) -> None:
    dynamic = {"containerPort": 80, "hostPort": 0, "protocol": "tcp"}
    same = {"containerPort": 80, "hostPort": 80, "protocol": "tcp"}
    assert ports(ecs, "bridge", {"containerPort": 80}) == [dynamic]
    assert ports(ecs, "bridge", {"containerPort": 80, "hostPort": 80}) == [same]
    assert ports(ecs, "host", {"containerPort": 80}) == [same]
    assert ports(ecs, "awsvpc", {"containerPort": 80, "hostPort": 0}) == [same]
    assert ports(ecs, "bridge", {"containerPortRange": "80-90"}) == [
        {"containerPortRange": "80-90", "protocol": "tcp"}
    ]


def test_describing_by_family_revision_and_arn(ecs: Ecs) -> None:
    register(ecs, tags=[{"key": "a", "value": "b"}])
    register(ecs)
    first = ecs("DescribeTaskDefinition", taskDefinition="web:1")
    assert first["taskDefinition"]["taskDefinitionArn"] == ARN + "web:1"
    assert "tags" not in first
    assert ecs("DescribeTaskDefinition", taskDefinition=ARN + "web:1") == first
    assert ecs("DescribeTaskDefinition", taskDefinition="web:1", include=["TAGS"]) == {
        **first,
        "tags": [{"key": "a", "value": "b"}],
    }
    newest = ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]
    assert newest["revision"] == 2
    assert ecs("DescribeTaskDefinition", taskDefinition=ARN + "web")["taskDefinition"] == newest


@pytest.mark.parametrize(
    "reference",
    [
        "none",
        "web:2",
        ARN + "web:2",
        "arn:aws:ecs:eu-west-1:000000000000:task-definition/web:1",
        "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1",
        "arn:aws:ecs:us-east-1:000000000000:cluster/web",
        "arn:nonsense",
        "",
    ],
)
def test_describing_what_is_not_there(ecs: Ecs, reference: str) -> None:
    register(ecs)
    assert ecs.refusal("DescribeTaskDefinition", taskDefinition=reference) == (
        "ClientException",
        "Unable to describe task definition.",
    )


@pytest.mark.parametrize("number", ["new", "", "-1", "1.0", "٣", "9" * 5000])
def test_a_revision_that_is_no_number(ecs: Ecs, number: str) -> None:
    for operation in ("DescribeTaskDefinition", "DeregisterTaskDefinition"):
        assert ecs.refusal(operation, taskDefinition=f"web:{number}") == (
            "ClientException",
            f"Invalid revision number. Number: {number}",
        )


def test_deregistering(ecs: Ecs) -> None:
    register(ecs)
    register(ecs)
    ecs.aws.clock.time += 60
    gone = ecs("DeregisterTaskDefinition", taskDefinition="web:2")["taskDefinition"]
    assert (gone["status"], gone["deregisteredAt"]) == ("INACTIVE", 1_700_000_060.0)
    assert ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]["revision"] == 1
    assert ecs("DescribeTaskDefinition", taskDefinition="web:2")["taskDefinition"] == gone
    ecs.aws.clock.time += 60
    assert ecs("DeregisterTaskDefinition", taskDefinition=ARN + "web:2")["taskDefinition"] == gone
    ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert ecs.refusal("DescribeTaskDefinition", taskDefinition="web") == (
        "ClientException",
        "Unable to describe task definition.",
    )
    assert register(ecs) == ARN + "web:3"


def test_deregistering_an_old_revision_leaves_the_newest(ecs: Ecs) -> None:
    register(ecs)
    register(ecs)
    ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert ecs("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]["revision"] == 2


def test_deregistering_needs_a_revision(ecs: Ecs) -> None:
    register(ecs)
    for reference in ("web", ARN + "web"):
        assert ecs.refusal("DeregisterTaskDefinition", taskDefinition=reference) == (
            "ClientException",
            "Revision is missing.",
        )
    assert ecs.refusal("DeregisterTaskDefinition", taskDefinition="web:9") == (
        "ClientException",
        "Unable to describe task definition.",
    )


def test_listing_is_by_family_then_by_number(ecs: Ecs) -> None:
    for _ in range(11):
        register(ecs, "web")
    register(ecs, "api")
    register(ecs, "web-2")
    expected = [ARN + "api:1", *(f"{ARN}web:{n}" for n in range(1, 12)), ARN + "web-2:1"]
    assert ecs("ListTaskDefinitions") == {"taskDefinitionArns": expected}
    assert ecs("ListTaskDefinitions", sort="DESC") == {"taskDefinitionArns": expected[::-1]}
    assert ecs("ListTaskDefinitions", familyPrefix="web") == {"taskDefinitionArns": expected[1:12]}
    assert ecs("ListTaskDefinitions", familyPrefix="we") == {"taskDefinitionArns": []}


def test_listing_by_status(ecs: Ecs) -> None:
    for _ in range(3):
        register(ecs)
    ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    ecs("DeregisterTaskDefinition", taskDefinition="web:2")
    ecs("DeleteTaskDefinitions", taskDefinitions=["web:2"])
    for status, revision in (("INACTIVE", 1), ("DELETE_IN_PROGRESS", 2), ("ACTIVE", 3)):
        assert ecs("ListTaskDefinitions", status=status) == {"taskDefinitionArns": [f"{ARN}web:{revision}"]}


def test_pages(ecs: Ecs) -> None:
    for _ in range(5):
        register(ecs)
    seen: list[str] = []
    token: dict[str, str] = {}
    sizes = []
    while True:
        page = ecs("ListTaskDefinitions", maxResults=2, **token)
        seen += page["taskDefinitionArns"]
        sizes.append(len(page["taskDefinitionArns"]))
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert seen == [f"{ARN}web:{n}" for n in range(1, 6)]
    assert sizes == [2, 2, 1]
    for size in (0, 101):
        assert ecs.refusal("ListTaskDefinitions", maxResults=size) == (
            "InvalidParameterException",
            "maxResults must be between 1 and 100.",
        )
    assert ecs.refusal("ListTaskDefinitions", nextToken="!") == (
        "InvalidParameterException",
        "Invalid token.",
    )


def test_families(ecs: Ecs) -> None:
    register(ecs, "web")
    register(ecs, "webhook")
    register(ecs, "api")
    ecs("DeregisterTaskDefinition", taskDefinition="webhook:1")
    assert ecs("ListTaskDefinitionFamilies") == {"families": ["api", "web", "webhook"]}
    assert ecs("ListTaskDefinitionFamilies", status="ALL", familyPrefix="web") == {
        "families": ["web", "webhook"]
    }
    assert ecs("ListTaskDefinitionFamilies", status="ACTIVE") == {"families": ["api", "web"]}
    assert ecs("ListTaskDefinitionFamilies", status="INACTIVE") == {"families": ["webhook"]}
    assert ecs("ListTaskDefinitionFamilies", maxResults=1)["families"] == ["api"]


def test_deleting(ecs: Ecs) -> None:
    for _ in range(3):
        register(ecs)
    ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    ecs.aws.clock.time += 60
    answered = ecs(
        "DeleteTaskDefinitions", taskDefinitions=["web:1", ARN + "web:2", "web:9", "web", ARN + "api:1"]
    )
    (deleted,) = answered["taskDefinitions"]
    assert (deleted["taskDefinitionArn"], deleted["status"]) == (ARN + "web:1", "DELETE_IN_PROGRESS")
    assert deleted["deleteRequestedAt"] == 1_700_000_060.0
    assert answered["failures"] == [
        {"arn": ARN + "web:2", "reason": STILL_ACTIVE},
        {"arn": "web:9", "reason": NOT_THERE},
        {"arn": "web", "reason": "Revision is missing."},
        {"arn": ARN + "api:1", "reason": NOT_THERE},
    ]
    assert ecs("DescribeTaskDefinition", taskDefinition="web:1")["taskDefinition"] == deleted
    ecs.aws.clock.time += 60
    assert ecs("DeleteTaskDefinitions", taskDefinitions=["web:1"])["taskDefinitions"] == [deleted]


def test_deleting_has_its_limits(ecs: Ecs) -> None:
    assert ecs.refusal("DeleteTaskDefinitions", taskDefinitions=[]) == (
        "InvalidParameterException",
        "Task definitions cannot be empty.",
    )
    assert ecs.refusal("DeleteTaskDefinitions", taskDefinitions=[f"web:{n}" for n in range(11)]) == (
        "InvalidParameterException",
        "At most 10 task definitions can be deleted in a call.",
    )


def test_no_number_is_given_twice_even_when_all_revisions_are_gone(ecs: Ecs) -> None:
    arn = register(ecs)
    ecs("DeregisterTaskDefinition", taskDefinition=arn)
    with ecs.aws.store.transaction() as tx:
        tx.delete(TaskDefinition, arn)
    assert ecs("ListTaskDefinitionFamilies") == {"families": []}
    assert register(ecs) == ARN + "web:2"
    family = ecs.aws.store.get(TaskDefinitionFamily, "000000000000/us-east-1/web")
    assert family == TaskDefinitionFamily(Scope("000000000000", "us-east-1"), "web", 2, 2)


def test_accounts_and_regions_do_not_see_each_other(ecs: Ecs) -> None:
    register(ecs)
    ecs.aws.scope = Scope("111111111111", "us-east-1")
    assert ecs("ListTaskDefinitions") == {"taskDefinitionArns": []}
    assert register(ecs) == "arn:aws:ecs:us-east-1:111111111111:task-definition/web:1"
    ecs.aws.scope = Scope("000000000000", "eu-west-1")
    assert ecs("ListTaskDefinitionFamilies") == {"families": []}


def test_bad_tags_register_nothing(ecs: Ecs) -> None:
    assert ecs.refusal(
        "RegisterTaskDefinition", family="web", **MINIMAL, tags=[{"key": "aws:x", "value": ""}]
    ) == (
        "InvalidParameterException",
        "Tag keys and values that start with 'aws:' are reserved for system use.",
    )
