"""Operations called as functions: on a memory store, at a moment that the test sets, without the wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Scope
from miniecs.store.memory import MemoryStore
from miniecs_api.context import ApiSettings
from miniecs_api.operations import Operations


@dataclass
class ManualClock:
    """Time that stands still until the test moves it."""

    time: float = 1_700_000_000.0

    def now(self) -> float:
        return self.time


@dataclass
class Aws:
    """``aws.ecs("CreateCluster", clusterName="x")`` gives the result; AwsError is raised as it is."""

    clock: ManualClock = field(default_factory=ManualClock)
    settings: ApiSettings = field(default_factory=ApiSettings)
    scope: Scope = field(default_factory=lambda: Scope("000000000000", "us-east-1"))

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.fleets = Fleets(self.store)
        self.ids = Ids(seed=1)
        self.operations = Operations(self.store, self.fleets, self.ids, self.clock, self.settings)
        self.hints: list[str] = []

    def call(self, service: str, operation: str, /, **params: Any) -> dict[str, Any]:
        outcome = self.operations.call(service, operation, params, self.scope)
        self.hints = outcome.hints
        return outcome.result

    def ecs(self, operation: str, /, **params: Any) -> dict[str, Any]:
        return self.call("ecs", operation, **params)

    def elbv2(self, operation: str, /, **params: Any) -> dict[str, Any]:
        return self.call("elbv2", operation, **params)

    def register_instance(
        self, cluster: str = "default", *, cpu: int = 2048, memory: int = 3953, zone: str = "us-east-1a"
    ) -> str:
        """Register a connected container instance; its ARN."""
        document = {
            "instanceId": f"i-{self.ids.hex(17)}",
            "instanceType": "t3.medium",
            "availabilityZone": zone,
            "imageId": "ami-0123456789abcdef0",
            "privateIp": "10.0.0.1",
        }
        arn = self.ecs(
            "RegisterContainerInstance",
            cluster=cluster,
            instanceIdentityDocument=json.dumps(document),
            totalResources=[
                {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
                {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375"]},
                {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
            ],
            versionInfo={"agentVersion": "1.105.1", "agentHash": "a8b3e7d3", "dockerVersion": "20.10.24"},
        )["containerInstance"]["containerInstanceArn"]
        with self.store.transaction() as tx:
            instance = tx.get(ContainerInstance, arn)
            assert instance is not None
            tx.put(replace(instance, agent_connected=True))
        return str(arn)

    def register_task_definition(self, family: str = "web", **container: Any) -> str:
        """Register a task definition of one container; its ARN."""
        definition = {"name": "app", "image": "busybox:latest", "cpu": 128, "memory": 128, **container}
        result = self.ecs("RegisterTaskDefinition", family=family, containerDefinitions=[definition])
        return str(result["taskDefinition"]["taskDefinitionArn"])


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def make_aws() -> Callable[..., Aws]:
    """For tests that need other settings: ``make_aws(settings=ApiSettings(strict=True))``."""
    return Aws
