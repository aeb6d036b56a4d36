"""A server of which the pages see all that they need, over a store that the operations wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from miniecs.config import InstanceSpec, ServerSettings, Timing
from miniecs.ids import Ids
from miniecs.model.instance import ContainerInstance
from miniecs.model.instance_types import instance_type
from miniecs.model.scope import Scope
from miniecs.model.task import Task
from miniecs.store import Store
from miniecs_api import pages
from miniecs_api.data_plane import DataPlane
from miniecs_api.hosts import HostLinks, HostSettings
from miniecs_api.machines import Machines
from miniecs_api.metrics import TaskMetrics
from miniecs_api.pulls import Pulls


@dataclass
class FakeServer:
    """Adds and removes instances as it is told, and remembers what it was asked for."""

    store: Store
    clock: Any
    register: Callable[..., str]
    settings: ServerSettings = field(
        default_factory=lambda: ServerSettings("/data", runtime="simulated", time_scale=2.0)
    )
    timing: Timing = field(default_factory=lambda: Timing().scaled(2.0))
    scope: Scope = field(default_factory=lambda: Scope("000000000000", "us-east-1"))
    endpoint: str = "http://127.0.0.1:4566"
    asked: list[Any] = field(default_factory=list)
    fails: str | None = None

    def __post_init__(self) -> None:
        self.metrics = TaskMetrics(self.store)
        self.pulls = Pulls(self.store)
        self.data_plane = DataPlane(self.store, self.clock, self.timing, "0123456789ab")
        machines = Machines(self.store, Ids(seed=2), self.scope, lambda number: f"us-east-1{'abc'[number]}")
        told = HostSettings(self.scope, "0123456789ab", "/data", 2.0, False, "default", "t3.medium")
        self.machines = machines
        self.links = HostLinks(self.store, machines, told)

    async def add_instance(self, wanted: InstanceSpec) -> str:
        self.asked.append(wanted)
        if self.fails is not None:
            raise pages.InstanceFailed(self.fails)
        made, zone = instance_type(wanted.type), wanted.zone or "us-east-1a"
        return self.register(wanted.cluster, cpu=made.cpu, memory=made.memory, zone=zone)

    async def remove_instance(self, arn: str) -> None:
        self.asked.append(arn)
        with self.store.transaction() as tx:
            found = tx.get(ContainerInstance, arn)
            assert found is not None
            tx.put(replace(found, status="INACTIVE"))


@dataclass
class Site:
    """The pages of a cluster `default` with one instance, reached over ASGI."""

    aws: Any
    server: FakeServer
    instance: str

    def ask(self, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=pages.make(self.server), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, f"/_miniecs/{path}", **more)

        response = asyncio.run(asked())
        answer: dict[str, Any] = response.json()
        return response.status_code, answer

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        status, answer = self.ask("GET", path, params=query)
        assert status == 200, answer
        return answer

    def refused(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        status, answer = self.ask(method, path, **more)
        assert answer.keys() == {"message"}, answer
        return status, answer["message"]

    def run_task(self, **changes: Any) -> Task:
        """A task on the instance, then changed as its agent's reports would."""
        arn = self.aws.ecs("RunTask", taskDefinition="web")["tasks"][0]["taskArn"]
        return self.change(arn, **changes)

    def change(self, arn: str, **changes: Any) -> Task:
        with self.server.store.transaction() as tx:
            task = tx.get(Task, arn)
            assert task is not None
            task = replace(task, **changes)
            tx.put(task)
        return task


@pytest.fixture
def site(aws: Any) -> Site:
    aws.ecs("CreateCluster", clusterName="default")
    instance = aws.register_instance()
    aws.register_task_definition("web", portMappings=[{"containerPort": 80}])
    return Site(aws, FakeServer(aws.store, aws.clock, aws.register_instance), instance)
