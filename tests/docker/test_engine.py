"""The agent's Docker engine on a real one: settings as the container sees them, errors in the engine's words.

Each test has an owner of its own; whatever it made is swept away after it, also when it fails.
"""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import TaskSpec, read_task
from miniecs_agent.core.state import Action
from miniecs_agent.docker import names
from miniecs_agent.docker.client import DockerEngine, owners, sweep
from miniecs_agent.docker.instance import DockerInstance
from miniecs_agent.engine import (
    Created,
    EngineCall,
    EngineContainer,
    EngineEvent,
    Exited,
    Failed,
    HealthChanged,
    Pulled,
    Removed,
    Started,
)
from miniecs_agent.host_engine import EngineError, EngineGone, InstanceSettings, Output, Owner, PullProgress

from .daemon import Daemon, Engine
from .netns import Namespace
from .registry import Registry

DEADLINE = 60.0
RUN = [Action.PULL, Action.CREATE, Action.START]
SECOND = 1_000_000_000
MIB = 1024 * 1024


def document(*containers: dict[str, Any], name: str = "t1", **fields: Any) -> dict[str, Any]:
    return {
        "arn": f"arn:aws:ecs:us-east-1:000000000000:task/mini/{name}",
        "taskClusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/mini",
        "family": "engine-test",
        "version": "1",
        "networkMode": "bridge",
        "containers": list(containers),
        **fields,
    }


def container(command: list[str] | str | None = None, name: str = "main", **fields: Any) -> dict[str, Any]:
    if isinstance(command, str):
        command = ["sh", "-c", command]
    return {"name": name, "image": "busybox:latest", "command": command or ["sleep", "1000"], **fields}


def settings(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"dockerConfig": {"config": json.dumps(config or {}), "hostConfig": json.dumps(host or {})}}


