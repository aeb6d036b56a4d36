"""How fast tasks become real: containers on a Docker engine, beside the same engine driven directly.

48 tasks of one busybox container with a dynamic port, from CreateService until all are RUNNING, against
creating and starting the same containers through the engine's API, 16 at a time; one task, from RunTask
until RUNNING, against `docker run -d`; from a container's exit until its task is STOPPED; and what an agent
with 50 idle containers costs. The machine must be quiet: the engine needs both cores of a small one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import _docker
from _report import figure, ratio

ROUNDS = 3
TASKS = 48
AT_ONCE = 16
SINGLES = 9
IDLE_TASKS = 50
IDLE_SECONDS = 30.0
_PORT = 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--singles", type=int, default=SINGLES)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    given = parser.parse_args()
    client = _docker.engine()
    with _docker.plain(client) as plain, _docker.up("--instances", "3") as up:
        many(plain, up, given.rounds)
        single(plain, up, given.singles)
        exits(client, up, given.singles)
        idle(up, given.idle_seconds)


def many(plain: _docker.Plain, up: _docker.Up, rounds: int) -> None:
    """A service of 48 and as many plain containers, in turn."""
    definition = up.register("launch-many", portMappings=[{"containerPort": _PORT, "hostPort": 0}])
    options = {
        "ports": {f"{_PORT}/tcp": (plain.gateway, None)},
        "mem_limit": "16m",
        "cpu_shares": 8,
    }
    theirs, ours = [], []
    for number in range(rounds):
        theirs.append(TASKS / plain.launch(TASKS, AT_ONCE, **options))
        plain.clear()
        name = f"many-{number}"
        began = time.perf_counter()
        up.ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=TASKS)
        up.until_seen(lambda n=name: _running(up, n) == TASKS, f"{TASKS} running tasks", every=0.01)
        ours.append(TASKS / (time.perf_counter() - began))
        _remove_service(up, name)
    figure("launch.rate", ours, "/s")
    figure("launch.engine_rate", theirs, "/s")
    ratio("launch.ratio (miniecs/engine)", ours, theirs, floor=0.9)


def _running(up: _docker.Up, service: str) -> int:
    return int(up.ecs.describe_services(services=[service])["services"][0]["runningCount"])


def _remove_service(up: _docker.Up, name: str) -> None:
    up.ecs.delete_service(service=name, force=True)
    up.until_seen(lambda: _all_stopped(up), "the service's tasks to be STOPPED", every=0.2)


def _all_stopped(up: _docker.Up) -> bool:
    instances = up.ecs.list_container_instances()["containerInstanceArns"]
    answer = up.ecs.describe_container_instances(containerInstances=instances)["containerInstances"]
    # Their resources come back only when the tasks are STOPPED.
    return all(
        left["integerValue"] == whole["integerValue"]
        for each in answer
        for left, whole in zip(each["remainingResources"], each["registeredResources"], strict=True)
        if left["type"] == "INTEGER"
    )


def single(plain: _docker.Plain, up: _docker.Up, runs: int) -> None:
    """RunTask until RUNNING, and `docker run -d`, in turn, each with nothing else going on."""
    if shutil.which("docker") is None:
        raise SystemExit("bench: the docker command is needed to compare with `docker run -d`")
    definition = up.register("launch-single", stopTimeout=1)
    command = [
        "docker", "run", "-d", "--network", plain.network, "--memory", "16m",
        "--label", "=".join(*_docker.MARK.items()), _docker.IMAGE, "sleep", "3600",
    ]  # fmt: skip
    ours, theirs = [], []
    for _ in range(runs):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        theirs.append((time.perf_counter() - began) * 1000)
        plain.clear()
        began = time.perf_counter()
        arn = up.run(definition)
        up.until(arn, "RUNNING")
        ours.append((time.perf_counter() - began) * 1000)
        up.ecs.stop_task(task=arn)
        up.until(arn, "STOPPED")
        time.sleep(0.5)  # what the engine still does after a stop is not what is measured
    figure("launch.single", ours, "ms")
    figure("launch.docker_run", theirs, "ms")
    ratio("launch.single.ratio (miniecs/docker run -d)", ours, theirs, ceiling=1.25)


def exits(client: Any, up: _docker.Up, runs: int) -> None:
    """From the end of a container's process, by the engine's clock, to STOPPED in DescribeTasks.

    One ends by itself; one is killed, and may have lacked memory, which the agent has to ask about. The
    engine tells of an end when it has taken the network down, and nobody can know of it sooner.
    """
    with _docker.deaths(client) as deaths:
        ends = up.register("launch-exit", command=["sleep", "1"])
        killed = up.register("launch-killed")
        told: list[float] = []
        itself = [_exit(client, up, ends, deaths, told, kill=False) for _ in range(runs)]
        figure("launch.exit_to_stopped", itself, "ms")
        figure("launch.exit_to_engine_event", told, "ms")
        outside = [_exit(client, up, killed, deaths, told, kill=True) for _ in range(runs)]
        figure("launch.kill_to_stopped", outside, "ms")


def _exit(
    client: Any,
    up: _docker.Up,
    definition: str,
    deaths: Mapping[str, float],
    told: list[float],
    *,
    kill: bool,
) -> float:
    """Milliseconds; how many until the engine's event is added to ``told``."""
    arn = up.run(definition)
    container = up.until(arn, "RUNNING")["containers"][0]["runtimeId"]
    if kill:
        time.sleep(0.5)
        client.api.kill(container)
    up.until_seen(lambda: up.task(arn)["lastStatus"] == "STOPPED", f"{arn} to be STOPPED", every=0.002)
    stopped = time.time()
    ended = _seconds(client.api.inspect_container(container)["State"]["FinishedAt"])
    told.append((deaths[container] - ended) * 1000)
    return (stopped - ended) * 1000


def _seconds(moment: str) -> float:
    """RFC 3339 with nanoseconds, as the engine tells it."""
    return datetime.fromisoformat(f"{moment[:26].rstrip('Z')}+00:00").timestamp()


def idle(up: _docker.Up, seconds: float) -> None:
    """The agent's share of a core, and its memory, with 50 containers that do nothing."""
    definition = up.register("launch-idle")
    up.ecs.create_service(serviceName="idle", taskDefinition=definition, desiredCount=IDLE_TASKS)
    up.until_seen(lambda: _running(up, "idle") == IDLE_TASKS, f"{IDLE_TASKS} running tasks", every=0.2)
    time.sleep(min(seconds, 5.0))
    agent = up.pid("agent")
    before = _cpu(agent)
    time.sleep(seconds)
    figure("launch.agent.cpu (50 idle containers)", [(_cpu(agent) - before) / seconds * 100], "%")
    figure("launch.agent.resident", [_resident(agent)], "MiB")


def _cpu(pid: int) -> float:
    """Seconds of processor time so far."""
    fields: Sequence[str] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
