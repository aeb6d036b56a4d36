"""Many tasks at once, containers that do not obey, images without a shell, and two clusters on one engine."""

from __future__ import annotations

import time

import pytest

from .clusters import Clusters
from .commands import DEAF, OBEDIENT
from .daemon import Engine
from .history import History
from .miniecs import Miniecs
from .registry import Registry
from .truth import of_folder
from .waiting import until

HUNDRED = 100


def test_a_hundred_tasks_at_once(miniecs: Miniecs, engine: Engine, history: History) -> None:
    definition = miniecs.register(
        "many", {"name": "a", "command": OBEDIENT, "memory": 8, "portMappings": [{"containerPort": 80}]}
    )
    arns = [arn for _ in range(HUNDRED // 10) for arn in miniecs.run(definition, 10)]
    for arn in arns:
        miniecs.reaches(arn, "RUNNING", within=120)
    running = [each for each in of_folder(miniecs, [engine]) if each["State"]["Running"]]
    assert len(running) == HUNDRED
    for arn in arns:
        history.once(arn, "create", "start")
        miniecs.ecs.stop_task(task=arn)
    for arn in arns:
        assert miniecs.reaches(arn, "STOPPED", within=120)["containers"][0]["exitCode"] == 7
    assert sum(each["runningTasksCount"] for each in miniecs.instances()) == 0


def test_a_container_that_ignores_sigterm_is_killed_after_its_time(
    miniecs: Miniecs, history: History
) -> None:
    definition = miniecs.register("deaf", {"name": "a", "command": DEAF, "stopTimeout": 20})
    (arn,) = miniecs.run(definition)
    miniecs.reaches(arn, "RUNNING")
    began = time.monotonic()
    miniecs.ecs.stop_task(task=arn)
    seen: list[str] = []

    def stopped_at_last() -> bool:
        seen.append(miniecs.task(arn)["lastStatus"])
        return seen[-1] == "STOPPED"

    until("it to have stopped", stopped_at_last)
    assert list(dict.fromkeys(seen))[-2:] == ["STOPPING", "STOPPED"]
    stopped = miniecs.task(arn)
    assert time.monotonic() - began >= 2.0  # twenty seconds at this scale
    assert (stopped["stopCode"], stopped["containers"][0]["exitCode"]) == ("UserInitiated", 137)
    assert history.of(arn)["a"]["kill"] == 2


def test_an_image_without_a_shell(miniecs: Miniecs, no_shell: str) -> None:
    runs = {"name": "a", "image": no_shell, "command": ["sleep", "3600"]}
    (arn,) = miniecs.run(miniecs.register("bare", runs))
    miniecs.reaches(arn, "RUNNING")
    refused = miniecs.command("exec", arn, "-c", "a", "--", "sh")
    assert refused.returncode != 0
    assert "executable file not found" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr

    # A health check by a shell that is not there fails, and the container runs on.
    check = {"command": ["CMD-SHELL", "true"], "interval": 5, "retries": 1, "timeout": 5}
    (checked,) = miniecs.run(miniecs.register("checked", {**runs, "healthCheck": check}))
    miniecs.reaches(checked, "RUNNING")
    until("it to be unhealthy", lambda: miniecs.task(checked)["healthStatus"] == "UNHEALTHY")
    assert miniecs.task(checked)["lastStatus"] == "RUNNING"

    (asked,) = miniecs.run(miniecs.register("asked", {**runs, "command": ["sh", "-c", "true"]}))
    stopped = miniecs.reaches(asked, "STOPPED", within=20)
    assert stopped["stopCode"] == "TaskFailedToStart"
    reason = stopped["containers"][0]["reason"]
    assert reason.startswith(("CannotStartContainerError: ", "CannotCreateContainerError: "))
    assert 'exec: "sh": executable file not found in $PATH' in reason


def test_out_of_memory_is_said(miniecs: Miniecs) -> None:
    greedy = ["sh", "-c", "x=a; while :; do x=$x$x; done"]
    (arn,) = miniecs.run(miniecs.register("greedy", {"name": "a", "command": greedy, "memory": 8}))
    stopped = miniecs.reaches(arn, "STOPPED", within=60)
    assert stopped["stopCode"] == "EssentialContainerExited"
    (container,) = stopped["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(("name", "words"), [("unknown", "name unknown"), ("private", "unauthorized")])
def test_an_image_that_cannot_be_had_stops_within_twenty_seconds(
    miniecs: Miniecs, registry: Registry, name: str, words: str
) -> None:
    image = f"{registry.name}/{name}/thing:1"
    (arn,) = miniecs.run(miniecs.register("lacking", {"name": "a", "image": image}))
    stopped = miniecs.reaches(arn, "STOPPED", within=20)
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"] == "Task failed to start"
    assert "startedAt" not in stopped
    (container,) = stopped["containers"]
    assert "exitCode" not in container
    # Newer engines say more.
    assert container["reason"].startswith("CannotPullContainerError: Error response from daemon: ")
    assert words in container["reason"]


def test_two_clusters_on_one_engine_do_not_touch_each_other(clusters: Clusters, engine: Engine) -> None:
    first = clusters.start("--instances", "1", "--time-scale", "10")
    second = clusters.start("--instances", "1", "--time-scale", "10")
    fixed = {"name": "a", "command": OBEDIENT, "portMappings": [{"containerPort": 80, "hostPort": 8080}]}
    arns = {}
    for miniecs in (first, second):
        (arns[miniecs],) = miniecs.run(miniecs.register("same", fixed))
        miniecs.reaches(arns[miniecs], "RUNNING")
    addresses = {
        miniecs.task(arn)["containers"][0]["networkBindings"][0]["bindIP"] for miniecs, arn in arns.items()
    }
    assert len(addresses) == 2

    before = [each["Id"] for each in of_folder(second, [engine])]
    first.kill("agent")
    first.down()
    assert [each["Id"] for each in of_folder(second, [engine])] == before
    assert of_folder(first, [engine]) == []
    first.up()
    until("its agent to be connected", lambda: all(each["agentConnected"] for each in first.instances()))
    assert second.task(arns[second])["lastStatus"] == "RUNNING"
    # Its container was removed by `down`: a task never runs twice.
    assert first.reaches(arns[first], "STOPPED")["containers"][0]["name"] == "a"
