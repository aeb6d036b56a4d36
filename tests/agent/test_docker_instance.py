"""What becomes of containers, whatever order an engine answers in, and whenever it goes and comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from miniecs.clock import SystemClock
from miniecs.config import Timing
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import TaskSpec, read_task
from miniecs_agent.core.state import Action
from miniecs_agent.docker import names
from miniecs_agent.docker.engine import DockerHost
from miniecs_agent.docker.errors import OUT_OF_MEMORY, Refused, TimedOut
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
from miniecs_agent.host_engine import EngineError, EngineGone, InstanceSettings, Owner, PullProgress, Usage

from .cases import arn, container, document
from .fake_docker import FakeDocker

OWNER = Owner("0123456789ab", "/data")
T1 = (arn(), "main")
DEADLINE = 5.0
TAKEN = "Bind for 172.31.0.1:32768 failed: port is already allocated"


class Bench:
    """An instance on a fake engine, and all that it told."""

    def __init__(self) -> None:
        self.docker = FakeDocker()
        self.told: list[EngineEvent] = []
        self.changes: list[bool] = []
        self.progress: list[PullProgress] = []
        self._news = asyncio.Event()

    async def open(self, **settings: Any) -> None:
        self.host = DockerHost(self.docker, SystemClock())
        await self.host.start(OWNER, self._changed, self.progress.append)
        self.instance: DockerInstance = await self.host.open(
            InstanceSettings("i-1", timing=Timing().scaled(1000), **settings), self._listen
        )

    async def reopen(self) -> None:
        """A new agent's process."""
        await self.host.close()
        self.told.clear()
        await self.open()

    def _listen(self, event: EngineEvent) -> None:
        self.told.append(event)
        self._news.set()

    def _changed(self, connected: bool) -> None:
        self.changes.append(connected)
        self._news.set()

    def ask(self, action: Action, task: TaskSpec, timeout: float = 60.0) -> None:
        self.instance.perform(0.0, EngineCall(action, task, task.containers[0], "gone-id", timeout))

    async def until(self, true: Callable[[], Any]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not true():
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), 0.01)  # the fake's threads tell nobody
                except TimeoutError:
                    continue

    async def expect(self, *events: EngineEvent) -> None:
        """Exactly these, and nothing more for now."""
        await self.until(lambda: len(self.told) >= len(events))
        await self.settle()
        assert self.told == list(events)
        self.told.clear()

    async def settle(self) -> None:
        """What is on its way through a thread and the loop arrives."""
        loop = asyncio.get_running_loop()
        for _ in range(3):
            await loop.run_in_executor(None, lambda: None)
            await asyncio.sleep(0.002)

    async def running(self, task: TaskSpec) -> None:
        for number, action in enumerate((Action.PULL, Action.CREATE, Action.START)):
            self.ask(action, task)
            await self.until(partial(lambda number: len(self.told) > number, number))
        assert [type(event) for event in self.told] == [Pulled, Created, Started]
        self.told.clear()


