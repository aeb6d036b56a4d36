"""The Docker engine of a test session: the one that answers, else one that is installed, started and ended.

Sessions and their workers that run at once share it: each notes its pid in a file under a lock, and the last
to leave ends what the first has started. A test that finds no engine fails; none is ever skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker.errors

from .daemon import Daemon, Engine, clear

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
BUSYBOX = "busybox:latest"
_PLACE = Path(tempfile.gettempdir()) / f"miniecs-test-engine-{os.getuid()}"
_OWN = _PLACE / "engine"
_PACKAGES = {"dockerd": "docker.io", "iptables": "iptables", "ip": "iproute2", "busybox": "busybox-static"}
_INSTALL_WITHIN = 600.0
_NO_START = Path("/usr/sbin/policy-rc.d")


class NoEngine(Exception):
    """There is no Docker engine and none can be started here; says what is missing."""


@contextlib.contextmanager
def shared_engine() -> Iterator[Engine]:
    """The engine for this process's tests, with busybox on it."""
    with _locked():
        noted = _read()
        users = _living(noted.get("users", []))
        engine = _found() or _started()
        # What a session that died has noted says nothing of this engine.
        imported = _ensure_busybox(engine) or bool(users and noted["imported"])
        _write(users=[*users, _identity(os.getpid())], imported=imported)
    try:
        yield engine
    finally:
        with _locked():
            noted = _read()
            users = [each for each in _living(noted["users"]) if each != _identity(os.getpid())]
            _write(users=users, imported=noted["imported"])
            if not users:
                _ended(engine, imported=noted["imported"])
        engine.close()


def _found() -> Engine | None:
    """One that answers. Raises NoEngine where DOCKER_HOST names one that does not."""
    named = os.environ.get("DOCKER_HOST")
    candidates = [named] if named else [DEFAULT_SOCKET, Daemon.url_in(_OWN)]
    for url in candidates:
        engine = Engine(url)
        if engine.answers():
            return engine
        engine.close()
    if named:
        raise NoEngine(f"DOCKER_HOST is {named}, and no Docker engine answers there")
    return None


def _started() -> Engine:
    """A daemon of our own, after what a dead session has left is cleared away. Raises NoEngine."""
    install()
    if _OWN.exists():
        clear(_OWN)
    _mount_cgroups()
    daemon = Daemon(_OWN)
    try:
        daemon.start()
    except BaseException:
        daemon.remove()
        raise
    return daemon


def _ended(engine: Engine, *, imported: bool) -> None:
    """The last user leaves: what the first has made goes."""
    if engine.url == Daemon.url_in(_OWN):
        Daemon(_OWN).remove()
    elif imported:
        # Gone already, or used by somebody else's container by now.
        with contextlib.suppress(docker.errors.APIError):
            engine.client.images.remove(BUSYBOX)
    (_PLACE / "users.json").unlink()


def install() -> None:
    """See to it that dockerd and what it needs are here. Raises NoEngine, which says what is missing."""
    missing = sorted(package for program, package in _PACKAGES.items() if shutil.which(program) is None)
    if "busybox-static" not in missing and not _is_static(_busybox()):
        missing.append("busybox-static")
    if os.geteuid() != 0:
        wanted = f"; {', '.join(missing)} missing too" if missing else ""
        raise NoEngine(f"no Docker engine answers at {DEFAULT_SOCKET}, and only root can start one{wanted}")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise NoEngine(f"no Docker engine answers, and there is no apt-get to install {', '.join(missing)}")
    # Without it a package's installation starts a daemon that nobody ends.
    guard = not _NO_START.exists()
    if guard:
        _NO_START.write_text("#!/bin/sh\nexit 101\n")
        _NO_START.chmod(0o755)
    try:
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
        ):
            done = subprocess.run(
                command,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_INSTALL_WITHIN,
            )
            if done.returncode:
                raise NoEngine(f"`{' '.join(command)}` failed ({done.returncode}):\n{done.stdout[-3000:]}")
    finally:
        if guard:
            _NO_START.unlink()


def _mount_cgroups() -> None:
    """A machine without an init system may not have mounted them, and no container starts without."""
    kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    if not kinds & {"cgroup", "cgroup2"}:
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"], check=True)


# The image


def _ensure_busybox(engine: Engine) -> bool:
    """Whether it had to be imported: pulling needs a registry, which the tests must not."""
    with contextlib.suppress(docker.errors.ImageNotFound):
        engine.client.images.get(BUSYBOX)
        return False
    import_busybox(engine, BUSYBOX)
    return True


def import_busybox(engine: Engine, image: str, *, shell: bool = True, mark: str = "") -> None:
    """An image of the machine's own static busybox; without a shell it can do no more than `sleep`.

    mark: like no other image.
    """
    repository, _, tag = image.rpartition(":")
    engine.client.api.import_image_from_data(
        busybox_layer(mark=mark) if shell else busybox_layer(["sleep"], mark),
        repository=repository,
        tag=tag,
        changes=['CMD ["sh"]' if shell else 'CMD ["sleep", "3600"]', "ENV PATH=/bin"],
    )


def _busybox() -> bytes:
    return Path(str(shutil.which("busybox"))).read_bytes()


def _is_static(program: bytes) -> bool:
    """Whether it runs alone in an image: a program that asks for a loader names it at its beginning."""
    return b"/ld-linux" not in program[:4096]


def _applets() -> list[str]:
    told = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in told if name != "busybox"]


def busybox_layer(names: Sequence[str] = (), mark: str = "") -> bytes:
    """A file system with the program under these names, or all that it has, as a tar. mark: like no other."""
    if shutil.which("busybox") is None or not _is_static(_busybox()):
        install()
    program = _busybox()
    names = names or ["busybox", *_applets()]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("bin", "etc", "root", "tmp", "var", *([f"var/{mark}"] if mark else [])):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
        binary = tarfile.TarInfo(f"bin/{names[0]}")
        binary.size, binary.mode = len(program), 0o755
        tar.addfile(binary, io.BytesIO(program))
        for name in names[1:]:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname, link.mode = tarfile.LNKTYPE, f"bin/{names[0]}", 0o755
            tar.addfile(link)
    return packed.getvalue()


# Who uses it


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    _PLACE.mkdir(mode=0o700, exist_ok=True)
    assert _PLACE.stat().st_uid == os.getuid(), f"{_PLACE} is somebody else's"
    with (_PLACE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read() -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads((_PLACE / "users.json").read_text())
    except FileNotFoundError:
        return {}
    return told


def _write(**noted: Any) -> None:
    (_PLACE / "users.json").write_text(json.dumps(noted))


def _identity(pid: int) -> str:
    """A pid and when its process started, since pids come again."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{pid} {fields[19]}"


def _living(users: list[str]) -> list[str]:
    living = []
    for user in users:
        with contextlib.suppress(OSError):
            if _identity(int(user.split()[0])) == user:
                living.append(user)
    return living
