"""Puts a stand-in's root file system together, as one tar, from packages' tar streams and a recipe.

It is never unpacked here: owners and modes stay as they are in the packages although nobody is root.
"""

from __future__ import annotations

import copy
import io
import posixpath
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from miniecs.images import bytecode
from miniecs.images.recipes import Recipe

Opener = Callable[[Path], AbstractContextManager[tarfile.TarFile]]

# As dpkg's path-exclude of slim images; licences stay.
_LEFT_OUT = re.compile(
    r"usr/share/(doc(?!/[^/]+/copyright$)|man|info|locale|lintian|bash-completion|zsh|bug|doc-base|linda|gtk-doc|help)"
    r"(/|$)|etc/(init\.d|cron\.\w+|logrotate\.d|update-motd\.d|apt|pam\.d)(/|$)|usr/lib/systemd(/|$)"
    r"|usr/lib/python3[.\d]*/EXTERNALLY-MANAGED$"  # pip may install into the image's own Python
)
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_CERTIFICATES = re.compile(r"usr/share/ca-certificates/.+\.crt$")
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_ACCOUNTS = re.compile(r"usr/share/base-passwd/(passwd|group)\.master$")


def write(
    recipe: Recipe, packages: Sequence[Path], opener: Opener, out: tarfile.TarFile, *, now: float
) -> None:
    """Write everything into ``out``; the first package that has a path wins, files of ours before all."""
    _Writer(recipe, out, now).write(packages, opener)


class _Writer:
    def __init__(self, recipe: Recipe, out: tarfile.TarFile, now: float) -> None:
        self._recipe = recipe
        self._out = out
        self._now = now
        self._written = {"."}  # the root itself is nothing to write
        self._certificates: dict[str, bytes] = {}
        self._accounts = {"passwd": b"", "group": b""}
        self._busybox = b""
        self._merged: set[str] = set()

    def write(self, packages: Sequence[Path], opener: Opener) -> None:
        for folder in self._recipe.folders:
            self._folder(folder.path, folder.mode, folder.owner)
        for path, target in sorted(self._recipe.links.items()):
            self._link(path, target)
        for path, content in self._recipe.overlay():
            self._file(path, content, 0o755 if content.startswith(b"#!") else 0o644)
        for package in packages:
            with opener(package) as tar:
                for member in tar:
                    self._member(tar, member)
        self._finish()

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._moved(member.name)
        if path in self._written or self._recipe.only not in (None, path) or _LEFT_OUT.match(path):
            return
        info = copy.copy(member)
        info.name, info.pax_headers = path, {}
        info.uname = info.gname = ""
        content = tar.extractfile(member) if member.isreg() else None
        if content is None:
            self._redirect(info, posixpath.normpath(member.name))
        elif _noticed(path) or path == self._recipe.only:
            data = content.read()
            self._notice(path, data)
            content = io.BytesIO(data)
        self._add(info, content)

    def _notice(self, path: str, data: bytes) -> None:
        """What packages' scripts would make something of."""
        if _CERTIFICATES.match(path):
            self._certificates[path] = data
        elif found := _ACCOUNTS.match(path):
            self._accounts[found[1]] = data
        elif bytecode.is_source(path):
            if made := bytecode.compiled(path, data):
                self._file(*made, 0o644)
        elif path == self._recipe.only:
            self._busybox = data

    def _redirect(self, info: tarfile.TarInfo, before: str) -> None:
        """Links go where their targets went; a symbolic one that climbs does so from where it was."""
        if info.islnk():
            info.linkname = self._moved(info.linkname)
        elif info.issym() and info.name != before and info.linkname.startswith("../"):
            folder = posixpath.dirname("/" + before)
            info.linkname = posixpath.normpath(posixpath.join(folder, info.linkname))

    def _moved(self, name: str) -> str:
        """A package's path as the image has it: no leading dot, and /bin, /lib … merged into /usr."""
        path = posixpath.normpath(name).lstrip("/")
        first = path.partition("/")[0]
        if self._recipe.merged_usr and first in _MERGED:
            self._merged.add(first)
            return f"usr/{path}"
        return path

    def _finish(self) -> None:
        for name in sorted(self._merged):
            self._link(name, f"usr/{name}")
        if self._certificates:
            self._file(_BUNDLE, b"".join(data for _, data in sorted(self._certificates.items())), 0o644)
        for name, content in self._accounts.items():
            if content:
                self._file(f"etc/{name}", content + self._own(name), 0o644)
        if self._busybox:
            for applet in applets(self._busybox):
                self._add(self._new(f"bin/{applet}", tarfile.LNKTYPE, 0o755, self._recipe.only or ""), None)

    def _own(self, name: str) -> bytes:
        """The recipe's accounts, as lines of /etc/passwd or of /etc/group."""
        accounts = [line.split(":") for line in self._recipe.accounts]
        lines = map(":".join, accounts) if name == "passwd" else (f"{a[0]}:x:{a[3]}:" for a in accounts)
        return "".join(f"{line}\n" for line in lines).encode()

    def _new(self, path: str, type: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.linkname, info.mtime = type, mode, target, int(self._now)
        return info

    def _folder(self, path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        info = self._new(path, tarfile.DIRTYPE, mode)
        info.uid, info.gid = owner
        self._add(info, None)

    def _link(self, path: str, target: str) -> None:
        self._add(self._new(path, tarfile.SYMTYPE, 0o777, target), None)

    def _file(self, path: str, content: bytes, mode: int) -> None:
        info = self._new(path, tarfile.REGTYPE, mode)
        info.size = len(content)
        self._add(info, io.BytesIO(content))

    def _add(self, info: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        if info.name in self._written:
            return
        for parent in _parents(info.name):
            if parent not in self._written:
                self._folder(parent)
        self._written.add(info.name)
        self._out.addfile(info, content)


def _noticed(path: str) -> bool:
    return bool(_CERTIFICATES.match(path) or _ACCOUNTS.match(path)) or bytecode.is_source(path)


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[: count + 1]) for count in range(len(parts)))


def applets(binary: bytes) -> list[str]:
    """The commands that a busybox is: asked of itself, the only thing that is run from a package."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "busybox"
        path.write_bytes(binary)
        path.chmod(0o700)
        listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True, timeout=10)
    return [name for name in listed.stdout.split() if name != "busybox"]
