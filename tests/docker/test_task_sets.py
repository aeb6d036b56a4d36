"""Blue and green task sets of one service on a real engine, deployed by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from .clusters import Clusters
from .load import steady
from .miniecs import Miniecs
from .waiting import until

SCALE = 10
RATE = 200.0  # requests a second
SUBNETS = ["subnet-0000000a", "subnet-0000000b"]
FULL = {"value": 100.0, "unit": "PERCENT"}


@pytest.fixture(scope="module")
def shared_miniecs(module_clusters: Clusters) -> Miniecs:
    return module_clusters.start("--time-scale", str(SCALE))


class Swap:
    """A service of two tasks behind a listener that forwards to one of two target groups."""

    def __init__(self, miniecs: Miniecs) -> None:
        self.miniecs, self.ecs, self.elb = miniecs, miniecs.ecs, miniecs.client("elbv2")
        (balancer,) = self.elb.create_load_balancer(Name="swap", Subnets=SUBNETS)["LoadBalancers"]
        self.balancer = balancer["LoadBalancerArn"]
        self.groups = {color: self._group(color) for color in ("blue", "green")}
        (listener,) = self.elb.create_listener(
            LoadBalancerArn=self.balancer, Protocol="HTTP", Port=8181, DefaultActions=self._to("blue")
        )["Listeners"]
        self.listener = listener["ListenerArn"]
        external = {"type": "EXTERNAL"}
        self.ecs.create_service(serviceName="swap", desiredCount=2, deploymentController=external)
        self.named = {"cluster": "default", "service": "swap"}

    def _group(self, color: str) -> str:
        (group,) = self.elb.create_target_group(
            Name=color,
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-00000001",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"]
        arn = str(group["TargetGroupArn"])
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "20"}
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
        return arn

    def _to(self, color: str) -> list[dict[str, Any]]:
        groups = [
            {"TargetGroupArn": arn, "Weight": int(each == color)} for each, arn in self.groups.items()
        ]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    def send_to(self, color: str) -> None:
        self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=self._to(color))

    def make(self, color: str) -> str:
        script = (
            f"trap 'exit 0' TERM; mkdir -p /w; echo {color} > /w/index.html; httpd -p 80 -h /w; "
            "while :; do sleep 0.1; done"
        )
        definition = self.miniecs.register(
            "swap",
            {"name": "web", "command": ["sh", "-c", script], "portMappings": [{"containerPort": 80}]},
        )
        balancer = {"targetGroupArn": self.groups[color], "containerName": "web", "containerPort": 80}
        made = self.ecs.create_task_set(
            **self.named, taskDefinition=definition, loadBalancers=[balancer], scale=FULL
        )
        return str(made["taskSet"]["id"])

    def task_sets(self) -> dict[str, tuple[str, int]]:
        found = self.ecs.describe_task_sets(**self.named)["taskSets"]
        return {each["id"]: (each["stabilityStatus"], each["runningCount"]) for each in found}

    def steady(self, id: str) -> None:
        until("a steady task set", lambda: self.task_sets()[id] == ("STEADY_STATE", 2), 90.0)

    def kill(self) -> None:
        self.miniecs.kill("server")
        self.miniecs.is_back()

    @property
    def address(self) -> str:
        def found() -> list[str]:
            balancers = self.miniecs.json("lb")["loadBalancers"]
            return [str(a) for b in balancers for each in b["listeners"] for a in each["addresses"]]

        return until("the listener", found)[0]

    def delete(self) -> None:
        self.ecs.delete_service(service="swap", force=True)
        until("the service's end", self._is_gone, 60.0)
        self.elb.delete_load_balancer(LoadBalancerArn=self.balancer)
        for arn in self.groups.values():
            self.elb.delete_target_group(TargetGroupArn=arn)

    def _is_gone(self) -> bool:
        (service,) = self.ecs.describe_services(services=["swap"])["services"]
        targets = [
            each
            for arn in self.groups.values()
            for each in self.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        ]
        return service["status"] == "INACTIVE" and not service["taskSets"] and not targets


@pytest.fixture
def swap(miniecs: Miniecs) -> Iterator[Swap]:
    made = Swap(miniecs)
    yield made
    made.delete()


def test_a_swap_through_two_kills_loses_no_request(swap: Swap, miniecs: Miniecs) -> None:
    blue = swap.make("blue")
    swap.steady(blue)
    swap.ecs.update_service_primary_task_set(**swap.named, primaryTaskSet=blue)
    with steady(swap.address, RATE) as seen:
        time.sleep(1.0)
        green = swap.make("green")
        swap.kill()
        swap.steady(green)
        assert swap.task_sets()[blue] == ("STEADY_STATE", 2)
        swap.send_to("green")
        swap.ecs.update_service_primary_task_set(**swap.named, primaryTaskSet=green)
        until("green's answers", lambda: "green\n" in seen.bodies)
        swap.ecs.delete_task_set(**swap.named, taskSet=blue, force=True)
        swap.kill()
        until("blue to be gone", lambda: swap.task_sets().keys() == {green}, 90.0)
    assert seen.sent > RATE, "the load was none"
    assert not seen.failures, f"{len(seen.failures)} of {seen.sent}: {seen.failures[:10]}"
    assert seen.bodies == {"blue\n", "green\n"}
    tasks = miniecs.ecs.list_tasks(serviceName="swap")["taskArns"]
    told = miniecs.ecs.describe_tasks(tasks=tasks)["tasks"]
    assert [(each["startedBy"], each["lastStatus"]) for each in told] == [(green, "RUNNING")] * 2
