"""What the proxy's benchmark needs around it: nginx as peer and as targets, wrk, ours, pinned to cores."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from _servers import free_port

from miniecs.model.load_balancing import HealthCheck
from miniecs.model.routing import (
    Condition,
    Forward,
    RoutedGroup,
    RoutedListener,
    RoutedLoadBalancer,
    RoutedRule,
    RoutedTarget,
    RoutingTable,
    WeightedGroup,
)
from miniecs.proxy.table_file import Kept, save

_TICKS = os.sysconf("SC_CLK_TCK")
PACKAGES = {"nginx": "nginx-light", "wrk": "wrk"}
_COMMON = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; default_type text/plain;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  {rest}
}}
"""


def tools() -> None:
    """nginx and wrk, by apt where they are missing."""
    lacking = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if not lacking:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise SystemExit(f"bench: please install {' and '.join(lacking)}")
    print(f"bench: installing {' and '.join(lacking)} …", flush=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {
        **os.environ,
        "DEBIAN_FRONTEND": "noninteractive",
        # The package would start a web server on port 80.
        "RUNLEVEL": "1",
    }
    subprocess.run(["apt-get", "update"], check=False, **quiet)  # type: ignore[call-overload]
    command = ["apt-get", "install", "-y", "--no-install-recommends", *lacking]
    subprocess.run(command, check=True, env=environment, **quiet)  # type: ignore[call-overload]


@dataclass
class Process:
    """A process pinned to one core."""

    pid: int
    port: int

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def resident(self) -> float:
        """MiB in memory."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024


@contextlib.contextmanager
def _started(core: int, command: list[str], port: int, path: str) -> Iterator[Process]:
    process = subprocess.Popen(["taskset", "-c", str(core), *command])
    try:
        with httpx.Client(trust_env=False) as client:
            deadline = time.perf_counter() + 20
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"http://127.0.0.1:{port}{path}").status_code == 200:
                        break
                if process.poll() is not None or time.perf_counter() > deadline:
                    raise SystemExit(f"bench: {command[0]} does not answer")
                time.sleep(0.01)
        yield Process(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextlib.contextmanager
def _nginx(core: int, port: int, rest: str, path: str) -> Iterator[Process]:
    folder = tempfile.mkdtemp(prefix="miniecs-bench-")
    try:
        config = Path(folder) / "nginx.conf"
        config.write_text(_COMMON.format(folder=folder, rest=rest))
        program = shutil.which("nginx") or "nginx"
        command = [program, "-p", folder, "-c", str(config), "-e", f"{folder}/error.log"]
        with _started(core, command, port, path) as process:
            yield process
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def targets(core: int, body: str) -> Iterator[tuple[int, int]]:
    """Two targets in one nginx: the ports on which each answers ``body``."""
    ports = free_port(), free_port()
    servers = "".join(
        f'server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{body}"; }} }}\n'
        for port in ports
    )
    with _nginx(core, ports[0], servers, "/"):
        yield ports


@contextlib.contextmanager
def nginx_proxy(core: int, ports: tuple[int, int]) -> Iterator[Process]:
    """nginx before the targets: two rules, forwarded headers, pooled connections, passive health checks."""
    port = free_port()
    upstream = " ".join(f"server 127.0.0.1:{each} max_fails=2 fail_timeout=30s;" for each in ports)
    forward = (
        "proxy_pass http://targets; proxy_http_version 1.1; proxy_set_header Connection '';"
        "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port;"
        "proxy_set_header X-Amzn-Trace-Id Root=1-$request_id;"
    )
    rest = (
        f"upstream targets {{ {upstream} keepalive 256; keepalive_requests 100000000; }}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096;"
        f" location ^~ /api/ {{ {forward} }} location / {{ {forward} }} }}"
    )
    with _nginx(core, port, rest, "/api/x") as process:
        yield process


def table(ports: tuple[int, int], port: int) -> RoutingTable:
    """One application load balancer with two rules, and health checks every five seconds."""
    forward = Forward((WeightedGroup("group"),))
    rules = (
        RoutedRule("api", (Condition("path-pattern", ("/api/*",)),), forward),
        RoutedRule("default", (), forward),
    )
    listener = RoutedListener("listener", port, rules=rules)
    balancer = RoutedLoadBalancer("balancer", "bench", "bench.localhost", listeners=(listener,))
    group = RoutedGroup(
        "group",
        "bench",
        health_check=HealthCheck(interval=5),
        targets=tuple(RoutedTarget(f"i-{each}", each, "127.0.0.1") for each in ports),
    )
    return RoutingTable(1, (balancer,), (group,))


@contextlib.contextmanager
def our_proxy(core: int, ports: tuple[int, int]) -> Iterator[Process]:
    """Our proxy's process with a kept table, reached at its convenience listener on 127.0.0.1."""
    folder = Path(tempfile.mkdtemp(prefix="miniecs-bench-"))
    port = free_port()
    save(folder / "proxy-table.json", Kept(table(ports, port)))
    server = "http://127.0.0.1:1"  # nobody's: the kept table is served
    code = "from pathlib import Path; from miniecs.proxy.main import run; "
    code += f"run(Path({str(folder)!r}), {server!r}, '')"
    try:
        with _started(core, [sys.executable, "-c", code], port, "/api/x") as process:
            yield process
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Load:
    """What wrk saw, and what the proxy used for it."""

    rate: float
    failed: int
    cpu: float  # microseconds of CPU per request, of the proxy
    latency: float  # median, milliseconds


_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def load(core: int, proxy: Process, seconds: float, connections: int = 32) -> Load:
    """One run of wrk against ``/api/x``."""
    before = proxy.cpu
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{proxy.port}/api/x"], check=True, capture_output=True, text=True
    )
    used = proxy.cpu - before
    text = done.stdout
    requests = int(re.findall(r"(\d+) requests in", text)[0])
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0])
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    for line in re.findall(r"Socket errors: (.*)", text):
        failed += sum(map(int, re.findall(r"\d+", line)))
    middle, unit = re.findall(r"50%\s+([\d.]+)(us|ms|s)", text)[0]
    return Load(rate, failed, used / max(requests, 1) * 1e6, float(middle) * _UNITS[unit])
