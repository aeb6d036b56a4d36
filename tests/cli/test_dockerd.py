"""`miniecs engine`: which dockerd is ours to end, and whose pid files are stale. No real one is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniecs.cli import dockerd, processes
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem

from .conftest import FakeEngine, until


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /var/run of our own; the engine of this machine, whatever it is, is neither asked nor touched."""
    folder = tmp_path / "run"
    (folder / "docker/containerd").mkdir(parents=True)
    monkeypatch.setattr(dockerd, "_RUN", folder / "miniecs")
    monkeypatch.setattr(dockerd, "_RECORD", folder / "miniecs/dockerd.json")
    monkeypatch.setattr(dockerd, "_PID_FILE", folder / "docker.pid")
    monkeypatch.setattr(dockerd, "_CONTAINERD_PID_FILE", folder / "docker/containerd/containerd.pid")
    monkeypatch.setattr(dockerd, "_SYSTEMD", folder / "no-systemd")
    monkeypatch.setattr(dockerd, "DEFAULT_HOST", f"unix://{folder}/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return folder


STAND_IN = """
import http.server, json, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"Version": "1.2.3", "ApiVersion": "1.41"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
socketserver.ThreadingUnixStreamServer(sys.argv[1].removeprefix("unix://"), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is started in dockerd's place; whatever is left of it is ended."""
    command = [sys.executable, "-c", STAND_IN, f"unix://{run}/docker.sock"]
    monkeypatch.setattr(dockerd, "_command", lambda: command)
    monkeypatch.setattr(dockerd, "_dockerd", lambda: command[0])
    yield command
    dockerd.stop(as_json=True)


def test_an_engine_that_answers_is_left_as_it_is(
    docker: FakeEngine, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    dockerd.start(quiet=False, as_json=False)
    assert capsys.readouterr().out == f"Docker 28.2.2 answers at {docker.host}.\n"
    dockerd.start(quiet=True, as_json=False)
    assert capsys.readouterr().out == ""
    dockerd.start(quiet=True, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "host": docker.host, "version": "Docker 28.2.2", "status": "running"
    }
    assert not (run / "miniecs").exists()


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_one_is_started_found_again_and_stopped(
    run: Path, stand_in: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(tmp_path / "data")
    assert dockerd.status(folder, as_json=False) is False
    dockerd.start(quiet=True, as_json=False)
    assert capsys.readouterr().out.endswith(f"\nStarted Docker 1.2.3 at unix://{run}/docker.sock.\n")
    pid = json.loads((run / "miniecs/dockerd.json").read_text())["pid"]
    assert processes.command_line(pid) == " ".join(stand_in)
    assert dockerd.status(folder, as_json=False) is True
    assert f"started by `miniecs engine start`, pid {pid})" in capsys.readouterr().out
    os.waitpid(pid, os.WNOHANG)
    dockerd.stop(as_json=False)
    assert capsys.readouterr().out == f"Stopped the Docker engine with pid {pid}.\n"
    assert processes.command_line(pid) is None
    dockerd.stop(as_json=False)
    assert capsys.readouterr().out == (
        "No Docker engine was started by `miniecs engine start`; any other one is left alone.\n"
    )


def test_one_that_ends_at_once_says_why(run: Path, stand_in: list[str]) -> None:
    stand_in[2] = "raise SystemExit('failed to start daemon: no luck')"
    with pytest.raises(Problem) as refused:
        dockerd.start(quiet=False, as_json=False)
    assert str(refused.value) == (
        f"dockerd ended: failed to start daemon: no luck See {run}/miniecs/dockerd.log."
    )


def test_an_engine_whose_number_another_program_has_now_is_not_ended(run: Path) -> None:
    (run / "miniecs").mkdir()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (run / "miniecs/dockerd.json").write_text(json.dumps({"pid": stranger.pid, "command": "dockerd"}))
        dockerd.stop(as_json=False)
        assert stranger.poll() is None
        stranger.kill()


def test_an_engine_that_was_chosen_is_not_replaced_by_another(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(Problem, match="DOCKER_HOST or a docker context chose it: start it, or choose"):
        dockerd.start(quiet=False, as_json=False)


def test_without_root_it_says_what_to_do(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(Problem) as refused:
        dockerd.start(quiet=False, as_json=False)
    assert str(refused.value).startswith(f"No Docker engine answers at unix://{run}/docker.sock: ")
    assert str(refused.value).endswith("As root on Debian or Ubuntu this command does it.")


def test_on_another_system_it_says_what_to_do(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dockerd, "_dockerd", lambda: None)
    monkeypatch.setattr(dockerd, "_is_debian", lambda: False)
    with pytest.raises(Problem, match="installs one on Debian and Ubuntu only. Install it as its"):
        dockerd.start(quiet=False, as_json=False)


INSTALLED = "docker.io iptables ca-certificates cgroupfs-mount"


def test_apt_get_installs_what_is_needed_and_its_failure_is_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "bin/apt-get"
    apt.parent.mkdir()
    apt.write_text(f'#!/bin/sh\necho "$@" $DEBIAN_FRONTEND >>{tmp_path}/asked\n[ "$2" = update ]\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}:/bin:/usr/bin")
    monkeypatch.setattr(dockerd, "_dockerd", lambda: None)
    monkeypatch.setattr(dockerd, "_is_debian", lambda: True)
    with pytest.raises(Problem, match="^`apt-get install .*` failed with exit code 1.$"):
        dockerd.start(quiet=False, as_json=False)
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-q update noninteractive",
        f"-q install -y --no-install-recommends {INSTALLED} noninteractive",
    ]


def test_pid_files_of_processes_that_are_something_else_now_are_removed(run: Path) -> None:
    pid_file, containerd = run / "docker.pid", run / "docker/containerd/containerd.pid"
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file.write_text(str(stranger.pid))
        containerd.write_text("nonsense")
        dockerd._remove_stale_pids()
        assert (pid_file.exists(), containerd.exists()) == (False, False)
        stranger.kill()


def test_pid_files_of_living_ones_stay(run: Path, tmp_path: Path) -> None:
    named = tmp_path / "containerd"
    named.symlink_to(shutil.which("sleep") or "/bin/sleep")
    containerd = run / "docker/containerd/containerd.pid"
    with subprocess.Popen([named, "60"]) as living:
        containerd.write_text(str(living.pid))
        until(lambda: processes.command_line(living.pid) == f"{named} 60", "it has its own command line")
        dockerd._remove_stale_pids()
        assert containerd.exists()
        living.kill()
