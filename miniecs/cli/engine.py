"""Which Docker engine there is, and of what class: the class decides which addresses can be dialled.

Asked over its socket with the standard library: the docker package is the agent's alone.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import socket
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT = 5.0
_DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Engine:
    """What was found. kind: local root, local non-root, rootless, VM or remote; '' when unknown."""

    host: str
    kind: str = ""
    version: str = ""
    trouble: str = ""  # why it does not answer
    cure: str = ""


def find() -> Engine:
    """The engine that the docker command would use."""
    host = _host()
    url = urlsplit(host)
    if url.scheme == "ssh":
        return Engine(host, "remote", trouble="engines behind ssh are not asked by doctor")
    if url.scheme == "npipe":
        return Engine(host, trouble="named pipes are not supported", cure="use miniecs within WSL 2")
    try:
        info, version = _get(url.scheme, host, "/info"), _get(url.scheme, host, "/version")
    except PermissionError:
        return Engine(
            host,
            trouble="its socket is not yours to use",
            cure="add yourself to its group (`sudo usermod -aG docker $USER`) and log in again",
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Engine(host, trouble=str(error), cure=_how_to_get_one())
    named = str(version.get("Version", "?"))
    return Engine(host, classify(host, info, root=os.geteuid() == 0), f"{_product(version)} {named}")


def classify(host: str, info: dict[str, Any], *, root: bool, kernel: str = platform.release()) -> str:
    """The class of an engine from what GET /info says of it."""
    url = urlsplit(host)
    if url.scheme == "tcp" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        return "remote"
    if sys.platform != "linux" or "Docker Desktop" in str(info.get("OperatingSystem")):
        return "VM"
    if any("rootless" in str(option) for option in info.get("SecurityOptions") or ()):
        return "rootless"
    if info.get("KernelVersion") not in (None, "", kernel):
        return "VM"
    return "local root" if root else "local non-root"


def _host() -> str:
    """DOCKER_HOST, else the current context's, else the usual socket."""
    if given := os.environ.get("DOCKER_HOST"):
        return given
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    context = os.environ.get("DOCKER_CONTEXT") or str(_json(folder / "config.json").get("currentContext", ""))
    if context and context != "default":
        name = sha256(context.encode()).hexdigest()
        meta = _json(folder / "contexts" / "meta" / name / "meta.json")
        host = meta.get("Endpoints", {}).get("docker", {}).get("Host")
        if host:
            return str(host)
    return _DEFAULT


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _get(scheme: str, host: str, path: str) -> dict[str, Any]:
    connection: http.client.HTTPConnection
    if scheme == "unix":
        connection = _UnixConnection(host.removeprefix("unix://"))
    else:
        url = urlsplit(host)
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 2375, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError(f"it answered {path} with something that is no object")
    return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def _product(version: dict[str, Any]) -> str:
    named = " ".join(str(component.get("Name")) for component in version.get("Components") or ())
    return "Podman" if "Podman" in named else "Docker"


def _how_to_get_one() -> str:
    if sys.platform == "darwin":
        return "start Docker Desktop, OrbStack or colima, or install one of them"
    return "start it (`sudo systemctl start docker`) or install it: https://docs.docker.com/engine/install"
