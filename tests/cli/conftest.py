"""A data folder with the real command line on it, and the promise that no process stays behind."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from miniecs.cli.client import Caller, Client

BIN = Path(sys.executable).parent
MINIECS = BIN / "miniecs"


class Cli:
    """Runs `miniecs` on one data folder, as a user would: MINIECS_DATA_DIR chooses it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.environment = {**os.environ, "MINIECS_DATA_DIR": str(data_dir)}

    def __call__(self, *arguments: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MINIECS, *arguments],
            env=self.environment, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        )

    def ok(self, *arguments: str) -> str:
        """What a command that must succeed printed."""
        ran = self(*arguments)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
        return ran.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--output", "json"))

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Exit code and message of a command that must fail, with nothing on stdout and no traceback."""
        ran = self(*arguments)
        assert ran.returncode != 0, ran.stdout
        assert ran.stdout == ""
        assert "Traceback" not in ran.stderr
        return ran.returncode, ran.stderr

    def start_in_foreground(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [MINIECS, "up", "--runtime", "simulated", *arguments],
            env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def aws(self, *arguments: str) -> Any:
        """The real AWS CLI, in a shell that evaluated `miniecs env`."""
        script = f'eval "$({MINIECS} env)"; exec {BIN}/aws "$@" --output json'
        ran = subprocess.run(
            ["bash", "-c", script, "bash", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    @property
    def client(self) -> Client:
        """The server, without the second that a command takes on a busy machine."""
        told = json.loads((self.data_dir / "server.json").read_text())
        return Client(told["endpoint"])

    def ecs(self, operation: str, **parameters: Any) -> dict[str, Any]:
        settings = json.loads((self.data_dir / "settings.json").read_text())
        return self.client.ecs(Caller(settings["account"], settings["region"]), operation, **parameters)

    def make_service(self, name: str, count: int = 2) -> None:
        """A service of one small container, when its tasks are RUNNING."""
        container = {
            "name": "app", "image": "httpd:2.4", "cpu": 64, "memory": 64,
            "portMappings": [{"containerPort": 80}],
        }
        self.ecs("RegisterTaskDefinition", family=name, containerDefinitions=[container])
        self.ecs("CreateService", serviceName=name, taskDefinition=name, desiredCount=count)
        until(lambda: [t["lastStatus"] for t in self.tasks(name)] == ["RUNNING"] * count, "its tasks run")

    def tasks(self, service: str) -> list[dict[str, Any]]:
        return [task for task in self.client.get("tasks")["tasks"] if task["service"] == service]

    def processes(self) -> dict[int, str]:
        """Every process whose command line names the data folder, which is nobody else's."""
        command = ["ps", "-ww", "-axo", "pid=,command="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        told = (line.strip().partition(" ")[::2] for line in listed)
        return {int(pid): line for pid, line in told if str(self.data_dir) in line}


def until(holds: Callable[[], bool], what: str, within: float = 90) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"waited {within} s until {what}"
        time.sleep(0.1)


def cleaned(cli: Cli) -> None:
    """End what a test left running, each process by a number that was just found under its folder's name."""
    cli("down", "--purge")
    for pid in cli.processes():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path / "data")
    yield made
    cleaned(made)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """One server for the tests of a module: three instances in three zones, time a hundred times as fast."""
    made = Cli(tmp_path_factory.mktemp("miniecs") / "data")
    try:
        made.ok("up", "--detach", "--runtime", "simulated", "--port", "0", "--time-scale", "100")
        yield made
    finally:
        cleaned(made)


class FakeEngine:
    """What an engine on a Unix socket answers to GET, by path without query; 404 for the rest."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.answers: dict[str, Any] = {
            "/info": {"OperatingSystem": "Docker Desktop", "KernelVersion": "5.15-linuxkit"},
            "/version": {
                "Version": "28.2.2",
                "ApiVersion": "1.50",
                "Components": [{"Name": "Engine"}, {"Name": "containerd"}],
            },
        }


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """An engine on a Unix socket; the environment says nothing of one."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    path = tmp_path / "docker.sock"
    engine = FakeEngine(f"unix://{path}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = engine.answers.get(self.path.partition("?")[0])
            body = json.dumps(answer if answer is not None else {"message": "no such thing"}).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: there is no client address on a Unix socket, and nobody reads this."""

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield engine
        server.shutdown()
        thread.join()
