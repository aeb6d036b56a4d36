"""Whole clusters on simulated time: the same seed the same history, and the stories that users know."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.sim import InvariantBroken, World
from miniecs.sim.__main__ import SCENARIOS, SPARSE, Run, batch, main, unexercised
from miniecs.sim.copies import in_a_copy
from miniecs.sim.faults import Faults
from miniecs.sim.scenario import BEGINNINGS, FAULTS, MIDDLES, MIN_HOSTS, run, runs
from miniecs.sim.world import ControlPlaneDown
from miniecs_agent.sim.engine import ProbeAnswer

from .planted_bugs import ceiling_is_ignored


def register(world: World, image: str = "httpd", family: str = "web", **container: Any) -> str:
    definition = {"name": "main", "image": image, "cpu": 128, "memory": 128, **container}
    answer = world.ecs("RegisterTaskDefinition", family=family, containerDefinitions=[definition])
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


def serve(world: World, count: int = 4, **params: Any) -> None:
    definition = params.pop("taskDefinition", None) or register(world)
    world.ecs("CreateService", serviceName="web", taskDefinition=definition, desiredCount=count, **params)


def containers(world: World) -> dict[str, Any]:
    """What runs, with ports: task to its only container as reported."""
    return {
        task.arn: (task.containers[0].runtime_id, task.containers[0].network_bindings)
        for task in world.tasks("RUNNING")
    }


def is_steady(world: World) -> bool:
    [service] = world.ecs("DescribeServices", services=["web"])["services"]
    told = [event["message"] for event in service["events"][:1]]
    states = [deployment["rolloutState"] for deployment in service["deployments"]]
    return told == ["(service web) has reached a steady state."] and states == ["COMPLETED"]


def settled(world: World) -> None:
    assert world.run_until(lambda: is_steady(world), limit=900.0), world.history.lines()
    assert world.invariants is not None
    world.invariants.check_at_rest()


def test_a_seed_is_a_history() -> None:
    def history(seed: int) -> list[str]:
        world = World(seed, hosts=4)
        world.run(5.0)
        serve(world)
        world.run(120.0)
        return [f"{event.at} {event.kind} {event.resource} {event.because}" for event in world.store.events()]

    assert history(3) == history(3)
    assert history(3) != history(4)


def test_hosts_join_with_their_types_and_zones() -> None:
    world = World(1, hosts=3, zones=3, types=("m5.large", "t3.micro"))
    world.run(5.0)
    instances = list(world.store.all(ContainerInstance))
    type = "ecs.instance-type"
    assert sorted((i.availability_zone, i.attribute(type), i.cpu, i.memory) for i in instances) == [
        ("us-east-1a", "m5.large", 2048, 8192),
        ("us-east-1b", "t3.micro", 2048, 1024),
        ("us-east-1c", "m5.large", 2048, 8192),
    ]
    assert all(i.agent_connected and i.attribute("ecs.subnet-id") and i.private_ip for i in instances)
    assert len({i.private_ip for i in instances}) == 3


def test_a_rolling_update_keeps_within_its_bounds_and_ends() -> None:
    world = World(2, hosts=3)
    world.run(5.0)
    serve(world, 6, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100})
    settled(world)
    world.ecs("UpdateService", service="web", taskDefinition=register(world, "httpd:next"))
    settled(world)
    assert {task.task_definition_arn[-5:] for task in world.tasks("RUNNING")} == {"web:2"}


def test_a_lost_zone_is_made_up_for_elsewhere() -> None:
    world = World(3, hosts=6)
    world.run(5.0)
    serve(world, 6)
    settled(world)
    assert Faults(world).lose_zone("us-east-1a", replace=False) == 2
    world.run(70.0)
    settled(world)
    assert {task.availability_zone for task in world.tasks("RUNNING")} == {"us-east-1b", "us-east-1c"}


def test_a_cut_link_freezes_tasks_and_loses_nothing() -> None:
    world = World(66, hosts=1)  # one in which none of the reports gets through
    world.run(5.0)
    serve(world, 2)
    settled(world)
    [host] = world.hosts()
    Faults(world).cut_link(host, 300.0)
    world.run(200.0)
    instance = world.store.get(ContainerInstance, host.arn)
    assert instance is not None
    assert not instance.agent_connected
    assert len(world.tasks("RUNNING")) == 2
    assert host.engine.crash(world.tasks("RUNNING")[0].arn, "main", 3)
    world.run(50.0)
    assert len(world.tasks("RUNNING")) == 2  # nobody could tell
    world.run(100.0)
    stopped = world.tasks("STOPPED")
    assert [(t.stop_code, t.containers[0].exit_code) for t in stopped] == [("EssentialContainerExited", 3)]
    settled(world)


def test_a_control_plane_that_dies_between_planning_and_applying_goes_on_where_it_was() -> None:
    world = World(5, hosts=3)
    world.run(5.0)
    Faults(world).kill_control_plane(30.0, at_next_plan=True)
    serve(world, 3)
    assert world.tasks() == []
    with pytest.raises(ControlPlaneDown):
        world.ecs("ListTasks")
    world.run(40.0)
    settled(world)
    assert len(world.tasks("RUNNING")) == 3


def test_containers_run_on_while_control_plane_and_agent_restart() -> None:
    world = World(6, hosts=2)
    world.run(5.0)
    serve(world, 4)
    settled(world)
    before = containers(world)
    faults = Faults(world)
    faults.kill_control_plane(20.0)
    for host in world.hosts():
        faults.restart_agent(host)
    world.run(300.0)
    assert containers(world) == before
    settled(world)


def test_simulated_hosts_come_back_with_their_containers_from_the_store_alone() -> None:
    """As after a kill -9 of a server whose agents live in it."""
    first = World(7, hosts=2)
    first.run(5.0)
    serve(first, 3, taskDefinition=register(first, portMappings=[{"containerPort": 80, "hostPort": 0}]))
    settled(first)
    ran = containers(first)
    assert len(ran) == 3

    again = World(8, hosts=0, store=first.store)
    assert again.instances.start_all() == 2
    again.timeline.advance_to(first.now)
    again.run(120.0)
    assert containers(again) == ran
    for task in again.tasks("RUNNING"):
        host = again.instances.get(task.container_instance_arn or "")
        assert host is not None
        [binding] = task.containers[0].network_bindings
        assert again.instances.probe(host.facts.instance_id, binding.host_port or 0) == ProbeAnswer(200)
    settled(again)


def test_targets_of_simulated_hosts_are_probed() -> None:
    world = World(9, hosts=2)
    world.run(5.0)
    balancer = world.elbv2("CreateLoadBalancer", Name="lb", Subnets=["subnet-11111111", "subnet-22222222"])
    group = world.elbv2(
        "CreateTargetGroup",
        Name="tg",
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-11111111",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    world.elbv2(
        "CreateListener",
        LoadBalancerArn=balancer["LoadBalancers"][0]["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    ports = [{"containerPort": 80, "hostPort": 0}]
    definition = register(world, "sim/answers-503-after-60", portMappings=ports)
    balanced = [{"targetGroupArn": group, "containerName": "main", "containerPort": 80}]
    serve(world, 2, taskDefinition=definition, loadBalancers=balanced)

    def states() -> list[tuple[str, str | None]]:
        answer = world.elbv2("DescribeTargetHealth", TargetGroupArn=group)
        return [
            (d["TargetHealth"]["State"], d["TargetHealth"].get("Description"))
            for d in answer["TargetHealthDescriptions"]
        ]

    world.run(10.0)
    assert states() == [("healthy", None)] * 2
    assert world.run_until(
        lambda: ("unhealthy", "Health checks failed with these codes: [503]") in states(), limit=90.0
    )
    world.run(30.0)
    assert any(
        task.stopped_reason == f"Task failed ELB health checks in (target-group {group})"
        for task in world.store.all(Task)
    )


def test_an_invariant_that_breaks_says_so_at_once() -> None:
    world = World(10, hosts=1)
    world.run(5.0)
    serve(world, 1)
    settled(world)
    [task] = world.tasks("RUNNING")
    with pytest.raises(InvariantBroken, match="lastStatus never goes back"), world.store.transaction() as tx:
        tx.put(replace(task, last_status="PENDING"))


def test_scaled_time_is_shorter_in_every_wait() -> None:
    world = World(11, hosts=1, timing=Timing().scaled(10))
    world.run(5.0)
    serve(world, 1)
    began = world.now
    settled(world)
    assert 4.0 < world.now - began < 8.0


def test_random_runs_hold() -> None:
    for seed in range(3):
        outcome = run(seed)
        assert outcome.failure == "", "\n".join([*outcome.history, outcome.failure])
        assert outcome.faults.total() >= FAULTS


def test_a_random_run_repeats_exactly() -> None:
    assert run(17, with_history=True) == run(17, with_history=True)


def test_runs_that_share_their_beginning_or_their_middle_are_the_same_one_by_one() -> None:
    seeds = [8, 8 + BEGINNINGS, 8 + MIDDLES, 8 + 2 * MIDDLES]
    together = runs(seeds)
    assert together == [run(seed) for seed in seeds]
    assert len({outcome.commits for outcome in together}) == 4


def test_a_copy_of_the_process_that_ends_too_soon_is_told() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        in_a_copy(lambda: os._exit(3))


def test_a_run_is_as_large_as_promised() -> None:
    assert (MIN_HOSTS, FAULTS) >= (20, 10)


def test_the_command_tells_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--jobs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "sim: 2 seeds, 0 failed"
    assert main(["--seed", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "sim: 1 seeds, 0 failed"
    assert any(" plan   service " in line for line in lines)


def test_a_failing_seed_prints_its_history(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ceiling_is_ignored(monkeypatch)
    assert main(["--seeds", "1", "--jobs", "1"]) == 1
    out = capsys.readouterr().out
    assert "--- seed 0 failed: our starts never go above maximumPercent" in out
    assert "LaunchTasks" in out
    assert "again: python -m miniecs.sim --scenario cluster --seed 0" in out
    assert out.endswith("sim: 1 seeds, 1 failed\n")


@pytest.mark.slow
def test_a_hundred_seeds_meet_every_action_and_every_fault() -> None:
    total: Counter[str] = Counter()
    for outcome in map(run, range(100, 200)):
        assert outcome.failure == "", "\n".join([*outcome.history, outcome.failure])
        total += outcome.actions + outcome.faults + outcome.met
    assert unexercised(total, "cluster") == set()


def test_what_a_batch_never_met_is_told() -> None:
    assert "proxy killed" in unexercised(Counter(), "balanced")
    assert "SetInterface" in unexercised(Counter(), "cluster")
    assert {"SetTaskSet", "Forget", "task set promoted"} <= unexercised(Counter(), "task-sets")


def test_a_large_batch_has_all_its_seeds_in_clusters_and_enough_of_each_sort_elsewhere() -> None:
    small = Counter(run.scenario for run in batch(500, list(SCENARIOS)))
    assert small == {"cluster": 500, "balanced": 500, "releases": 500, "task-sets": 125}
    runs = list(batch(10_000, list(SCENARIOS)))
    assert [run.seed for run in runs if run.scenario == "cluster"] == list(range(10_000))
    assert [run.seed for run in runs if run.scenario == "balanced"] == list(range(SPARSE)), (
        "with and without losses, on each network: a seed modulo small numbers decides"
    )
    assert Counter(run.scenario for run in runs)["task-sets"] == SPARSE // 4
    assert list(batch(2000, ["balanced"])) == [Run("balanced", seed) for seed in range(2000)]
