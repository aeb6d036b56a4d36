"""Services behind a target group: targets come, are probed by the data plane, fail, drain and go."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .aws_shapes import events, id_of, make_group, register, service, steady, task, tasks
from .conftest import StartServer
from .process import ServerProcess, until

DRAINING = 160  # seconds before scaling: more than a restart takes
MATCHER = "Health checks failed with these codes: [500]"


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    server = start_server(time_scale=20.0, instances=2)
    elb = server.client("elbv2")
    subnets = ["subnet-a", "subnet-b"]
    elb.create_load_balancer(Name="front", Subnets=subnets)
    return server


@pytest.fixture
def elb(server: ServerProcess) -> Any:
    return server.client("elbv2")


def health(elb: Any, group: str) -> dict[tuple[str, int], dict[str, str]]:
    """(id, port) of each target to its health."""
    described = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return {(each["Target"]["Id"], each["Target"]["Port"]): each["TargetHealth"] for each in described}


def states(elb: Any, group: str) -> list[str]:
    return sorted(each["State"] for each in health(elb, group).values())


def addresses(ecs: Any, name: str) -> dict[tuple[str, int], str]:
    """(EC2 instance id, host port) at which the service's tasks are reached, to the task's ARN."""
    arns = ecs.list_container_instances()["containerInstanceArns"]
    described = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    machines = {each["containerInstanceArn"]: each["ec2InstanceId"] for each in described}
    return {
        (machines[each["containerInstanceArn"]], binding["hostPort"]): each["taskArn"]
        for each in tasks(ecs, serviceName=name)
        for binding in each["containers"][0]["networkBindings"]
    }


def web(ecs: Any, family: str, image: str = "httpd:2.4") -> str:
    return register(ecs, family, image=image, portMappings=[{"containerPort": 80}])


def create(ecs: Any, name: str, definition: str, group: str, count: int, **more: Any) -> None:
    balancer = {"targetGroupArn": group, "containerName": "app", "containerPort": 80}
    ecs.create_service(
        serviceName=name, taskDefinition=definition, desiredCount=count, loadBalancers=[balancer], **more
    )


def test_targets_come_and_go_with_their_tasks(server: ServerProcess, ecs: Any, elb: Any) -> None:
    group = make_group(elb, "shop", 80, interval=30, draining=DRAINING)
    create(ecs, "shop", web(ecs, "shop"), group, 3)
    until("three targets", lambda: len(health(elb, group)) == 3)
    registered = re.compile(rf"\(service shop\) registered (\d) targets in \(target-group {group}\)")
    counts = [int(found[1]) for text in events(ecs, "shop") if (found := registered.fullmatch(text))]
    assert sum(counts) == 3
    until("them to be healthy", lambda: states(elb, group) == ["healthy"] * 3)
    assert all(each == {"State": "healthy"} for each in health(elb, group).values())
    assert set(health(elb, group)) == set(addresses(ecs, "shop"))
    until("the steady state", lambda: steady(ecs, "shop", 3))

    ecs.update_service(service="shop", desiredCount=2)
    until("a target to drain", lambda: states(elb, group) == ["draining", "healthy", "healthy"])
    ((draining, said),) = ((key, each) for key, each in health(elb, group).items() if len(each) > 1)
    assert said == {
        "State": "draining",
        "Reason": "Target.DeregistrationInProgress",
        "Description": "Target deregistration is in progress",
    }
    (leaving,) = tasks(ecs, status="STOPPED", serviceName="shop")
    assert leaving["lastStatus"] == "DEACTIVATING"
    assert draining not in addresses(ecs, "shop")
    # It runs on until its requests are done, and over a crash of the server as well.
    server.restart()
    assert task(ecs, leaving["taskArn"])["lastStatus"] == "DEACTIVATING"
    assert leaving["taskArn"] in {found["task"] for found in server.containers()}
    until("it to stop", lambda: task(ecs, leaving["taskArn"])["lastStatus"] == "STOPPED")
    stopped = task(ecs, leaving["taskArn"])
    lasted = (stopped["stoppedAt"] - stopped["stoppingAt"]).total_seconds()
    assert lasted >= DRAINING / server.scale
    assert states(elb, group) == ["healthy", "healthy"]
    said_of_it = events(ecs, "shop")
    assert f"(service shop) deregistered 1 targets in (target-group {group})" in said_of_it
    drains = r"\(service shop, taskSet ecs-svc/\d+\) has begun draining connections on 1 tasks\."
    assert any(re.fullmatch(drains, text) for text in said_of_it)
    ecs.delete_service(service="shop", force=True)


def test_a_target_that_fails_is_replaced(server: ServerProcess, ecs: Any, elb: Any) -> None:
    group = make_group(elb, "sick", 81)
    create(ecs, "sick", web(ecs, "sick", "sim/answers-500-after-3"), group, 1)
    until("a healthy target", lambda: states(elb, group) == ["healthy"])
    (first,) = addresses(ecs, "sick").items()
    (machine, port), arn = first
    event = (
        f"(service sick) (task {id_of(arn)}) (port {port}) is unhealthy in (target-group {group})"
        f" due to (reason {MATCHER})."
    )
    until("the event", lambda: event in events(ecs, "sick"))
    until("another task", lambda: arn not in addresses(ecs, "sick").values())
    until("its end", lambda: task(ecs, arn)["lastStatus"] == "STOPPED")
    stopped = task(ecs, arn)
    assert stopped["stoppedReason"] == f"Task failed ELB health checks in (target-group {group})"
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    assert (machine, port) not in health(elb, group)
    substitute = re.compile(
        r"\(service sick\) has started 1 tasks: \(task [0-9a-f]{32}\)\. "
        r"Amazon ECS replaced 1 tasks due to an unhealthy status\."
    )
    assert [text for text in events(ecs, "sick") if substitute.fullmatch(text)]
    ecs.update_service(service="sick", taskDefinition=web(ecs, "sick"))
    until("the cure", lambda: steady(ecs, "sick", 1), within=60.0)
    ecs.delete_service(service="sick", force=True)


def test_a_rolling_update_waits_for_healthy_targets(server: ServerProcess, ecs: Any, elb: Any) -> None:
    """A revision whose targets never are healthy takes nothing away from the one that works."""
    group = make_group(elb, "roll", 82)
    good = web(ecs, "roll")
    create(ecs, "roll", good, group, 2)
    until("the first deployment", lambda: steady(ecs, "roll", 2))
    works = set(addresses(ecs, "roll"))
    ecs.update_service(service="roll", taskDefinition=web(ecs, "roll", "sim/answers-500"))

    def failed() -> bool:
        shown = service(ecs, "roll")
        healthy = {key for key, each in health(elb, group).items() if each["State"] == "healthy"}
        assert works <= healthy, "tasks of the old revision were given up"
        return bool(shown["deployments"][0]["failedTasks"] >= 2)

    until("two failures of the new revision", failed, within=60.0)
    ecs.update_service(service="roll", taskDefinition=web(ecs, "roll"))
    until("a revision that works", lambda: steady(ecs, "roll", 2), within=60.0)
    assert {each["State"] for each in health(elb, group).values()} <= {"healthy", "draining"}
    assert not works & set(addresses(ecs, "roll"))
    ecs.delete_service(service="roll", force=True)


def test_a_target_group_needs_a_load_balancer(ecs: Any, elb: Any) -> None:
    group = elb.create_target_group(Name="alone", Protocol="HTTP", Port=80, VpcId="vpc-1")
    arn = group["TargetGroups"][0]["TargetGroupArn"]
    with pytest.raises(ClientError) as caught:
        create(ecs, "alone", web(ecs, "alone"), arn, 1)
    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": f"The target group with targetGroupArn {arn} does not have an associated load balancer.",
    }
