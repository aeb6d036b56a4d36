"""A miniecs server as a process: started, asked, killed, started again; and the clients that talk to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config

from miniecs.cli import ports
from miniecs.config import ServerSettings

ACCOUNT = "000000000000"
REGION = "us-east-1"
_LAUNCHER = Path(__file__).with_name("launch.py")
_AWS = Path(sys.executable).with_name("aws")
_CLI_LIMIT = 120.0  # seconds for one command on a loaded machine
_CONFIG = Config(
    retries={"total_max_attempts": 1}, connect_timeout=30, read_timeout=90, s3={"addressing_style": "path"}
)
_session = boto3.session.Session()  # one, since each reads the services' models anew

T = TypeVar("T")


class NotReached(AssertionError):
    """What was waited for did not come in time."""


def until(what: str, look: Callable[[], T], within: float = 90.0, every: float = 0.05) -> T:
    """Look until the answer is true and return it. Raises NotReached, which says what was seen last."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise NotReached(f"waited {within:g} s for {what}; at last there was {seen!r}")
        time.sleep(every)


class ServerProcess:
    """One data folder and the server on it. Ended by its pid."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port = ports.lasting("127.0.0.1")
        self.settings = ServerSettings(str(folder), port=self.port, **{"runtime": "simulated", **settings})
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[tuple[str, str, str], Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.json").write_text(json.dumps(asdict(self.settings)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def scale(self) -> float:
        return self.settings.time_scale

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    # Its life

    def start(self) -> None:
        """Start the process and wait until it answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MINIECS_")}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(_LAUNCHER), str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        until("the server to answer", self._answers, within=60.0, every=0.02)

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the server ended with {code}:\n{self.log}"
        try:
            return bool(self.request("GET", "/_miniecs/health")["status"] == "ok")
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is told, nothing is saved."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, as `miniecs down` does; the exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Killed and started again on the same folder and port."""
        self.kill()
        self.start()

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        process, self._process = self._process, None
        assert process is not None, "the server does not run"
        process.send_signal(number)
        return process.wait(30.0)

    # Its clients

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One of miniecs's own pages; its JSON. Raises HTTPError."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=90.0) as answer:
            return json.loads(answer.read())

    def client(self, service: str, *, account: str = ACCOUNT, region: str = REGION) -> Any:
        """A boto3 client, the same for the same scope; it tries every call once."""
        key = (service, account, region)
        if key not in self._clients:
            self._clients[key] = _session.client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id=account,
                aws_secret_access_key="x",
                config=_CONFIG,
            )
        return self._clients[key]

    def aws(self, *arguments: str) -> Any:
        """``aws …`` by the real command line; its JSON. Raises CalledProcessError when it fails."""
        done = subprocess.run(
            [str(_AWS), *arguments, "--output", "json"],
            env=self.cli_environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CLI_LIMIT,
            check=True,
        )
        return json.loads(done.stdout or "null")

    def refusal(self, *arguments: str) -> str:
        """What ``aws …`` says on stderr when the server refuses it; its exit code is 254 then."""
        try:
            answer = self.aws(*arguments)
        except subprocess.CalledProcessError as failed:
            assert failed.returncode in (254, 255), failed.stderr
            return str(failed.stderr).strip()
        raise AssertionError(f"aws {' '.join(arguments)} was not refused, but answered {answer}")

    def start_aws(self, *arguments: str) -> subprocess.Popen[str]:
        """``aws …`` in the background, for waiters; whoever starts it waits for its end."""
        return subprocess.Popen(
            [str(_AWS), *arguments],
            env=self.cli_environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cli_environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_PAGER": "",
        }

    # What no API has

    def switch_off(self, *loops: str) -> None:
        """From now on these, of launch.LOOPS, decide nothing; a restart switches all on."""
        assert self._process is not None
        names = self.folder / "off.json"
        names.write_text(json.dumps(loops))
        self._process.send_signal(signal.SIGUSR2)
        until("the loops to be switched off", lambda: not names.exists())

    def containers(self) -> list[dict[str, str]]:
        """What the simulated engines hold now: instance, task, name and state of each container."""
        assert self._process is not None
        told = self.folder / "containers.json"
        told.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        until("the simulated engines' containers", told.exists)
        found: list[dict[str, str]] = json.loads(told.read_text())
        return found
