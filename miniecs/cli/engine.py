"""Which Docker engine there is, and of what class: the class decides which addresses can be dialled.

Asked through ``miniecs.docker_api``: the docker package is the agent's alone.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from miniecs.docker_api import DockerApi, DockerApiError, configured_host


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
    host = configured_host()
    url = urlsplit(host)
    if url.scheme == "ssh":
        return Engine(host, "remote", trouble="engines behind ssh are not asked by doctor")
    if url.scheme == "npipe":
        return Engine(host, trouble="named pipes are not supported", cure="use miniecs within WSL 2")
    try:
        api = DockerApi(host)
        info, version = _object(api, "/info"), _object(api, "/version")
    except PermissionError:
        return Engine(
            host,
            trouble="its socket is not yours to use",
            cure="add yourself to its group (`sudo usermod -aG docker $USER`) and log in again",
        )
    except (OSError, DockerApiError, ValueError) as error:
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


def _object(api: DockerApi, path: str) -> dict[str, Any]:
    answer = api.call("GET", path)
    if not isinstance(answer, dict):
        raise ValueError(f"it answered {path} with something that is no object")
    return answer


def _product(version: dict[str, Any]) -> str:
    named = " ".join(str(component.get("Name")) for component in version.get("Components") or ())
    return "Podman" if "Podman" in named else "Docker"


def _how_to_get_one() -> str:
    if sys.platform == "darwin":
        return "start Docker Desktop, OrbStack or colima, or install one of them"
    return "start it (`sudo systemctl start docker`) or install it: https://docs.docker.com/engine/install"