def bench(story: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
    """A test that is a story on a bench of its own."""

    def test() -> None:
        async def play() -> None:
            made = Bench()
            await made.open()
            try:
                await story(made)
            finally:
                await made.host.close()

        asyncio.run(play())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def a_task(**fields: Any) -> TaskSpec:
    task = {name: fields.pop(name) for name in ("volumes", "networkMode") if name in fields}
    return read_task(document(container(**fields), **task))


@bench
async def test_a_container_from_pull_to_removal(on: Bench) -> None:
    task = a_task(portMappings=[{"containerPort": 80}])
    bindings = (NetworkBinding(on.instance.address, "tcp", 80, 32768),)
    on.ask(Action.PULL, task)
    await on.expect(Pulled(*T1, "sha256:1"))
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    on.ask(Action.START, task)
    await on.expect(Started(*T1, bindings))
    on.ask(Action.STOP, task)
    await on.until(lambda: ("kill", "c1", "SIGTERM") in on.docker.calls)
    on.docker.end("c1", 143)
    await on.expect(Exited(*T1, 143))
    on.ask(Action.REMOVE, task)
    await on.expect(Removed(*T1))
    assert on.instance.containers() == []


@bench
async def test_an_image_is_looked_up_once_until_images_change(on: Bench) -> None:
    for _ in range(3):
        on.ask(Action.PULL, a_task())
        await on.expect(Pulled(*T1, "sha256:1"))
    assert on.docker.count("inspect_image") == 1
    on.docker.stream.put({"Type": "image", "Action": "untag", "timeNano": 1})
    await on.settle()
    on.ask(Action.PULL, a_task())
    await on.expect(Pulled(*T1, "sha256:1"))
    assert on.docker.count("inspect_image") == 2


@bench
async def test_who_exits_before_the_answer_to_its_start_was_started_first(on: Bench) -> None:
    task = a_task()
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    free = on.docker.hold("start")
    on.ask(Action.START, task)
    await on.until(lambda: on.docker.count("start"))
    on.docker.end("c1", 3)
    await on.expect(Started(*T1), Exited(*T1, 3))
    free()
    await on.expect()


@bench
async def test_a_late_answer_means_nothing_to_the_next_run(on: Bench) -> None:
    task = a_task()
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    free_first = on.docker.hold("start")
    on.ask(Action.START, task)
    await on.until(lambda: on.docker.count("start") == 1)
    on.docker.end("c1", 3)
    await on.expect(Started(*T1), Exited(*T1, 3))
    free_second = on.docker.hold("start")
    on.docker.silent = True
    on.ask(Action.START, task)
    await on.until(lambda: on.docker.count("start") == 2)
    free_first()
    await on.expect()
    free_second()
    await on.expect(Started(*T1))


@bench
async def test_a_start_that_fails_is_no_exit(on: Bench) -> None:
    """Some engines tell of the end of what never ran."""
    task = a_task()
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    on.docker.event("die", "c1", exitCode="127")
    on.docker.refuse["start"] = [Refused(400, "exec: nosuch: executable file not found in $PATH")]
    on.ask(Action.START, task)
    words = "Error response from daemon: exec: nosuch: executable file not found in $PATH"
    await on.expect(Failed(*T1, Action.START, "CannotStartContainerError", words))


@bench
async def test_a_restart_in_place(on: Bench) -> None:
    task = a_task(portMappings=[{"containerPort": 80}], restartPolicy={"enabled": True})
    bindings = (NetworkBinding(on.instance.address, "tcp", 80, 32768),)
    await on.running(task)
    on.docker.end("c1", 1)
    await on.expect(Exited(*T1, 1))
    on.ask(Action.START, task)
    await on.expect(Started(*T1, bindings))
    on.docker.end("c1", 2)
    await on.expect(Exited(*T1, 2))


@bench
async def test_a_container_that_ignores_sigterm_is_killed_at_its_deadline(on: Bench) -> None:
    task = a_task()
    await on.running(task)
    on.ask(Action.STOP, task, timeout=0.05)
    await on.until(lambda: on.docker.count("kill") == 2)
    on.docker.end("c1", 137)
    await on.expect(Exited(*T1, 137))
    kills = [call for call in on.docker.calls if call[0] == "kill"]
    assert kills == [("kill", "c1", "SIGTERM"), ("kill", "c1", "SIGKILL")]
    assert on.docker.count("inspect") == 0  # we know who killed it


@bench
async def test_the_images_own_stop_signal(on: Bench) -> None:
    on.docker.images["busybox:latest"] = {"Id": "sha256:1", "Config": {"StopSignal": "SIGQUIT"}}
    await on.running(a_task())
    on.ask(Action.STOP, a_task())
    await on.until(lambda: ("kill", "c1", "SIGQUIT") in on.docker.calls)


@bench
async def test_stopping_what_has_ended_unheard(on: Bench) -> None:
    await on.running(a_task())
    on.docker.end("c1", 9, told=False)
    on.ask(Action.STOP, a_task())
    await on.expect(Exited(*T1, 9))
    on.ask(Action.STOP, a_task())
    await on.expect(Exited(*T1, 9))


@pytest.mark.parametrize("event", ["before", "after", "never"])
def test_a_lack_of_memory_is_the_reason(event: str) -> None:
    @bench
    async def story(on: Bench) -> None:
        await on.running(a_task())
        if event == "before":
            on.docker.event("oom", "c1")
        on.docker.end("c1", 137, out_of_memory=event != "never")
        if event == "after":
            on.docker.event("oom", "c1")
        await on.expect(Exited(*T1, 137, OUT_OF_MEMORY if event != "never" else ""))

    story()


@bench
async def test_health_is_told_when_it_changes_and_only_of_ecs_own_checks(on: Bench) -> None:
    checked = a_task(healthCheckType="docker")
    await on.running(checked)
    for status in ("healthy", "healthy", "unhealthy"):
        on.docker.event(f"health_status: {status}", "c1")
    await on.expect(HealthChanged(*T1, "HEALTHY"), HealthChanged(*T1, "UNHEALTHY"))
    unchecked = read_task(document(name="t2"))
    await on.running(unchecked)
    on.docker.event("health_status: healthy", "c2")
    await on.expect()


@bench
async def test_who_is_removed_by_somebody_else_has_exited(on: Bench) -> None:
    await on.running(a_task())
    on.docker.made.clear()
    on.docker.event("destroy", "c1")
    await on.expect(Exited(*T1, None, "the container was removed from the engine"))
    on.ask(Action.REMOVE, a_task())
    await on.expect(Removed(*T1))


@bench
async def test_what_has_stopped_and_is_started_by_somebody_else_is_ended(on: Bench) -> None:
    await on.running(a_task())
    on.docker.end("c1", 0)
    await on.expect(Exited(*T1, 0))
    on.docker.run("c1")
    await on.until(lambda: ("kill", "c1", "SIGKILL") in on.docker.calls)
    await on.expect()


@bench
async def test_a_start_that_comes_true_too_late_is_ended(on: Bench) -> None:
    on.ask(Action.CREATE, a_task())
    await on.expect(Created(*T1, "c1"))
    on.docker.refuse["start"] = [TimedOut("read timed out")]
    on.ask(Action.START, a_task())
    words = "Could not transition to started; timed out after waiting 4m0s"
    await on.expect(Failed(*T1, Action.START, "DockerTimeoutError", words))
    on.docker.run("c1")
    await on.until(lambda: ("kill", "c1", "SIGKILL") in on.docker.calls)
    await on.expect()


# Creation


@bench
async def test_what_a_cut_off_create_left_is_taken(on: Bench) -> None:
    task = a_task(portMappings=[{"containerPort": 80}])
    on.docker.hold("create")
    on.ask(Action.CREATE, task)
    await on.until(lambda: on.docker.made)
    await on.host.close()  # the agent dies before the answer
    on.told.clear()
    await on.open()
    found = EngineContainer(
        *T1,
        "c1",
        "created",
        bindings=(NetworkBinding(on.instance.address, "tcp", 80, 32768),),
        digest="sha256:1",
        document=document(container(portMappings=[{"containerPort": 80}])),
    )
    assert on.instance.containers() == [found]
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    assert on.docker.count("create") == 1


@bench
async def test_a_create_whose_answer_was_lost_is_made_again_and_finds_it(on: Bench) -> None:
    free = on.docker.hold("create")
    on.ask(Action.CREATE, a_task())
    await on.until(lambda: on.docker.made)
    on.docker.die()
    free()
    await on.until(lambda: on.changes == [False])
    on.docker.gone = False
    await on.expect(Created(*T1, "c1"))
    assert (on.docker.count("create"), len(on.docker.made), on.changes) == (2, 1, [False, True])


@bench
async def test_a_name_that_somebody_else_has_is_refused(on: Bench) -> None:
    task = a_task()
    name = names.container_name(task, "main")
    on.docker.create(name, {"Image": "busybox:latest", "Labels": {}, "HostConfig": {}})
    on.ask(Action.CREATE, task)
    words = f'Error response from daemon: Conflict. The container name "/{name}" is already in use'
    await on.expect(Failed(*T1, Action.CREATE, "CannotCreateContainerError", words))


@bench
async def test_an_image_that_was_removed_since_is_pulled_again(on: Bench) -> None:
    on.ask(Action.PULL, a_task())
    await on.expect(Pulled(*T1, "sha256:1"))
    del on.docker.images["busybox:latest"]
    on.docker.registry["busybox:latest"] = []
    on.ask(Action.CREATE, a_task())
    await on.expect(Created(*T1, "c1"))


@bench
async def test_a_dynamic_port_that_is_taken_is_replaced(on: Bench) -> None:
    task = a_task(portMappings=[{"containerPort": 80}])
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    on.docker.refuse["start"] = [Refused(500, TAKEN)]
    on.ask(Action.START, task)
    await on.expect(Created(*T1, "c2"))
    on.ask(Action.START, task)
    await on.expect(Started(*T1, (NetworkBinding(on.instance.address, "tcp", 80, 32769),)))


@bench
async def test_dynamic_ports_that_are_all_taken_are_an_error(on: Bench) -> None:
    task = a_task(portMappings=[{"containerPort": 80}])
    on.docker.refuse["start"] = [Refused(500, TAKEN) for _ in range(6)]
    on.ask(Action.CREATE, task)
    for number in range(6):
        await on.expect(Created(*T1, f"c{number + 1}"))
        on.ask(Action.START, task)
    words = f"Error response from daemon: {TAKEN}"
    await on.expect(Failed(*T1, Action.START, "CannotStartContainerError", words))


@bench
async def test_a_static_port_that_is_taken_is_an_error(on: Bench) -> None:
    task = a_task(portMappings=[{"containerPort": 80, "hostPort": 80}])
    on.docker.refuse["start"] = [Refused(500, TAKEN)]
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    on.ask(Action.START, task)
    words = f"Error response from daemon: {TAKEN}"
    await on.expect(Failed(*T1, Action.START, "CannotStartContainerError", words))


@bench
async def test_volumes_are_made_once_and_go_with_the_last_container(on: Bench) -> None:
    mount = [{"sourceVolume": "v", "containerPath": "/v"}]
    task = read_task(
        document(
            container("a", mountPoints=mount),
            container("b", mountPoints=mount),
            volumes=[{"name": "v", "type": "host", "host": {}}],
        )
    )
    for spec in task.containers:
        on.instance.perform(0.0, EngineCall(Action.CREATE, task, spec))
    await on.until(lambda: len(on.told) == 2)
    volume = names.volume_name(task, "v")
    assert list(on.docker.made_volumes) == [volume] and on.docker.count("create_volume") == 1
    on.told.clear()
    on.instance.perform(0.0, EngineCall(Action.REMOVE, task, task.containers[0]))
    await on.expect(Removed(arn(), "a"))
    assert list(on.docker.made_volumes) == [volume]
    on.instance.perform(0.0, EngineCall(Action.REMOVE, task, task.containers[1]))
    await on.expect(Removed(arn(), "b"))
    assert on.docker.made_volumes == {}


@bench
async def test_a_network_that_was_pruned_is_made_again(on: Bench) -> None:
    task = a_task()
    before = dict(on.docker.named)
    on.ask(Action.CREATE, task)
    await on.expect(Created(*T1, "c1"))
    on.docker.named.clear()
    on.docker.refuse["start"] = [Refused(404, "network miniecs-01234567-i-1 not found")]
    on.ask(Action.START, task)
    await on.expect(Started(*T1))
    assert on.docker.named == before


# Pulls


@bench
async def test_an_image_is_pulled_once_for_all_who_wait(on: Bench) -> None:
    image = "registry/app:1"
    layer = {"id": "a", "status": "Downloading", "progressDetail": {"current": 1, "total": 2}}
    on.docker.registry[image] = [layer]
    free = on.docker.hold("pull")
    one, two = (read_task(document(container(image=image), name=name)) for name in ("t1", "t2"))
    on.ask(Action.PULL, one)
    on.ask(Action.PULL, two)
    await on.until(lambda: on.progress)
    free()
    await on.until(lambda: len(on.told) == 2)
    assert set(on.told) == {Pulled(arn("t1"), "main", "sha256:d"), Pulled(arn("t2"), "main", "sha256:d")}
    assert on.docker.count("pull") == 1
    assert set(on.progress) == {
        PullProgress(arn(name), "main", image, "Downloading", 1, 2) for name in ("t1", "t2")
    }


@bench
async def test_a_pull_that_fails_in_its_middle_has_the_registrys_words(on: Bench) -> None:
    on.docker.registry["app"] = [{"status": "Pulling"}, {"error": "unexpected EOF"}]
    on.ask(Action.PULL, a_task(image="app"))
    failed = Failed(*T1, Action.PULL, "CannotPullContainerError", "unexpected EOF", temporary=True)
    await on.expect(failed)


@bench
async def test_pulls_end_before_a_launch_has_taken_too_long(on: Bench) -> None:
    """The sixth attempt would come too late, were every second one."""
    task = a_task(image="nosuch")
    words = "Error response from daemon: pull access denied for nosuch"
    for now, temporary in ((0.0, True), (1.0, True), (17.99999, False)):
        on.instance.perform(now, EngineCall(Action.PULL, task, task.containers[0]))
        await on.expect(Failed(*T1, Action.PULL, "CannotPullContainerError", words, temporary))


@bench
async def test_images_that_need_credentials_are_taken_where_they_are(on: Bench) -> None:
    private = {"registryAuthentication": {"type": "asm"}}
    on.ask(Action.PULL, a_task(**private))
    await on.expect(Pulled(*T1, "sha256:1"))
    on.ask(Action.PULL, a_task(image="private", **private))
    words = "miniecs's Docker engine does not support registryAuthentication yet: use `docker login`"
    await on.expect(Failed(*T1, Action.PULL, "CannotPullContainerError", words))


# The engine goes and comes


@bench
async def test_what_happened_while_the_engine_was_gone_is_told_when_it_is_back(on: Bench) -> None:
    tasks = [read_task(document(container(healthCheckType="docker"), name=f"t{n}")) for n in range(4)]
    for task in tasks:
        await on.running(task)
    on.docker.die()
    await on.until(lambda: on.changes == [False])
    on.docker.end("c1", 5, told=False)
    on.docker.end("c2", 137, told=False, out_of_memory=True)
    del on.docker.made["c3"]
    on.docker.made["c4"]["State"]["Health"] = {"Status": "healthy"}
    on.docker.gone = False
    await on.until(lambda: on.changes == [False, True])
    await on.expect(
        Exited(arn("t0"), "main", 5),
        Exited(arn("t1"), "main", 137, OUT_OF_MEMORY),
        Exited(arn("t2"), "main", None, "the container was removed from the engine"),
        HealthChanged(arn("t3"), "main", "HEALTHY"),
    )
    on.docker.end("c4", 0)
    await on.expect(Exited(arn("t3"), "main", 0))


@bench
async def test_calls_wait_until_the_engine_is_back(on: Bench) -> None:
    on.docker.die()
    await on.until(lambda: on.changes == [False])
    assert not on.host.connected
    on.ask(Action.CREATE, a_task())
    await on.expect()
    on.docker.gone = False
    await on.expect(Created(*T1, "c1"))
    assert on.host.connected


@pytest.mark.parametrize("outcome", ["not started", "running", "exited"])
def test_a_start_that_nobody_answered_is_not_made_twice(outcome: str) -> None:
    @bench
    async def story(on: Bench) -> None:
        task = a_task()
        on.ask(Action.CREATE, task)
        await on.expect(Created(*T1, "c1"))
        free = on.docker.hold("start")
        on.docker.silent = True  # its event is lost with the engine, too
        on.ask(Action.START, task)
        await on.until(lambda: on.docker.made["c1"]["State"]["Running"])
        on.docker.die()
        if outcome == "not started":
            on.docker.made["c1"]["State"] = {"Running": False, "StartedAt": "0001-01-01T00:00:00Z"}
        elif outcome == "exited":
            on.docker.end("c1", 4, told=False)
        free()
        await on.until(lambda: on.changes == [False])
        on.docker.gone = on.docker.silent = False
        await on.expect(Started(*T1), *([Exited(*T1, 4)] if outcome == "exited" else []))
        assert on.docker.count("start") == (2 if outcome == "not started" else 1)

    story()


@bench
async def test_a_connection_that_a_restart_left_behind_is_no_loss(on: Bench) -> None:
    on.docker.refuse["create"] = [EngineGone("connection reset by peer")]
    on.ask(Action.CREATE, a_task())
    await on.expect(Created(*T1, "c1"))
    assert on.changes == []


@bench
async def test_the_ports_of_what_may_be_started_again_are_kept_for_it_by_the_next_agent(on: Bench) -> None:
    ports: dict[str, Any] = {"portMappings": [{"containerPort": 80}]}
    await on.running(a_task(**ports, restartPolicy={"enabled": True}))
    on.docker.end("c1", 7)
    await on.reopen()
    await on.running(read_task(document(container(**ports), name="t2")))
    first, second = on.instance.containers()
    assert (first.state, second.state) == ("exited", "running")
    assert first.bindings != second.bindings


@bench
async def test_a_bug_is_an_answer(on: Bench) -> None:
    """Nobody waits for ever, and what was started all the same is ended."""
    words = "miniecs failed by a bug; its agent's log has the details"
    on.docker.refuse["create"] = [KeyError("Id")]
    on.ask(Action.CREATE, a_task())
    await on.expect(Failed(*T1, Action.CREATE, "CannotCreateContainerError", words))
    on.ask(Action.CREATE, a_task())
    await on.expect(Created(*T1, "c1"))
    on.docker.refuse["start"] = [KeyError("Id")]
    on.ask(Action.START, a_task())
    await on.expect(Failed(*T1, Action.START, "CannotStartContainerError", words))


# Instances


@bench
async def test_a_new_agent_finds_what_the_last_one_left(on: Bench) -> None:
    checked = container(healthCheckType="docker", portMappings=[{"containerPort": 80}])
    first, second = (read_task(document(checked, name=name)) for name in ("t1", "t2"))
    await on.running(first)
    await on.running(second)
    on.docker.end("c2", 7)
    on.docker.made["c1"]["State"]["Health"] = {"Status": "unhealthy"}
    address = on.instance.address
    await on.reopen()
    assert on.instance.address == address
    seen = on.instance.containers()
    assert [each._replace(started_at=None, ended_at=None) for each in seen] == [
        EngineContainer(
            arn("t1"),
            "main",
            "c1",
            "running",
            bindings=(NetworkBinding(address, "tcp", 80, 32768),),
            digest="sha256:1",
            health="UNHEALTHY",
            document=document(checked, name="t1"),
        ),
        EngineContainer(
            arn("t2"),
            "main",
            "c2",
            "exited",
            exit_code=7,
            bindings=(NetworkBinding(address, "tcp", 80, 32769),),
            digest="sha256:1",
            document=document(checked, name="t2"),
        ),
    ]
    assert all(each.started_at for each in seen)
    assert [each.ended_at is not None for each in seen] == [False, True]
    third = read_task(document(checked, name="t3"))
    await on.running(third)
    on.docker.end("c1", 0)
    await on.expect(Exited(*T1, 0))


@bench
async def test_an_instance_is_removed_whole(on: Bench) -> None:
    mount = [{"sourceVolume": "v", "containerPath": "/v"}]
    task = a_task(mountPoints=mount, volumes=[{"name": "v", "type": "host", "host": {}}])
    await on.running(task)
    assert await on.host.instances() == ["i-1"]
    await on.host.remove("i-1")
    await on.expect()
    assert (on.docker.made, on.docker.made_volumes, on.docker.named) == ({}, {}, {})
    assert await on.host.instances() == []


@bench
async def test_a_subnet_that_somebody_else_has_taken_meanwhile(on: Bench) -> None:
    on.docker.refuse["create_network"] = [Refused(403, "Pool overlaps with other one on this address space")]
    other = await on.host.open(InstanceSettings("i-2"), on.told.append)
    made = [call[2] for call in on.docker.calls if call[0] == "create_network"]
    assert len(set(made)) == len(made) == 3
    assert other.address != on.instance.address


@bench
async def test_a_network_that_cannot_be_made_is_an_error(on: Bench) -> None:
    on.docker.refuse["create_network"] = [Refused(500, "iptables is not what it was")]
    with pytest.raises(EngineError, match="iptables is not what it was"):
        await on.host.open(InstanceSettings("i-2"), on.told.append)


@bench
async def test_usage_of_what_runs(on: Bench) -> None:
    await on.running(a_task())
    await on.running(read_task(document(name="t2")))
    on.docker.end("c2", 0)
    await on.until(lambda: on.told)
    assert await on.instance.usage() == {T1: Usage(7, 0, 0, 0, 0, 0)}


@bench
async def test_logs_and_commands_of_what_is_not_there(on: Bench) -> None:
    with pytest.raises(EngineError, match="the engine has no container main"):
        on.instance.logs(*T1, follow=False, tail=None, timestamps=False)
    on.ask(Action.CREATE, a_task())
    await on.expect(Created(*T1, "c1"))
    with pytest.raises(EngineError, match="does not run"):
        await on.instance.execute(*T1, ["sh"], tty=False, stdin=False)
