"""Each control loop is needed: what it does is not done while it is switched off, and done once it is on.

The loop is switched off in the middle of the running server, by the test's own launcher. The restart after
that, a kill, also shows that whatever was left undone is found again.

Not here: the loop that forgets client tokens, which frees memory after a day and changes no answer, and the
one that forgets service deployments after 90 days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .aws_shapes import ALARM, register, service, steady, task, tasks
from .conftest import StartServer
from .launch import LOOPS
from .process import NotReached, ServerProcess, until

Goal = Callable[[], bool]
Story = Callable[[ServerProcess, str], Iterator[Goal | None]]

SOON = 3.0  # seconds; with its loop on each story ends sooner: pull, start, health and stop take 2.8 at most


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    return start_server(time_scale=100.0, instances=0)


@pytest.fixture(scope="module")
def fast(start_server: StartServer) -> ServerProcess:
    """What ECS keeps for an hour is kept for two seconds."""
    return start_server(time_scale=1800.0, instances=0)


def make_cluster(server: ServerProcess, name: str, instances: int = 1) -> list[str]:
    server.client("ecs").create_cluster(clusterName=name)
    added = [server.request("POST", "/_miniecs/instances", {"cluster": name}) for _ in range(instances)]
    return [str(each["arn"]) for each in added]


def make_service(server: ServerProcess, name: str) -> None:
    """A cluster of one instance with a service of one task that runs."""
    ecs = server.client("ecs")
    make_cluster(server, name)
    register(ecs, name)
    ecs.create_service(cluster=name, serviceName="shop", taskDefinition=name, desiredCount=1)
    until("the service", lambda: steady(ecs, "shop", 1, name))


def make_daemon(server: ServerProcess, name: str) -> None:
    """A cluster of two instances with a daemon on both."""
    ecs = server.client("ecs")
    make_cluster(server, name, 2)
    register(ecs, name)
    ecs.create_service(cluster=name, serviceName="logs", taskDefinition=name, schedulingStrategy="DAEMON")
    until("the daemon", lambda: service(ecs, "logs", name)["runningCount"] == 2)


def run_task(server: ServerProcess, name: str) -> str:
    """A task that runs in a cluster of one instance; its ARN."""
    ecs = server.client("ecs")
    make_cluster(server, name)
    (made,) = ecs.run_task(cluster=name, taskDefinition=register(ecs, name))["tasks"]
    until("the task", lambda: task(ecs, made["taskArn"], name)["lastStatus"] == "RUNNING")
    return str(made["taskArn"])


# Stories: what is made while the loop is on; then, after the first yield, what is asked for, and the goal.


def a_service_starts(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_cluster(server, name)
    register(ecs, name)
    yield None
    ecs.create_service(cluster=name, serviceName="shop", taskDefinition=name, desiredCount=1)
    yield lambda: service(ecs, "shop", name)["runningCount"] == 1


def a_deleted_service_ends(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_service(server, name)
    yield None
    ecs.delete_service(cluster=name, service="shop", force=True)
    yield lambda: service(ecs, "shop", name)["status"] == "INACTIVE"


def an_update_rolls(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_service(server, name)
    newer = register(ecs, name)
    yield None
    ecs.update_service(cluster=name, service="shop", taskDefinition=newer)

    def rolled() -> bool:
        running = {each["taskDefinitionArn"] for each in tasks(ecs, name)}
        return running == {newer} and steady(ecs, "shop", 1, name)

    yield rolled


def a_lost_task_is_replaced(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_service(server, name)
    (first,) = tasks(ecs, name)
    yield None
    ecs.stop_task(cluster=name, task=first["taskArn"])

    def replaced() -> bool:
        states = {each["taskArn"]: each["lastStatus"] for each in tasks(ecs, name)}
        return first["taskArn"] not in states and list(states.values()) == ["RUNNING"]

    yield replaced


def a_draining_instance_empties(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_service(server, name)
    (first,) = {each["containerInstanceArn"] for each in tasks(ecs, name)}
    server.request("POST", "/_miniecs/instances", {"cluster": name})
    yield None
    ecs.update_container_instances_state(cluster=name, containerInstances=[first], status="DRAINING")
    yield lambda: first not in {each["containerInstanceArn"] for each in tasks(ecs, name)}


def make_task_set(server: ServerProcess, name: str, scale: float) -> str:
    """A cluster of one instance with a service of one task set, which is to have so many percent; its id."""
    ecs = server.client("ecs")
    make_cluster(server, name)
    register(ecs, name)
    external = {"type": "EXTERNAL"}
    ecs.create_service(cluster=name, serviceName="shop", desiredCount=1, deploymentController=external)
    share = {"value": scale, "unit": "PERCENT"}
    made = ecs.create_task_set(cluster=name, service="shop", taskDefinition=name, scale=share)
    return str(made["taskSet"]["id"])


def stabilities(ecs: Any, name: str) -> list[tuple[int, str]]:
    found = ecs.describe_task_sets(cluster=name, service="shop")["taskSets"]
    return [(each["runningCount"], each["stabilityStatus"]) for each in found]


def a_task_set_starts(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    made = make_task_set(server, name, 0.0)
    until("a task set without tasks", lambda: stabilities(ecs, name) == [(0, "STEADY_STATE")])
    yield None
    share = {"value": 100.0, "unit": "PERCENT"}
    ecs.update_task_set(cluster=name, service="shop", taskSet=made, scale=share)
    yield lambda: stabilities(ecs, name) == [(1, "STEADY_STATE")]


def a_deleted_task_set_goes(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    made = make_task_set(server, name, 100.0)
    until("a task set", lambda: stabilities(ecs, name) == [(1, "STEADY_STATE")])
    yield None
    ecs.delete_task_set(cluster=name, service="shop", taskSet=made, force=True)
    yield lambda: stabilities(ecs, name) == []


def a_daemon_starts(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_cluster(server, name, 2)
    register(ecs, name)
    yield None
    ecs.create_service(
        cluster=name, serviceName="logs", taskDefinition=name, schedulingStrategy="DAEMON"
    )
    yield lambda: service(ecs, "logs", name)["runningCount"] == 2


def a_daemon_joins_an_instance(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_daemon(server, name)
    yield None
    added = server.request("POST", "/_miniecs/instances", {"cluster": name})["arn"]
    yield lambda: added in {each["containerInstanceArn"] for each in tasks(ecs, name)}


def a_daemon_leaves_a_draining_instance(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_daemon(server, name)
    first = tasks(ecs, name)[0]["containerInstanceArn"]
    yield None
    ecs.update_container_instances_state(cluster=name, containerInstances=[first], status="DRAINING")
    yield lambda: first not in {each["containerInstanceArn"] for each in tasks(ecs, name)}


def release(ecs: Any, arn: str) -> str:
    """The status of a service deployment."""
    (found,) = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return str(found["status"])


def a_stopped_deployment_rolls_back(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_service(server, name)
    broken = register(ecs, name, image="sim/pull-fails")
    yield None
    updated = ecs.update_service(cluster=name, service="shop", taskDefinition=broken)["service"]
    arn = updated["currentServiceDeployment"]
    ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")
    yield lambda: release(ecs, arn) == "ROLLBACK_SUCCESSFUL"


def an_alarm_ends_a_deployment(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs, cloudwatch = server.client("ecs"), server.client("cloudwatch")
    make_service(server, name)
    cloudwatch.put_metric_alarm(AlarmName=name, **ALARM)
    broken = register(ecs, name, image="sim/pull-fails")
    alarms = {"alarmNames": [name], "enable": True, "rollback": True}
    updated = ecs.update_service(
        cluster=name, service="shop", taskDefinition=broken, deploymentConfiguration={"alarms": alarms}
    )["service"]
    arn = updated["currentServiceDeployment"]
    until("the deployment's begin", lambda: release(ecs, arn) == "IN_PROGRESS")
    yield None
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="too slow")
    yield lambda: release(ecs, arn) == "ROLLBACK_SUCCESSFUL"


def a_deployment_completes(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    make_cluster(server, name)
    register(ecs, name)
    yield None
    made = ecs.create_service(cluster=name, serviceName="shop", taskDefinition=name, desiredCount=1)
    arn = made["service"]["currentServiceDeployment"]
    yield lambda: release(ecs, arn) == "SUCCESSFUL"


def zones_are_balanced(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName=name)
    register(ecs, name)
    server.request("POST", "/_miniecs/instances", {"cluster": name, "zone": "us-east-1a"})
    ecs.create_service(cluster=name, serviceName="shop", taskDefinition=name, desiredCount=4)
    until("the service", lambda: steady(ecs, "shop", 4, name))
    yield None
    server.request("POST", "/_miniecs/instances", {"cluster": name, "zone": "us-east-1b"})
    yield lambda: sorted(each["availabilityZone"][-1] for each in tasks(ecs, name)) == ["a", "a", "b", "b"]


def a_task_stops(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    arn = run_task(server, name)
    yield None
    ecs.stop_task(cluster=name, task=arn)
    yield lambda: task(ecs, arn, name)["lastStatus"] == "STOPPED"


def a_task_of_a_lost_instance_ends(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    arn = run_task(server, name)
    (instance,) = ecs.list_container_instances(cluster=name)["containerInstanceArns"]
    yield None
    ecs.deregister_container_instance(cluster=name, containerInstance=instance, force=True)
    yield lambda: task(ecs, arn, name)["lastStatus"] == "STOPPED"


def a_stopped_task_is_forgotten(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    arn = run_task(server, name)
    yield None
    stopped = [{"containerName": "app", "status": "STOPPED", "exitCode": 0}]
    ecs.submit_task_state_change(cluster=name, task=arn, status="STOPPED", containers=stopped)
    assert task(ecs, arn, name)["lastStatus"] == "STOPPED"
    asked = {"cluster": name, "tasks": [arn]}
    yield lambda: [each["reason"] for each in ecs.describe_tasks(**asked)["failures"]] == ["MISSING"]


def make_group(server: ServerProcess, name: str) -> str:
    """A target group that a listener forwards to; its name is as much of the story's as ELB takes."""
    elb = server.client("elbv2")
    name = name.replace("_", "-")[-30:].strip("-")
    made = elb.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])
    balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1")
    arn = str(group["TargetGroups"][0]["TargetGroupArn"])
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=forward)
    return arn


