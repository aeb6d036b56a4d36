"""EC2's networks and those of ECS and load balancers are the same ones, as a course types its commands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from miniecs.model.network import default_group_id, default_vpc_id
from miniecs.model.scope import Scope

from .conftest import StartServer
from .process import ACCOUNT, REGION, ServerProcess, until

SCOPE = Scope(ACCOUNT, REGION)
VPC = default_vpc_id(SCOPE)


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(instances=3, time_scale=20)


def moto_runs(server: ServerProcess) -> bool:
    """Its journal is written at its first use."""
    return (server.folder / "rest.jsonl").exists()


def refused(call: Any, **params: Any) -> tuple[str, str, str]:
    """Code, message and hint."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    hint = response["ResponseMetadata"]["HTTPHeaders"].get("x-miniecs-hint", "")
    return response["Error"]["Code"], response["Error"]["Message"], hint


def places(server: ServerProcess) -> dict[str, tuple[str, str]]:
    """Of the container instances: subnet -> (VPC, zone)."""
    ecs = server.client("ecs")
    arns = until("the instances", lambda: ecs.list_container_instances()["containerInstanceArns"])
    found = {}
    for instance in ecs.describe_container_instances(containerInstances=arns)["containerInstances"]:
        values = {a["name"]: a.get("value") for a in instance["attributes"]}
        found[values["ecs.subnet-id"]] = (values["ecs.vpc-id"], values["ecs.availability-zone"])
    return found


def register(server: ServerProcess) -> None:
    container = {"name": "web", "image": "httpd:2.4", "portMappings": [{"containerPort": 80}]}
    server.aws(
        *("ecs", "register-task-definition", "--family", "web", "--network-mode", "awsvpc"),
        *("--requires-compatibilities", "FARGATE", "--cpu", "256", "--memory", "512"),
        *("--container-definitions", json.dumps([container])),
    )


def test_who_never_calls_ec2_never_starts_moto(server: ServerProcess) -> None:
    elb = server.client("elbv2")
    made = elb.create_load_balancer(Name="early", Subnets=["subnet-0000000a", "subnet-0000000b"])
    hint = made["ResponseMetadata"]["HTTPHeaders"]["x-miniecs-hint"]
    assert "Nobody made subnet-0000000a: it is taken for a subnet of the default VPC, in us-east-1a." in hint
    balancer = made["LoadBalancers"][0]
    assert (balancer["VpcId"], balancer["SecurityGroups"]) == (VPC, [default_group_id(SCOPE)])
    elb.create_target_group(Name="early", Protocol="HTTP", Port=80, VpcId="vpc-0000000c", TargetType="ip")
    assert not moto_runs(server)


def test_a_course_asks_ec2_and_types_on(server: ServerProcess) -> None:
    """With what EC2 answered, as printed; then everything is where EC2 says."""
    described = server.aws(
        "ec2", "describe-vpcs", "--filters", "Name=isDefault,Values=true", "--query", "Vpcs[].VpcId"
    )
    assert described == [VPC]
    rows = server.aws(
        *("ec2", "describe-subnets", "--filters", f"Name=vpc-id,Values={VPC}"),
        *("--query", "Subnets[?DefaultForAz].[SubnetId,AvailabilityZone]"),
    )
    zones = dict(rows)
    assert sorted(zones.values()) == [f"us-east-1{letter}" for letter in "abcdef"]
    assert {subnet: (VPC, zones[subnet]) for subnet in places(server)} == places(server)
    a, b = rows[0][0], rows[1][0]
    group = server.aws(
        *("ec2", "create-security-group", "--group-name", "web", "--description", "web", "--vpc-id", VPC),
        *("--query", "GroupId"),
    )
    balancer = server.aws(
        *("elbv2", "create-load-balancer", "--name", "web", "--subnets", a, b, "--security-groups", group),
        *("--query", "LoadBalancers[0]"),
    )
    assert (balancer["VpcId"], balancer["SecurityGroups"]) == (VPC, [group])
    assert {z["SubnetId"]: z["ZoneName"] for z in balancer["AvailabilityZones"]} == {a: zones[a], b: zones[b]}
    targets = server.aws(
        *("elbv2", "create-target-group", "--name", "web", "--protocol", "HTTP", "--port", "80"),
        *("--vpc-id", VPC, "--target-type", "ip", "--query", "TargetGroups[0].TargetGroupArn"),
    )
    server.aws(
        *("elbv2", "create-listener", "--load-balancer-arn", balancer["LoadBalancerArn"]),
        *("--protocol", "HTTP", "--port", "80"),
        *("--default-actions", f"Type=forward,TargetGroupArn={targets}"),
    )
    register(server)
    network = f"awsvpcConfiguration={{subnets=[{a},{b}],securityGroups=[{group}],assignPublicIp=ENABLED}}"
    server.aws(
        *("ecs", "create-service", "--service-name", "web", "--task-definition", "web"),
        *("--desired-count", "2", "--launch-type", "FARGATE", "--network-configuration", network),
        *("--load-balancers", f"targetGroupArn={targets},containerName=web,containerPort=80"),
    )
    ecs = server.client("ecs")
    until("two tasks", lambda: ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 2)
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="web")["taskArns"])["tasks"]
    details = [{d["name"]: d["value"] for d in task["attachments"][0]["details"]} for task in tasks]
    assert {d["subnetId"]: t["availabilityZone"] for d, t in zip(details, tasks, strict=True)} == {
        a: zones[a],
        b: zones[b],
    }


