"""The supervisor over processes that stand in for the server and end as they are told."""

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


class Clock:
    time = 1000.0

    def now(self) -> float:
        return self.time


class Bench:
    """A supervisor whose server is a line of Python, run on a data folder."""

    def __init__(self, folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.clock = Clock()
        self.said: list[str] = []
        self._patch = monkeypatch
        self._held = folder.supervising()
        self.supervisor = Supervisor(folder, self.clock, self._held.__enter__(), self.said.append)

    def server_is(self, code: str) -> None:
        def command(verb: str, data_dir: Path) -> list[str]:
            return [sys.executable, "-c", code, "miniecs", verb, "--data-dir", str(data_dir)]

        self._patch.setattr(processes, "command", command)

    def step_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, self.said
            self.supervisor.step()
            time.sleep(0.02)

    def listens(self) -> bool:
        server = self.folder.server()
        return server is not None and server.endpoint is not None

    def close(self) -> None:
        self.supervisor.stop()
        self._held.__exit__(None, None, None)


LISTENING = """
import json, os, sys, time
told = {"pid": os.getpid(), "endpoint": "http://127.0.0.1:9", "version": "0"}
open(sys.argv[-1] + "/server.json", "w").write(json.dumps(told))
time.sleep(60)
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    folder = DataFolder(tmp_path)
    with folder.changing():
        made = Bench(folder, monkeypatch)
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
            bench.step_until(lambda: bench.supervisor.pid is None)
            bench.clock.time += 30
            bench.step_until(lambda: bench.supervisor.pid is not None)
    assert problem.value.exit_code == 1
    assert [text.rpartition(" ended ")[2] for text in bench.said] == [
        "with exit code 1; starting it again in 0.25 s",
        "with exit code 1; starting it again in 0.5 s",
    ]


def test_a_server_that_listened_is_started_again_whatever_ended_it(bench: Bench) -> None:
    bench.server_is(LISTENING)
    assert bench.supervisor.start() is False
    pid = bench.supervisor.pid
    assert pid is not None
    bench.step_until(bench.listens)
    bench.supervisor.step()
    bench.clock.time += 10
    os.kill(pid, signal.SIGKILL)
    bench.step_until(lambda: bench.supervisor.pid != pid)
    assert bench.said == [f"the server with pid {pid} ended by signal 9; starting it again now"]
    bench.step_until(lambda: bench.supervisor.pid is not None)
    noted = json.loads(bench.folder.supervisor_file.read_text())
    assert noted == {"pid": os.getpid(), "server": bench.supervisor.pid}


def test_a_living_server_is_taken_over_and_not_started_twice(tmp_path: Path, bench: Bench) -> None:
    bench.server_is(LISTENING)
    bench.supervisor.start()
    bench.step_until(bench.listens)
    pid = bench.supervisor.pid
    with (tmp_path / "spare").open("w") as spare:
        second = Supervisor(bench.folder, bench.clock, spare, bench.said.append)
        assert second.start() is True
        assert second.pid == pid
        bench.supervisor.stop()
        while second.pid == pid:
            second.step()
    assert bench.said == [
        f"took over the server with pid {pid}",
        f"the server with pid {pid} ended; starting it again in 0.25 s",
    ]


def test_a_server_that_does_not_end_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniecs.cli.supervisor.GRACE", 0.5)
    marker = bench.folder.path / "deaf"
    bench.server_is(
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(marker)!r}).touch(); time.sleep(60)"
    )
    bench.supervisor.start()
    pid = bench.supervisor.pid
    bench.step_until(marker.exists)
    bench.supervisor.stop()
    assert bench.said == [f"the server with pid {pid} did not end within 0.5 s and was killed"]
