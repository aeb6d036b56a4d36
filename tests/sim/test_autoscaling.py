"""Managed scaling on simulated time: real operations, loops and agents; the invariants are always checked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from miniecs.control.explain_placement import decision_of
from miniecs.model import arns
from miniecs.model.autoscaling import GroupInstance
from miniecs.model.event import EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.sim.world import World

SCALING = {"status": "ENABLED", "instanceWarmupPeriod": 15}


def world(least: int = 1, most: int = 10, *, seed: int = 1, scaling: Any = SCALING, **provider: Any) -> World:
    """A cluster of t3.medium in one Auto Scaling group, and a definition of which an instance takes two."""
    world = World(seed=seed, hosts=0, types=("t3.medium",))
    world.add_group(least, most, managedScaling=scaling, **provider)
    world.run(30)
    define(world, "web", 1024)
    return world


def define(world: World, family: str, cpu: int) -> None:
    container = {"name": "app", "image": "busybox", "cpu": cpu, "memory": 512}
    world.ecs("RegisterTaskDefinition", family=family, containerDefinitions=[container])


def serve(world: World, count: int, **params: Any) -> None:
    world.ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=count, **params)


def statuses(world: World) -> Counter[str]:
    return Counter(task.last_status for task in world.tasks() if task.last_status != "STOPPED")


def told(world: World) -> list[str]:
    """What was decided about the capacity provider."""
    about = arns.capacity_provider(world.scope, "group")
    return [event.message for event in world.store.events(about, (EventKind.DECISION,), limit=1000)]


def registered(world: World) -> list[ContainerInstance]:
    return [i for i in world.store.all(ContainerInstance) if i.status != "INACTIVE"]


def test_out_to_what_is_needed_and_back() -> None:
    w = world()
    serve(w, 14)
    assert statuses(w) == {"PENDING": 1}, "the first task resolves the image tags"
    assert w.run_until(lambda: statuses(w)["PROVISIONING"] > 0, limit=5)
    assert statuses(w) == {"PROVISIONING": 12, "PENDING": 2}
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 14}, limit=60)
    assert len(w.hosts()) == 7
    assert {i.capacity_provider_name for i in registered(w)} == {"group"}
    assert {t.capacity_provider_name for t in w.tasks()} == {"group"}
    w.ecs("UpdateService", service="web", desiredCount=2)
    w.run(800)
    assert len(w.hosts()) == 7, "an alarm of fifteen minutes has not passed"
    w.run(400)
    assert len(w.hosts()) < 7
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 2} and len(w.hosts()) <= 2, limit=2000)
    adds, removes = told(w)[0], told(w)[1]
    assert adds == "adds 6 instances: reservation 700 %; its group shall have 7"
    assert removes.startswith("removes ")
    w.ecs("DeleteService", service="web", force=True)
    w.run(3000)
    assert len(w.hosts()) == 1, "the least size"


def test_from_nothing_it_begins_with_two() -> None:
    w = world(0, 5)
    assert w.hosts() == []
    w.ecs("RunTask", taskDefinition="web")
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 1}, limit=60)
    assert len(w.hosts()) == 2
    assert told(w) == ["adds 2 instances: reservation 200 %; its group shall have 2"]


def test_a_rollout_that_finds_no_room_stops_old_tasks_first() -> None:
    """The group is as large as it may be, and minimumHealthyPercent allows it."""
    w = world(1, 2)
    serve(w, 4, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 200})
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 4}, limit=60)
    w.run(120)
    define(w, "web", 1024)
    w.ecs("UpdateService", service="web", taskDefinition="web:2")
    w.run(50)
    assert statuses(w) == {"RUNNING": 4, "PROVISIONING": 4}

    def rolled() -> bool:
        running = {t.task_definition_arn[-5:] for t in w.tasks("RUNNING")}
        return running == {"web:2"} and statuses(w) == {"RUNNING": 4}

    assert w.run_until(rolled, limit=600)


def test_never_beyond_its_size() -> None:
    w = world(1, 3)
    serve(w, 20)
    w.run(600)
    assert len(w.hosts()) == 3
    assert statuses(w) == {"RUNNING": 6, "PROVISIONING": 14}


def test_what_waits_too_long_stops() -> None:
    w = world(1, 1)
    w.ecs("RunTask", taskDefinition="web", count=3)
    w.run(1790)
    assert statuses(w) == {"RUNNING": 2, "PROVISIONING": 1}
    w.run(20)
    (stopped,) = w.tasks("STOPPED")
    assert (stopped.stop_code, stopped.stopped_reason) == (
        "TaskFailedToStart",
        "TaskFailedToStart: RESOURCE:CPU",
    )


def test_an_empty_provider_is_said_to_be_one() -> None:
    w = World(hosts=0, types=("t3.medium",))
    group = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/elsewhere"
    provider = {"autoScalingGroupArn": group, "managedScaling": {"status": "ENABLED"}}
    w.ecs("CreateCapacityProvider", name="cp", autoScalingGroupProvider=provider)
    w.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp"}],
    )
    define(w, "web", 1024)
    w.ecs("RunTask", taskDefinition="web")
    w.run(1801)
    (stopped,) = w.tasks("STOPPED")
    assert stopped.stopped_reason == "TaskFailedToStart: EMPTY CAPACITY PROVIDER"


def test_tasks_of_different_sizes_wait_together_and_none_is_given_too_much() -> None:
    w = world(1, 8)
    define(w, "small", 128)
    for _ in range(3):
        w.ecs("RunTask", taskDefinition="web", count=3)
        w.ecs("RunTask", taskDefinition="small", count=10)
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 39}, limit=300)
    for task in w.tasks():
        kept = decision_of(w.store, task)
        assert kept is not None, "explain says how it was placed"
        assert arns.name_of(task.container_instance_arn or "") in kept.record


def test_too_large_for_its_instances_no_number_helps() -> None:
    w = world(1, 5)
    define(w, "huge", 4096)
    w.ecs("RunTask", taskDefinition="huge")
    w.run(900)
    assert len(w.hosts()) == 1
    assert statuses(w) == {"PROVISIONING": 1}


def test_the_steps_are_as_large_as_they_shall_be() -> None:
    scaling = {**SCALING, "minimumScalingStepSize": 2, "maximumScalingStepSize": 3}
    w = world(1, 10, scaling=scaling)
    serve(w, 3)
    w.run(60)
    assert len(w.hosts()) == 3, "one would do, two is the least step"
    w.ecs("UpdateService", service="web", desiredCount=16)
    w.run(10)
    assert len(w.hosts()) == 6, "the largest step"
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 16}, limit=120)


def test_a_target_below_100_keeps_some_in_reserve() -> None:
    w = world(1, 10, scaling={**SCALING, "targetCapacity": 50})
    serve(w, 6)
    w.run(120)
    assert len(w.hosts()) >= 6, "three have tasks, three are in reserve"


def test_a_reserve_that_is_used_up_is_made_good_though_no_task_waits() -> None:
    w = world(1, 10, scaling={**SCALING, "targetCapacity": 50})
    serve(w, 4, placementStrategy=[{"type": "binpack", "field": "cpu"}])
    w.run(120)
    assert len(w.hosts()) == 4, "two have tasks, two are in reserve"
    w.ecs("UpdateService", service="web", desiredCount=8)
    w.run(1)
    assert "PROVISIONING" not in statuses(w), "the reserve takes them"
    w.run(60)
    assert len(w.hosts()) == 8


def test_draining_moves_a_services_tasks_before_their_instance_ends() -> None:
    w = world(2, 10)
    strategy = [{"type": "spread", "field": "instanceId"}]
    serve(w, 8, placementStrategy=strategy)
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 8}, limit=60)
    w.run(60)
    w.ecs("UpdateService", service="web", desiredCount=2)
    fewest = 2
    for _ in range(400):
        w.run(5)
        fewest = min(fewest, statuses(w)["RUNNING"])
    assert len(w.hosts()) == 2
    assert fewest == 2, "its tasks are replaced before they stop"
    events = w.store.events(kinds=(EventKind.CONTAINER_INSTANCE,), limit=1000)
    assert any("ends it" in event.because for event in events), "one with tasks was DRAINING first"


def test_termination_protection_keeps_instances_with_tasks() -> None:
    w = world(1, 4, managedTerminationProtection="ENABLED")
    w.ecs("RunTask", taskDefinition="web", count=8)
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 8}, limit=60)
    kept = w.tasks()[0].container_instance_arn
    for task in w.tasks():
        if task.container_instance_arn != kept:
            w.ecs("StopTask", task=task.arn)
    w.run(1500)
    assert [host.arn for host in w.hosts()] == [kept]
    assert statuses(w) == {"RUNNING": 2}


def test_standalone_tasks_keep_a_draining_instance() -> None:
    w = world(1, 4)
    w.ecs("RunTask", taskDefinition="web", count=8)
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 8}, limit=60)
    by_host: dict[str, list[str]] = {}
    for task in w.tasks():
        by_host.setdefault(task.container_instance_arn or "", []).append(task.arn)
    for there in by_host.values():
        w.ecs("StopTask", task=there[0])
    first = next(iter(by_host))
    w.ecs("StopTask", task=by_host[first][1])
    w.run(1500)
    assert statuses(w)["RUNNING"] == 3, "nobody may stop a standalone task"


def test_a_daemon_makes_no_instance_needed() -> None:
    w = world(0, 4)
    define(w, "logs", 128)
    daemon = {"schedulingStrategy": "DAEMON", "launchType": "EC2"}
    w.ecs("CreateService", serviceName="logs", taskDefinition="logs", **daemon)
    w.ecs("RunTask", taskDefinition="web", count=4)
    assert w.run_until(lambda: sum(t.service_arn is None for t in w.tasks("RUNNING")) == 4, limit=120)
    for task in w.tasks():
        if task.service_arn is None:
            w.ecs("StopTask", task=task.arn)
    assert w.run_until(lambda: not w.hosts(), limit=1500)


def test_an_instance_that_was_removed_is_replaced() -> None:
    w = world(2, 4)
    gone = w.hosts()[0].arn
    w.ecs("DeregisterContainerInstance", containerInstance=gone, force=True)
    w.run(30)
    assert len(w.hosts()) == 2
    assert gone not in {host.arn for host in w.hosts()}


@pytest.mark.parametrize("seed", range(6))
def test_kills_lose_nothing_and_leave_no_machine(seed: int) -> None:
    """The control plane is killed again and again, mostly between a plan and its application."""
    w = world(1, 8, seed=seed)
    serve(w, 12)
    for n in range(40):
        w.run(3 + (n * 7 + seed) % 5)
        w.kill_control_plane(1 + n % 3, at_next_plan=n % 4 != 0)
    w.spare_control_plane()
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 12} and len(w.hosts()) == 6, limit=120)
    w.ecs("UpdateService", service="web", desiredCount=2)
    for n in range(60):
        w.run(15 + (n * 11 + seed) % 13)
        w.kill_control_plane(1 + n % 3, at_next_plan=n % 4 != 0)
    w.spare_control_plane()
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 2} and len(w.hosts()) <= 2, limit=2000)
    w.run(100)
    members = {member.instance_id for member in w.store.all(GroupInstance)}
    assert members == {host.facts.instance_id for host in w.hosts()}
    assert members == {instance.ec2_instance_id for instance in registered(w)}


def test_tasks_with_interfaces_wait_too_and_get_one_in_their_hosts_zone() -> None:
    w = world(0, 4)
    container = {"name": "app", "image": "busybox", "cpu": 1024, "memory": 512}
    w.ecs("RegisterTaskDefinition", family="own", networkMode="awsvpc", containerDefinitions=[container])
    network = {"awsvpcConfiguration": {"subnets": ["subnet-a", "subnet-b", "subnet-c"]}}
    w.ecs("RunTask", taskDefinition="own", count=3, networkConfiguration=network)
    assert all(task.network_interface is None for task in w.tasks())
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 3}, limit=120)
    zones = {instance.arn: instance.availability_zone for instance in registered(w)}
    for task in w.tasks():
        assert task.network_interface is not None
        assert task.network_interface.private_ipv4
        assert task.availability_zone == zones[task.container_instance_arn or ""]


def providers(world: World) -> Counter[str | None]:
    return Counter(task.capacity_provider_name for task in world.tasks("RUNNING"))


def test_a_services_base_and_weights_hold_over_scaling_and_losses() -> None:
    w = World(hosts=0)
    w.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 3},
        ],
    )
    container = {"name": "app", "image": "busybox"}
    w.ecs(
        "RegisterTaskDefinition",
        family="web",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[container],
    )
    serve(w, 2, networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-a"]}})
    assert w.run_until(lambda: providers(w) == {"FARGATE": 2}, limit=120)
    w.ecs("UpdateService", service="web", desiredCount=10)
    assert w.run_until(lambda: providers(w) == {"FARGATE": 4, "FARGATE_SPOT": 6}, limit=120)
    lost = next(task for task in w.tasks("RUNNING") if task.capacity_provider_name == "FARGATE")
    w.ecs("StopTask", task=lost.arn)
    assert w.run_until(lambda: providers(w)["FARGATE"] == 3, limit=120)
    assert w.run_until(lambda: providers(w) == {"FARGATE": 4, "FARGATE_SPOT": 6}, limit=120)


def test_a_strategy_that_changes_moves_the_tasks() -> None:
    """From the launch type EC2 on a host of nobody's to the group's instances."""
    w = world(1, 4)
    other = w.add_host(zone=w.zones[0])
    w.run(5)
    for host in list(w.hosts()):
        if host is not other:
            w.ecs("UpdateContainerInstancesState", containerInstances=[host.arn], status="DRAINING")
    serve(w, 2, launchType="EC2")
    assert w.run_until(lambda: statuses(w) == {"RUNNING": 2}, limit=60)
    assert {task.container_instance_arn for task in w.tasks("RUNNING")} == {other.arn}
    strategy = [{"capacityProvider": "group", "weight": 1}]
    w.ecs("UpdateService", service="web", capacityProviderStrategy=strategy, forceNewDeployment=True)

    def moved() -> bool:
        return statuses(w) == {"RUNNING": 2} and providers(w) == {"group": 2}

    assert w.run_until(moved, limit=300)
    assert other.arn not in {task.container_instance_arn for task in w.tasks("RUNNING")}


def test_a_machine_whose_instance_was_deregistered_does_not_come_back_with_a_new_control_plane() -> None:
    w = world(1, 3)
    [instance] = registered(w)
    w.kill_control_plane(2.0, at_next_plan=True)
    w.ecs("DeregisterContainerInstance", containerInstance=instance.arn, force=True)
    assert not w.is_up, "it died before the group had forgotten its instance"
    w.instances.remove(instance.arn)
    w.run(60)
    [other] = registered(w)
    assert other.ec2_instance_id != instance.ec2_instance_id
    assert other.agent_connected
