"""Debian packages without installing any: apt works on folders of its own, packages are read as tar streams.

Neither root nor a change to the machine is needed, and apt verifies what it fetches as always. Sources and
keys are the machine's own: a mirror or a proxy that is set up for it is used here too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_TOOLS = ("apt-get", "dpkg", "dpkg-deb")
_WITHIN = 1200.0  # seconds, of one call of apt
_NEWER_THAN_ANY = "9999:1"


class NoPackages(Exception):
    """Debian packages cannot be had here; the text says why."""


def missing_tools() -> str | None:
    """Why stand-ins cannot be built on this machine; None where they can."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"{', '.join(missing)} missing (Debian and Ubuntu have them)" if missing else None


def architecture() -> str:
    """This machine's, in Docker's words: amd64 arm64 arm."""
    named = _run(["dpkg", "--print-architecture"]).strip()
    return "arm" if named.startswith("arm") and named != "arm64" else named


class Apt:
    """apt with its lists and downloads below ``folder``. Nothing is installed for it but what is left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._updated = False

    def update(self) -> None:
        """Read the machine's package sources; once, however often it is called. Raises NoPackages."""
        if not self._updated:
            self._get(["update"], ())
            self._updated = True

    def download(self, packages: Sequence[str], without: Sequence[str]) -> list[Path]:
        """Packages with all that they depend on, sorted; ``without`` counts as there. Raises NoPackages."""
        self.update()
        # Those that are here already are not told: so an empty folder is asked what belongs to it.
        wanted = self._get(["install", "--print-uris", "--yes", *packages], without, archives="none")
        names = sorted(line.split()[1] for line in wanted.splitlines() if line.startswith("'"))
        self._get(["install", "--download-only", "--yes", *packages], without)
        return [self._folder / "archives" / name for name in names]

    def _get(self, arguments: Sequence[str], without: Sequence[str], archives: str = "archives") -> str:
        for folder in ("lists/partial", f"{archives}/partial"):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        status = self._folder / "status"
        status.write_text("".join(map(_as_installed, without)))
        options = {
            "Dir::State": self._folder,
            "Dir::State::status": status,
            "Dir::Cache": self._folder,
            "Dir::Cache::archives": self._folder / archives,
            "Debug::NoLocking": 1,
            # The files are in a folder of whoever calls, which apt's own user cannot enter.
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
            "Acquire::Retries": 2,
            "Acquire::http::Timeout": 15,
            "Acquire::https::Timeout": 15,
        }
        spelled = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return _run(["apt-get", "-q", *spelled, *arguments])


@contextmanager
def opened(package: Path) -> Iterator[tarfile.TarFile]:
    """The files of a package, as a stream: each is read before the next. Raises NoPackages."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                yield tar
            _drain(process.stdout)
        except tarfile.TarError as error:
            raise NoPackages(f"{package.name} is damaged: {error}") from error
        finally:
            process.stdout.close()


def _drain(stream: IO[bytes]) -> None:
    """What follows the end mark; dpkg-deb would complain of a reader that leaves early."""
    while stream.read(1 << 16):
        pass


def _as_installed(package: str) -> str:
    return (
        f"Package: {package}\nStatus: install ok installed\nArchitecture: {architecture()}\n"
        f"Multi-Arch: allowed\nVersion: {_NEWER_THAN_ANY}\nMaintainer: nobody\nDescription: left out\n\n"
    )


def _run(command: Sequence[str | os.PathLike[str]]) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ran = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPackages(f"{command[0]}: {error}") from error
    if ran.returncode != 0:
        told = [line for line in ran.stderr.splitlines() if line.startswith("E:")] or ran.stderr.splitlines()
        raise NoPackages(f"{command[0]}: {' '.join(told[-3:])}")
    return ran.stdout
