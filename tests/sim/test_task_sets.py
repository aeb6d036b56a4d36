"""A blue/green swap by task sets behind a load balancer, on simulated time: no request fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from miniecs.control import targets, task_sets
from miniecs.model.load_balancing import Target
from miniecs.model.task_set import TaskSet
from miniecs.sim.broken import InvariantBroken
from miniecs.sim.requests import Requests
from miniecs.sim.world import World

SUBNETS = ["subnet-11111111", "subnet-22222222"]
DELAY = 10  # seconds that a deregistered target drains
NAMED = {"cluster": "default", "service": "web"}
FULL = {"value": 100.0, "unit": "PERCENT"}


class Swap:
    """A service of three tasks whose deployments are made here, as a third-party controller makes them."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed, hosts=4, types=("m5.2xlarge",))
        self.requests = Requests(world, every=0.2, longest=DELAY - 0.5)
        world.run(5.0)
        balancer = world.elbv2("CreateLoadBalancer", Name="front", Subnets=SUBNETS)["LoadBalancers"][0]
        self.groups = {color: self._group(color) for color in ("blue", "green")}
        self.listener = world.elbv2(
            "CreateListener",
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=self._forward(blue=1, green=0),
        )["Listeners"][0]["ListenerArn"]
        external = {"type": "EXTERNAL"}
        world.ecs("CreateService", serviceName="web", desiredCount=3, deploymentController=external)

    def _group(self, name: str) -> str:
        arn: str = self.world.elbv2(
            "CreateTargetGroup",
            Name=name,
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-11111111",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(DELAY)}
        self.world.elbv2("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=[delay])
        return arn

    def _forward(self, **weights: int) -> list[dict[str, Any]]:
        groups = [
            {"TargetGroupArn": self.groups[color], "Weight": weight} for color, weight in weights.items()
        ]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    def send(self, **weights: int) -> None:
        self.world.elbv2(
            "ModifyListener", ListenerArn=self.listener, DefaultActions=self._forward(**weights)
        )

    def make(self, color: str) -> str:
        port = {"containerPort": 80, "hostPort": 0}
        main = {"name": "main", "image": "httpd:2.4", "memory": 128, "portMappings": [port]}
        definition = self.world.ecs("RegisterTaskDefinition", family=color, containerDefinitions=[main])
        made: str = self.world.ecs(
            "CreateTaskSet",
            **NAMED,
            taskDefinition=definition["taskDefinition"]["taskDefinitionArn"],
            loadBalancers=[
                {"targetGroupArn": self.groups[color], "containerName": "main", "containerPort": 80}
            ],
            externalId=color,
            scale=FULL,
        )["taskSet"]["id"]
        return made

    def call(self, operation: str, **params: Any) -> None:
        """As whoever deploys does: when the control plane is down, the call is made again."""
        self.world.run_until(lambda: self.world.is_up)
        self.world.ecs(operation, **NAMED, **params)

    def steady(self, color: str) -> bool:
        return any(
            each.external_id == color and each.stability_status == "STEADY_STATE"
            for each in self.world.store.all(TaskSet)
        )

    def targets(self, color: str) -> list[str]:
        return [
            each.state
            for each in self.world.store.all(Target)
            if each.target_group_arn == self.groups[color]
        ]


def play(seed: int) -> None:
    """From blue to green, the control plane dying in each step."""
    swap = Swap(seed)
    world = swap.world
    blue = swap.make("blue")
    assert world.run_until(lambda: swap.steady("blue"))
    swap.call("UpdateServicePrimaryTaskSet", primaryTaskSet=blue)
    swap.requests.start()
    world.run(5.0)

    green = swap.make("green")
    world.kill_control_plane(3.0 + seed, at_next_plan=seed % 2 == 1)
    assert world.run_until(lambda: swap.steady("green"))
    assert swap.targets("green") == ["healthy"] * 3
    assert swap.targets("blue") == ["healthy"] * 3
    world.run_until(lambda: world.is_up)

    swap.send(blue=0, green=1)
    swap.call("UpdateServicePrimaryTaskSet", primaryTaskSet=green)
    world.run(DELAY)
    swap.call("DeleteTaskSet", taskSet=blue, force=True)
    world.kill_control_plane(0.5 + seed, at_next_plan=seed % 2 == 1)
    assert world.run_until(lambda: swap.targets("blue") == ["draining"] * 3)
    assert not any(each.wanted for each in world.tasks() if each.started_by == blue)
    assert world.run_until(lambda: [each.id for each in world.store.all(TaskSet)] == [green])
    assert swap.targets("blue") == []
    assert all(each.is_stopped for each in world.tasks() if each.started_by == blue)

    world.run(60.0)
    assert [each.started_by for each in world.tasks("RUNNING")] == [green] * 3
    service = world.ecs("DescribeServices", services=["web"])["services"][0]
    assert service["taskDefinition"].endswith("task-definition/green:1")
    assert [each["status"] for each in service["taskSets"]] == ["PRIMARY"]
    said = [event["message"] for event in service["events"]]
    assert said[0] == "(service web) has reached a steady state."
    assert f"(service web, taskSet {green}) updated state to STEADY_STATE." in said
    assert swap.requests.met["requests"] > 100
    assert world.invariants is not None
    world.invariants.check_at_rest()


@pytest.mark.parametrize("seed", range(6))
def test_a_swap_loses_no_request(seed: int) -> None:
    play(seed)


def steady_too_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(task_sets, "is_checked", lambda view, deployment: False)


def never_steady(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(task_sets, "_is_in_order", lambda part, cohort: False)


def forgotten_with_its_tasks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        task_sets,
        "_drained",
        lambda draft, whole, task_set, cohort: [task_sets._forget(whole.view, task_set, "it was deleted")],
    )


def drained_without_its_targets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(targets, "deregistrations", lambda *args, **kwargs: [])


@pytest.mark.parametrize(
    "bug", [steady_too_early, never_steady, forgotten_with_its_tasks, drained_without_its_targets]
)
def test_a_planted_bug_is_caught(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    with pytest.raises((AssertionError, InvariantBroken)):
        play(0)
