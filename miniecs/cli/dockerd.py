"""`miniecs engine`: whether a Docker engine answers, and one that is installed and started where none does.

Only root on Debian and Ubuntu is helped: elsewhere an engine is a decision of whoever rules the machine. An
engine that was started here is known by its own command line, and no other one is ever ended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from miniecs.cli import engine, output, processes
from miniecs.cli.folder import DataFolder, last_line, size
from miniecs.cli.problem import Problem
from miniecs.docker_api import DEFAULT_HOST

_RUN = Path("/var/run/miniecs")  # what of an engine that was started here must outlive data folders
_RECORD = _RUN / "dockerd.json"
_PID_FILE = Path("/var/run/docker.pid")  # dockerd's own
_CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
# Not every release of docker.io depends on the others: dockerd does not start without iptables, nor pull
# without certificates.
_PACKAGES = ("docker.io", "iptables", "ca-certificates")
_SYSTEMD = Path("/run/systemd/system")  # there exactly while systemd is the init
_ANSWERS_WITHIN = 60.0
_ENDS_WITHIN = 60.0  # it ends its containers first
_LOOK_EVERY = 0.2


def can_install() -> bool:
    """Whether `engine start` may install an engine on this machine."""
    return sys.platform == "linux" and os.geteuid() == 0 and _is_debian()


def status(folder: DataFolder, *, as_json: bool) -> bool:
    """Print what engine there is, that of the data folder's cluster first; False when it does not answer."""
    decided = folder.settings()
    found = engine.find(decided.engine if decided is not None else None)
    ours = _started_here()
    if as_json:
        output.print_json({
            "host": found.host,
            "answers": not found.trouble,
            "version": found.version or None,
            "class": found.kind or None,
            "trouble": found.trouble or engine.obstacle(found) or None,
            "startedHerePid": ours,
        })
    elif found.trouble:
        print(f"No Docker engine answers at {found.host}: {found.trouble}.")
        if found.cure:
            print(f"To have one: {found.cure}.")
    else:
        by = f"started by `miniecs engine start`, pid {ours}" if ours else "not started by miniecs"
        print(f"{found.version} answers at {found.host} ({found.kind}; {by}).")
        if why := engine.obstacle(found):
            print(f"It cannot be used: {why}")
    return not found.trouble


def start(*, quiet: bool, as_json: bool) -> None:
    """Make an engine answer. Raises Problem where that is for somebody else to do."""
    found = engine.find()
    how = "running"
    if found.trouble:
        _check_ours_to_start(found)
        how = "started"
        if _dockerd() is None:
            _install()
            how = "installed"
        found = _started(installed=how == "installed")
    if as_json:
        output.print_json({"host": found.host, "version": found.version, "status": how})
        return
    if quiet and how == "running":
        return
    print({
        "running": f"{found.version} answers at {found.host}.",
        "started": f"Started {found.version} at {found.host}.",
        "installed": f"Installed and started {found.version} at {found.host}.",
    }[how])


def stop(*, as_json: bool) -> None:
    """End the engine that ``start`` started, with all its containers; any other is left alone."""
    ours = _started_here()
    if ours is not None:
        if _SYSTEMD.exists():
            _systemctl("stop", "docker.socket", "docker")
        elif not processes.end(ours, lambda: _started_here() == ours, grace=_ENDS_WITHIN):
            _say(f"dockerd with pid {ours} did not end within {_ENDS_WITHIN:g} s and was killed")
        _RECORD.unlink(missing_ok=True)
    if as_json:
        output.print_json({"stoppedPid": ours})
    elif ours is not None:
        print(f"Stopped the Docker engine with pid {ours}.")
    else:
        print("No Docker engine was started by `miniecs engine start`; any other one is left alone.")


