"""A dockerd of the tests' own in a folder of its own: started, frozen, killed, started again, removed whole.

Its data, its sockets and its pid file live in that folder, so that no other engine of the machine, dead or
alive, is in its way. It is no child of whoever starts it, and is found again by the folder's name: another
worker of the test session may be the one that ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests

from .waiting import NotReached, until

_READY_WITHIN = 60.0
_END_WITHIN = 40.0
_CLIENT_TIMEOUT = 60.0
_SEEN_WITHIN = 2.0  # a process that was started must be in /proc by then


class Engine:
    """An engine that answers at an address, and a client of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = docker.DockerClient(base_url=url, version="1.41", timeout=_CLIENT_TIMEOUT)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a docker CLI, or miniecs, use this engine."""
        return {"DOCKER_HOST": self.url}

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (docker.errors.DockerException, requests.RequestException):
            return False

    def remove_containers(self) -> None:
        """Every one of them: only for an engine that is the tests' own."""
        for container in self.client.containers.list(all=True, ignore_removed=True):
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)

    def close(self) -> None:
        self.client.close()


class Daemon(Engine):
    """A dockerd that is ours. ``netns``: the named network namespace that it lives in."""

    def __init__(
        self, folder: Path | None = None, *, netns: str | None = None, options: Sequence[str] = ()
    ) -> None:
        self.folder = folder or short_folder()
        self.folder.mkdir(exist_ok=True)
        super().__init__(self.url_in(self.folder))
        self.netns = netns
        self._options = options
        self._started = 0.0

    @staticmethod
    def url_in(folder: Path) -> str:
        return f"unix://{folder}/docker.sock"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        return (self.folder / "dockerd.log").read_text(errors="replace")

    @property
    def pid(self) -> int | None:
        return next(iter(self._pids("dockerd")), None)

    def _pids(self, *programs: str) -> list[int]:
        return [pid for pid, program in _programs(self.folder) if program in programs]

    def start(self) -> None:
        """Start it and wait until it answers. Raises NotReached with the end of its log."""
        # dockerd refuses to start, or waits for a dead containerd, while the pid in a file is anybody's.
        stale = ["docker.sock", "dockerd.pid"]
        if not self._pids("containerd"):
            stale.append("exec/containerd/containerd.pid")
        for name in stale:
            (self.folder / name).unlink(missing_ok=True)
        folder = self.folder
        # The machine's own configuration is not for this engine.
        (folder / "daemon.json").write_text(json.dumps(_configuration(folder)))
        command = [
            "dockerd", "--data-root", str(self.data), "--exec-root", f"{folder}/exec",
            "--pidfile", f"{folder}/dockerd.pid", "--host", self.url,
            "--config-file", f"{folder}/daemon.json", *self._options,
        ]  # fmt: skip
        if self.netns is not None:
            # Not `ip netns exec`, which mounts a new /sys and hides the cgroups.
            command = ["nsenter", f"--net=/run/netns/{self.netns}", *command]
        with (folder / "dockerd.log").open("ab") as log:
            subprocess.run(
                ["setsid", "--fork", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
            )
        self._started = time.monotonic()
        until("the engine to answer", self._ready, within=_READY_WITHIN)

    def _ready(self) -> bool:
        if self.pid is None and time.monotonic() - self._started > _SEEN_WITHIN:
            raise NotReached(f"dockerd ended:\n{self.log[-3000:]}")
        return self.answers()

    def stop(self) -> None:
        """SIGTERM: it stops its containers, or leaves them where it was started with --live-restore."""
        pid = self._signal(signal.SIGTERM)
        try:
            until("dockerd to end", lambda: self.pid is None, within=_END_WITHIN)
        except NotReached:
            os.kill(pid, signal.SIGKILL)
            raise

    def kill(self) -> None:
        """SIGKILL, to containerd too, which dies with it in its own time; containers run on."""
        self._signal(signal.SIGKILL)
        for pid in self._pids("containerd"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until("both to be gone", lambda: not self._pids("dockerd", "containerd"))

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """It takes connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> int:
        pid = self.pid
        assert pid is not None, f"the engine does not run:\n{self.log[-3000:]}"
        os.kill(pid, number)
        return pid

    def remove(self) -> None:
        """End it and all that it started, and remove its folder."""
        try:
            if self.pid is not None:
                self.thaw()
                self.remove_containers()
                self.stop()
        finally:
            self.close()
            clear(self.folder)


def short_folder() -> Path:
    """The path of a socket has 107 bytes at most, and containerd's lies deep."""
    return Path(tempfile.mkdtemp(prefix="miniecs-"))


def _configuration(folder: Path) -> dict[str, str]:
    """Older engines take their id from a key of the whole machine's, and two must not have the same."""
    told = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True).stdout
    major = int(told.split("version ")[1].split(".")[0])
    return {"deprecated-key-path": f"{folder}/key.json"} if major < 24 else {}


def clear(folder: Path) -> None:
    """Kill what still runs on a dead engine's folder, each by its pid; unmount and remove the folder."""
    deadline = time.monotonic() + 10
    while (running := running_on(folder)) and time.monotonic() < deadline:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    assert not running, f"processes of the engine on {folder} do not end: {running}"
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((place for place in mounts if place.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)
    shutil.rmtree(folder)


_PROGRAMS = ("dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2")


def _programs(folder: Path) -> list[tuple[int, str]]:
    """Pid and name of each of an engine's programs on this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                words = (entry / "cmdline").read_bytes().split(b"\0")
                program = Path(os.fsdecode(words[0])).name
                if program in _PROGRAMS and any(os.fsencode(f"{folder}/") in word for word in words):
                    found.append((int(entry.name), program))
    return found


def running_on(folder: Path) -> list[int]:
    """Every process of an engine on this folder: dockerd, containerd, shims, and the containers' own."""
    return [each for pid, _ in _programs(folder) for each in (*_descendants(pid), pid)]


def _descendants(pid: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for each in threads for child in (each / "children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (*_descendants(child), child)]