class Host:
    """The engine with its instances, and what each container of theirs has told."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        # A data folder that says whose it is: `up` sweeps away what belongs to folders that are gone.
        self.owner = Owner(uuid.uuid4().hex[:12], str(folder))
        (folder / "settings.json").write_text(json.dumps({"owner": self.owner.id}))
        self.told: list[EngineEvent] = []
        self.changes: list[bool] = []
        self.progress: list[PullProgress] = []
        self._news = asyncio.Event()

    async def open(self) -> None:
        self.engine = DockerEngine(self.url)
        await self.engine.start(self.owner, self._changed, self.progress.append)

    async def instance(self, id: str = "i-1", **fields: Any) -> DockerInstance:
        return await self.engine.open(InstanceSettings(id, **fields), self._listen)

    def _listen(self, event: EngineEvent) -> None:
        self.told.append(event)
        self._news.set()

    def _changed(self, connected: bool) -> None:
        self.changes.append(connected)
        self._news.set()

    async def until(self, true: Callable[[], Any], what: str = "") -> Any:
        try:
            async with asyncio.timeout(DEADLINE):
                while not (seen := true()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited for {what or true}; told was {self.told}") from None
        return seen

    async def do(
        self, on: DockerInstance, action: Action, task: TaskSpec, name: str = "main", timeout: float = 20.0
    ) -> EngineEvent:
        """Ask for it, and whatever comes of it."""
        spec = next(each for each in task.containers if each.name == name)
        before = len(self.told)
        outcome = {
            Action.PULL: Pulled,
            Action.CREATE: Created,
            Action.START: Started,
            Action.STOP: Exited,
            Action.REMOVE: Removed,
        }[action]

        def found() -> EngineEvent | None:
            for event in self.told[before:]:
                if (event.task_arn, event.container) == (task.arn, name):
                    if isinstance(event, outcome | Failed):
                        return event
                    if isinstance(event, Created) and action is Action.START:
                        return event  # on other ports
            return None

        on.perform(0.0, EngineCall(action, task, spec, None, timeout))
        event: EngineEvent = await self.until(found, f"{action} of {name}")
        if isinstance(event, Created) and action is Action.START:
            return await self.do(on, action, task, name)
        return event

    async def run(self, on: DockerInstance, task: TaskSpec, name: str = "main") -> Started:
        for action in RUN:
            event = await self.do(on, action, task, name)
        assert isinstance(event, Started), event
        return event

    async def fail(self, on: DockerInstance, task: TaskSpec) -> Failed:
        for action in RUN:
            event = await self.do(on, action, task)
            if isinstance(event, Failed):
                return event
        raise AssertionError(f"it started: {self.told}")

    async def exited(self, task: TaskSpec, name: str = "main") -> Exited:
        def found() -> Exited | None:
            for event in reversed(self.told):
                if isinstance(event, Exited) and (event.task_arn, event.container) == (task.arn, name):
                    return event
            return None

        event: Exited = await self.until(found, f"the exit of {name}")
        return event

    async def output(self, on: DockerInstance, task: TaskSpec, name: str = "main") -> str:
        """All that it writes until its end."""
        text = b""
        async with aclosing(on.logs(task.arn, name, follow=True, tail=None, timestamps=False)) as lines:  # type: ignore[type-var]
            async for output in lines:
                text += output.data
        return text.decode()

    async def printed(self, on: DockerInstance, task: TaskSpec) -> str:
        await self.run(on, task)
        return await self.output(on, task)


@asynccontextmanager
async def opened(url: str, folder: Path) -> AsyncIterator[Host]:
    host = Host(url, folder)
    try:
        await host.open()
        yield host
    finally:
        await host.engine.close()
        await asyncio.to_thread(
            sweep, url, lambda owner, _: owner != host.owner.id, shared_volumes=True
        )


Story = Callable[[Host], Awaitable[None]]


def real(story: Story) -> Callable[[Engine, Path], None]:
    @wraps(story)
    def test(engine: Engine, tmp_path: Path) -> None:
        async def play() -> None:
            async with opened(engine.url, tmp_path) as host, asyncio.timeout(2 * DEADLINE):
                await story(host)

        asyncio.run(play())

    del test.__wrapped__  # pytest would take the story's parameters for fixtures
    return test


# Lives


@real
async def test_a_container_from_pull_to_removal(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container("trap 'exit 3' TERM; while true; do sleep 0.1; done")))
    pulled = await on.do(i, Action.PULL, task)
    assert isinstance(pulled, Pulled)
    created = await on.do(i, Action.CREATE, task)
    assert isinstance(created, Created)
    assert await on.do(i, Action.START, task) == Started(task.arn, "main")
    assert await on.do(i, Action.STOP, task) == Exited(task.arn, "main", 3)
    assert [each._replace(document=None, ended_at=None) for each in i.containers()] == [
        EngineContainer(task.arn, "main", created.runtime_id, "exited", exit_code=3, digest=pulled.digest)
    ]
    assert await on.do(i, Action.REMOVE, task) == Removed(task.arn, "main")
    assert i.containers() == []


@real
async def test_what_exits_at_once_was_started_first(on: Host) -> None:
    i = await on.instance()
    tasks = [read_task(document(container(["true"]), name=f"t{n}")) for n in range(4)]
    await asyncio.gather(*(on.run(i, task) for task in tasks))
    for task in tasks:
        await on.exited(task)
        of_task = [event for event in on.told if event.task_arn == task.arn]
        assert [type(event) for event in of_task] == [Pulled, Created, Started, Exited]


@real
async def test_a_restart_keeps_what_the_container_wrote_and_its_ports(on: Host) -> None:
    i = await on.instance()
    command = "echo run >> /runs; cat /runs; exit 1"
    policy: dict[str, Any] = {"restartPolicy": {"enabled": True}, "portMappings": [{"containerPort": 80}]}
    task = read_task(document(container(command, **policy)))
    first = await on.run(i, task)
    await on.exited(task)
    again = await on.do(i, Action.START, task)
    assert isinstance(again, Started) and again.bindings == first.bindings
    await on.until(lambda: sum(isinstance(event, Exited) for event in on.told) == 2)
    assert await on.output(i, task) == "run\nrun\nrun\n"


@real
async def test_what_ignores_sigterm_is_killed_at_its_deadline(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container("trap '' TERM; while true; do sleep 0.1; done")))
    await on.run(i, task)
    assert await on.do(i, Action.STOP, task, timeout=0.5) == Exited(task.arn, "main", 137)


@real
async def test_running_out_of_memory(on: Host) -> None:
    i = await on.instance()
    host = settings(host={"MemorySwap": 16 * MIB})
    task = read_task(document(container("x=a; while true; do x=$x$x; done", memory=16, **host)))
    await on.run(i, task)
    reason = "OutOfMemoryError: Container killed due to memory usage"
    assert await on.exited(task) == Exited(task.arn, "main", 137, reason)


@real
async def test_health_comes_at_the_clusters_scale(on: Host) -> None:
    i = await on.instance(timing=Timing().scaled(30))
    check = {"Test": ["CMD-SHELL", "test ! -e /sick"], "Interval": 10 * SECOND, "Retries": 1}
    command = "sleep 5; touch /sick; sleep 1000"
    task = read_task(
        document(container(command, healthCheckType="docker", **settings({"Healthcheck": check})))
    )
    await on.run(i, task)
    await on.until(lambda: len(on.told) == 5, "two verdicts")
    assert on.told[3:] == [
        HealthChanged(task.arn, "main", "HEALTHY"),
        HealthChanged(task.arn, "main", "UNHEALTHY"),
    ]


def test_what_others_do_to_containers_is_noticed(engine: Engine, tmp_path: Path) -> None:
    @real
    async def story(on: Host) -> None:
        i = await on.instance()
        killed, removed = (read_task(document(container(), name=name)) for name in ("t1", "t2"))
        await on.run(i, killed)
        await on.run(i, removed)
        of = {each.task_arn: engine.client.containers.get(each.runtime_id) for each in i.containers()}
        await asyncio.to_thread(of[killed.arn].kill)
        await asyncio.to_thread(of[removed.arn].remove, force=True)
        assert await on.exited(killed) == Exited(killed.arn, "main", 137)
        assert await on.exited(removed) == Exited(removed.arn, "main", 137)
        await asyncio.to_thread(of[killed.arn].start)  # what has stopped stays stopped
        async with asyncio.timeout(DEADLINE):
            while of[killed.arn].attrs["State"]["Running"] or not of[killed.arn].attrs["RestartCount"] == 0:
                await asyncio.to_thread(of[killed.arn].reload)
                await asyncio.sleep(0.05)

    story(engine, tmp_path)


# Settings, as the container sees them


@real
async def test_settings_of_the_process(on: Host) -> None:
    i = await on.instance()
    config = {
        "User": "65534:1000",
        "WorkingDir": "/tmp",
        "Hostname": "web-7",
        "Labels": {"team": "a"},
    }
    host = {
        "Ulimits": [{"Name": "nofile", "Soft": 99, "Hard": 100}],
        "ReadonlyRootfs": True,
        "MemoryReservation": 32 * MIB,
        "ShmSize": 8 * MIB,
        "Init": True,
        "ExtraHosts": ["elsewhere:192.0.2.7"],
    }
    script = (
        "id -u; id -g; pwd; hostname; ulimit -n; touch /x 2>&1; echo $A-$B-$1;"
        " cat /proc/1/comm; grep elsewhere /etc/hosts"
    )
    fields: dict[str, Any] = {
        "entryPoint": ["sh", "-c", script],
        "environment": {"A": "1", "B": "two words"},
        "cpu": 0,
        "memory": 64,
        "overrides": '{"command": ["x", "overridden"]}',
    }
    task = read_task(document(container(["x", "given"], **fields, **settings(config, host))))
    assert (await on.printed(i, task)).splitlines() == [
        "65534", "1000", "/tmp", "web-7", "99", "touch: /x: Read-only file system", "1-two words-overridden",
        "docker-init", "192.0.2.7\telsewhere",
    ]  # fmt: skip


def test_limits_and_labels(engine: Engine, tmp_path: Path) -> None:
    @real
    async def story(on: Host) -> None:
        i = await on.instance()
        plain = document(
            container(name="a", cpu=0, memory=64, **settings({"Labels": {"team": "a"}})),
            container(name="b", cpu=512),
            memory=256,
            cpu=0.5,
        )
        task = read_task(plain)
        seen = []
        for name in ("a", "b"):
            await on.run(i, task, name)
            made = engine.client.containers.get(names.container_name(task, name))
            host = made.attrs["HostConfig"]
            seen.append([host[each] for each in ("CpuShares", "Memory", "NanoCpus")])
            labels = made.labels
        assert seen == [[2, 64 * MIB, SECOND // 2], [512, 256 * MIB, SECOND // 2]]
        assert json.loads(labels.pop("miniecs.task")) == plain
        assert {name: labels[name] for name in labels if not name.startswith("miniecs.stand-in")} == {
            "com.amazonaws.ecs.cluster": "mini",
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.container-name": "b",
            "com.amazonaws.ecs.task-definition-family": "engine-test",
            "com.amazonaws.ecs.task-definition-version": "1",
            "miniecs.owner": on.owner.id,
            "miniecs.data-dir": on.owner.data_dir,
            "miniecs.instance": "i-1",
        }

    story(engine, tmp_path)


def test_privileged_containers_where_they_are_allowed(engine: Engine, tmp_path: Path) -> None:
    """Whether they could be started here is the machine's matter."""

    @real
    async def story(on: Host) -> None:
        task = read_task(document(container(**settings(host={"Privileged": True}))))
        refused = await on.fail(await on.instance(), task)
        assert (refused.name, refused.message) == (
            "CannotCreateContainerError",
            "container main is privileged: start miniecs with --allow-privileged to allow that",
        )
        created = await on.do(await on.instance("i-2", allow_privileged=True), Action.CREATE, task)
        assert isinstance(created, Created)
        assert engine.client.containers.get(created.runtime_id).attrs["HostConfig"]["Privileged"] is True

    story(engine, tmp_path)


