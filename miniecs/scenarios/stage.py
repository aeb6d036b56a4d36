"""The world of a story while it is played, and what its names mean in it: hosts above all."""

from __future__ import annotations

import copy
from typing import Any

from miniecs.model import arns, network
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.scenarios.around import TargetGroupSpec
from miniecs.scenarios.cast import HostPlan
from miniecs.scenarios.recording import Happening, Mark
from miniecs.scenarios.story import GroupPlan, Story
from miniecs.scenarios.watcher import Watcher
from miniecs.sim import World
from miniecs.sim.faults import Faults
from miniecs_agent.sim.behaviours import VARIABLE
from miniecs_agent.sim.instances import SimulatedHost


class NotYet(Exception):
    """It cannot be done at this moment; whoever wants it tries again."""


class Stage:
    """One world. waiting: callers of RunTask who were refused and will ask again."""

    def __init__(self, world: World, watcher: Watcher, story: Story) -> None:
        self.world = world
        self.watcher = watcher
        self.story = story
        self.faults = Faults(world)
        self.waiting = 0
        self._hosts: dict[str, SimulatedHost] = {}
        self._target_groups: dict[str, str] = {}  # name -> ARN

    @property
    def now(self) -> float:
        """Seconds since the story began."""
        return self.world.now - self.watcher.begun

    def say(self, text: str, about: str = "", mark: str = "") -> None:
        """Note what someone did; mark: how it is shown on the time axis, if at all."""
        self.watcher.recording.happenings.append(Happening(self.now, "scenario", about, text))
        if mark:
            self.mark(text, mark)

    def mark(self, text: str, kind: str) -> None:
        """Note something for the time axis alone."""
        self.watcher.recording.marks.append(Mark(self.now, text, kind))

    # Hosts

    def add_host(self, plan: HostPlan) -> None:
        host = self.world.add_host(zone=plan.zone, type=plan.type, attributes=plan.attributes)
        self.watcher.expect(host.facts.instance_id, plan.name)
        self._hosts[plan.name] = host

    def add_group(self, plan: GroupPlan) -> None:
        """An Auto Scaling group and its capacity provider, which no cluster has yet."""
        spec = plan.spec
        group = self.world.make_group(
            spec.min_size,
            spec.max_size,
            type=spec.type,
            name=spec.name,
            zones=plan.zones,
            launch_time=spec.launch_time,
        )
        self.world.ecs("CreateCapacityProvider", **spec.provider(group.arn))

    def host(self, name: str) -> SimulatedHost:
        return self._hosts[name]

    def hosts(self) -> dict[str, SimulatedHost]:
        """All by name, the lost ones too."""
        return self._hosts

    # Load balancing

    def add_target_group(self, spec: TargetGroupSpec) -> None:
        """With a load balancer of its own in front, which ECS asks for."""
        elbv2 = self.world.elbv2
        arn: str = elbv2(
            "CreateTargetGroup",
            Name=spec.name,
            Protocol="HTTP",
            Port=80,
            VpcId=network.default_vpc_id(self.world.scope),
            TargetType=spec.target_type,
            HealthCheckIntervalSeconds=int(spec.health_check_interval),
            HealthCheckTimeoutSeconds=int(spec.health_check_timeout),
            HealthyThresholdCount=spec.healthy_threshold,
            UnhealthyThresholdCount=spec.unhealthy_threshold,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = str(int(spec.deregistration_delay))
        attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": delay}]
        elbv2("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=attributes)
        subnets = [network.default_subnet_id(self.world.scope, zone) for zone in self.world.zones]
        balancer = elbv2("CreateLoadBalancer", Name=spec.name, Subnets=subnets)["LoadBalancers"][0]
        elbv2(
            "CreateListener",
            LoadBalancerArn=balancer["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
        )
        self._target_groups[spec.name] = arn

    def resolved(self, params: dict[str, Any]) -> dict[str, Any]:
        """CreateService's parameters with ARNs where the scenario has names."""
        if "loadBalancers" not in params:
            return params
        known = self._target_groups
        found = [
            {**each, "targetGroupArn": known.get(each.get("targetGroupArn", ""), each.get("targetGroupArn"))}
            for each in params["loadBalancers"]
        ]
        return params | {"loadBalancers": found}

    # Tasks

    def running(self, service: str | None, family: str | None, count: int) -> list[Task]:
        """The oldest running tasks of a service or of a family."""
        found = [
            task
            for task in self.world.tasks("RUNNING", service=service)
            if task.wanted and (family is None or _family(task) == family)
        ]
        return found[:count]

    def definition(self, service: str) -> dict[str, Any]:
        """Of the service's present revision, as the scenario has it, to be changed and registered anew."""
        arn = arns.service(self.world.scope, self.world.cluster, service)
        found = self.world.store.get(Service, arn)
        assert found is not None, service
        family = arns.name_of(found.revision.task_definition_arn).split(":")[0]
        return copy.deepcopy(self.story.definitions[family])


def first_essential(definition: dict[str, Any]) -> dict[str, Any]:
    containers: list[dict[str, Any]] = definition["containerDefinitions"]
    return next((each for each in containers if each.get("essential", True)), containers[0])


def simulating(environment: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    """The environment with these words for what a simulated container does, after those it has already."""
    before = next((each["value"] for each in environment if each.get("name") == VARIABLE), "")
    others = [each for each in environment if each.get("name") != VARIABLE]
    return [*others, {"name": VARIABLE, "value": f"{before} {words}".strip()}]


def _family(task: Task) -> str:
    return arns.name_of(task.task_definition_arn).split(":")[0]
