"""The agent and the real server, each by its own end of real sockets; only the engine is simulated."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from miniecs.config import InstanceSpec, ServerSettings
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.serve.server import Server
from miniecs_agent.shell import host_link, instances, main
from miniecs_agent.shell.main import AgentOptions, AgentProcess

from .shell import Machine, until

KEY, SECRET = "AKIDJOINJOINJOINJOIN", "0123456789abcdef0123456789abcdef01234567"
DEFINITION: dict[str, Any] = {
    "family": "web",
    "containerDefinitions": [
        {
            "name": "main",
            "image": "busybox",
            "memory": 64,
            "portMappings": [{"containerPort": 80}],
            "healthCheck": {"command": ["CMD", "true"], "interval": 5},
        }
    ],
}


class World:
    """A data folder with its server, a machine, and the agent between them."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.settings = ServerSettings(
            str(folder),
            runtime="docker",
            port=port,
            instances=2,
            zones=2,
            time_scale=20.0,
            owner="0123456789ab",
            join_access_key=KEY,
            join_secret=SECRET,
        )
        self.machine = Machine()
        self.server: Server | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Server]:
        listener = socket.create_server(("127.0.0.1", self.settings.port))
        listener.setblocking(False)
        server = self.server = Server(self.settings)
        config = uvicorn.Config(server.app, ws="websockets-sansio", lifespan="off", log_config=None)
        http = uvicorn.Server(config)
        server.start()
        serving = asyncio.create_task(http._serve([listener]))
        try:
            yield server
        finally:
            server.end()
            http.should_exit = http.force_exit = True
            for connection in list(http.server_state.connections):
                connection.transport.abort()
            await serving
            await server.close()
            self.server = None

    @asynccontextmanager
    async def agent(self, **fields: Any) -> AsyncIterator[AgentProcess]:
        given = {"local": True, "name": "laptop", **fields}
        agent = AgentProcess(AgentOptions(self.settings.endpoint, KEY, SECRET, **given), self.machine.engine)
        running = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            agent.stop()
            assert await running == 0

    # What is so

    def call(self, operation: str, **params: Any) -> Any:
        assert self.server is not None
        return self.server.operations.call("ecs", operation, params, self.server.scope).result

    def connected(self) -> list[str]:
        assert self.server is not None
        return [i.arn for i in self.server.store.all(ContainerInstance) if i.agent_connected]

    def statuses(self) -> list[str]:
        assert self.server is not None
        return sorted(task.last_status for task in self.server.store.all(Task))

    def true(self) -> bool:
        """What the server says runs is what the machine runs."""
        assert self.server is not None
        told = {
            container.runtime_id
            for task in self.server.store.all(Task)
            for container in task.containers
            if container.last_status == "RUNNING"
        }
        return told == {each.runtime_id for each in self.machine.containers() if each.state == "running"}


Story = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    for module in (host_link, instances, main):
        monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
        monkeypatch.setattr(module, "_LONGEST_DELAY", 0.05)
    return lambda story: asyncio.run(story(World(tmp_path)))


def test_a_cluster_comes_up_runs_a_task_and_stops_it(told: Callable[[Story], None]) -> None:
    async def story(world: World) -> None:
        async with world.serving(), world.agent():
            await until(lambda: len(world.connected()) == 2, "both instances")
            world.call("RegisterTaskDefinition", **DEFINITION)
            [task] = world.call("RunTask", cluster="default", taskDefinition="web")["tasks"]
            await until(lambda: world.statuses() == ["RUNNING"] and world.true(), "the task")

            def described() -> Any:
                return world.call("DescribeTasks", cluster="default", tasks=[task["taskArn"]])["tasks"][0]

            await until(lambda: described()["healthStatus"] == "HEALTHY", "its health")
            [binding] = described()["containers"][0]["networkBindings"]
            assert binding["bindIP"].startswith("172.31.0.") and binding["hostPort"] >= 32768
            world.call("StopTask", cluster="default", task=task["taskArn"], reason="enough")
            await until(lambda: world.statuses() == ["STOPPED"], "its end")
            assert (described()["stopCode"], described()["containers"][0]["exitCode"]) == ("UserInitiated", 0)
            assert world.machine.running() == []

    told(story)


def test_a_server_that_comes_back_finds_everything_as_it_is(told: Callable[[Story], None]) -> None:
    async def story(world: World) -> None:
        async with world.agent():
            async with world.serving():
                await until(lambda: len(world.connected()) == 2, "both instances")
                world.call("RegisterTaskDefinition", **DEFINITION)
                tasks = world.call("RunTask", cluster="default", taskDefinition="web", count=4)["tasks"]
                await until(lambda: world.statuses() == ["RUNNING"] * 4, "the tasks")
            for engine in world.machine.engines.values():
                engine.crash(tasks[0]["taskArn"], "main", 7)
            async with world.serving():
                await until(lambda: len(world.connected()) == 2, "both instances")
                expected = ["RUNNING"] * 3 + ["STOPPED"]
                await until(lambda: world.statuses() == expected and world.true(), "the end that was missed")
                assert len(world.machine.running()) == 3

    told(story)


