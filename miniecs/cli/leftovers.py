"""What clusters left on an engine: removed at `down`, and at `up` where their data folder is gone.

Whose a thing is stands in its labels. An owner is dead when the data folder that it names has another owner
or none; one that names no folder belongs to a server on another machine, and is not ours to judge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from miniecs.cli import engine
from miniecs.cli.output import counted
from miniecs.docker_api import DockerApi, DockerApiError, Query
from miniecs_agent.docker.names import DATA_DIR, OWNER, SCOPE
from miniecs_agent.host_engine import EngineError

_LISTS = (("/containers/json", None), ("/networks", None), ("/volumes", "Volumes"))
_TIMEOUT = 30.0
TROUBLE = (OSError, DockerApiError, EngineError)


class Owned(NamedTuple):
    """An owner of something on an engine, and the folder it names."""

    owner: str
    data_dir: str


def owners(host: str) -> set[Owned]:
    """Everyone who has something on this engine that a sweep would remove. Raises what is in TROUBLE."""
    api = DockerApi(host)
    found = set()
    for path, member in _LISTS:
        query: Query = {"filters": {"label": [OWNER]}, "all": path.startswith("/containers")}
        listed = api.call("GET", path, query, timeout=_TIMEOUT)
        for each in (listed if member is None else listed.get(member)) or ():
            labels = each.get("Labels") or {}
            if labels.get(SCOPE) != "shared":
                found.add(Owned(str(labels.get(OWNER, "")), str(labels.get(DATA_DIR, ""))))
    return found


def is_dead(owned: Owned) -> bool:
    """Whether the data folder is no longer this owner's."""
    if not owned.data_dir:
        return False
    try:
        settings = json.loads((Path(owned.data_dir) / "settings.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False  # it is there, and who may not read it must not judge it
    return isinstance(settings, dict) and settings.get("owner") != owned.owner


def sweep_the_dead(host: str, say: Callable[[str], None]) -> None:
    """Remove what dead owners left, and say so. That it cannot be done is no reason not to start."""
    try:
        dead = sorted(filter(is_dead, owners(host)))
    except TROUBLE as error:
        say(f"miniecs: what clusters that are gone left on {host} could not be seen: {engine.said(error)}")
        return
    for owned in dead:
        try:
            removed = described(_sweep(host, owned.owner, shared_volumes=False))
        except TROUBLE as error:
            why = engine.said(error)
            say(f"miniecs: what the cluster of {owned.data_dir} left on {host} could not be removed: {why}")
        else:
            say(f"miniecs: the cluster of {owned.data_dir} is gone; removed from the engine: {removed}")


def remove(host: str, owner: str, *, shared_volumes: bool) -> dict[str, int]:
    """Remove all of an owner; how much of what kind. Raises what is in TROUBLE.

    shared_volumes: also what task definitions asked to outlive their tasks.
    """
    if not shared_volumes and owner not in {each.owner for each in owners(host)}:
        return {}
    return _sweep(host, owner, shared_volumes=shared_volumes)


def _sweep(host: str, owner: str, *, shared_volumes: bool) -> dict[str, int]:
    from miniecs_agent.docker.client import sweep  # the docker package takes longer to import than most of us

    return sweep(host, lambda id, data_dir: id != owner, shared_volumes=shared_volumes)._asdict()


def described(removed: Mapping[str, int]) -> str:
    """E.g. ``3 containers, 1 network``."""
    parts = [counted(number, kind.removesuffix("s")) for kind, number in removed.items() if number]
    return ", ".join(parts) or "nothing"
