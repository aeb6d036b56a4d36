"""The supervisor over processes that stand in for server and agent and end as they are told."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniecs.cli import processes
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem
from miniecs.cli.supervisor import Supervisor

from .conftest import until


class Clock:
    time = 1000.0

    def now(self) -> float:
        return self.time


class Bench:
    """A supervisor whose server and agent are lines of Python, run on a data folder."""

    def __init__(
        self, folder: DataFolder, monkeypatch: pytest.MonkeyPatch, roles: tuple[str, ...] = ("server",)
    ) -> None:
        self.folder = folder
        self.clock = Clock()
        self.said: list[str] = []
        self._held = folder.supervising()
        self.codes: dict[str, str] = {}
        self.supervisor = Supervisor(folder, roles, self.clock, self._held.__enter__(), self.said.append)

        def command(verb: str, data_dir: Path) -> list[str]:
            return [sys.executable, "-c", self.codes[verb], "miniecs", verb, "--data-dir", str(data_dir)]

        monkeypatch.setattr(processes, "command", command)

    def server_is(self, code: str) -> None:
        self.codes["server"] = code

    def agent_is(self, code: str) -> None:
        self.codes["agent"] = code

    @property
    def pid(self) -> int | None:
        return self.supervisor.pids["server"]

    def step_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, self.said
            self.supervisor.step()
            time.sleep(0.02)

    def listens(self) -> bool:
        return self.ready("server")

    def ready(self, role: str) -> bool:
        running = self.folder.running(role)
        return running is not None and running.ready

    def close(self) -> None:
        self.supervisor.stop()
        self._held.__exit__(None, None, None)


LISTENING = """
import json, os, sys, time
told = {"pid": os.getpid(), "endpoint": "http://127.0.0.1:9", "version": "0"}
open(sys.argv[-1] + "/server.json", "w").write(json.dumps(told))
time.sleep(60)
"""

WORKING = """
import json, os, sys, time
open(sys.argv[-1] + "/agent.json", "w").write(json.dumps({"pid": os.getpid()}))
time.sleep(60)
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    folder = DataFolder(tmp_path)
    with folder.changing():
        made = Bench(folder, monkeypatch)
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Server and agent, both of which work as long as nobody says otherwise."""
    folder = DataFolder(tmp_path)
    with folder.changing():
        made = Bench(folder, monkeypatch, ("server", "agent"))
    made.server_is(LISTENING)
    made.agent_is(WORKING)
    yield made
    made.close()


def test_a_mistake_of_the_user_ends_it_in_the_servers_words(bench: Bench) -> None:
    bench.server_is("import sys; print('miniecs: the port is taken.', file=sys.stderr); sys.exit(2)")
    bench.supervisor.start()
    with pytest.raises(Problem, match=r"^the port is taken\.$") as problem:
        bench.step_until(lambda: False)
    assert problem.value.exit_code == 2


def test_a_server_that_never_listens_is_given_up(bench: Bench) -> None:
    bench.server_is("raise RuntimeError('no luck')")
    bench.supervisor.start()
    said = "ended 3 times before it listened: RuntimeError: no luck See"
    with pytest.raises(Problem, match=said) as problem:
        while True:
            bench.step_until(lambda: bench.pid is None)
            bench.clock.time += 30
            bench.step_until(lambda: bench.pid is not None)
    assert problem.value.exit_code == 1
    assert [text.rpartition(" ended ")[2] for text in bench.said] == [
        "with exit code 1; starting it again in 0.25 s",
        "with exit code 1; starting it again in 0.5 s",
    ]


def test_a_server_that_listened_is_started_again_whatever_ended_it(bench: Bench) -> None:
    bench.server_is(LISTENING)
    assert bench.supervisor.start() is False
    pid = bench.pid
    assert pid is not None
    bench.step_until(bench.listens)
    bench.supervisor.step()
    bench.clock.time += 10
    os.kill(pid, signal.SIGKILL)
    bench.step_until(lambda: bench.pid != pid)
    assert bench.said == [f"the server with pid {pid} ended by signal 9; starting it again now"]
    bench.step_until(lambda: bench.pid is not None)
    noted = json.loads(bench.folder.supervisor_file.read_text())
    assert noted == {"pid": os.getpid(), "server": bench.pid}


def kill_unseen(bench: Bench) -> None:
    """Once it listens, and before the supervisor looks."""
    pid = bench.pid
    assert pid is not None
    until(bench.listens, "the server to listen")
    os.kill(pid, signal.SIGKILL)
    until(lambda: not processes.is_ours(pid, "server", bench.folder.path), "its end")


def test_a_server_that_is_killed_as_soon_as_it_listens_is_not_given_up(bench: Bench) -> None:
    """However often: the supervisor looks every half second, and at each death."""
    bench.server_is(LISTENING)
    bench.supervisor.start()
    for _ in range(5):
        kill_unseen(bench)
        bench.step_until(lambda: bench.pid is None)
        bench.clock.time += 30
        bench.step_until(lambda: bench.pid is not None)


def test_a_living_server_is_taken_over_and_not_started_twice(tmp_path: Path, bench: Bench) -> None:
    bench.server_is(LISTENING)
    bench.supervisor.start()
    bench.step_until(bench.listens)
    pid = bench.pid
    with (tmp_path / "spare").open("w") as spare:
        second = Supervisor(bench.folder, ("server",), bench.clock, spare, bench.said.append)
        assert second.start() is True
        assert second.pids["server"] == pid
        bench.supervisor.stop()
        while second.pids["server"] == pid:
            second.step()
    assert bench.said == [
        f"took over the server with pid {pid}",
        f"the server with pid {pid} ended; starting it again in 0.25 s",
    ]


def test_a_server_that_does_not_end_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniecs.cli.watch.GRACE", 0.5)
    marker = bench.folder.path / "deaf"
    bench.server_is(
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(marker)!r}).touch(); time.sleep(60)"
    )
    bench.supervisor.start()
    pid = bench.pid
    bench.step_until(marker.exists)
    bench.supervisor.stop()
    assert bench.said == [f"the server with pid {pid} did not end within 0.5 s and was killed"]


def test_an_agent_that_dies_is_started_again_and_the_server_is_left_alone(pair: Bench) -> None:
    assert pair.supervisor.start() is False
    pair.step_until(lambda: pair.ready("server") and pair.ready("agent"))
    before = dict(pair.supervisor.pids)
    agent = before["agent"]
    assert agent is not None
    pair.supervisor.step()
    pair.clock.time += 10
    os.kill(agent, signal.SIGKILL)
    pair.step_until(lambda: pair.supervisor.pids["agent"] not in (agent, None))
    assert pair.supervisor.pids["server"] == before["server"]
    assert pair.said == [f"the agent with pid {agent} ended by signal 9; starting it again now"]
    noted = json.loads(pair.folder.supervisor_file.read_text())
    assert noted == {"pid": os.getpid(), **pair.supervisor.pids}


def test_an_agent_that_cannot_start_says_why(pair: Bench) -> None:
    pair.agent_is(
        "import sys; print('2026-11-21 04:12:06,123 ERROR miniecs.agent: the engine is too old.',"
        "file=sys.stderr); sys.exit(5)"
    )
    pair.supervisor.start()
    with pytest.raises(Problem, match=r"^the engine is too old\.$") as problem:
        pair.step_until(lambda: False)
    assert problem.value.exit_code == 2


def test_an_agent_that_never_works_is_given_up(pair: Bench) -> None:
    pair.agent_is("raise RuntimeError('no luck')")
    pair.supervisor.start()
    said = "^The agent ended 3 times before it was ready: RuntimeError: no luck See"
    with pytest.raises(Problem, match=said):
        while True:
            pair.step_until(lambda: pair.supervisor.pids["agent"] is None)
            pair.clock.time += 30
            pair.step_until(lambda: pair.supervisor.pids["agent"] is not None)


def test_an_agent_that_cannot_start_beside_a_server_that_works_is_tried_again(
    tmp_path: Path, pair: Bench
) -> None:
    """The engine may be down at the moment in which a supervisor takes over: the server must not end."""
    pair.supervisor.start()
    pair.step_until(lambda: pair.ready("server") and pair.ready("agent"))
    agent = pair.supervisor.pids["agent"]
    assert agent is not None
    os.kill(agent, signal.SIGKILL)
    pair.agent_is("import sys; sys.exit(2)")
    with (tmp_path / "spare").open("w") as spare:
        second = Supervisor(pair.folder, ("server", "agent"), pair.clock, spare, pair.said.append)
        until_dead = time.monotonic() + 10
        while processes.command_line(agent) is not None:
            assert time.monotonic() < until_dead
        assert second.start() is True
        assert second.pids["server"] == pair.supervisor.pids["server"]
        tried = second.pids["agent"]
        while second.pids["agent"] == tried:
            second.step()
    assert pair.said == [
        f"took over the server with pid {second.pids['server']}",
        f"the agent with pid {tried} ended with exit code 2; starting it again in 0.25 s",
    ]


def test_all_are_ended_the_agent_first(pair: Bench) -> None:
    ending = """
import signal, sys
def end(number, frame):
    with open(sys.argv[-1] + "/ended", "a") as file:
        print({role!r}, file=file)
    sys.exit()
signal.signal(signal.SIGTERM, end)
"""
    pair.server_is(ending.format(role="server") + LISTENING)
    pair.agent_is(ending.format(role="agent") + WORKING)
    pair.supervisor.start()
    pair.step_until(lambda: pair.ready("server") and pair.ready("agent"))
    pair.supervisor.stop()
    assert (pair.folder.path / "ended").read_text() == "agent\nserver\n"
    assert pair.supervisor.pids == {"server": None, "agent": None}
