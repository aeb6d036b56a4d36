"""Another machine's engine joins by the command that `agent join-command` prints.

The machine is a network namespace with an engine of its own.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .clusters import Clusters
from .daemon import Daemon
from .miniecs import Miniecs
from .netns import Namespace
from .waiting import until

BIN = Path(sys.executable).parent
WAITING = "trap exit TERM; sleep 3600 & wait"


class RemoteAgent:
    """`miniecs agent` on another machine; what it says goes to a file."""

    def __init__(self, host: Namespace, engine: Daemon, log: Path) -> None:
        self._host = host
        self._environment = {**os.environ, **engine.environment}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str) -> None:
        command = self._host.command(str(BIN / words[0]), *words[1:])
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return process.wait(timeout=30)

    def ended(self) -> int:
        """The exit code of one that ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout=30)


@pytest.fixture
def remote(host: Namespace, second_engine: Daemon, tmp_path: Path) -> Iterator[RemoteAgent]:
    agent = RemoteAgent(host, second_engine, tmp_path / "remote.log")
    yield agent
    agent.end(signal.SIGKILL)


@pytest.fixture
def reachable(clusters: Clusters, host: Namespace, second_engine: Daemon) -> Iterator[Miniecs]:
    """A cluster without instances whose server the other machine reaches."""
    miniecs = clusters.start("--bind", host.machine, "--instances", "1")
    clusters.also_on(miniecs, second_engine)
    yield miniecs
    # What the other machine has is its agent's to remove, and that agent has ended.
    second_engine.remove_containers()
    for network in second_engine.client.networks.list(filters={"label": "miniecs.owner"}):
        network.remove()


def elsewhere(miniecs: Miniecs) -> list[dict[str, Any]]:
    """The container instances that are not this machine's, once they are connected."""
    return [each for each in miniecs.instances() if is_elsewhere(each) and each["agentConnected"]]


def is_elsewhere(instance: dict[str, Any]) -> bool:
    return {"name": "place", "value": "elsewhere"} in instance["attributes"]


def test_an_engine_joins_runs_tasks_and_comes_back_as_the_same_instances(
    reachable: Miniecs, remote: RemoteAgent, second_engine: Daemon, host: Namespace
) -> None:
    told = reachable.json("agent", "join-command")
    assert told["endpoint"] == f"http://{host.machine}:{reachable.settings['port']}"
    join = shlex.split(told["command"])
    wanted = ["--instances", "2", "--type", "t2.small", "--attribute", "place=elsewhere", "--name", "attic"]
    remote.start(*join, *wanted)
    until("its instances to join", lambda: len(elsewhere(reachable)) == 2)
    first = {each["containerInstanceArn"] for each in elsewhere(reachable)}
    assert [host["name"] for host in reachable.json("status")["hosts"]] == ["this machine", "attic"]

    definition = reachable.register("sleeper", {"name": "main", "command": ["sh", "-c", WAITING]})
    constraint = {"type": "memberOf", "expression": "attribute:place == elsewhere"}
    (task,) = reachable.run(definition, placementConstraints=[constraint])
    assert reachable.reaches(task, "RUNNING")["containerInstanceArn"] in first
    (container,) = second_engine.client.containers.list()
    assert container.labels["miniecs.owner"] == reachable.settings["owner"]
    assert container.labels["miniecs.data-dir"] == ""  # a folder of this machine says nothing there

    assert remote.end() == 0
    until("it to be gone", lambda: elsewhere(reachable) == [])
    assert [each.id for each in second_engine.client.containers.list()] == [container.id]
    remote.start(*join, "--name", "attic")
    until("it to be back", lambda: len(elsewhere(reachable)) == 2)
    assert {each["containerInstanceArn"] for each in elsewhere(reachable)} == first
    assert reachable.task(task)["lastStatus"] == "RUNNING"
    reachable.ecs.stop_task(task=task)
    reachable.reaches(task, "STOPPED")


def test_wrong_credentials_are_refused(reachable: Miniecs, remote: RemoteAgent) -> None:
    told = reachable.json("agent", "join-command")
    wrong = told["joinToken"][:-1] + "x"
    remote.start("miniecs", "agent", "--endpoint", told["endpoint"], "--join-token", wrong)
    assert remote.ended() != 0
    assert "Traceback" not in remote.log.read_text()
    assert elsewhere(reachable) == []


def test_an_engine_elsewhere_cannot_be_used_from_here(clusters: Clusters, second_engine: Daemon) -> None:
    """Its socket is a file that is reached from everywhere on the machine, its networks are not."""
    with pytest.raises(AssertionError, match="its networks are not those of this place"):
        clusters.start(engine=second_engine)
