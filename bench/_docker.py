"""A Docker engine, and miniecs on it by `miniecs up`, for benchmarks; all that they make is removed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import docker
import docker.errors
import urllib3.exceptions
from botocore.config import Config

IMAGE = "busybox:latest"
MARK = {"miniecs-bench": str(os.getpid())}
_MINIECS = str(Path(sys.executable).parent / "miniecs")


def engine() -> Any:
    """A client of the engine that answers. Ends the benchmark where there is none, or no busybox on it."""
    client = docker.DockerClient.from_env(timeout=60)
    try:
        client.ping()
        client.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        raise SystemExit(f"bench: {IMAGE} is not on the engine; `miniecs images` gets it") from None
    except docker.errors.DockerException as error:
        raise SystemExit(f"bench: no Docker engine answers ({error}); see `miniecs engine start`") from None
    return client


@dataclass
class Plain:
    """The engine alone: containers made through its API on a network of their own."""

    client: Any
    network: str
    gateway: str

    def launch(self, count: int, at_once: int, **options: Any) -> float:
        """Seconds to create and start so many, ``at_once`` at a time."""
        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: self._launch(**options), range(count)))
        return time.perf_counter() - began

    def _launch(self, **options: Any) -> None:
        self.client.containers.run(
            IMAGE, ["sleep", "3600"], detach=True, network=self.network, labels=MARK, **options
        )

    def clear(self) -> None:
        remove(self.client, {"label": [f"{name}={value}" for name, value in MARK.items()]})


@contextlib.contextmanager
def plain(client: Any) -> Iterator[Plain]:
    network = client.networks.create(f"miniecs-bench-{os.getpid()}", driver="bridge", labels=MARK)
    network.reload()
    made = Plain(client, network.name, network.attrs["IPAM"]["Config"][0]["Gateway"])
    try:
        yield made
    finally:
        made.clear()
        network.remove()


@contextlib.contextmanager
def deaths(client: Any) -> Iterator[dict[str, float]]:
    """When the engine told of the end of each container, by id."""
    told: dict[str, float] = {}
    stream = client.events(decode=True, filters={"type": "container", "event": "die"})

    def follow() -> None:
        with contextlib.suppress(OSError, docker.errors.DockerException, urllib3.exceptions.HTTPError):
            for event in stream:
                told[event["Actor"]["ID"]] = time.time()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield told
    finally:
        stream.close()
        thread.join(10)


def remove(client: Any, filters: dict[str, Any]) -> None:
    listed = client.api.containers(all=True, filters=filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: client.api.remove_container(each["Id"], force=True), listed))


@dataclass
class Up:
    """A cluster by `miniecs up`, and the calls that the benchmarks make."""

    folder: Path
    ecs: Any

    def register(self, family: str, **container: Any) -> str:
        filled = {"name": "app", "image": IMAGE, "command": ["sleep", "3600"], "cpu": 8, "memory": 16}
        answer = self.ecs.register_task_definition(
            family=family, containerDefinitions=[{**filled, **container}]
        )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str) -> str:
        answer = self.ecs.run_task(taskDefinition=definition)
        if answer["failures"]:
            raise SystemExit(f"bench: RunTask could not place: {answer['failures']}")
        return str(answer["tasks"][0]["taskArn"])

    def task(self, arn: str) -> dict[str, Any]:
        return dict(self.ecs.describe_tasks(tasks=[arn])["tasks"][0])

    def until(self, arn: str, status: str) -> dict[str, Any]:
        """The task, as soon as DescribeTasks says so."""
        seen = self.until_seen(lambda: self._is(self.task(arn), status), f"{arn} to be {status}")
        return dict(seen)

    @staticmethod
    def _is(task: dict[str, Any], status: str) -> dict[str, Any] | None:
        if status != "STOPPED" and task["lastStatus"] == "STOPPED":
            reasons = [container.get("reason") for container in task["containers"]]
            raise SystemExit(f"bench: a task stopped: {task.get('stoppedReason')} {reasons}")
        return task if task["lastStatus"] == status else None

    @staticmethod
    def until_seen(look: Callable[[], Any], what: str, within: float = 120.0, every: float = 0.002) -> Any:
        deadline = time.perf_counter() + within
        while not (seen := look()):
            if time.perf_counter() > deadline:
                raise SystemExit(f"bench: waited {within:g} s for {what}")
            time.sleep(every)
        return seen

    def pid(self, role: str) -> int:
        """Of the `miniecs <role>` on this folder."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if f"miniecs {role} " in line and str(self.folder) in line:
                        return int(entry.name)
        raise SystemExit(f"bench: there is no `miniecs {role}`")


@contextlib.contextmanager
def up(*options: str) -> Iterator[Up]:
    """`miniecs up --detach --runtime docker` on a folder and a port of its own; `down --purge` at the end."""
    parent = tempfile.mkdtemp(prefix="miniecs-bench-")
    folder = Path(parent) / "data"

    def command(*words: str) -> None:
        done = subprocess.run(
            [_MINIECS, *words, "--data-dir", str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            raise SystemExit(f"bench: `miniecs {words[0]}` failed:\n{done.stdout}{done.stderr}")

    try:
        command("up", "--detach", "--runtime", "docker", "--port", "0", *options)
        port = json.loads((folder / "settings.json").read_text())["port"]
        ecs = boto3.client(
            "ecs",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )
        yield Up(folder, ecs)
    finally:
        command("down", "--purge")
        shutil.rmtree(parent)