@real
async def test_host_and_no_network(on: Host) -> None:
    i = await on.instance()
    script = "ls /sys/class/net"
    none = read_task(document(container(script), networkMode="none"))
    assert await on.printed(i, none) == "lo\n"
    plain = container(script, portMappings=[{"containerPort": 80}])
    host = read_task(document(plain, name="t2", networkMode="host"))
    started = await on.run(i, host)
    assert started.bindings == (NetworkBinding(i.address, "tcp", 80, 80),)
    assert "docker0" in (await on.output(i, host)).split()


def test_volumes(engine: Engine, tmp_path: Path) -> None:
    @real
    async def story(on: Host) -> None:
        i = await on.instance()
        (tmp_path / "page").write_text("from the host\n")
        plain = document(
            container(
                "echo scratch > /scratch/a; echo task > /task/a; echo shared > /shared/a; sleep 1000",
                name="writer",
                mountPoints=[
                    {"sourceVolume": "scratch", "containerPath": "/scratch"},
                    {"sourceVolume": "task", "containerPath": "/task"},
                    {"sourceVolume": f"shared-{on.owner.id}", "containerPath": "/shared"},
                    {"sourceVolume": "host", "containerPath": "/host", "readOnly": True},
                ],
            ),
            container(
                "until test -e /shared/a; do sleep 0.05; done; cat /scratch/a /task/a /shared/a /host/page;"
                " touch /host/x 2>&1; touch /scratch/x 2>&1",
                name="reader",
                volumesFrom=[{"sourceContainer": "writer", "readOnly": True}],
            ),
            volumes=[
                {"name": "scratch", "type": "host", "host": {}},
                {"name": "host", "type": "host", "host": {"sourcePath": str(tmp_path)}},
                {"name": "task", "type": "docker", "dockerVolumeConfiguration": {"scope": "task"}},
                {
                    "name": f"shared-{on.owner.id}",
                    "type": "docker",
                    "dockerVolumeConfiguration": {
                        "scope": "shared", "autoprovision": True, "driver": "local", "labels": {"mine": "1"},
                    },
                },
            ],
        )  # fmt: skip
        task = read_task(plain)
        await on.run(i, task, "writer")
        await on.run(i, task, "reader")
        assert (await on.output(i, task, "reader")).splitlines() == [
            "scratch", "task", "shared", "from the host",
            "touch: /host/x: Read-only file system", "touch: /scratch/x: Read-only file system",
        ]  # fmt: skip

        def ours() -> set[str]:
            listed = engine.client.volumes.list(filters={"label": f"miniecs.owner={on.owner.id}"})
            return {each.name for each in listed}

        shared = f"shared-{on.owner.id}"
        scratch = {names.volume_name(task, name) for name in ("scratch", "task")}
        assert ours() == {*scratch, shared}
        assert engine.client.volumes.get(shared).attrs["Labels"]["mine"] == "1"
        await on.do(i, Action.REMOVE, task, "reader")
        assert ours() == {*scratch, shared}
        await on.do(i, Action.REMOVE, task, "writer")
        assert ours() == {shared}  # it outlives its tasks

    story(engine, tmp_path)


