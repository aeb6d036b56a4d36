"""The agent killed with -9 at each step of a task's life: what it began is found, and nothing is done twice.

A line to the engine holds the request that the step consists of, before it reaches the engine or with the
engine's answer, while the agent dies; the supervisor brings the next one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from .clusters import Clusters
from .commands import DEAF, OBEDIENT, ON_CUE, cue
from .daemon import Engine
from .engine_proxy import EngineProxy, When
from .history import History
from .miniecs import Miniecs
from .registry import Registry
from .waiting import until

LIFE: list[tuple[str, When]] = [
    (r"POST /volumes/create", "before"),
    (r"POST /volumes/create", "after"),
    (r"POST /containers/create", "before"),
    (r"POST /containers/create", "after"),
    (r"POST /containers/[^/]+/start", "before"),
    (r"POST /containers/[^/]+/start", "after"),
]


@pytest.fixture(scope="module")
def line(engine: Engine) -> Iterator[EngineProxy]:
    proxy = EngineProxy(engine.url)
    proxy.start()
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def shared_miniecs(line: EngineProxy, module_clusters: Clusters) -> Miniecs:
    """One instance, whose agent reaches the engine by a line of ours."""
    return module_clusters.start("--instances", "1", "--time-scale", "10", through=line)


@pytest.mark.parametrize(("pattern", "when"), LIFE)
@pytest.mark.parametrize("forward", [True, False], ids=["arrives", "is lost"])
def test_a_launch_goes_on_where_it_was(
    miniecs: Miniecs, line: EngineProxy, history: History, pattern: str, when: When, forward: bool
) -> None:
    mounted = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    definition = miniecs.register(
        "launch",
        {"name": "a", "command": OBEDIENT, "portMappings": [{"containerPort": 80}], **mounted},
        volumes=[{"name": "v", "host": {}}],
    )
    hold = line.hold(pattern, when)
    (arn,) = miniecs.run(definition)
    hold.reached()
    killed = miniecs.kill("agent")
    hold.release(forward=forward)
    task = miniecs.reaches(arn, "RUNNING")
    assert miniecs.pid("agent") != killed
    assert [binding["containerPort"] for binding in task["containers"][0]["networkBindings"]] == [80]
    miniecs.ecs.stop_task(task=arn)
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("UserInitiated", 7)
    history.once(arn, "create", "start", "die")


@pytest.mark.parametrize("forward", [True, False], ids=["arrives", "is lost"])
def test_a_pull_is_asked_for_again(
    miniecs: Miniecs, line: EngineProxy, history: History, registry: Registry, forward: bool
) -> None:
    name = "image-a" if forward else "image-b"
    definition = miniecs.register(
        "pulled", {"name": "a", "image": f"{registry.name}/{name}:1", "command": OBEDIENT}
    )
    hold = line.hold(r"POST /images/create")
    (arn,) = miniecs.run(definition)
    hold.reached()
    miniecs.kill("agent")
    hold.release(forward=forward)
    task = miniecs.reaches(arn, "RUNNING")
    assert task["containers"][0]["imageDigest"] == registry.digest(name)
    history.once(arn, "create", "start")


def test_a_pull_that_was_under_way_goes_on(miniecs: Miniecs, history: History, registry: Registry) -> None:
    registry.wait()
    image = f"{registry.name}/image-c:1"
    definition = miniecs.register("pulling", {"name": "a", "image": image, "command": OBEDIENT})
    (arn,) = miniecs.run(definition)
    assert registry.waiting.wait(30), "nobody pulls"
    until("how far it is to be shown", lambda: f"PENDING (pulling {image}" in miniecs.ok("ps"))
    killed = miniecs.kill("agent")
    until("another agent", lambda: [pid for pid in miniecs.processes("agent") if pid != killed])
    assert miniecs.task(arn)["lastStatus"] == "PENDING"
    registry.go_on()
    miniecs.reaches(arn, "RUNNING")
    history.once(arn, "create", "start")


def test_running_containers_are_adopted(miniecs: Miniecs, history: History) -> None:
    definition = miniecs.register(
        "adopted",
        {"name": "a", "command": OBEDIENT, "portMappings": [{"containerPort": 80}]},
        {"name": "b", "command": OBEDIENT, "essential": False},
    )
    (arn,) = miniecs.run(definition)
    before = miniecs.reaches(arn, "RUNNING")
    killed = miniecs.kill("agent")
    until("another agent", lambda: [pid for pid in miniecs.processes("agent") if pid != killed])
    until("it to be connected", lambda: miniecs.instances()[0]["agentConnected"])
    after = miniecs.task(arn)
    assert [each["runtimeId"] for each in after["containers"]] == [
        each["runtimeId"] for each in before["containers"]
    ]
    assert (after["lastStatus"], after["startedAt"]) == ("RUNNING", before["startedAt"])
    history.once(arn, "create", "start")


def test_what_ended_while_no_agent_lived_is_told_by_the_next(
    miniecs: Miniecs, engine: Engine, history: History
) -> None:
    (arn,) = miniecs.run(miniecs.register("ended", {"name": "a", "command": ON_CUE}))
    container = miniecs.reaches(arn, "RUNNING")["containers"][0]["runtimeId"]
    with no_agent(miniecs):
        cue(engine, container)
        assert miniecs.task(arn)["lastStatus"] == "RUNNING"
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 5)
    history.once(arn, "create", "start", "die")


def test_what_has_stopped_is_removed_when_its_time_is_over(
    engine_proxy: EngineProxy, clusters: Clusters, engine: Engine
) -> None:
    """By an agent that finds it, after the one that ran it was killed. A lost removal is made again."""
    miniecs = clusters.start("--instances", "1", "--time-scale", "60", through=engine_proxy)
    definition = miniecs.register(
        "kept",
        {"name": "a", "command": ["true"], "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]},
        volumes=[{"name": "v", "host": {}}],
    )
    (arn,) = miniecs.run(definition)
    miniecs.reaches(arn, "STOPPED")
    miniecs.kill("agent")
    until("its agent to be connected", lambda: miniecs.instances()[0]["agentConnected"])
    ours = {"label": f"miniecs.data-dir={miniecs.folder}"}
    assert len(engine.client.containers.list(all=True, filters=ours)) == 1
    hold = engine_proxy.hold(r"DELETE /containers/")
    hold.reached(within=90)  # a minute after it was told
    hold.release(forward=False)
    until(
        "nothing to be left",
        lambda: (
            not engine.client.containers.list(all=True, filters=ours, ignore_removed=True)
            and not engine.client.volumes.list(filters=ours)
        ),
        within=60,
    )


def test_what_ended_while_no_agent_lived_is_started_again_as_its_policy_says(
    miniecs: Miniecs, engine: Engine, history: History
) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    definition = miniecs.register(
        "again",
        {"name": "a", "command": ON_CUE, "restartPolicy": policy, "portMappings": [{"containerPort": 80}]},
    )
    (arn,) = miniecs.run(definition)
    before = miniecs.reaches(arn, "RUNNING")
    container = before["containers"][0]["runtimeId"]
    time.sleep(6.1)  # the period, at this scale
    with no_agent(miniecs):
        cue(engine, container)
    until("it to run again", lambda: history.of(arn)["a"]["start"] == 2)
    after = miniecs.task(arn)
    assert (after["lastStatus"], after["startedAt"]) == ("RUNNING", before["startedAt"])
    assert after["containers"][0]["networkBindings"] == before["containers"][0]["networkBindings"]
    assert history.of(arn)["a"]["create"] == 1


def test_a_lack_of_memory_while_no_agent_lived_is_said(miniecs: Miniecs, engine: Engine) -> None:
    greedy = "trap 'x=a; while :; do x=$x$x; done' USR1; while :; do sleep 0.1; done"
    definition = miniecs.register("greedy", {"name": "a", "command": ["sh", "-c", greedy], "memory": 8})
    (arn,) = miniecs.run(definition)
    container = miniecs.reaches(arn, "RUNNING")["containers"][0]["runtimeId"]
    with no_agent(miniecs):
        cue(engine, container)
    told = miniecs.reaches(arn, "STOPPED")["containers"][0]
    assert (told["exitCode"], told["reason"]) == (
        137, "OutOfMemoryError: Container killed due to memory usage"
    )  # fmt: skip


@contextlib.contextmanager
def no_agent(miniecs: Miniecs) -> Iterator[None]:
    """Killed, and the next one comes afterwards."""
    supervisor = miniecs.pid("supervise")
    os.kill(supervisor, signal.SIGSTOP)  # or it would bring another agent at once
    try:
        miniecs.kill("agent")
        until("no agent to live", lambda: not miniecs.processes("agent"))
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("forward", [True, False], ids=["arrives", "is lost"])
def test_a_stop_goes_on_where_it_was(
    miniecs: Miniecs, line: EngineProxy, history: History, when: When, forward: bool
) -> None:
    definition = miniecs.register("stopping", {"name": "a", "command": OBEDIENT})
    (arn,) = miniecs.run(definition)
    miniecs.reaches(arn, "RUNNING")
    hold = line.hold(r"POST /containers/[^/]+/(kill|stop)", when)
    miniecs.ecs.stop_task(task=arn, reason="enough")
    hold.reached()
    miniecs.kill("agent")
    hold.release(forward=forward)
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 7
    history.once(arn, "create", "start", "die")


def test_a_container_that_ignores_sigterm_is_killed_by_the_next_agent(
    miniecs: Miniecs, line: EngineProxy, history: History
) -> None:
    definition = miniecs.register("deaf", {"name": "a", "command": DEAF, "stopTimeout": 20})
    (arn,) = miniecs.run(definition)
    miniecs.reaches(arn, "RUNNING")
    hold = line.hold(r"POST /containers/[^/]+/(kill|stop)", "after")
    miniecs.ecs.stop_task(task=arn)
    hold.reached()
    miniecs.kill("agent")
    hold.release()
    task = miniecs.reaches(arn, "STOPPED")
    assert task["containers"][0]["exitCode"] == 137
    history.once(arn, "create", "start", "die")


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_instance_that_is_being_removed_is_removed_by_the_next_agent(
    miniecs: Miniecs, engine: Engine, line: EngineProxy, when: When
) -> None:
    (arn,) = miniecs.ok("instance", "add", "--type", "t3.small").split()
    definition = miniecs.register("removed", {"name": "a", "command": OBEDIENT})
    started = miniecs.ecs.start_task(taskDefinition=definition, containerInstances=[arn])
    task = started["tasks"][0]["taskArn"]
    miniecs.reaches(task, "RUNNING")
    mark = {"label": f"miniecs.data-dir={miniecs.folder}"}
    before = len(engine.client.networks.list(filters=mark))
    hold = line.hold(r"DELETE /containers/", when)
    removing = miniecs.begin("instance", "rm", arn, "--force")
    hold.reached()
    miniecs.kill("agent")
    hold.release(forward=False)
    said, _ = removing.communicate(timeout=60)
    assert removing.returncode == 0, said
    # With nobody to wait for, the command does not wait.
    until("its network to be gone", lambda: len(engine.client.networks.list(filters=mark)) == before - 1)
    assert arn not in [each["containerInstanceArn"] for each in miniecs.instances()]
    assert miniecs.task(task)["lastStatus"] == "STOPPED"