def test_what_was_adopted_is_known_to_ec2(server: ServerProcess) -> None:
    ec2 = server.client("ec2")
    [subnet] = ec2.describe_subnets(SubnetIds=["subnet-0000000b"])["Subnets"]
    assert (subnet["VpcId"], subnet["AvailabilityZone"]) == (VPC, "us-east-1b")
    server.client("elbv2").set_security_groups(
        LoadBalancerArn=server.client("elbv2").describe_load_balancers(Names=["early"])["LoadBalancers"][0][
            "LoadBalancerArn"
        ],
        SecurityGroups=["sg-0000000d"],
    )
    [group] = ec2.describe_security_groups(GroupIds=["sg-0000000d"])["SecurityGroups"]
    assert group["VpcId"] == VPC


def test_what_ec2_calls_make_is_known_with_its_zone_and_vpc(server: ServerProcess) -> None:
    ec2, elb, ecs = server.client("ec2"), server.client("elbv2"), server.client("ecs")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = {
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=zone)["Subnet"][
            "SubnetId"
        ]: zone
        for n, zone in enumerate(("us-east-1e", "us-east-1d"))
    }
    made = elb.create_load_balancer(Name="own", Subnets=list(subnets))
    assert "Nobody made" not in made["ResponseMetadata"]["HTTPHeaders"].get("x-miniecs-hint", "")
    balancer = made["LoadBalancers"][0]
    assert balancer["VpcId"] == vpc
    assert {z["SubnetId"]: z["ZoneName"] for z in balancer["AvailabilityZones"]} == subnets
    # The VPC's own default group, not that of the default VPC.
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    [own] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    assert balancer["SecurityGroups"] == [own["GroupId"]]
    first = next(iter(subnets))
    group = ec2.create_security_group(GroupName="tasks", Description="tasks", VpcId=vpc)["GroupId"]
    configuration = {"awsvpcConfiguration": {"subnets": [first], "securityGroups": [group]}}
    [task] = ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=configuration)[
        "tasks"
    ]
    assert task["availabilityZone"] == subnets[first]
    used = [("SubnetId", first, ec2.delete_subnet), ("GroupId", group, ec2.delete_security_group)]
    for member, id, delete in used:
        code, message, hint = refused(delete, **{member: id})
        assert code == "DependencyViolation" and id in message and task["taskArn"] in hint
    ecs.stop_task(task=task["taskArn"])
    until(
        "the task to stop",
        lambda: ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]["lastStatus"] == "STOPPED",
    )
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    ec2.delete_security_group(GroupId=group)
    for subnet in subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    gone = elb.create_target_group(Name="gone", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="ip")
    assert f"Nobody made {vpc}" in gone["ResponseMetadata"]["HTTPHeaders"]["x-miniecs-hint"]


def test_a_subnet_in_which_something_stands_is_not_deleted(server: ServerProcess) -> None:
    ec2 = server.client("ec2")
    stood_in = next(iter(places(server)))
    code, message, hint = refused(ec2.delete_subnet, SubnetId=stood_in)
    assert code == "DependencyViolation"
    assert message == f"The subnet '{stood_in}' has dependencies and cannot be deleted."
    assert ":container-instance/" in hint
    assert refused(ec2.delete_subnet, SubnetId="subnet-0000000a")[0] == "DependencyViolation"