# Networks


SERVE = "mkdir -p /www; echo it is $WHO > /www/index.html; exec httpd -f -p 80 -h /www"


@real
async def test_instances_reach_each_others_ports_and_their_own(on: Host) -> None:
    """The same static port on two instances, from containers of both and from this machine."""
    one, two = await on.instance("i-1"), await on.instance("i-2")
    assert one.address != two.address
    static: dict[str, Any] = {"portMappings": [{"containerPort": 80, "hostPort": 80}]}
    for n, i in enumerate((one, two), 1):
        plain = container(SERVE, environment={"WHO": str(n)}, **static)
        server = read_task(document(plain, name=f"server{n}"))
        assert (await on.run(i, server)).bindings == (NetworkBinding(i.address, "tcp", 80, 80),)
    asks = "until wget -qO- http://$a/ 2>/dev/null; do sleep 0.05; done"
    asked = f"for a in {one.address} {two.address}; do {asks}; done"
    for n, i in enumerate((one, two), 1):
        client = read_task(document(container(asked), name=f"client{n}"))
        assert await on.printed(i, client) == "it is 1\nit is 2\n"
    for n, i in enumerate((one, two), 1):
        assert await _get(i.address, 80) == f"it is {n}\n"


async def _get(address: str, port: int) -> str:
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.decode().rpartition("\r\n\r\n")[2]


