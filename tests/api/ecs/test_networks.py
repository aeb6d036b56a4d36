"""Network mode awsvpc and Fargate, as far as the API checks, keeps and shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.network import (
    EngineNetworks,
    Subnet,
    Vpc,
    default_group_id,
    default_subnet_id,
    default_vpc_id,
    network_key,
)
from miniecs_api import networks
from miniecs_api.context import ApiSettings
from miniecs_api.wire.errors import AwsError
from tests.api.conftest import Aws

SUBNETS = ["subnet-0000000a", "subnet-0000000b"]


def vpc(*subnets: str, **members: Any) -> dict[str, Any]:
    return {"awsvpcConfiguration": {"subnets": list(subnets or SUBNETS), **members}}


@pytest.fixture
def cluster(aws: Aws) -> Aws:
    prepare(aws)
    return aws


def adopted(aws: Aws) -> list[Subnet]:
    return [subnet for subnet in aws.store.all(Subnet) if not subnet.made]


def prepare(aws: Aws) -> None:
    aws.ecs("CreateCluster", clusterName="default")
    container = {"name": "app", "image": "httpd:2.4", "memory": 128, "portMappings": [{"containerPort": 80}]}
    own = {"family": "own", "networkMode": "awsvpc", "containerDefinitions": [container]}
    aws.ecs("RegisterTaskDefinition", **own)
    aws.ecs("RegisterTaskDefinition", **{**own, "family": "fargate"}, cpu="256", memory="512")
    aws.register_task_definition("bridge")


def refused(aws: Aws, operation: str, **params: Any) -> tuple[str, str]:
    with pytest.raises(AwsError) as caught:
        aws.ecs(operation, **params)
    return caught.value.code, caught.value.message


def run(aws: Aws, **params: Any) -> dict[str, Any]:
    given = {"taskDefinition": "fargate", "launchType": "FARGATE", "networkConfiguration": vpc(), **params}
    return aws.ecs("RunTask", **given)


def test_a_fargate_task_has_no_container_instance(cluster: Aws) -> None:
    [task] = run(cluster)["tasks"]
    zone = task["availabilityZone"]
    attachment = task["attachments"][0]
    assert (task["lastStatus"], task["launchType"]) == ("PROVISIONING", "FARGATE")
    assert (task["platformVersion"], task["platformFamily"]) == ("1.4.0", "Linux")
    assert (task["cpu"], task["memory"], task.get("containerInstanceArn")) == ("256", "512", None)
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "PRECREATED")
    [detail] = attachment["details"]
    assert (detail["value"], zone) in [(SUBNETS[0], "us-east-1a"), (SUBNETS[1], "us-east-1b")]


def test_tasks_of_one_call_take_turns_in_the_subnets(cluster: Aws) -> None:
    tasks = run(cluster, count=4)["tasks"]
    zones = [task["availabilityZone"] for task in tasks]
    assert sorted(zones) == ["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1b"]


def test_subnets_that_nobody_made_are_adopted_each_in_a_zone_of_its_own(cluster: Aws) -> None:
    run(cluster, networkConfiguration=vpc("subnet-a", "subnet-b", "subnet-c"))
    assert any("subnet-a" in hint for hint in cluster.hints)
    [network] = cluster.store.all(Vpc)
    found = adopted(cluster)
    assert [(s.id, s.zone, s.vpc_id) for s in found] == [
        ("subnet-a", "us-east-1a", network.id),
        ("subnet-b", "us-east-1b", network.id),
        ("subnet-c", "us-east-1c", network.id),
    ]
    first = network.cidr.removesuffix("0.0/16")
    assert [s.cidr for s in found] == [f"{first}0.0/21", f"{first}8.0/21", f"{first}16.0/21"]
    run(cluster, networkConfiguration=vpc("subnet-b"))
    assert adopted(cluster) == found


def test_a_load_balancer_and_tasks_agree_on_a_subnets_zone(cluster: Aws) -> None:
    cluster.elbv2("CreateLoadBalancer", Name="lb", Subnets=["subnet-x", "subnet-y"])
    run(cluster, networkConfiguration=vpc("subnet-y", "subnet-z"))
    assert {s.id: s.zone for s in adopted(cluster)} == {
        "subnet-x": "us-east-1a",
        "subnet-y": "us-east-1b",
        "subnet-z": "us-east-1c",
    }
    made = cluster.elbv2("CreateLoadBalancer", Name="two", Subnets=["subnet-z", "subnet-y"])
    zones = made["LoadBalancers"][0]["AvailabilityZones"]
    assert [(zone["SubnetId"], zone["ZoneName"]) for zone in zones] == [
        ("subnet-y", "us-east-1b"),
        ("subnet-z", "us-east-1c"),
    ]


def test_the_vpc_keeps_off_what_is_in_use_where_tasks_run(make_aws: Callable[..., Aws]) -> None:
    aws = make_aws()
    prepare(aws)
    with aws.store.transaction() as tx:
        tx.put(EngineNetworks("local", ("172.17.0.0/16", "10.64.0.0/11", "10.96.0.0/12", "10.112.0.0/13")))
    run(aws)
    [network] = aws.store.all(Vpc)
    assert network.cidr in {f"10.{number}.0.0/16" for number in range(120, 128)}


def test_strict_refuses_subnets_and_groups_that_nobody_made(make_aws: Callable[..., Aws]) -> None:
    aws = make_aws(settings=ApiSettings(strict=True))
    prepare(aws)
    params = {"taskDefinition": "fargate", "launchType": "FARGATE"}
    own = default_subnet_id(aws.scope, "us-east-1a")
    assert refused(aws, "RunTask", **params, networkConfiguration=vpc("subnet-1")) == (
        "InvalidParameterException",
        "Error retrieving subnet information for [subnet-1]: The subnet ID 'subnet-1' does not exist "
        "(ErrorCode: InvalidSubnetID.NotFound)",
    )
    assert refused(aws, "RunTask", **params, networkConfiguration=vpc(own, securityGroups=["sg-1"]))[1] == (
        "Error retrieving security group information for [sg-1]: The security group 'sg-1' does not exist "
        "(ErrorCode: InvalidGroup.NotFound)"
    )
    [task] = run(aws, networkConfiguration=vpc(own, securityGroups=[default_group_id(aws.scope)]))["tasks"]
    assert task["availabilityZone"] == "us-east-1a"


def test_subnets_and_groups_of_two_vpcs(cluster: Aws) -> None:
    scope = cluster.scope
    with cluster.store.transaction() as tx:
        networks.begin(tx, scope)
        tx.put(Vpc(scope, "vpc-own"))
        tx.put(Subnet(scope, "subnet-own", "vpc-own", "us-east-1b", made=True))
    params = {"taskDefinition": "fargate", "launchType": "FARGATE"}
    assert refused(cluster, "RunTask", **params, networkConfiguration=vpc("subnet-own", "subnet-a")) == (
        "InvalidParameterException",
        "All specified subnets must be from the same VPC.",
    )
    group = default_group_id(scope)
    configuration = vpc("subnet-own", securityGroups=[group])
    assert refused(cluster, "RunTask", **params, networkConfiguration=configuration) == (
        "InvalidParameterException",
        f"Security group {group} does not appear to belong to the same VPC as the input subnets.",
    )
    [task] = run(cluster, networkConfiguration=vpc("subnet-own", securityGroups=["sg-new"]))["tasks"]
    assert task["availabilityZone"] == "us-east-1b"
    ranges = {v.id: v.cidr for v in cluster.store.all(Vpc)}
    assert ranges["vpc-own"].startswith("10.") and not ranges[default_vpc_id(scope)]
    run(cluster)
    assert len({v.cidr for v in cluster.store.all(Vpc)}) == 2, "two VPCs share their addresses"


def test_nothing_is_adopted_once_the_default_vpc_is_gone(cluster: Aws) -> None:
    with cluster.store.transaction() as tx:
        networks.begin(tx, cluster.scope)
        tx.delete(Vpc, network_key(cluster.scope, default_vpc_id(cluster.scope)))
    params = {"taskDefinition": "fargate", "launchType": "FARGATE", "networkConfiguration": vpc("subnet-a")}
    assert "'subnet-a' does not exist" in refused(cluster, "RunTask", **params)[1]


NOT_EXISTING = "Error retrieving subnet information for [net-1]: The subnet ID 'net-1' does not exist "
REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "without": (
        {"networkConfiguration": None},
        "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
    ),
    "empty": (
        {"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}},
        "subnets can not be empty.",
    ),
    "many subnets": (
        {"networkConfiguration": vpc(*(f"subnet-{n}" for n in range(17)))},
        "subnets can have at most 16 items.",
    ),
    "many groups": (
        {"networkConfiguration": vpc(securityGroups=[f"sg-{n}" for n in range(6)])},
        "securityGroups can have at most 5 items.",
    ),
    "no subnet's id": (
        {"networkConfiguration": vpc("net-1")},
        f"{NOT_EXISTING}(ErrorCode: InvalidSubnetID.NotFound)",
    ),
    "public on instances": (
        {"launchType": "EC2", "networkConfiguration": vpc(assignPublicIp="ENABLED")},
        "Assign public IP is not supported for this launch type.",
    ),
    "bridge": (
        {"launchType": "EC2", "taskDefinition": "bridge"},
        "Network Configuration is not valid for the given networkMode of this task definition.",
    ),
    "bridge on fargate": (
        {"taskDefinition": "bridge"},
        "Task definition does not support launch_type FARGATE.",
    ),
    "constraints": (
        {"placementConstraints": [{"type": "distinctInstance"}]},
        "Placement constraints are not supported with FARGATE launch type.",
    ),
    "strategies": (
        {"placementStrategy": [{"type": "random"}]},
        "Placement strategies are not supported with FARGATE launch type.",
    ),
    "size": ({"overrides": {"cpu": "1024"}}, "No Fargate configuration exists for given values."),
    "platform on instances": (
        {"launchType": "EC2", "platformVersion": "1.4.0"},
        "The platform version must be null when specifying an EC2 launch type.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_run_task_refuses_in_ecs_words(cluster: Aws, case: str) -> None:
    cluster.register_instance()
    params, message = REFUSALS[case]
    given = {"taskDefinition": "fargate", "launchType": "FARGATE", "networkConfiguration": vpc(), **params}
    given = {name: value for name, value in given.items() if value is not None}
    assert refused(cluster, "RunTask", **given) == ("InvalidParameterException", message)
    assert not adopted(cluster), "a refused call wrote something"


def test_an_unknown_platform_version(cluster: Aws) -> None:
    code, _ = refused(
        cluster,
        "RunTask",
        taskDefinition="fargate",
        launchType="FARGATE",
        networkConfiguration=vpc(),
        platformVersion="9.9.9",
    )
    assert code == "PlatformUnknownException"


def test_instances_elsewhere_and_instances_without_interfaces(cluster: Aws) -> None:
    here = cluster.register_instance(zone="us-east-1a")
    there = cluster.register_instance(zone="us-east-1b")
    needed = ("ecs.capability.task-eni", "com.amazonaws.ecs.capability.docker-remote-api.1.18")
    with cluster.store.transaction() as tx:
        for instance in list(tx.all(ContainerInstance)):
            can = (*instance.attributes, *(Attribute(name) for name in needed))
            tx.put(replace(instance, attributes=can))
    answer = run(
        cluster, launchType="EC2", taskDefinition="own", networkConfiguration=vpc("subnet-a"), count=3
    )
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [here, here]
    assert {task["availabilityZone"] for task in answer["tasks"]} == {"us-east-1a"}
    # A t3.medium has three interfaces, and one of them is its own.
    assert {failure["arn"]: failure["reason"] for failure in answer["failures"]} == {
        here: "RESOURCE:ENI",
        there: "LOCATION",
    }
    named = {"taskDefinition": "own", "networkConfiguration": vpc("subnet-a"), "containerInstances": [there]}
    [failure] = cluster.ecs("StartTask", **named)["failures"]
    assert (failure["arn"], failure["reason"]) == (there, "LOCATION")


def test_a_fargate_service(cluster: Aws) -> None:
    made = cluster.ecs(
        "CreateService",
        serviceName="web",
        taskDefinition="fargate",
        desiredCount=2,
        launchType="FARGATE",
        networkConfiguration=vpc(securityGroups=["sg-1"], assignPublicIp="ENABLED"),
    )["service"]
    assert (made["launchType"], made["platformVersion"], made["platformFamily"]) == (
        "FARGATE",
        "LATEST",
        "Linux",
    )
    assert made["networkConfiguration"] == vpc(securityGroups=["sg-1"], assignPublicIp="ENABLED")
    first = made["deployments"][0]
    moved = cluster.ecs("UpdateService", service="web", networkConfiguration=vpc("subnet-c"))["service"]
    assert len(moved["deployments"]) == 2
    assert moved["deployments"][0]["networkConfiguration"] == vpc("subnet-c", assignPublicIp="DISABLED")
    assert moved["deployments"][1]["networkConfiguration"] == first["networkConfiguration"]
    newer = cluster.ecs("UpdateService", service="web", platformVersion="1.4.0")["service"]
    assert [d["platformVersion"] for d in newer["deployments"]] == ["1.4.0", "LATEST", "LATEST"]
    assert refused(cluster, "UpdateService", service="web", taskDefinition="bridge") == (
        "InvalidParameterException",
        "Task definition does not support launch_type FARGATE.",
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"schedulingStrategy": "DAEMON", "launchType": "FARGATE"},
            "The daemon scheduling strategy is not supported for the FARGATE launch type.",
        ),
        (
            {"desiredCount": 1, "launchType": "FARGATE", "role": "ecsServiceRole"},
            "IAM roles are only valid for services configured to use load balancers.",
        ),
    ],
)
def test_create_service_refuses(cluster: Aws, params: dict[str, Any], message: str) -> None:
    given = {"serviceName": "web", "taskDefinition": "fargate", "networkConfiguration": vpc(), **params}
    assert refused(cluster, "CreateService", **given) == ("InvalidParameterException", message)
