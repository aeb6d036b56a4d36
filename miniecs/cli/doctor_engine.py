"""What `miniecs doctor` finds of the Docker engine: whether its class can be used, and what room it has."""

from __future__ import annotations

import shutil
from pathlib import Path

from miniecs.cli import engine
from miniecs.cli.check import LITTLE_SPACE, Check
from miniecs.cli.output import counted
from miniecs.config import ServerSettings
from miniecs.docker_api import DockerApi, DockerApiError

_NAME = "Docker engine"
_ROUTES = Path("/proc/net/route")
_FEW_SUBNETS = 10


def checks(decided: ServerSettings | None) -> list[Check]:
    """All of the engine; nothing of it is fatal to a folder with the simulated runtime."""
    needed = decided is None or decided.runtime == "docker"
    found = engine.find(decided.engine if decided is not None else None)
    usable = _usable(found, "failed" if needed else "warning")
    if found.trouble or usable.result != "ok":
        return [usable]
    try:
        return [usable, *_disk(found), _subnets(found), _images(found)]
    except (OSError, DockerApiError) as error:
        return [usable, Check("on the engine", "warning", f"it did not tell: {error}")]


def _usable(found: engine.Engine, otherwise: str) -> Check:
    without = "`--runtime simulated` needs none."
    if found.trouble:
        advice = f"To have one: {found.cure}. " if found.cure else ""
        return Check(_NAME, otherwise, f"{found.host}: {found.trouble}", advice + without)
    about = f"{found.version}, {found.kind}, at {found.host}"
    if why := engine.obstacle(found):
        return Check(_NAME, otherwise, about, f"It cannot be used: {why} {without}")
    return Check(_NAME, "ok", about)


def _disk(found: engine.Engine) -> list[Check]:
    """Where images and containers are; of an engine on this machine alone can that be seen."""
    folder = Path(found.folder)
    try:
        free = shutil.disk_usage(folder).free // 1_000_000
    except OSError:
        return []
    name, about = "engine's disk", f"{folder}, {free} MB free"
    if free < LITTLE_SPACE:
        return [Check(name, "warning", about, "Make room (`docker system df` shows what is used).")]
    return [Check(name, "ok", about)]


def _subnets(found: engine.Engine) -> Check:
    """How many container instances there is room for: each has a network with a subnet of its own."""
    from miniecs_agent.docker import networks

    taken = networks.subnets_of(DockerApi(found.host).call("GET", "/networks"))
    try:
        routes = networks.read_routes(_ROUTES.read_text())
    except OSError:
        routes = []
    free = sum(1 for _ in networks.candidates("", routes, taken))
    about = f"{counted(free, 'more container instance')} can have a network of its own"
    if free < _FEW_SUBNETS:
        do = "Remove networks that nobody needs: `docker network prune`."
        return Check("subnets", "warning", about, do)
    return Check("subnets", "ok", about)


def _images(found: engine.Engine) -> Check:
    """Whether what samples and courses name can run without a registry."""
    from miniecs.images.provide import SAMPLES

    listed = DockerApi(found.host).call("GET", "/images/json")
    there = {str(tag) for image in listed for tag in image.get("RepoTags") or ()}
    missing = [name for name in SAMPLES if name not in there]
    if missing:
        about = f"{', '.join(missing)} not there"
        return Check("sample images", "warning", about, "`miniecs images` gets them.")
    return Check("sample images", "ok", ", ".join(SAMPLES))