async def _reached(address: str, port: int) -> None:
    """Somebody takes connections there; the container may need a moment for it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


@real
async def test_links(on: Host) -> None:
    i = await on.instance()
    task = read_task(
        document(
            container(SERVE, name="db", environment={"WHO": "db"}),
            container(
                "for n in database db; do until wget -qO- http://$n/ 2>/dev/null; do sleep 0.05; done; done",
                links=["db:database"],
            ),
        )
    )
    await on.run(i, task, "db")
    assert await on.printed(i, task) == "it is db\nit is db\n"


@real
async def test_udp_and_ranges(on: Host) -> None:
    i = await on.instance(dynamic_ports=(41000, 41100))
    mappings = [
        {"containerPort": 53, "hostPort": 0, "protocol": "udp"},
        {"containerPortRange": "9000-9002", "protocol": "tcp"},
    ]
    command = "for p in 9000 9001 9002; do httpd -p $p -h /bin; done; sleep 1000"
    task = read_task(document(container(command, portMappings=mappings)))
    bindings = (await on.run(i, task)).bindings
    udp, span = bindings
    assert udp.host_port is not None and 41000 <= udp.host_port <= 41100
    first = int((span.host_port_range or "").partition("-")[0])
    assert bindings == (
        NetworkBinding(i.address, "udp", 53, udp.host_port),
        NetworkBinding(i.address, "tcp", None, None, "9000-9002", f"{first}-{first + 2}"),
    )
    for port in range(first, first + 3):
        await _reached(i.address, port)


@real
async def test_a_dynamic_port_that_something_else_holds_is_replaced(on: Host) -> None:
    i = await on.instance(dynamic_ports=(41500, 41510))
    with socket.create_server((i.address, 41500)):
        task = read_task(document(container(portMappings=[{"containerPort": 80}])))
        assert (await on.run(i, task)).bindings == (NetworkBinding(i.address, "tcp", 80, 41501),)
    assert [each.state for each in i.containers()] == ["running"]


def test_a_network_that_was_pruned_is_made_again(engine: Engine, tmp_path: Path) -> None:
    @real
    async def story(on: Host) -> None:
        i = await on.instance()
        task = read_task(document(container(portMappings=[{"containerPort": 80}])))
        await on.do(i, Action.CREATE, task)
        name = names.network_name(on.owner, "i-1")
        await asyncio.to_thread(lambda: engine.client.networks.get(name).remove())
        assert isinstance(await on.do(i, Action.START, task), Started)
        network = engine.client.networks.get(name)
        assert network.attrs["IPAM"]["Config"][0]["Gateway"] == i.address

    story(engine, tmp_path)


def test_what_somebody_attached_to_an_instances_network_does_not_keep_it(
    engine: Engine, tmp_path: Path
) -> None:
    @real
    async def story(on: Host) -> None:
        await on.instance()
        name = names.network_name(on.owner, "i-1")
        containers = engine.client.containers
        foreign = await asyncio.to_thread(
            lambda: containers.run("busybox:latest", ["sleep", "1000"], network=name, detach=True)
        )
        try:
            await on.engine.remove("i-1")
            assert await asyncio.to_thread(lambda: engine.client.networks.list(names=[name])) == []
            await asyncio.to_thread(foreign.reload)
            assert (foreign.status, foreign.attrs["NetworkSettings"]["Networks"]) == ("running", {})
        finally:
            await asyncio.to_thread(lambda: foreign.remove(force=True))

    story(engine, tmp_path)


@real
async def test_a_shared_volume_that_nobody_made(on: Host) -> None:
    name = f"{on.owner.id}-nobodys"
    shared = {"name": name, "type": "docker", "dockerVolumeConfiguration": {"scope": "shared"}}
    mounted = [{"sourceVolume": name, "containerPath": "/v"}]
    assert await failing(on, mountPoints=mounted, volumes=[shared]) == (
        "CannotCreateVolumeError",
        f"initialize volume: volume detection failed, volume '{name}' does not exist and autoprovision is set"
        " to false",
        False,
    )


# Errors, in the engine's words


async def failing(on: Host, **fields: Any) -> tuple[str, str, bool]:
    task = {name: fields.pop(name) for name in ("volumes",) if name in fields}
    failed = await on.fail(await on.instance(), read_task(document(container(**fields), **task)))
    return failed.name, failed.message, failed.temporary


@real
async def test_a_command_that_does_not_exist(on: Host) -> None:
    name, message, temporary = await failing(on, command=["nosuch"])
    assert (name, temporary) == ("CannotStartContainerError", False)
    assert message.startswith("Error response from daemon: ")
    assert 'exec: "nosuch": executable file not found in $PATH' in message


@real
async def test_a_host_port_that_is_taken(on: Host) -> None:
    i = await on.instance()
    with socket.create_server((i.address, 8080)):
        task = read_task(document(container(portMappings=[{"containerPort": 80, "hostPort": 8080}])))
        failed = await on.fail(i, task)
    assert (failed.name, failed.temporary) == ("CannotStartContainerError", False)
    assert f"{i.address}:8080" in failed.message


@real
async def test_memory_below_the_engines_minimum(on: Host) -> None:
    assert await failing(on, memory=1) == (
        "CannotCreateContainerError",
        "Error response from daemon: Minimum memory limit allowed is 6MB",
        False,
    )


@real
async def test_an_unknown_log_driver(on: Host) -> None:
    name, message, temporary = await failing(on, **settings(host={"LogConfig": {"Type": "nosuch"}}))
    assert (name, temporary) == ("CannotCreateContainerError", False)
    assert "nosuch" in message


@real
async def test_a_host_path_that_cannot_be(on: Host) -> None:
    name, message, temporary = await failing(
        on,
        mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}],
        volumes=[{"name": "v", "type": "host", "host": {"sourcePath": "/proc/nosuch/path"}}],
    )
    assert name in ("CannotCreateContainerError", "CannotStartContainerError") and not temporary
    assert message.startswith("Error response from daemon: ") and "/proc/nosuch" in message


@real
async def test_an_unknown_volume_driver(on: Host) -> None:
    volume = {"scope": "task", "driver": "nosuch"}
    name, message, temporary = await failing(
        on,
        mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}],
        volumes=[{"name": "v", "type": "docker", "dockerVolumeConfiguration": volume}],
    )
    assert (name, temporary) == ("CannotCreateVolumeError", False)
    assert "nosuch" in message


# Images


def test_pulling(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    @real
    async def story(on: Host) -> None:
        i = await on.instance()
        image = f"{registry.name}/image-engine:1"
        task = read_task(document(container(image=image)))
        pulled = await on.do(i, Action.PULL, task)
        assert isinstance(pulled, Pulled)
        assert pulled.digest is not None and pulled.digest.startswith("sha256:")
        assert {(each.task_arn, each.container, each.image) for each in on.progress} == {
            (task.arn, "main", image)
        }
        missing = read_task(document(container(image=f"{registry.name}/nosuch:1"), name="t2"))
        failed = await on.do(i, Action.PULL, missing)
        assert isinstance(failed, Failed)
        assert (failed.name, failed.temporary) == ("CannotPullContainerError", True)
        assert failed.message.startswith("Error response from daemon: ")

    story(engine, tmp_path)


# For people


@real
async def test_logs_of_the_living_and_the_dead(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container("echo out; sleep 0.2; echo err >&2; sleep 0.2; echo more")))
    await on.run(i, task)
    found = [each async for each in i.logs(task.arn, "main", follow=True, tail=None, timestamps=False)]
    # The engine reads the two apart, and on a busy machine the later may come first.
    assert [each for each in found if each.stream == "stdout"] == [
        Output("stdout", b"out\n"),
        Output("stdout", b"more\n"),
    ]
    assert [each for each in found if each.stream == "stderr"] == [Output("stderr", b"err\n")]
    await on.exited(task)
    last = [each async for each in i.logs(task.arn, "main", follow=False, tail=1, timestamps=True)]
    assert len(last) == 1 and last[0].data.endswith(b"Z more\n")


@real
async def test_a_reader_who_leaves_and_one_who_is_slow(on: Host) -> None:
    i = await on.instance()
    line = "yes $(head -c 999 /dev/zero | tr '\\0' x)"  # each line is an entry of the engine's log
    task = read_task(document(container(f"{line} | head -c 3000000; sleep 1000")))
    await on.run(i, task)
    total = 0
    async with aclosing(i.logs(task.arn, "main", follow=True, tail=None, timestamps=False)) as lines:  # type: ignore[type-var]
        async for output in lines:
            total += len(output.data)
            if total == 3_000_000:
                break
    assert total == 3_000_000


@real
async def test_logs_that_a_driver_does_not_keep(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container(**settings(host={"LogConfig": {"Type": "none"}}))))
    await on.run(i, task)
    with pytest.raises(EngineError, match="configured logging driver does not support reading"):
        await on.output(i, task)


@real
async def test_commands(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container()))
    await on.run(i, task)
    script = ["sh", "-c", "read x; echo got $x; echo err >&2; cat | wc -c; exit 5"]
    command = await i.execute(task.arn, "main", script, tty=False, stdin=True)
    await command.write(b"hello\n")
    await command.write(b"z" * 1_000_000)
    await command.write(b"")
    written: dict[str, bytes] = {}
    async for stream, data in command.output():
        written[stream] = written.get(stream, b"") + data
    assert written == {"stdout": b"got hello\n1000000\n", "stderr": b"err\n"}
    assert await command.exit_code() == 5
    await command.close()


@real
async def test_a_terminal(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container()))
    await on.run(i, task)
    command = await i.execute(task.arn, "main", ["sh"], tty=True, stdin=True)
    await command.resize(33, 77)
    await command.write(b"stty size; exit 4\n")
    text = b"".join([output.data async for output in command.output()])
    assert b"33 77\r\n" in text
    assert await command.exit_code() == 4
    await command.close()


@real
async def test_a_command_that_does_not_exist_in_the_container(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container()))
    await on.run(i, task)
    command = await i.execute(task.arn, "main", ["nosuch"], tty=False, stdin=False)
    text = b"".join([output.data async for output in command.output()])
    assert b'exec: "nosuch": executable file not found' in text
    assert await command.exit_code() in (126, 127)


@real
async def test_usage(on: Host) -> None:
    i = await on.instance()
    task = read_task(document(container("while true; do :; done")))
    await on.run(i, task)
    first = (await i.usage())[task.arn, "main"]
    await asyncio.sleep(0.3)
    second = (await i.usage())[task.arn, "main"]
    assert second.cpu > first.cpu > 0 and second.memory > 0


# Instances and owners


@real
async def test_a_new_agent_takes_over(on: Host) -> None:
    i = await on.instance()
    plain = container("trap 'exit 6' TERM; sleep 1000 & wait", portMappings=[{"containerPort": 80}])
    lives = read_task(document(plain, name="lives"))
    dead = read_task(document(container(["false"]), name="dead"))
    started = await on.run(i, lives)
    await on.run(i, dead)
    await on.exited(dead)
    before = {each.task_arn: each._replace(ended_at=None) for each in i.containers()}
    await on.engine.close()
    on.told.clear()
    await on.open()
    assert await on.engine.instances() == ["i-1"]
    again = await on.instance()
    assert again.address == i.address
    after = {each.task_arn: each for each in again.containers()}
    assert {arn: each._replace(started_at=None, ended_at=None) for arn, each in after.items()} == before
    assert after[lives.arn].bindings == started.bindings
    assert await on.do(again, Action.STOP, lives) == Exited(lives.arn, "main", 6)


@real
async def test_an_instance_is_removed_whole_and_others_stay(on: Host) -> None:
    mount: dict[str, Any] = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    scratch = {"volumes": [{"name": "v", "type": "host", "host": {}}]}
    for id in ("i-1", "i-2"):
        task = read_task(document(container(**mount), name=id, **scratch))
        await on.run(await on.instance(id), task)
    assert await on.engine.instances() == ["i-1", "i-2"]
    await on.engine.remove("i-1")
    assert await on.engine.instances() == ["i-2"]
    assert on.owner in await asyncio.to_thread(owners, on.url)
    swept = await asyncio.to_thread(sweep, on.url, lambda owner, _: owner != on.owner.id)
    assert swept == (1, 1, 1)
    assert await on.engine.instances() == []
    assert on.owner not in await asyncio.to_thread(owners, on.url)


# Engines that are not there, and that go


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    host = Host(f"unix://{tmp_path}/nosuch.sock", tmp_path)
    with pytest.raises(EngineGone, match="Is the docker daemon running.*https://docs.docker.com"):
        asyncio.run(host.open())


def test_an_engine_that_goes_and_comes(second_engine: Daemon, host: Namespace, tmp_path: Path) -> None:
    async def play() -> None:
        async with opened(second_engine.url, tmp_path) as on:
            i = await on.instance()
            lives = read_task(document(container(), name="lives"))
            await on.run(i, lives)
            await asyncio.to_thread(second_engine.kill)
            await on.until(lambda: on.changes == [False])
            waits = read_task(document(container(), name="waits"))
            asked = asyncio.create_task(on.run(i, waits))
            await asyncio.to_thread(second_engine.start)
            await on.until(lambda: on.changes == [False, True])
            await asked
            assert isinstance(await on.exited(lives), Exited)  # without live-restore a restart ends them
            assert on.engine.connected

    asyncio.run(play())
