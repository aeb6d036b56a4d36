"""miniecs as its users have it: `miniecs up` on a data folder and an engine, real processes, real clients."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from .netns import Namespace
from .waiting import until

ACCOUNT = "000000000000"
REGION = "us-east-1"
_BIN = Path(sys.executable).parent
_COMMAND_LIMIT = 180.0  # seconds for one command on a loaded machine
_BOTO = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
_session = boto3.session.Session()  # one, since each reads the services' models anew


class Miniecs:
    """One data folder. ``environment``: names the engine, for every process; ``host``: where they run."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], host: Namespace | None = None
    ) -> None:
        self.folder = folder
        self.host = host
        self.environment = {**os.environ, **environment, "MINIECS_DATA_DIR": str(folder)}
        self._clients: dict[tuple[str, str], Any] = {}

    # Its life

    def up(self, *options: str) -> None:
        """``miniecs up --detach`` on Docker, at a free port; three instances unless told otherwise."""
        reachable = ["--bind", self.host.address] if self.host is not None else []
        self.ok("up", "--detach", "--runtime", "docker", "--port", "0", *reachable, *options)

    def down(self, *options: str) -> None:
        self.ok("down", *options)

    def processes(self, role: str = "") -> dict[int, str]:
        """Pid and command line of every process that names the folder; role: server, agent, supervise."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if f"{self.folder}" in line and (not role or f"miniecs {role} " in _spelled(line)):
                        found[int(entry.name)] = line
        return found

    def pid(self, role: str) -> int:
        """Of the one process of this role."""
        return next(iter(until(f"one `miniecs {role}`", lambda: _only_one(self.processes(role)))))

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> int:
        """SIGKILL, unless told otherwise, to the process of this role; its pid."""
        while True:
            pid = self.pid(role)
            with contextlib.suppress(ProcessLookupError):  # it was on its way out: there will be another
                os.kill(pid, number)
                return pid

    def answers(self) -> bool:
        """Whether a server does."""
        try:
            self.ecs.list_clusters()
        except BotoCoreError:
            return False
        return True

    def is_back(self) -> None:
        """Wait until there is another server after one that was killed."""
        try:
            until("another server", self.answers)
        except AssertionError as failed:
            failed.add_note(f"{self.processes()}\n{self.logs()}")
            raise

    def end(self) -> str:
        """Whatever a test has left, each process by a pid that was just found under the folder's name."""
        said = self.command("down", "--purge").stderr
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for client in self._clients.values():
            client.close()
        return said

    # Its commands

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.line("miniecs", words),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_LIMIT,
        )

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """A command in the background; whoever begins it waits for its end."""
        return subprocess.Popen(
            self.line("miniecs", words),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ok(self, *words: str) -> str:
        """What a command that must succeed printed."""
        done = self.command(*words)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"`miniecs {' '.join(words)}`:\n{said}\n{self.logs()}"
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--output", "json"))

    def aws(self, *words: str) -> Any:
        """``aws …`` by the real command line; its JSON."""
        done = self.try_aws(*words)
        assert done.returncode == 0, f"`aws {' '.join(words)}`:\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout or "null")

    def try_aws(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **self.environment,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_PAGER": "",
        }
        return subprocess.run(
            self.line("aws", [*words, "--output", "json"]),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_LIMIT,
        )

    def line(self, program: str, words: Sequence[str]) -> list[str]:
        """The command line of a program on the host that this runs on."""
        line = [str(_BIN / program), *words]
        return self.host.command(*line) if self.host is not None else line

    # What it says

    @property
    def settings(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / "settings.json").read_text())
        return told

    @property
    def endpoint(self) -> str:
        settings = self.settings
        bind = settings["bind"]
        return f"http://{'127.0.0.1' if bind == '0.0.0.0' else bind}:{settings['port']}"

    def logs(self, last: int = 3000) -> str:
        """The end of each process's log."""
        files = sorted((self.folder / "logs").glob("*.log")) if (self.folder / "logs").is_dir() else []
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-last:]}" for file in files)

    def client(self, service: str) -> Any:
        """A boto3 client that tries every call once."""
        key = (service, self.endpoint)
        if key not in self._clients:
            self._clients[key] = _session.client(
                service,
                endpoint_url=self.endpoint,
                region_name=REGION,
                aws_access_key_id=ACCOUNT,
                aws_secret_access_key="x",
                config=_BOTO,
            )
        return self._clients[key]

    @property
    def ecs(self) -> Any:
        return self.client("ecs")

    # Tasks

    def register(self, family: str, *containers: Mapping[str, Any], **more: Any) -> str:
        """A revision of containers of busybox with 16 MiB each, unless they say otherwise; its ARN."""
        filled = [{"image": "busybox:latest", "memory": 16, "cpu": 8, **each} for each in containers]
        answer = self.ecs.register_task_definition(family=family, containerDefinitions=filled, **more)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, count: int = 1, **more: Any) -> list[str]:
        """RunTask; the ARNs. Raises AssertionError for a failure to place."""
        answer = self.ecs.run_task(taskDefinition=definition, count=count, **more)
        assert not answer["failures"], answer["failures"]
        return [task["taskArn"] for task in answer["tasks"]]

    def task(self, arn: str) -> dict[str, Any]:
        (task,) = self.ecs.describe_tasks(tasks=[arn], cluster=arn.split("/")[1])["tasks"]
        return dict(task)

    def reaches(self, arn: str, status: str, within: float = 30.0) -> dict[str, Any]:
        """The task, once its lastStatus is this. A STOPPED that was not asked for ends the wait."""

        def look() -> dict[str, Any] | None:
            task = self.task(arn)
            if task["lastStatus"] == status:
                return task
            if task["lastStatus"] == "STOPPED":
                reasons = [(each["name"], each.get("reason")) for each in task["containers"]]
                raise AssertionError(f"STOPPED, not {status}: {task.get('stoppedReason')} {reasons}")
            return None

        try:
            return until(f"{arn.rpartition('/')[2]} to be {status}", look, within) or {}
        except AssertionError as failed:
            failed.add_note(f"{self.task(arn)}\n{self.logs()}")
            raise

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that can be described, of every cluster."""
        found = []
        for cluster in self._pages("list_clusters", "clusterArns"):
            arns = [
                arn
                for status in ("RUNNING", "STOPPED")
                for arn in self._pages("list_tasks", "taskArns", cluster=cluster, desiredStatus=status)
            ]
            for start in range(0, len(arns), 100):
                found += self.ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + 100])["tasks"]
        return found

    def instances(self, cluster: str = "default") -> list[dict[str, Any]]:
        arns = list(self._pages("list_container_instances", "containerInstanceArns", cluster=cluster))
        if not arns:
            return []
        answer = self.ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        return list(answer["containerInstances"])

    def _pages(self, operation: str, member: str, **parameters: Any) -> Iterable[str]:
        for page in self.ecs.get_paginator(operation).paginate(**parameters):
            yield from page[member]


def _spelled(line: str) -> str:
    """A command line as `miniecs <role> …`, however Python was told to run it."""
    return line.replace(" -m miniecs ", " miniecs ").replace("/miniecs ", " miniecs ")


def _only_one(found: Mapping[int, str]) -> list[int]:
    return list(found) if len(found) == 1 else []
