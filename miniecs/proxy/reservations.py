"""Whose an address is while no proxy claims it, so that a killed one has its load balancers' addresses again.

A claim ends with its process, and between its death and its next start another cluster could take the
address. So a symbolic link for each address, which all clusters of a machine see, names the file that
remembers it, for as long as there is that file. It is a courtesy between clusters: who has claimed an
address has it, whatever the links say, and where they cannot be written nothing else is lost.
"""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("miniecs.proxy")

_EVERYBODYS = 0o1777


def shared() -> Path:
    """Where the clusters of this machine leave their links."""
    return Path(tempfile.gettempdir()) / "miniecs-addresses"


class Reservations:
    """The links of one cluster. remembering: the file that has its addresses; links: the shared folder."""

    def __init__(self, remembering: Path, links: Path) -> None:
        self._remembering = remembering.absolute()
        self._links = links

    def foreign(self, address: str) -> bool:
        """Whether another cluster, which there still is, has the address."""
        holder = self._holder(address)
        if holder is None or holder == self._remembering:
            return False
        try:
            return holder.exists()
        except OSError:  # another user's
            return True

    def take(self, address: str) -> None:
        """Leave a link, in place of one that means nothing any more."""
        if self._holder(address) == self._remembering:
            return
        fresh = self._links / f".{address}.{os.getpid()}"
        try:
            if not self._links.is_dir():
                self._links.mkdir(exist_ok=True)
                self._links.chmod(_EVERYBODYS)
            fresh.symlink_to(self._remembering)
            fresh.replace(self._links / address)
        except OSError as problem:
            log.info("%s is not reserved while no proxy runs: %s", address, problem)
            with suppress(OSError):
                fresh.unlink()

    def free(self, address: str) -> None:
        """Take the link away if it is ours."""
        if self._holder(address) == self._remembering:
            with suppress(OSError):  # taken away meanwhile
                (self._links / address).unlink()

    def _holder(self, address: str) -> Path | None:
        try:
            return (self._links / address).readlink()
        except OSError:
            return None
