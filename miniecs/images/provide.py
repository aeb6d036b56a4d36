"""Sees to it that an engine has an image: it has it, or pulls it, or gets a stand-in that is built here.

The engine pulls, not this machine: it may be elsewhere, or have a mirror. A registry that once did not answer
is not waited for again in the same run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

from miniecs.docker_api import DockerApi, DockerApiError
from miniecs.images import archive, debian, rootfs
from miniecs.images.recipes import LABEL, Recipe, recipe

SAMPLES = (
    "busybox:latest",
    "httpd:2.4",
    "python:3-slim",
    "rabbitmq:3-management",
    "amazon/amazon-ecs-sample:latest",
)
_SILENCE = 6.0  # seconds without a word from a pull: the registry cannot be reached
_LOAD_WITHIN = 300.0
_TEMPORARY = "tmp-"
# What an engine says of a registry that is out of reach, which is then so for every image.
_UNREACHABLE = ("dial tcp", "no such host", "i/o timeout", "handshake timeout", "Client.Timeout", "timed out")

Say = Callable[[str], None]


class Provided(NamedTuple):
    """An image that the engine has now. how: present pulled built. stand_in: made here, not pulled."""

    name: str
    id: str
    size: int  # bytes
    how: str
    stand_in: bool


class CannotProvide(Exception):
    """The text says which image, why it cannot be pulled and why no stand-in can be built."""


class Provider:
    """For one engine, and one run. cache: a folder of built stand-ins, shared by all runs on this machine."""

    def __init__(self, api: DockerApi, cache: Path, say: Say, now: Callable[[], float]) -> None:
        self._api = api
        self._cache = cache
        self._say = say
        self._now = now
        self._unreachable = ""
        self._building = contextlib.ExitStack()
        self._work: Path | None = None
        self._apt: debian.Apt | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What was fetched to build from goes; what was built stays."""
        self._building.close()

    def provide(self, name: str) -> Provided:
        """Raises CannotProvide, OSError when the engine is gone, DockerApiError for what it refuses."""
        name = tagged(name)
        if there := self._present(name, "present"):
            return there
        trouble = self._unreachable or self._pull(name)
        if not trouble:
            return self._made(name, "pulled")
        known = recipe(name)
        if known is None:
            raise CannotProvide(f"{name} cannot be pulled: {trouble}. There is no stand-in for it.")
        self._say(f"{name} cannot be pulled ({trouble}): a stand-in is built from Debian packages.")
        try:
            folder = self._built(known)
        except (debian.NoPackages, OSError) as error:
            told = f"{name} cannot be pulled: {trouble}. Nor can a stand-in be built: {error}."
            raise CannotProvide(told) from error
        for _ in self._api.progress(
            "POST", "/images/load", {"quiet": True}, archive.saved(folder, name), timeout=_LOAD_WITHIN
        ):
            pass
        return self._made(name, "built")

    def _present(self, name: str, how: str) -> Provided | None:
        try:
            found = self._api.call("GET", f"/images/{name}/json")
        except DockerApiError as error:
            if error.status == 404:
                return None
            raise
        labels = found["Config"].get("Labels") or {}
        return Provided(name, found["Id"], found["Size"], how, LABEL in labels)

    def _made(self, name: str, how: str) -> Provided:
        made = self._present(name, how)
        if made is None:
            raise CannotProvide(f"{name} is gone from the engine again: did something remove it?")
        self._say(f"{name}: {how}, {made.size / 1e6:.0f} MB")
        return made

    def _pull(self, name: str) -> str:
        """Why it cannot be pulled; '' when it was."""
        self._say(f"{name}: pulling …")
        image, _, tag = name.rpartition(":")
        layers: dict[str, tuple[int, int]] = {}
        told = 0
        query = {"fromImage": image, "tag": tag}
        try:
            for step in self._api.progress("POST", "/images/create", query, timeout=_SILENCE):
                told = self._tell(name, step, layers, told)
        except TimeoutError:
            self._unreachable = f"no answer from the registry in {_SILENCE:g} s"
            return self._unreachable
        except DockerApiError as error:
            if any(sign in str(error) for sign in _UNREACHABLE):
                self._unreachable = str(error)
            return str(error)
        return ""

    def _tell(self, name: str, step: dict[str, object], layers: dict[str, tuple[int, int]], told: int) -> int:
        """Say every tenth of a download. told: tenths that were said."""
        detail = step.get("progressDetail")
        if step.get("status") == "Downloading" and isinstance(detail, dict) and detail.get("total"):
            layers[str(step.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
        total = sum(of for _, of in layers.values())
        current = sum(done for done, _ in layers.values())
        tenths = 10 * current // total if total else 0
        if tenths > told:
            self._say(f"{name}: {current / 1e6:.0f} of {total / 1e6:.0f} MB")
            return tenths
        return told

    def _built(self, known: Recipe) -> Path:
        """The cache's entry, built when it is missing. Raises debian.NoPackages."""
        if why := debian.missing_tools():
            raise debian.NoPackages(why)
        architecture = self._architecture()
        folder = archive.entry(self._cache, known, architecture)
        if self._work is None or self._apt is None:
            self._work = self._alone()
            self._apt = debian.Apt(self._work / "apt")
        if not folder.exists():
            self._build(known, architecture, self._apt, self._work / "entry", folder)
        return folder

    def _build(
        self, known: Recipe, architecture: str, apt: debian.Apt, made: Path, folder: Path
    ) -> None:
        self._say(f"{known.tag}: fetching {', '.join(known.packages[-3:])} and what they need …")
        packages = apt.download(known.packages, known.without)
        self._say(f"{known.tag}: putting {len(packages)} packages together …")
        made.mkdir()
        now = self._now()
        with archive.new_tar(archive.layer_of(made)) as out:
            rootfs.write(known, packages, debian.opened, out, now=now)
        config = archive.image_config(known, architecture, archive.digest_of(made), now=now)
        archive.keep(made, folder, config)
        for older in archive.others(folder):
            shutil.rmtree(older)

    def _architecture(self) -> str:
        """The engine's, which must be this machine's: its packages are what is at hand."""
        theirs = str(self._api.call("GET", "/version").get("Arch", ""))
        ours = debian.architecture()
        if theirs != ours:
            raise debian.NoPackages(f"the engine's machine is {theirs}, this one {ours}")
        return ours

    def _alone(self) -> Path:
        """One run builds at a time, in a folder of its own; what one that was killed left behind goes."""
        self._cache.mkdir(parents=True, exist_ok=True)
        lock = self._building.enter_context((self._cache / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._say("Another run is building stand-ins: waiting for it …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in self._cache.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left)
        work = tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=self._cache)
        return Path(self._building.enter_context(work))


def tagged(name: str) -> str:
    """A name as engines list it: with a tag, and without Docker Hub's own prefixes."""
    for prefix in ("docker.io/", "library/"):
        name = name.removeprefix(prefix)
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/miniecs/images, or in ~/.cache: what is there may be removed at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "miniecs" / "images"