def test_a_service_whose_subnet_was_deleted_says_so(server: ServerProcess) -> None:
    """As in EC2, a subnet in which nothing runs can be deleted though a service names it."""
    ec2, ecs = server.client("ec2"), server.client("ecs")
    made = ec2.create_subnet(VpcId=VPC, CidrBlock="172.31.112.0/20", AvailabilityZone="us-east-1e")
    subnet = made["Subnet"]["SubnetId"]
    ecs.create_service(
        serviceName="homeless",
        taskDefinition="web",
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet]}},
    )
    ec2.delete_subnet(SubnetId=subnet)
    ecs.update_service(service="homeless", desiredCount=2)

    def service() -> dict[str, Any]:
        found: dict[str, Any] = ecs.describe_services(services=["homeless"])["services"][0]
        return found

    until("it to say so", lambda: any(subnet in event["message"] for event in service()["events"]))
    assert service()["events"][0]["message"] == (
        "(service homeless) failed to launch a task with (error Error retrieving subnet information for "
        f"[{subnet}]: The subnet ID '{subnet}' does not exist (ErrorCode: InvalidSubnetID.NotFound))."
    )
    assert (service()["runningCount"], service()["pendingCount"]) == (0, 0)
    ecs.update_service(
        service="homeless",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-0000000a"]}},
    )
    until("two tasks elsewhere", lambda: service()["runningCount"] == 2)
    ecs.delete_service(service="homeless", force=True)


def everything(server: ServerProcess) -> dict[str, Any]:
    ec2 = server.client("ec2")
    return {
        "vpcs": sorted(v["VpcId"] for v in ec2.describe_vpcs()["Vpcs"]),
        "subnets": sorted(
            (s["SubnetId"], s["AvailabilityZone"], s["CidrBlock"], s["VpcId"])
            for s in ec2.describe_subnets()["Subnets"]
        ),
        "groups": sorted(
            (g["GroupId"], g["GroupName"]) for g in ec2.describe_security_groups()["SecurityGroups"]
        ),
    }


def test_ids_are_the_same_after_a_kill_and_known_before_moto_is(server: ServerProcess) -> None:
    ec2, elb = server.client("ec2"), server.client("elbv2")
    subnet = ec2.create_subnet(VpcId=VPC, CidrBlock="172.31.128.0/20", AvailabilityZone="us-east-1f")
    id = subnet["Subnet"]["SubnetId"]
    before, stood_in = everything(server), places(server)
    server.restart()
    [balancer] = elb.create_load_balancer(Name="after", Type="network", Subnets=[id])["LoadBalancers"]
    assert balancer["AvailabilityZones"][0]["ZoneName"] == "us-east-1f"
    assert everything(server) == before
    assert places(server) == stood_in


def test_other_accounts_and_regions_have_networks_of_their_own(server: ServerProcess) -> None:
    """A region has the zones that it has in AWS."""
    other = server.client("ec2", account="111122223333", region="ap-northeast-1")
    scope = Scope("111122223333", "ap-northeast-1")
    assert [v["VpcId"] for v in other.describe_vpcs()["Vpcs"]] == [default_vpc_id(scope)]
    zones = sorted(s["AvailabilityZone"] for s in other.describe_subnets()["Subnets"])
    assert zones == ["ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d"]
    named = sorted(z["ZoneName"] for z in other.describe_availability_zones()["AvailabilityZones"])
    assert named == zones


def test_a_reset_forgets_all_but_the_default_vpc(server: ServerProcess) -> None:
    server.request("POST", "/_miniecs/reset?restore=true")
    assert len(until("the instances", lambda: places(server))) <= 3
    seen = everything(server)
    assert seen["vpcs"] == [VPC]
    assert len(seen["subnets"]) == 6
    assert seen["groups"] == [(default_group_id(SCOPE), "default")]


def test_strict_takes_only_what_somebody_made(start_server: StartServer) -> None:
    server = start_server(instances=0, strict=True)
    elb, ec2 = server.client("elbv2"), server.client("ec2")
    ids = ["subnet-0000000a", "subnet-0000000b"]
    assert refused(elb.create_load_balancer, Name="web", Subnets=ids) == (
        "SubnetNotFound",
        "InvalidSubnetID.NotFound",
        "There is no subnet subnet-0000000a.",
    )
    group = {"Name": "web", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-0000000c"}
    assert refused(elb.create_target_group, **group)[:2] == (
        "ValidationError",
        "The VPC ID 'vpc-0000000c' is not found",
    )
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]][:2]
    elb.create_load_balancer(Name="web", Subnets=subnets)
    elb.create_target_group(**{**group, "VpcId": VPC})
