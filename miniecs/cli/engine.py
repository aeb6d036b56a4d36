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

from miniecs.cli import engine_place
from miniecs.cli.problem import Problem
from miniecs.docker_api import DEFAULT_HOST, DockerApi, DockerApiError, configured_host

OLDEST_API = (1, 32)  # Docker 17.09; the agent refuses an older one as well
_WITHOUT = "Or start with --runtime simulated, which needs no engine."
_READ_MORE = "See docs/engines.md."


@dataclass(frozen=True, slots=True)
class Engine:
    """What was found. kind: local root, local non-root, rootless, VM, elsewhere, remote; '' when unknown."""

    host: str
    kind: str = ""
    version: str = ""
    trouble: str = ""  # why it does not answer
    cure: str = ""
    api: str = ""  # the newest version of the API that it speaks, e.g. 1.41
    folder: str = ""  # where it keeps images and containers, on its machine


def find(host: str | None = None) -> Engine:
    """The engine at this URL, else the one that the docker command would use."""
    host = host or configured_host()
    url = urlsplit(host)
    if url.scheme == "ssh":
        return Engine(host, "remote", trouble="engines behind ssh are not asked")
    if url.scheme == "npipe":
        return Engine(host, trouble="named pipes are not supported", cure="use miniecs within WSL 2")
    try:
        api = DockerApi(host)
        info, version = _object(api, "/info"), _object(api, "/version")
        kind = classify(host, info, root=os.geteuid() == 0)
        if kind.startswith("local") and not engine_place.is_here(host):
            kind = "elsewhere"
    except PermissionError:
        return Engine(
            host,
            trouble="its socket is not yours to use",
            cure="add yourself to its group (`sudo usermod -aG docker $USER`) and log in again",
        )
    except (OSError, DockerApiError, ValueError) as error:
        return Engine(host, trouble=said(error), cure=_how_to_get_one(host))
    return Engine(
        host,
        kind,
        f"{_product(version)} {version.get('Version', '?')}",
        api=str(version.get("ApiVersion", "")),
        folder=str(info.get("DockerRootDir", "")),
    )


def fit(host: str | None = None) -> Engine:
    """An engine that an agent on this machine can use. Raises Problem where there is none."""
    found = find(host)
    if found.trouble:
        cure = f" To have one: {found.cure}." if found.cure else ""
        raise Problem(f"No Docker engine can be used at {found.host}: {found.trouble}.{cure} {_WITHOUT}")
    if why := obstacle(found):
        raise Problem(f"The Docker engine at {found.host} ({found.version}) cannot be used: {why} {_WITHOUT}")
    return found


def obstacle(found: Engine) -> str:
    """Why an agent beside this engine could not work on it, and what to do; '' when it could."""
    if tuple(int(part) for part in found.api.split(".") if part.isdigit()) < OLDEST_API:
        oldest = ".".join(map(str, OLDEST_API))
        return f"it speaks the API up to {found.api or '?'}, miniecs needs {oldest}. Install a newer one."
    match found.kind:
        case "rootless":
            why = (
                "it is rootless, so its networks are in a namespace of its own, and the container instances' "
                "addresses could not be reached from here. Use an engine that root runs."
            )
        case "VM":
            why = (
                "it runs in a virtual machine, and the container instances' addresses could not be reached "
                "from here. Run miniecs within that machine, or in a Linux with an engine of its own."
            )
        case "elsewhere":
            why = (
                "its networks are not those of this place: its socket was passed into a container, or "
                "miniecs runs in another network namespace. Run miniecs where the engine's networks are."
            )
        case "remote":
            why = (
                "it is on another machine. Start with --instances 0 and --runtime docker where an engine is, "
                "and run `miniecs agent` on that machine (`miniecs agent join-command` prints how)."
            )
        case _:
            return ""
    return f"{why} {_READ_MORE}"


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


def said(error: Exception) -> str:
    """What went wrong with an engine, in words for those who do not know the system's."""
    match error:
        case FileNotFoundError():
            return "there is no such socket"
        case ConnectionRefusedError():
            return "nothing answers there"
    return str(error)


def _how_to_get_one(host: str) -> str:
    if host != DEFAULT_HOST:
        return "start it, or choose another with DOCKER_HOST or `docker context use`"
    from miniecs.cli.dockerd import can_install

    if sys.platform == "darwin":
        return "start Docker Desktop, OrbStack or colima, or install one of them"
    if can_install():
        return "`miniecs engine start` installs and starts one"
    return "start it (`sudo systemctl start docker`) or install it: https://docs.docker.com/engine/install"
