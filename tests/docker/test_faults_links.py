"""The control plane and the way to it go and come back: containers live on, and all that happened is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pytest

from .clusters import Clusters
from .commands import OBEDIENT, ON_CUE, cue
from .daemon import Daemon, Engine
from .history import History
from .miniecs import Miniecs
from .netns import Namespace
from .waiting import until


def test_a_control_plane_that_is_gone_for_a_while(
    clusters: Clusters, engine: Engine, history: History
) -> None:
    miniecs = clusters.start("--instances", "1", "--time-scale", "10")
    obedient = miniecs.register("obedient", {"name": "a", "command": OBEDIENT})
    brief = miniecs.register("brief", {"name": "a", "command": ON_CUE})
    (stays,) = miniecs.run(obedient)
    miniecs.reaches(stays, "RUNNING")
    (ends,) = miniecs.run(brief)
    runtime_id = miniecs.reaches(ends, "RUNNING")["containers"][0]["runtimeId"]

    supervisor = miniecs.pid("supervise")
    os.kill(supervisor, signal.SIGSTOP)  # or it would bring another server at once
    try:
        miniecs.kill("server")
        cue(engine, runtime_id)
        with pytest.raises(botocore.exceptions.BotoCoreError):
            miniecs.task(ends)
        assert miniecs.processes("agent")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    until("the agent to be connected", lambda: _connected(miniecs))
    told = miniecs.reaches(ends, "STOPPED")
    assert (told["stopCode"], told["containers"][0]["exitCode"]) == ("EssentialContainerExited", 5)
    assert miniecs.task(stays)["lastStatus"] == "RUNNING"
    for arn in (stays, ends):
        history.once(arn, "create", "start")


def test_a_control_plane_that_hangs_is_waited_for(clusters: Clusters, engine: Engine) -> None:
    miniecs = clusters.start("--instances", "1", "--time-scale", "10")
    brief = miniecs.register("brief", {"name": "a", "command": ON_CUE})
    (ends,) = miniecs.run(brief)
    runtime_id = miniecs.reaches(ends, "RUNNING")["containers"][0]["runtimeId"]
    server = miniecs.kill("server", signal.SIGSTOP)
    try:
        cue(engine, runtime_id)
    finally:
        os.kill(server, signal.SIGCONT)
    told = miniecs.reaches(ends, "STOPPED")
    assert (told["containers"][0]["exitCode"], told["containers"][0]["runtimeId"]) == (5, runtime_id)


def test_a_control_plane_killed_between_answer_and_launch_launches_once(
    clusters: Clusters, history: History
) -> None:
    miniecs = clusters.start("--instances", "1", "--time-scale", "10")
    definition = miniecs.register("obedient", {"name": "a", "command": OBEDIENT})
    arns = []
    for _ in range(4):
        arns += miniecs.run(definition, 2)
        miniecs.kill("server")
        miniecs.is_back()
    for arn in arns:
        miniecs.reaches(arn, "RUNNING")
        history.once(arn, "create", "start")


def _connected(miniecs: Miniecs) -> bool:
    return miniecs.answers() and all(each["agentConnected"] for each in miniecs.instances())


# The disk of the data folder


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder that is full soon."""
    folder = Path(tempfile.mkdtemp(prefix="miniecs-small-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "x", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def test_a_full_data_folder_loses_nothing(small_disk: Path, clusters: Clusters, history: History) -> None:
    miniecs = clusters.start("--instances", "1", "--time-scale", "10", place=small_disk)
    definition = miniecs.register("obedient", {"name": "a", "command": OBEDIENT})
    (before,) = miniecs.run(definition)
    miniecs.reaches(before, "RUNNING")
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while _written(file.fileno()):
            pass
    # Every call is either kept or refused, never answered and forgotten.
    kept = []
    for number in range(40):
        try:
            miniecs.ecs.register_task_definition(
                family=f"filler-{number}",
                containerDefinitions=[
                    {"name": "a", "image": "busybox:latest", "memory": 16, "command": ["x" * 20_000]}
                ],
            )
        except botocore.exceptions.ClientError as refused:
            assert refused.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
            assert refused.response["Error"]["Code"] == "ServerException"
            break
        kept.append(f"filler-{number}")
    else:
        raise AssertionError("the disk is not full")
    assert miniecs.task(before)["lastStatus"] == "RUNNING"
    ballast.unlink()
    miniecs.kill("server")
    until("the agent to be connected", lambda: _connected(miniecs))
    families = miniecs.ecs.list_task_definition_families()["families"]
    assert set(families) == {"obedient", *kept}
    (after,) = miniecs.run(definition)
    miniecs.reaches(after, "RUNNING")
    history.once(before, "create", "start")


def _written(file: int) -> int:
    try:
        return os.write(file, bytes(1 << 16))
    except OSError:
        return 0


# The link of a machine elsewhere


def test_a_link_that_is_cut_and_healed(
    second_engine: Daemon, host: Namespace, clusters: Clusters, tmp_path: Path
) -> None:
    miniecs = clusters.start("--bind", host.machine, "--instances", "0", "--time-scale", "10")
    miniecs.ecs.create_cluster(clusterName="default")
    clusters.also_on(miniecs, second_engine)
    token = miniecs.json("agent", "join-command")["joinToken"]
    with (tmp_path / "agent.log").open("ab") as log:
        agent = subprocess.Popen(
            host.command(
                str(Path(sys.executable).with_name("miniecs")), "agent", "--endpoint", miniecs.endpoint,
                "--join-token", token, "--cluster", "default",
            ),  # fmt: skip
            env={**os.environ, **second_engine.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    told = History(second_engine)
    try:
        until("it to join", lambda: [each for each in miniecs.instances() if each["agentConnected"]])
        obedient = miniecs.register("obedient", {"name": "a", "command": OBEDIENT})
        brief = miniecs.register("brief", {"name": "a", "command": ON_CUE})
        (stays,) = miniecs.run(obedient)
        (ends,) = miniecs.run(brief)
        miniecs.reaches(stays, "RUNNING")
        runtime_id = miniecs.reaches(ends, "RUNNING")["containers"][0]["runtimeId"]
        host.cut()
        (meanwhile,) = miniecs.run(obedient)
        cue(second_engine, runtime_id)
        assert miniecs.task(ends)["lastStatus"] == "RUNNING"
        assert miniecs.task(meanwhile)["lastStatus"] == "PENDING"
        host.heal()
        assert miniecs.reaches(ends, "STOPPED", within=60)["containers"][0]["exitCode"] == 5
        miniecs.reaches(meanwhile, "RUNNING", within=60)
        for arn in (stays, ends, meanwhile):
            told.once(arn, "create", "start")
        clusters.check()
        # What is elsewhere is its agent's to remove, while it is there.
        for instance in miniecs.instances():
            miniecs.ok("instance", "rm", instance["containerInstanceArn"], "--force")
        assert agent.poll() is None
    finally:
        told.close()
        agent.terminate()
        agent.wait(30)
