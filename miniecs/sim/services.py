"""The services of a random cluster: created, and changed by whoever runs the scenario.

Apart from its users, since the end of a run changes services too.
"""

from __future__ import annotations

from typing import Any

from miniecs.model import arns
from miniecs.model.service import Service
from miniecs.model.task_definition import TaskDefinition
from miniecs.sim.choices import Choices
from miniecs.sim.kinds import ALARM, EXTERNAL, GOOD_IMAGE, Kind
from miniecs.sim.world import World


class Services:
    """By name, each with its kind; those that users deleted are not among them."""

    def __init__(self, world: World, choices: Choices) -> None:
        self._world = world
        self._choices = choices
        self.by_name: dict[str, Kind] = {}
        self.deployed = 0  # times that another task definition was accepted

    def create(self, kind: Kind) -> None:
        params: dict[str, Any] = {"serviceName": kind.name, **kind.service}
        if kind.service.get("deploymentController") != EXTERNAL:
            params["taskDefinition"] = self.register(kind, GOOD_IMAGE)
        if kind.service.get("schedulingStrategy") != "DAEMON":
            params["desiredCount"] = 2 + self._choices.number(3)
        if kind.balanced:
            params["loadBalancers"] = [
                {"targetGroupArn": self._target_group(), "containerName": "main", "containerPort": 80}
            ]
        if kind.alarm:
            self._world.call("cloudwatch", "PutMetricAlarm", AlarmName=kind.alarm, **ALARM)
        self._world.ecs("CreateService", **params)
        self.by_name[kind.name] = kind

    def register(self, kind: Kind, image: str) -> str:
        main: dict[str, Any] = {
            "name": "main",
            "image": image,
            "cpu": 64 + 64 * self._choices.number(4),
            "memory": 128 + 64 * self._choices.number(6),
            **kind.container,
        }
        containers = [main]
        if kind.sidecar:
            main["dependsOn"] = [
                {"containerName": "init", "condition": "SUCCESS"},
                {"containerName": "side", "condition": "START"},
            ]
            containers += [
                {"name": "init", "image": "sim/exit-0-after-2", "memory": 32, "essential": False},
                {"name": "side", "image": "envoy", "memory": 64, "essential": False},
            ]
        answer = self._world.ecs(
            "RegisterTaskDefinition",
            family=kind.name,
            networkMode=kind.network_mode,
            containerDefinitions=containers,
            **kind.size,
        )
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn

    def _target_group(self) -> str:
        world = self._world
        balancer = world.elbv2(
            "CreateLoadBalancer", Name="front", Subnets=["subnet-11111111", "subnet-22222222"]
        )["LoadBalancers"][0]["LoadBalancerArn"]
        group: str = world.elbv2(
            "CreateTargetGroup",
            Name="web",
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-11111111",
            HealthCheckIntervalSeconds=10,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = str(10 + self._choices.number(50))
        world.elbv2(
            "ModifyTargetGroupAttributes",
            TargetGroupArn=group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": delay}],
        )
        world.elbv2(
            "CreateListener",
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return group

    def update(self, kind: Kind, **params: Any) -> None:
        self._world.ecs("UpdateService", service=kind.name, **params)
        self.deployed += "taskDefinition" in params

    def get(self, kind: Kind) -> Service | None:
        """As it now is in the store."""
        world = self._world
        return world.store.get(Service, arns.service(world.scope, world.cluster, kind.name))

    def runs_well(self, kind: Kind) -> bool:
        """Whether its last deployment has come to its end, with an image that is good."""
        service = self.get(kind)
        if service is None or service.primary.rollout_state != "COMPLETED":
            return False
        definition = self._world.store.get(TaskDefinition, service.revision.task_definition_arn)
        return definition is not None and definition.container_definitions[0].image == GOOD_IMAGE

    def set_alarms(self, state: str) -> None:
        for kind in self.by_name.values():
            if kind.alarm:
                self._world.call(
                    "cloudwatch", "SetAlarmState", AlarmName=kind.alarm, StateValue=state, StateReason="sim"
                )

    def any(self) -> Kind | None:
        return self._choices.one(list(self.by_name.values())) if self.by_name else None
