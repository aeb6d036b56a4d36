"""`miniecs doctor`: whether this machine has what miniecs needs, and what to do where it has not."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import asdict

from miniecs import __version__
from miniecs.cli import doctor_engine, output
from miniecs.cli.check import LITTLE_SPACE, Check
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem
from miniecs.config import ServerSettings

_AWS_TIMEOUT = 20.0
# The first releases that read AWS_ENDPOINT_URL; older ones would talk to the real AWS.
_AWS_SINCE = {1: (1, 29, 0), 2: (2, 13, 0)}


def doctor(folder: DataFolder, *, as_json: bool) -> bool:
    """Print what was found; False when something that is needed is missing."""
    checks = [
        _python(),
        _system(),
        _data_folder(folder),
        _port(folder),
        _aws(),
        *doctor_engine.checks(_settings(folder)),
    ]
    well = all(check.result != "failed" for check in checks)
    if as_json:
        output.print_json({"ok": well, "version": __version__, "checks": [asdict(check) for check in checks]})
        return well
    print(f"miniecs {__version__}")
    for check in checks:
        print(f"{check.result:<8} {check.name}: {check.found}")
        if check.do:
            print(f"{'':<9}{check.do}")
    return well


def _python() -> Check:
    return Check("Python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _system() -> Check:
    if sys.platform in ("linux", "darwin"):
        return Check("system", "ok", sys.platform)
    return Check("system", "failed", sys.platform, "Use Linux, macOS or WSL 2.")


def _data_folder(folder: DataFolder) -> Check:
    name, found = "data folder", str(folder.path)
    try:
        folder.check()
        folder.settings()
    except Problem as problem:
        return Check(name, "failed", found, str(problem))
    nearest = next(path for path in (folder.path, *folder.path.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return Check(name, "failed", f"{found} cannot be written", "Choose another one with --data-dir.")
    free = shutil.disk_usage(nearest).free // 1_000_000
    if free < LITTLE_SPACE:
        return Check(name, "warning", f"{found}, {free} MB free", "Make room: a full disk refuses writes.")
    running = folder.server()
    state = f"in use by the server with pid {running.pid}" if running else "not in use"
    return Check(name, "ok", f"{found}, {state}, {free} MB free")


def _settings(folder: DataFolder) -> ServerSettings | None:
    """None where nothing was started yet, or where the check of the folder says what is wrong with them."""
    try:
        return folder.settings()
    except Problem:
        return None


def _port(folder: DataFolder) -> Check:
    running = folder.server()
    if running is not None:
        return Check("port", "ok", f"miniecs answers at {running.endpoint}")
    settings = _settings(folder) or ServerSettings(str(folder.path))
    where = f"{settings.bind}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.bind, settings.port))
        except OSError as error:
            return Check(
                "port", "failed", f"{where}: {error.strerror}", "Give `miniecs up` another one with --port."
            )
    return Check("port", "ok", f"{where} is free")


def _aws() -> Check:
    name, install = "AWS CLI", "Install it: `pip install awscli`, or AWS's own installer."
    path = shutil.which("aws")
    if path is None:
        return Check(name, "warning", "there is no `aws` on the path", install)
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_AWS_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, "warning", f"{path} does not work: {error}", install)
    return judge_aws(path, told.stdout or told.stderr)


def judge_aws(path: str, told: str) -> Check:
    """What `aws --version` said; a release that ignores AWS_ENDPOINT_URL is worse than none."""
    version = re.match(r"aws-cli/(\d+)\.(\d+)\.(\d+)", told)
    if version is None:
        return Check("AWS CLI", "warning", f"{path} says no version", "Install it: `pip install awscli`.")
    numbers = (int(version[1]), int(version[2]), int(version[3]))
    found = f"{'.'.join(version.groups())} at {path}"
    if numbers < _AWS_SINCE.get(numbers[0], (0, 0, 0)):
        return Check(
            "AWS CLI",
            "warning",
            f"{found} is too old: it ignores AWS_ENDPOINT_URL and would talk to the real AWS",
            "Install a newer one (`pip install awscli`); Debian and Ubuntu package old ones. Or add "
            "--endpoint-url to every command.",
        )
    return Check("AWS CLI", "ok", found)
