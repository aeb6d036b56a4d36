"""The real server in a process of its own, on loopback, over a data folder of its own.

What is attacked is what a user runs: uvicorn's limits, the process's signals and its file are all in it.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from miniecs.cli import ports
from miniecs.config import ServerSettings

ROOT = Path(__file__).parents[2]
START_WITHIN = 30.0
END_WITHIN = 20.0
# What no log of a healthy server holds, whatever it was asked.
_TROUBLE = re.compile(
    r"Traceback|a control loop failed|failed \(request|Task exception was never|never awaited|Exception in"
)


class RealServer:
    """``miniecs server`` on one data folder; it may be started again after it ended."""

    def __init__(self, folder: Path, logs: Path, **settings: Any) -> None:
        self.folder = folder
        given = {"runtime": "simulated", "port": ports.lasting("127.0.0.1"), "instances": 0, **settings}
        self.settings = ServerSettings(data_dir=str(folder), **given)
        self.log = logs / f"{folder.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self.settings.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def described(self) -> str:
        """What `up` writes to settings.json."""
        return json.dumps(asdict(self.settings))

    def launch(self, write: bool = True) -> subprocess.Popen[bytes]:
        """Start the process without waiting for it to answer. ``write``: the settings are not there yet."""
        if write:
            self.folder.mkdir(exist_ok=True)
            (self.folder / "settings.json").write_text(self.described())
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "miniecs", "server", "--data-dir", str(self.folder)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self._process

    def start(self) -> RealServer:
        process = self.launch()
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"the server ended with {process.returncode}: {self.said()}")
            try:
                if httpx.get(f"{self.url}/_miniecs/health", timeout=5).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.02)
        self.stop()
        raise AssertionError(f"no answer within {START_WITHIN:g} s: {self.said()}")

    def refused(self) -> str:
        """What a server that must not start says; its exit status is that of a user's mistake."""
        process = self.launch()
        try:
            status = process.wait(START_WITHIN)
        finally:
            self.kill()
        assert status == 2, f"exit {status}: {self.said()}"
        return self.said()

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL where that does not do; the exit status."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(END_WITHIN)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def trouble(self) -> list[str]:
        """Lines of the log that tell of a bug."""
        return [line for line in self.said().splitlines() if _TROUBLE.search(line)]

    def resident(self) -> int:
        """Memory in use, in MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    # Clients

    def client(self, service: str, account: str = "000000000000", region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=account,
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60),
        )

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