def states(elb: Any, group: str) -> list[str]:
    described = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return [each["TargetHealth"]["State"] for each in described]


def make_balanced(server: ServerProcess, name: str, group: str) -> None:
    """A cluster of one instance with a service of one task behind the target group."""
    ecs = server.client("ecs")
    make_cluster(server, name)
    register(ecs, name, portMappings=[{"containerPort": 80}])
    balancer = {"targetGroupArn": group, "containerName": "app", "containerPort": 80}
    ecs.create_service(
        cluster=name, serviceName="shop", taskDefinition=name, desiredCount=1, loadBalancers=[balancer]
    )


def a_target_becomes_healthy(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    group = make_group(server, name)
    yield None
    make_balanced(server, name, group)
    yield lambda: states(server.client("elbv2"), group) == ["healthy"]


def a_target_goes_when_it_is_drained(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs, elb = server.client("ecs"), server.client("elbv2")
    group = make_group(server, name)
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "50"}
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
    make_balanced(server, name, group)
    until("a healthy target", lambda: states(elb, group) == ["healthy"])
    yield None
    ecs.update_service(cluster=name, service="shop", desiredCount=0)
    yield lambda: states(elb, group) == []


def an_instance_is_forgotten(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    (instance,) = make_cluster(server, name)
    yield None
    ecs.deregister_container_instance(cluster=name, containerInstance=instance)
    asked = {"cluster": name, "containerInstances": [instance]}
    yield lambda: ecs.describe_container_instances(**asked)["containerInstances"] == []


def a_cluster_is_forgotten(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName=name)
    yield None
    ecs.delete_cluster(cluster=name)
    yield lambda: ecs.describe_clusters(clusters=[name])["clusters"] == []


def a_task_definition_is_forgotten(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    definition = register(ecs, name)
    ecs.deregister_task_definition(taskDefinition=definition)
    yield None
    ecs.delete_task_definitions(taskDefinitions=[definition])

    def left() -> list[str]:
        found: list[str] = ecs.list_task_definitions(status="DELETE_IN_PROGRESS")["taskDefinitionArns"]
        return found

    yield lambda: definition not in left()


STORIES: dict[str, tuple[Story, ...]] = {
    "services": (a_service_starts, a_deleted_service_ends),
    "replicas": (an_update_rolls, a_lost_task_is_replaced, a_draining_instance_empties),
    "daemons": (a_daemon_starts, a_daemon_joins_an_instance),
    "draining daemons": (a_daemon_leaves_a_draining_instance,),
    "failures": (a_stopped_deployment_rolls_back, an_alarm_ends_a_deployment),
    "completion": (a_deployment_completes,),
    "rebalancing": (zones_are_balanced,),
    "task sets": (a_task_set_starts, a_deleted_task_set_goes),
    "tasks": (a_task_stops, a_task_of_a_lost_instance_ends),
    "registrations": (a_target_becomes_healthy,),
    "probes": (a_target_becomes_healthy,),
    "targets": (a_target_goes_when_it_is_drained,),
}
LINGERING: dict[str, tuple[Story, ...]] = {
    "tasks": (a_stopped_task_is_forgotten,),
    "instances": (an_instance_is_forgotten,),
    "clusters": (a_cluster_is_forgotten,),
    "definitions": (a_task_definition_is_forgotten,),
}


def a_group_grows_for_a_waiting_task(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    definition = register(ecs, name)
    yield None
    (made,) = ecs.run_task(taskDefinition=definition)["tasks"]
    assert made["lastStatus"] == "PROVISIONING"
    yield lambda: task(ecs, made["taskArn"], "default")["lastStatus"] == "RUNNING"


def an_empty_group_shrinks(server: ServerProcess, name: str) -> Iterator[Goal | None]:
    ecs = server.client("ecs")
    (made,) = ecs.run_task(taskDefinition=register(ecs, name))["tasks"]
    until("the task", lambda: task(ecs, made["taskArn"], "default")["lastStatus"] == "RUNNING")
    yield None
    ecs.stop_task(task=made["taskArn"])
    yield lambda: ecs.list_container_instances()["containerInstanceArns"] == []


SCALED: dict[str, tuple[Story, ...]] = {
    "provisioning": (a_group_grows_for_a_waiting_task,),
    "managed scaling": (a_group_grows_for_a_waiting_task,),
    "groups": (a_group_grows_for_a_waiting_task,),
    "group machines": (a_group_grows_for_a_waiting_task,),
}
SHRUNK: dict[str, tuple[Story, ...]] = {
    "managed scaling": (an_empty_group_shrinks,),
    "groups": (an_empty_group_shrinks,),
}


def check(server: ServerProcess, loop: str, stories: tuple[Story, ...], soon: float) -> None:
    """The stories do not come to their ends without the loop, and do when it is there again."""
    told = {story.__name__: story(server, f"{story.__name__}-{loop.split()[0]}") for story in stories}
    for each in told.values():
        next(each)
    server.switch_off(loop)
    goals = {name: goal for name, each in told.items() if (goal := next(each)) is not None}
    assert goals.keys() == told.keys()
    with pytest.raises(NotReached):
        until(
            f"a story to end without {loop}",
            lambda: [name for name, goal in goals.items() if goal()],
            within=soon,
        )
    server.restart()
    for name, goal in goals.items():
        until(f"the end of {name}, with {loop} on again", goal)


@pytest.mark.parametrize("loop", STORIES)
def test_a_loop_is_needed(server: ServerProcess, loop: str) -> None:
    check(server, loop, STORIES[loop], SOON)


@pytest.mark.parametrize("loop", LINGERING)
def test_a_loop_that_forgets_is_needed(fast: ServerProcess, loop: str) -> None:
    check(fast, loop, LINGERING[loop], 1.5 * 3600.0 / fast.scale)


@pytest.mark.parametrize("loop", SCALED)
def test_a_loop_that_scales_out_is_needed(start_server: StartServer, loop: str) -> None:
    check(start_server(time_scale=100.0, autoscale="0:3"), loop, SCALED[loop], SOON)


@pytest.mark.parametrize("loop", SHRUNK)
def test_a_loop_that_scales_in_is_needed(start_server: StartServer, loop: str) -> None:
    """What ECS waits fifteen minutes for is waited for a second."""
    check(start_server(time_scale=900.0, autoscale="0:3"), loop, SHRUNK[loop], 2 * SOON)


def test_every_loop_has_a_story() -> None:
    assert STORIES.keys() | LINGERING.keys() | SCALED.keys() == LOOPS.keys()
