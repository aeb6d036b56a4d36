"""Rollbacks that fail themselves: what was there before works no more, and somebody has to deploy better."""

from __future__ import annotations

from typing import Any

import pytest

from .aws_shapes import ALARM, events, make_group, register, service, steady, tasks
from .conftest import StartServer
from .process import ServerProcess, until

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
OLD_FIRST = {"minimumHealthyPercent": 0, "maximumPercent": 100}  # what is rolled back to has to start anew
BY_BREAKER = "Service deployment rolled back because the circuit breaker threshold was exceeded."
IN_VAIN = "Service deployment rollback failed because the circuit breaker threshold was exceeded."
FAILED = "ECS deployment circuit breaker: tasks failed to start."


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    server = start_server(time_scale=20.0, instances=3)
    server.client("elbv2").create_load_balancer(Name="front", Subnets=["subnet-a", "subnet-b"])
    return server


def make_service(server: ServerProcess, name: str, port: int, **configuration: Any) -> str:
    """Two tasks behind a target group, which asks for 200 and gets it; the group."""
    ecs, group = server.client("ecs"), make_group(server.client("elbv2"), name, port, draining=0)
    register(ecs, name, portMappings=[{"containerPort": 80}])
    ecs.create_service(
        serviceName=name,
        taskDefinition=name,
        desiredCount=2,
        deploymentConfiguration=BREAKER | OLD_FIRST | configuration,
        loadBalancers=[{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
    )
    until("the first deployment", lambda: steady(ecs, name, 2))
    return group


def expect(server: ServerProcess, group: str, code: str) -> None:
    """What a target's answer has to be from now on: another than 200 nobody gives."""
    server.client("elbv2").modify_target_group(TargetGroupArn=group, Matcher={"HttpCode": code})


def deploy(ecs: Any, name: str, image: str, **changes: Any) -> str:
    """A release of another image; its ARN."""
    register(ecs, name, image=image, portMappings=[{"containerPort": 80}])
    updated = ecs.update_service(service=name, taskDefinition=name, **changes)["service"]
    return str(updated["currentServiceDeployment"])


def shown(ecs: Any, arn: str) -> dict[str, Any]:
    (found,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return dict(found)


def listed(ecs: Any, name: str) -> list[str]:
    found = ecs.list_service_deployments(service=name)["serviceDeployments"]
    return [each["status"] for each in found]


def explained(server: ServerProcess, name: str) -> str:
    return " ".join(server.request("GET", f"/_miniecs/explain?name={name}")["lines"])


def story(ecs: Any, name: str, *beginnings: str) -> list[str]:
    """Those of the service's events that begin in one of these ways, without the service's name."""
    said = [text.partition(") ")[2] for text in events(ecs, name)]
    return [text for text in said if text.startswith(beginnings)]


def test_a_rollback_whose_tasks_are_never_healthy(server: ServerProcess, ecs: Any) -> None:
    """The breaker trips, and what it rolls back to is not what the load balancer asks for any more."""
    group = make_service(server, "sick", 81)
    (good,) = service(ecs, "sick")["deployments"]
    arn = deploy(ecs, "sick", "sim/start-fails")
    bad = service(ecs, "sick")["deployments"][0]["id"]
    expect(server, group, "299")
    until("the rollback", lambda: shown(ecs, arn)["status"] == "ROLLBACK_IN_PROGRESS")
    server.restart()
    primary, *_ = service(ecs, "sick")["deployments"]
    assert (primary["id"], primary["rolloutState"]) == (good["id"], "IN_PROGRESS")
    back = f"ECS deployment circuit breaker: rolling back to deploymentId {good['id']}."
    assert primary["rolloutStateReason"] == back
    assert (shown(ecs, arn)["statusReason"], "finishedAt" in shown(ecs, arn)) == (BY_BREAKER, False)
    # It goes on: ECS developer guide, "Stopping Amazon ECS service deployments".
    assert ecs.stop_service_deployment(serviceDeploymentArn=arn)["serviceDeploymentArn"] == arn
    assert shown(ecs, arn)["status"] == "ROLLBACK_IN_PROGRESS"

    until("the rollback's end", lambda: shown(ecs, arn)["status"] == "ROLLBACK_FAILED")
    server.restart()
    ended = shown(ecs, arn)
    assert (ended["statusReason"], ended["rollback"]["reason"]) == (IN_VAIN, BY_BREAKER)
    assert ended["finishedAt"] == ended["stoppedAt"] > ended["rollback"]["startedAt"]
    breaker = ended["deploymentCircuitBreaker"]
    assert (breaker["status"], breaker["threshold"]) == ("TRIGGERED", 3) and breaker["failureCount"] >= 3
    stands = service(ecs, "sick")
    assert [(d["id"], d["status"], d["rolloutState"]) for d in stands["deployments"]] == [
        (good["id"], "PRIMARY", "FAILED")
    ]
    assert stands["deployments"][0]["rolloutStateReason"] == FAILED
    assert "currentServiceDeployment" not in stands
    said = story(ecs, "sick", "(deployment", "rolling back", "has started")
    first_failed = said.index(f"(deployment {bad}) deployment failed: tasks failed to start.")
    assert said[first_failed + 1] == f"rolling back to deployment {good['id']}."
    assert said[first_failed + 2].startswith("has started ")
    assert said[-1] == f"(deployment {good['id']}) deployment failed: tasks failed to start."
    told = explained(server, "sick")
    assert f"Its newest service deployment is ROLLBACK_FAILED: {IN_VAIN}" in told
    assert "until UpdateService begins another deployment." in told

    expect(server, group, "200")
    deploy(ecs, "sick", "busybox", desiredCount=3)
    until("a better release", lambda: steady(ecs, "sick", 3))
    assert listed(ecs, "sick") == ["SUCCESSFUL", "ROLLBACK_FAILED", "SUCCESSFUL"]


def test_a_rollback_that_an_alarm_began(server: ServerProcess, ecs: Any) -> None:
    """It is not stopped by the alarm, which is on all the time, but by its own tasks."""
    cloudwatch = server.client("cloudwatch")
    cloudwatch.put_metric_alarm(AlarmName="slow", **ALARM)
    alarms = {"alarmNames": ["slow"], "enable": True, "rollback": True}
    group = make_service(server, "loud", 82, alarms=alarms)
    arn = deploy(ecs, "loud", "sim/pull-takes-600")
    until("the old ones to go", lambda: service(ecs, "loud")["runningCount"] == 0)
    expect(server, group, "299")
    cloudwatch.set_alarm_state(AlarmName="slow", StateValue="ALARM", StateReason="too slow")
    until("the rollback", lambda: shown(ecs, arn)["status"] == "ROLLBACK_IN_PROGRESS")
    assert shown(ecs, arn)["deploymentCircuitBreaker"]["status"] == "MONITORING"
    server.restart()
    until("the rollback's end", lambda: shown(ecs, arn)["status"] == "ROLLBACK_FAILED")
    server.restart()
    ended = shown(ecs, arn)
    by_alarm = "Service deployment rolled back because of CloudWatch alarms in ALARM: slow."
    assert (ended["statusReason"], ended["rollback"]["reason"]) == (IN_VAIN, by_alarm)
    assert (ended["alarms"]["status"], ended["alarms"]["triggeredAlarmNames"]) == ("TRIGGERED", ["slow"])
    breaker = ended["deploymentCircuitBreaker"]
    assert breaker["status"] == "TRIGGERED" and breaker["failureCount"] >= 3

    expect(server, group, "200")
    arn = deploy(ecs, "loud", "busybox")
    until("a better release, whatever the alarm says", lambda: steady(ecs, "loud", 2))
    assert shown(ecs, arn)["alarms"]["status"] == "DISABLED", "an alarm that was on already is not heard"
    assert listed(ecs, "loud") == ["SUCCESSFUL", "ROLLBACK_FAILED", "SUCCESSFUL"]


def test_what_failed_as_a_rollback_is_rolled_back_to_again(server: ServerProcess, ecs: Any) -> None:
    """It stays the last that completed: when its reason to fail is gone, the next rollback succeeds."""
    group = make_service(server, "twice", 83)
    (good,) = service(ecs, "twice")["deployments"]
    arn = deploy(ecs, "twice", "sim/start-fails")
    expect(server, group, "299")
    until("the rollback's end", lambda: shown(ecs, arn)["status"] == "ROLLBACK_FAILED")
    expect(server, group, "200")
    arn = deploy(ecs, "twice", "sim/pull-fails")
    server.restart()
    until("another rollback", lambda: shown(ecs, arn)["status"] == "ROLLBACK_SUCCESSFUL")
    until("what was before all this", lambda: steady(ecs, "twice", 2))
    (back,) = service(ecs, "twice")["deployments"]
    assert back["id"] == good["id"]
    assert {each["startedBy"] for each in tasks(ecs, serviceName="twice")} == {good["id"]}
    assert listed(ecs, "twice") == ["ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "SUCCESSFUL"]