def test_an_agent_that_was_replaced_adopts_what_runs_and_what_vanished_is_not_made_anew(
    told: Callable[[Story], None],
) -> None:
    async def story(world: World) -> None:
        async with world.serving():
            async with world.agent():
                await until(lambda: len(world.connected()) == 2, "both instances")
                world.call("RegisterTaskDefinition", **DEFINITION)
                world.call("RunTask", cluster="default", taskDefinition="web", count=4)
                await until(lambda: world.statuses() == ["RUNNING"] * 4, "the tasks")
            before = {each.runtime_id for each in world.machine.containers()}
            victim = next(engine for engine in world.machine.engines.values() if engine.running())
            (lost, *_) = victim._containers
            del victim._containers[lost]
            async with world.agent():
                expected = ["RUNNING"] * 3 + ["STOPPED"]
                await until(lambda: world.statuses() == expected and world.true(), "the truth")
                assert {each.runtime_id for each in world.machine.containers()} < before
                [stopped] = world.call("ListTasks", cluster="default", desiredStatus="STOPPED")["taskArns"]
                [task] = world.call("DescribeTasks", cluster="default", tasks=[stopped])["tasks"]
                reason = "ContainerVanishedError: No container matching saved ID found"
                assert task["containers"][0]["reason"] == reason

    told(story)


def test_instances_come_and_go_and_a_reset_leaves_nothing(told: Callable[[Story], None]) -> None:
    async def story(world: World) -> None:
        async with world.serving() as server, world.agent():
            await until(lambda: len(world.connected()) == 2, "both instances")
            added = await server.add_instance(InstanceSpec("default", "m5.large", "us-east-1c"))
            assert added in world.connected() and len(world.machine.engines) == 3
            await server.remove_instance(added)
            assert len(world.machine.engines) == 2
            world.call("RegisterTaskDefinition", **DEFINITION)
            world.call("RunTask", cluster="default", taskDefinition="web", count=2)
            await until(lambda: world.statuses() == ["RUNNING"] * 2, "the tasks")
            before = set(world.machine.engines)
            await server.reset(restore=False)
            assert (world.machine.engines, world.connected()) == ({}, [])
            await server.reset(restore=True)
            await until(lambda: len(world.connected()) == 2, "new instances")
            assert not before & set(world.machine.engines)

    told(story)


def test_a_second_agent_is_turned_away_until_the_first_has_gone(told: Callable[[Story], None]) -> None:
    async def story(world: World) -> None:
        async with world.serving():
            async with world.agent():
                await until(lambda: len(world.connected()) == 2, "both instances")
                opened = list(world.machine.opened)
                async with world.agent():
                    await asyncio.sleep(0.5)
                    assert (world.machine.opened, len(world.connected())) == (opened, 2)

    told(story)


def test_metrics_and_status_reach_the_server(told: Callable[[Story], None]) -> None:
    async def story(world: World) -> None:
        async with world.serving() as server, world.agent():
            await until(lambda: len(world.connected()) == 2, "both instances")
            described = world.call("ListContainerInstances", cluster="default")["containerInstanceArns"]

            def health() -> set[str | None]:
                found = world.call(
                    "DescribeContainerInstances",
                    cluster="default",
                    containerInstances=described,
                    include=["CONTAINER_INSTANCE_HEALTH"],
                )["containerInstances"]
                return {each.get("healthStatus", {}).get("overallStatus") for each in found}

            await until(lambda: health() == {"OK"}, "the status")
            world.machine.hosts[-1].answers(False)
            await until(lambda: health() == {"IMPAIRED"}, "the status")
            world.machine.hosts[-1].answers(True)
            await until(lambda: health() == {"OK"}, "the status")
            world.call("RegisterTaskDefinition", **DEFINITION)
            [task] = world.call("RunTask", cluster="default", taskDefinition="web")["tasks"]
            await until(lambda: server.metrics.of(task["taskArn"]), "two readings of its usage")
            usage = server.metrics.of(task["taskArn"])
            assert usage is not None and (usage.cpu, usage.memory) == (0.0, 1.0)

    told(story)


def test_an_engine_elsewhere_joins_with_the_instances_that_it_wants(told: Callable[[Story], None]) -> None:
    async def story(world: World) -> None:
        async with world.serving():
            wants = {"instances": 2, "instance_type": "c5.large", "zone": "us-east-1f"}
            async with world.agent(local=False, **wants, attributes=(("rack", "7"),)):
                await until(lambda: len(world.connected()) == 2, "both instances")
                described = world.call(
                    "DescribeContainerInstances", cluster="default", containerInstances=world.connected()
                )
                for each in described["containerInstances"]:
                    attributes = {a["name"]: a.get("value") for a in each["attributes"]}
                    assert attributes["ecs.instance-type"] == "c5.large"
                    assert attributes["ecs.availability-zone"] == "us-east-1f"
                    assert attributes["rack"] == "7"
            await until(lambda: not world.connected(), "the agents to be missed")
            async with world.agent(local=False, **wants):
                await until(lambda: len(world.connected()) == 2, "both instances")
                assert len(world.machine.engines) == 2

    told(story)
