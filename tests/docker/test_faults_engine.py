"""Engines that go and come back: calls wait, nothing is taken for dead, and what happened is told."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .clusters import Clusters
from .commands import OBEDIENT, ON_CUE, cue
from .daemon import Daemon, Engine
from .engine import BUSYBOX, import_busybox
from .engine_proxy import EngineProxy
from .history import History
from .miniecs import Miniecs
from .netns import Namespace
from .waiting import until

StartEngine = Callable[..., Daemon]


@pytest.fixture
def start_engine(host: Namespace) -> Iterator[StartEngine]:
    """An engine of the test's own: ``start_engine("--live-restore", disk="64m")``.

    Asked for before ``clusters``, so that these end first.
    """
    started: list[Daemon] = []

    def start(*options: str, disk: str = "") -> Daemon:
        daemon = Daemon(netns=host.name, options=options)
        started.append(daemon)
        if disk:
            daemon.data.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "x", daemon.data], check=True)
        daemon.start()
        import_busybox(daemon, BUSYBOX)
        return daemon

    yield start
    for daemon in started:
        daemon.remove()


def health(miniecs: Miniecs) -> str:
    arns = miniecs.ecs.list_container_instances()["containerInstanceArns"]
    told = miniecs.ecs.describe_container_instances(
        containerInstances=arns, include=["CONTAINER_INSTANCE_HEALTH"]
    )
    return str(told["containerInstances"][0]["healthStatus"]["overallStatus"])


def ids(task: dict[str, Any]) -> list[str]:
    return [container["runtimeId"] for container in task["containers"]]


# The line to the engine is cut


def test_an_engine_that_is_gone_for_a_while(
    engine_proxy: EngineProxy, clusters: Clusters, engine: Engine, history: History
) -> None:
    miniecs = clusters.start("--instances", "1", "--time-scale", "10", through=engine_proxy)
    obedient = miniecs.register("obedient", {"name": "a", "command": OBEDIENT})
    brief = miniecs.register("brief", {"name": "a", "command": ON_CUE})
    stays, stopped, removed = miniecs.run(obedient, 3)
    (ends,) = miniecs.run(brief)
    arns = [stays, stopped, removed, ends]
    before = {arn: miniecs.reaches(arn, "RUNNING") for arn in arns}
    until("the instance to be well", lambda: health(miniecs) == "OK")

    engine_proxy.cut()
    until("the instance to be impaired", lambda: health(miniecs) == "IMPAIRED")
    miniecs.ecs.stop_task(task=stopped)
    (meanwhile,) = miniecs.run(obedient)
    engine.client.api.remove_container(ids(before[removed])[0], force=True)
    cue(engine, ids(before[ends])[0])
    # Nothing is known of any container, so nothing is said to have changed.
    assert [miniecs.task(arn)["lastStatus"] for arn in arns] == ["RUNNING", "STOPPING", "RUNNING", "RUNNING"]
    assert miniecs.task(meanwhile)["lastStatus"] == "PENDING"
    assert miniecs.instances()[0]["agentConnected"]

    engine_proxy.heal()
    miniecs.reaches(meanwhile, "RUNNING")
    assert miniecs.reaches(stopped, "STOPPED")["containers"][0]["exitCode"] == 7
    ended = miniecs.reaches(ends, "STOPPED")
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("EssentialContainerExited", 5)
    lost = miniecs.reaches(removed, "STOPPED")
    assert lost["stopCode"] == "EssentialContainerExited"
    assert miniecs.task(stays)["lastStatus"] == "RUNNING"
    until("the instance to be well", lambda: health(miniecs) == "OK")
    for arn in (stays, stopped, ends, meanwhile):
        history.once(arn, "create", "start")


# The engine itself ends, with its containers or without


def test_an_engine_that_is_restarted_stops_its_containers_and_services_go_on(
    start_engine: StartEngine, clusters: Clusters, host: Namespace
) -> None:
    daemon = start_engine()
    miniecs = clusters.start("--instances", "1", "--time-scale", "10", engine=daemon, host=host)
    definition = miniecs.register("lives", {"name": "a", "command": OBEDIENT})
    (alone,) = miniecs.run(definition)
    miniecs.ecs.create_service(serviceName="s", taskDefinition=definition, desiredCount=3)
    until("the service's tasks to run", lambda: _running(miniecs, "s") == 3)
    first = _tasks(miniecs, "s")

    daemon.restart()
    # The engine has told each to end.
    ended = miniecs.reaches(alone, "STOPPED", within=60)
    assert (ended["stopCode"], ended["containers"][0]["exitCode"]) == ("EssentialContainerExited", 7)
    until("others to run", lambda: _running(miniecs, "s") == 3 and not first & _tasks(miniecs, "s"), 60)
    assert len(daemon.client.containers.list()) == 3


def test_containers_that_outlive_their_engine_are_left_as_they_are(
    start_engine: StartEngine, clusters: Clusters, host: Namespace
) -> None:
    daemon = start_engine("--live-restore")
    miniecs = clusters.start("--instances", "1", "--time-scale", "10", engine=daemon, host=host)
    definition = miniecs.register(
        "lives", {"name": "a", "command": OBEDIENT, "portMappings": [{"containerPort": 80}]}
    )
    arns = miniecs.run(definition, 2)
    before = [miniecs.reaches(arn, "RUNNING") for arn in arns]
    for again in (daemon.restart, lambda: _killed(daemon)):
        again()
        until("the instance to be well", lambda: health(miniecs) == "OK", within=60)
        after = [miniecs.task(arn) for arn in arns]
        assert [(task["lastStatus"], ids(task)) for task in after] == [
            ("RUNNING", ids(task)) for task in before
        ]
    miniecs.ecs.stop_task(task=arns[0])
    assert miniecs.reaches(arns[0], "STOPPED", within=60)["containers"][0]["exitCode"] == 7
    until("it to be gone", lambda: [each.id for each in daemon.client.containers.list()] == ids(before[1]))


def _killed(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()


def test_an_engine_that_hangs_is_waited_for(
    start_engine: StartEngine, clusters: Clusters, host: Namespace
) -> None:
    daemon = start_engine()
    miniecs = clusters.start("--instances", "1", "--time-scale", "10", engine=daemon, host=host)
    definition = miniecs.register("lives", {"name": "a", "command": OBEDIENT})
    (arn,) = miniecs.run(definition)
    miniecs.reaches(arn, "RUNNING")
    daemon.freeze()
    (meanwhile,) = miniecs.run(definition)
    miniecs.ecs.stop_task(task=arn)
    # The agent lives on, and an end of it does not wait for the engine's.
    killed = miniecs.kill("agent", signal.SIGTERM)
    until("another agent", lambda: [pid for pid in miniecs.processes("agent") if pid != killed])
    assert miniecs.task(meanwhile)["lastStatus"] == "PENDING"
    assert miniecs.task(arn)["lastStatus"] in ("RUNNING", "STOPPING", "DEACTIVATING")
    daemon.thaw()
    miniecs.reaches(meanwhile, "RUNNING")
    assert miniecs.reaches(arn, "STOPPED")["containers"][0]["exitCode"] == 7


def _tasks(miniecs: Miniecs, service: str) -> set[str]:
    return set(miniecs.ecs.list_tasks(serviceName=service)["taskArns"])


def _running(miniecs: Miniecs, service: str) -> int:
    return int(miniecs.ecs.describe_services(services=[service])["services"][0]["runningCount"])


# The disk is full


def test_a_full_disk_of_the_engine_is_said_and_survived(
    start_engine: StartEngine, clusters: Clusters, host: Namespace
) -> None:
    daemon = start_engine(disk="64m")
    miniecs = clusters.start("--instances", "1", "--time-scale", "10", engine=daemon, host=host)
    definition = miniecs.register("lives", {"name": "a", "command": OBEDIENT})
    (stays,) = miniecs.run(definition)
    miniecs.reaches(stays, "RUNNING")
    ballast = daemon.data / "ballast"
    _fill(ballast)
    (refused,) = miniecs.run(definition)
    stopped = miniecs.reaches(refused, "STOPPED", within=20)
    assert stopped["stopCode"] == "TaskFailedToStart"
    reason = stopped["containers"][0]["reason"]
    assert reason.startswith(("CannotCreateContainerError: ", "CannotStartContainerError: ")), reason
    assert "no space left on device" in reason
    assert miniecs.task(stays)["lastStatus"] == "RUNNING"
    ballast.unlink()
    (again,) = miniecs.run(definition)
    miniecs.reaches(again, "RUNNING")


def _fill(file: Path) -> None:
    """Until nothing more fits."""
    with file.open("wb", buffering=0) as ballast:
        while True:
            try:
                ballast.write(bytes(1 << 20))
            except OSError:
                return
