"""Tasks with an address of their own, on Fargate and on instances: a whole server, through boto3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import ServerProcess, until

NETWORK = {
    "awsvpcConfiguration": {
        "subnets": ["subnet-0000000a", "subnet-0000000b"],
        "securityGroups": ["sg-0000000a"],
        "assignPublicIp": "ENABLED",
    }
}
FARGATE = {"launchType": "FARGATE", "networkConfiguration": NETWORK}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path, time_scale=20.0)
    process.start()
    yield process
    process.close()


def register(server: ServerProcess, family: str = "web") -> None:
    container = {"name": "app", "image": "httpd:2.4", "memory": 128, "portMappings": [{"containerPort": 80}]}
    server.client("ecs").register_task_definition(
        family=family, networkMode="awsvpc", cpu="256", memory="512", containerDefinitions=[container]
    )


def describe(server: ServerProcess, *arns: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.client("ecs").describe_tasks(tasks=list(arns))["tasks"]
    return found


def wait_for(server: ServerProcess, status: str, *arns: str) -> list[dict[str, Any]]:
    until(
        f"{len(arns)} tasks to be {status}",
        lambda: all(task["lastStatus"] == status for task in describe(server, *arns)),
    )
    return describe(server, *arns)


def address(task: dict[str, Any]) -> str:
    details = {each["name"]: each["value"] for each in task["attachments"][0]["details"]}
    own: str = details["privateIPv4Address"]
    for container in task["containers"]:
        assert [each["privateIpv4Address"] for each in container["networkInterfaces"]] == [own]
    return own


def counts(server: ServerProcess) -> tuple[int, int, list[str]]:
    ecs = server.client("ecs")
    [cluster] = ecs.describe_clusters()["clusters"]
    listed = ecs.list_container_instances()["containerInstanceArns"]
    return cluster["registeredContainerInstancesCount"], len(listed), ecs.list_clusters()["clusterArns"]


def test_run_task_on_fargate(server: ServerProcess) -> None:
    ecs = server.client("ecs")
    register(server)
    before = counts(server)
    answer = ecs.run_task(taskDefinition="web", count=2, **FARGATE)
    assert answer["failures"] == []
    arns = [task["taskArn"] for task in answer["tasks"]]
    tasks = wait_for(server, "RUNNING", *arns)
    assert len({address(task) for task in tasks}) == 2
    assert {task["availabilityZone"] for task in tasks} == {"us-east-1a", "us-east-1b"}
    assert [task.get("containerInstanceArn") for task in tasks] == [None, None]
    assert counts(server) == before
    told = {each["arn"]: each for each in server.request("GET", "/_miniecs/tasks")["tasks"]}
    assert [told[task["taskArn"]]["addresses"] for task in tasks] == [
        [f"http://{address(task)}:80"] for task in tasks
    ]
    assert {each["instance"] for each in told.values()} == {None}
    until("the interfaces to be confirmed", lambda: _attachments(server, *arns) == {"ATTACHED"})
    server.restart()
    assert [address(task) for task in describe(server, *arns)] == [address(task) for task in tasks]
    assert {task["lastStatus"] for task in describe(server, *arns)} == {"RUNNING"}
    for arn in arns:
        ecs.stop_task(task=arn)
    wait_for(server, "STOPPED", *arns)
    assert _attachments(server, *arns) == {"DELETED"}
    assert server.containers() == []
    assert server.request("POST", "/_miniecs/reset?restore=true") is not None
    register(server)
    again = ecs.run_task(taskDefinition="web", **FARGATE)["tasks"][0]["taskArn"]
    wait_for(server, "RUNNING", again)


def _attachments(server: ServerProcess, *arns: str) -> set[str]:
    return {task["attachments"][0]["status"] for task in describe(server, *arns)}


def test_fargate_needs_no_container_instance_and_serves_every_account(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, instances=0, time_scale=20.0)
    server.start()
    try:
        ecs = server.client("ecs", account="111111111111", region="eu-west-1")
        ecs.create_cluster(clusterName="default")
        container = {"name": "app", "image": "busybox"}
        ecs.register_task_definition(
            family="web", networkMode="awsvpc", cpu="256", memory="512", containerDefinitions=[container]
        )
        arn = ecs.run_task(taskDefinition="web", **FARGATE)["tasks"][0]["taskArn"]
        until(
            "the task to be RUNNING",
            lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING",
        )
        [task] = ecs.describe_tasks(tasks=[arn])["tasks"]
        assert task["availabilityZone"] in ("eu-west-1a", "eu-west-1b")
        assert server.client("ecs").list_clusters()["clusterArns"] == []
        ecs.stop_task(task=arn)
        until(
            "the task to be STOPPED",
            lambda: ecs.describe_tasks(tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED",
        )
    finally:
        server.close()


def test_a_fargate_service_behind_a_load_balancer_rolls_over_while_the_server_is_killed(
    server: ServerProcess,
) -> None:
    ecs, elb = server.client("ecs"), server.client("elbv2")
    register(server)
    made = elb.create_target_group(
        Name="web",
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-0000000a",
        TargetType="ip",
        HealthCheckIntervalSeconds=10,
    )
    group = made["TargetGroups"][0]["TargetGroupArn"]
    subnets = NETWORK["awsvpcConfiguration"]["subnets"]
    balancer = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    elb.modify_target_group_attributes(
        TargetGroupArn=group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "20"}],
    )
    ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
        **FARGATE,
    )

    def targets() -> dict[str, str]:
        found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return {each["Target"]["Id"]: each["TargetHealth"]["State"] for each in found}

    def serving() -> list[dict[str, Any]]:
        arns = ecs.list_tasks(serviceName="web")["taskArns"]
        return describe(server, *arns) if arns else []

    def steady() -> bool:
        [service] = ecs.describe_services(services=["web"])["services"]
        return len(service["deployments"]) == 1 and service["deployments"][0]["rolloutState"] == "COMPLETED"

    until("the service to be steady", steady)
    first = {address(task) for task in serving()}
    assert targets() == dict.fromkeys(first, "healthy")
    register(server)
    ecs.update_service(service="web", taskDefinition="web:2")
    server.restart()
    until("the update to be complete", steady, within=60.0)
    second = {address(task) for task in serving()}
    assert not first & second
    until("the old targets to be gone", lambda: targets() == dict.fromkeys(second, "healthy"))
    ecs.delete_service(service="web", force=True)
    until("nothing to be left", lambda: server.containers() == [] and targets() == {})


def test_tasks_with_an_interface_on_container_instances(server: ServerProcess) -> None:
    ecs = server.client("ecs")
    register(server)
    subnets = {"awsvpcConfiguration": {"subnets": ["subnet-0000000a", "subnet-0000000b"]}}
    ecs.create_service(serviceName="own", taskDefinition="web", desiredCount=4, networkConfiguration=subnets)

    def running() -> list[dict[str, Any]]:
        arns = ecs.list_tasks(serviceName="own")["taskArns"]
        return [t for t in describe(server, *arns) if t["lastStatus"] == "RUNNING"] if arns else []

    until("four tasks", lambda: len(running()) == 4)
    tasks = running()
    hosts = [task["containerInstanceArn"] for task in tasks]
    assert sorted(hosts.count(host) for host in set(hosts)) == [2, 2]
    assert len({address(task) for task in tasks}) == 4
    assert {task["availabilityZone"] for task in tasks} == {"us-east-1a", "us-east-1b"}
    # Two interfaces are left on a t3.medium beside its own, and the third instance is in no subnet's zone.
    ecs.update_service(service="own", desiredCount=5)
    until(
        "the service to say that it cannot",
        lambda: any(
            "unable to place a task" in event["message"]
            for event in ecs.describe_services(services=["own"])["services"][0]["events"]
        ),
    )
    assert len(running()) == 4
    ecs.delete_service(service="own", force=True)
    until("nothing to run", lambda: running() == [])
    ecs.create_service(
        serviceName="daemon", taskDefinition="web", schedulingStrategy="DAEMON", networkConfiguration=subnets
    )
    until(
        "a daemon where the subnets are",
        lambda: ecs.describe_services(services=["daemon"])["services"][0]["runningCount"] == 2,
    )
    assert ecs.describe_services(services=["daemon"])["services"][0]["desiredCount"] == 2
