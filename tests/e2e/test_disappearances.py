"""What a service stands on disappears: its events say so, a kill -9 forgets nothing, and it recovers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws_shapes import events, register, service, steady, tasks
from .conftest import StartServer
from .process import ServerProcess, until


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=20.0, instances=3)


def balanced(server: ServerProcess, name: str, port: int) -> tuple[str, str]:
    """A target group behind a listener; (target group's ARN, listener's ARN)."""
    elb = server.client("elbv2")
    made = elb.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])["LoadBalancers"][0]
    group = elb.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-1",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
    listener = elb.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    return group, listener["Listeners"][0]["ListenerArn"]


def explained(server: ServerProcess, name: str) -> str:
    lines: list[str] = server.request("GET", f"/_miniecs/explain?name={name}")["lines"]
    return "\n".join(lines)


def entry(group: str) -> dict[str, Any]:
    return {"targetGroupArn": group, "containerName": "app", "containerPort": 80}


def test_the_target_group(server: ServerProcess, ecs: Any) -> None:
    group, listener = balanced(server, "first", 8081)
    definition = register(ecs, "balanced", portMappings=[{"containerPort": 80}])
    balancers = [entry(group)]
    ecs.create_service(
        serviceName="balanced", taskDefinition=definition, desiredCount=2, loadBalancers=balancers
    )
    until("a steady service", lambda: steady(ecs, "balanced", 2))
    elb = server.client("elbv2")
    elb.delete_listener(ListenerArn=listener)
    elb.delete_target_group(TargetGroupArn=group)
    failed = (
        f"(service balanced) failed to register targets in (target-group {group}) with (error One or more "
        "target groups not found)"
    )
    until("the event", lambda: failed in events(ecs, "balanced"))
    server.kill()
    server.start()
    assert "Its target group first was deleted" in explained(server, "balanced")
    assert "was deleted, so no task can become healthy" in explained(server, "balanced")
    assert len(tasks(ecs, serviceName="balanced")) == 2, "tasks without a target are not stopped"
    assert events(ecs, "balanced").count(failed) == 1
    group, _ = balanced(server, "second", 8082)
    ecs.update_service(service="balanced", loadBalancers=[entry(group)])
    until("a steady service behind another", lambda: steady(ecs, "balanced", 2))
    assert f"(service balanced) registered 1 targets in (target-group {group})" in events(ecs, "balanced")


def test_the_listener(server: ServerProcess, ecs: Any) -> None:
    group, listener = balanced(server, "third", 8083)
    definition = register(ecs, "heard", portMappings=[{"containerPort": 80}])
    ecs.create_service(
        serviceName="heard", taskDefinition=definition, desiredCount=1, loadBalancers=[entry(group)]
    )
    until("a steady service", lambda: steady(ecs, "heard", 1))
    elb = server.client("elbv2")
    (balancer,) = elb.describe_load_balancers(Names=["third"])["LoadBalancers"]
    elb.delete_listener(ListenerArn=listener)
    ecs.update_service(service="heard", forceNewDeployment=True)
    unheard = "no listener or rule forwards to target group third"
    until("the reason", lambda: unheard in explained(server, "heard"))
    server.kill()
    server.start()
    assert service(ecs, "heard")["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    arn = balancer["LoadBalancerArn"]
    elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=8083, DefaultActions=forward)
    until("a steady service behind a listener again", lambda: steady(ecs, "heard", 1))


def test_the_subnet(server: ServerProcess, ecs: Any) -> None:
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    blocks = ("10.9.0.0/24", "10.9.1.0/24")
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=block)["Subnet"]["SubnetId"] for block in blocks]
    ecs.register_task_definition(
        family="near",
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "app", "image": "busybox"}],
    )
    network = {"awsvpcConfiguration": {"subnets": subnets[:1]}}
    ecs.create_service(
        serviceName="near",
        taskDefinition="near",
        launchType="FARGATE",
        desiredCount=0,
        networkConfiguration=network,
    )
    ec2.delete_subnet(SubnetId=subnets[0])
    ecs.update_service(service="near", desiredCount=1)
    failed = (
        "(service near) failed to launch a task with (error Error retrieving subnet information for "
        f"[{subnets[0]}]: The subnet ID '{subnets[0]}' does not exist (ErrorCode: InvalidSubnetID.NotFound))."
    )
    until("the event", lambda: failed in events(ecs, "near"))
    server.kill()
    server.start()
    # It is tried again every 3 s, and has been due for that since before the restart.
    until("the reason", lambda: f"there is no subnet {subnets[0]}" in explained(server, "near"))
    network = {"awsvpcConfiguration": {"subnets": subnets[1:]}}
    ecs.update_service(service="near", networkConfiguration=network)
    until("a steady service in the other subnet", lambda: steady(ecs, "near", 1))
    assert events(ecs, "near").count(failed) == 1


def test_the_task_definition(server: ServerProcess, ecs: Any) -> None:
    """It does not disappear under a service: INACTIVE or being deleted, it still scales and heals."""
    definition = register(ecs, "old")
    ecs.create_service(serviceName="old", taskDefinition=definition, desiredCount=1)
    until("a steady service", lambda: steady(ecs, "old", 1))
    ecs.deregister_task_definition(taskDefinition=definition)
    ecs.delete_task_definitions(taskDefinitions=[definition])
    (first,) = tasks(ecs, serviceName="old")
    server.kill()
    server.start()
    ecs.update_service(service="old", desiredCount=3)
    ecs.stop_task(task=first["taskArn"])
    until("a steady service with more tasks", lambda: steady(ecs, "old", 3))
    assert {each["taskDefinitionArn"] for each in tasks(ecs, serviceName="old")} == {definition}
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        ecs.create_service(serviceName="new", taskDefinition=definition, desiredCount=1)
    ecs.update_service(service="old", taskDefinition=register(ecs, "old"))
    until("a steady service of a new one", lambda: steady(ecs, "old", 3))


def test_the_cluster(server: ServerProcess, ecs: Any) -> None:
    """It cannot be deleted under a service; what can go are all of its container instances."""
    ecs.create_cluster(clusterName="bare")
    arn = server.request("POST", "/_miniecs/instances", {"cluster": "bare"})["arn"]
    definition = register(ecs, "held")
    ecs.create_service(cluster="bare", serviceName="held", taskDefinition=definition, desiredCount=1)
    until("a steady service", lambda: steady(ecs, "held", 1, "bare"))
    with pytest.raises(ClientError, match="cannot be deleted while Services are active"):
        ecs.delete_cluster(cluster="bare")
    ecs.deregister_container_instance(cluster="bare", containerInstance=arn, force=True)
    failed = "Reason: No Container Instances were found in your cluster."
    until("the event", lambda: any(failed in text for text in events(ecs, "held", "bare")))
    server.kill()
    server.start()
    assert service(ecs, "held", "bare")["runningCount"] == 0
    server.request("POST", "/_miniecs/instances", {"cluster": "bare"})
    until("a steady service on another instance", lambda: steady(ecs, "held", 1, "bare"))
