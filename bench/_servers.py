"""miniecs and its peers, each as a process of its own on a free port of loopback, ended by pid.

The peers live in a virtual environment of their own (bench/.peers), made at the first run.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

HERE = Path(__file__).parent
PEERS = HERE / ".peers"
_READY_WITHIN = 60.0


@dataclass
class Server:
    """A running server; ``started`` seconds from exec to its first answered ListClusters."""

    name: str
    port: int
    pid: int
    started: float

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def resident(self) -> float:
        """MiB in memory of the process and its children."""
        return sum(_resident(pid) for pid in (self.pid, *_children(self.pid))) / 1024


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peers() -> Path:
    """The peers' virtual environment, with MiniStack and moto's server in it."""
    python = PEERS / "bin" / "python"
    if not (PEERS / ".ready").exists():
        print("bench: installing MiniStack and moto for comparison …", flush=True)
        shutil.rmtree(PEERS, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        quiet = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*quiet, "ministack", "moto[server]"], check=True, stderr=subprocess.DEVNULL)
        (PEERS / ".ready").touch()
    return PEERS / "bin"


@contextlib.contextmanager
def miniecs(*, instances: int = 3, instance_type: str = "t3.medium") -> Iterator[Server]:
    """Our server process on a SQLite store in a folder of its own."""
    folder = tempfile.mkdtemp(prefix="miniecs-bench-")
    port = free_port()
    settings = {
        "data_dir": folder,
        "port": port,
        "runtime": "simulated",
        "instances": instances,
        "instance_type": instance_type,
    }
    (Path(folder) / "settings.json").write_text(json.dumps(settings))
    command = [str(Path(sys.executable).parent / "miniecs"), "server", "--data-dir", folder]
    try:
        with _process("miniecs", port, command, {}) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def ministack() -> Iterator[Server]:
    port = free_port()
    environment = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "WARNING"}
    with _process("ministack", port, [str(peers() / "ministack")], environment) as server:
        yield server


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    port = free_port()
    command = [str(peers() / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _process("moto", port, command, {}) as server:
        yield server


@contextlib.contextmanager
def _process(name: str, port: int, command: list[str], environment: dict[str, str]) -> Iterator[Server]:
    log = tempfile.TemporaryFile()
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
    try:
        _wait(process, name, port, began, log)
        yield Server(name, port, process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _wait(process: subprocess.Popen[bytes], name: str, port: int, began: float, log: object) -> None:
    credential = "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/ecs/aws4_request, Signature=0"
    headers = {
        "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": credential,
    }
    with httpx.Client(trust_env=False) as client:
        while time.perf_counter() - began < _READY_WITHIN:
            if process.poll() is not None:
                break
            try:
                answer = client.post(f"http://127.0.0.1:{port}/", headers=headers, content=b"{}", timeout=30)
            except httpx.TransportError:
                time.sleep(0.005)
                continue
            if answer.status_code == 200 and b"clusterArns" in answer.content:
                return
            break
    log.seek(0)  # type: ignore[attr-defined]
    tail = log.read()[-2000:].decode(errors="replace")  # type: ignore[attr-defined]
    raise SystemExit(f"bench: {name} did not answer ListClusters:\n{tail}")


def _resident(pid: int) -> int:
    """KiB, from /proc; 0 for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")), 0)


def _children(pid: int) -> list[int]:
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in _children(child))]