def _check_ours_to_start(found: engine.Engine) -> None:
    cure = f" To have one: {found.cure}." if found.cure else ""
    if found.host != DEFAULT_HOST:
        raise Problem(
            f"The Docker engine at {found.host} does not answer: {found.trouble}. DOCKER_HOST or a docker "
            "context chose it: start it, or choose another."
        )
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Problem(
            f"No Docker engine answers at {found.host}: {found.trouble}.{cure} As root on Debian or Ubuntu "
            "this command does it."
        )
    if _dockerd() is None and not _is_debian():
        raise Problem(
            "There is no dockerd on this machine, and miniecs installs one on Debian and Ubuntu only. "
            "Install it as its makers say: https://docs.docker.com/engine/install"
        )


def _install() -> None:
    packages = [*_PACKAGES, *(() if _SYSTEMD.exists() else ("cgroupfs-mount",))]
    _say(f"There is no Docker engine: installing {' '.join(packages)} with apt-get.")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        # stdout is for the answer of this command: what apt-get tells of its progress goes to stderr.
        ended = subprocess.run(
            ["apt-get", "-q", *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr
        )
        if ended.returncode != 0:
            raise Problem(f"`apt-get {' '.join(arguments)}` failed with exit code {ended.returncode}.")
    if _dockerd() is None:
        raise Problem("apt-get installed docker.io, and still there is no dockerd on the path.")


def _started(*, installed: bool) -> engine.Engine:
    """The engine, once it answers. One that is starting already, as a package may have it, is waited for."""
    log = _RUN / "dockerd.log"
    _RUN.mkdir(parents=True, exist_ok=True)
    log_from = size(log)
    child = None
    living = _living(_PID_FILE, "dockerd")
    if living is None:
        if _SYSTEMD.exists():
            _systemctl("start", "docker")
        else:
            _remove_stale_pids()
            child = _spawn(log)
    for _ in range(int(_ANSWERS_WITHIN / _LOOK_EVERY)):
        found = engine.find(DEFAULT_HOST)
        if not found.trouble:
            if living is None or installed:
                _record(child.pid if child is not None else _living(_PID_FILE, "dockerd"))
            return found
        if child is not None and child.poll() is not None:
            raise Problem(f"dockerd ended: {last_line(log, log_from)} See {log}.")
        processes.pause(_LOOK_EVERY)
    raise Problem(f"dockerd does not answer after {_ANSWERS_WITHIN:g} s; see {log}.")


def _spawn(log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            _command(), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def _command() -> list[str]:
    return [_dockerd() or "dockerd", "--host", DEFAULT_HOST, "--pidfile", str(_PID_FILE)]


def _systemctl(verb: str, *units: str) -> None:
    command = ["systemctl", verb, *units]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ended.returncode != 0:
        raise Problem(f"`{' '.join(command)}` failed: {ended.stderr.strip()}")


def _dockerd() -> str | None:
    return shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _is_debian() -> bool:
    """Debian, Ubuntu or what calls itself like them."""
    return shutil.which("apt-get") is not None and Path("/etc/debian_version").exists()


def _remove_stale_pids() -> None:
    """A machine that was switched off leaves files whose numbers other programs have now.

    dockerd only looks whether such a process lives, and would not start, or wait for a foreign containerd.
    """
    for file, name in ((_PID_FILE, "dockerd"), (_CONTAINERD_PID_FILE, "containerd")):
        if file.exists() and _living(file, name) is None:
            file.unlink(missing_ok=True)


def _living(file: Path, name: str) -> int | None:
    """The pid in the file, if it is that of a living process of this program."""
    try:
        pid = int(file.read_text())
    except (OSError, ValueError):
        return None
    line = processes.command_line(pid)
    return pid if line is not None and Path(line.split()[0]).name == name else None


def _record(pid: int | None) -> None:
    """Note whom ``stop`` may end. A number alone could be another program's by then."""
    if pid is not None:
        _RECORD.write_text(json.dumps({"pid": pid, "command": processes.command_line(pid)}))


def _started_here() -> int | None:
    """The pid of a living dockerd that ``start`` started."""
    told = _read(_RECORD)
    pid, command = told.get("pid"), told.get("command")
    if isinstance(pid, int) and command and processes.command_line(pid) == command:
        return pid
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
