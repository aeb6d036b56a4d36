"""Where listeners listen: a loopback address for each load balancer, its own port or the next one free.

Each load balancer has 127.0.2.N for itself, claimed by an abstract socket so that two clusters on one
machine never share one; a claim ends with its process, however it ends, a reservation does not. Ports below
1024 need root or a setting of the kernel: without either, and where something else listens, the next free
port above 8000 is taken, and said.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Iterable

from miniecs.proxy.reservations import Reservations

BACKLOG = 4096
_FIRST, _LAST = 1, 254
_ABOVE = 8000
_TRIED = 1000

_WHY = {
    errno.EACCES: "it may not be bound without root",
    errno.EADDRINUSE: "something else listens on it",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}


class Numbers:
    """Which N of 127.0.2.N each load balancer has. Kept while the process lives, remembered by its file."""

    def __init__(
        self, remembered: dict[str, int], reservations: Reservations, prefix: str = "127.0.2."
    ) -> None:
        self._prefix = prefix
        self._reservations = reservations
        self._remembered = dict(remembered)
        self._claims: dict[str, tuple[int, socket.socket | None]] = {}

    def address(self, load_balancer: str) -> str | None:
        """The load balancer's address; None when all are taken."""
        if load_balancer not in self._claims:
            claimed = self._claim(load_balancer)
            if claimed is None:
                return None
            self._claims[load_balancer] = claimed
            self._remembered[load_balancer] = claimed[0]
            self._reservations.take(self._address(claimed[0]))
        return self._address(self._claims[load_balancer][0])

    def keep_only(self, load_balancers: Iterable[str]) -> None:
        """Free what others had."""
        kept = frozenset(load_balancers)
        for arn in [arn for arn in self._claims if arn not in kept]:
            self._release(arn)
        for arn in [arn for arn in self._remembered if arn not in kept]:
            self._reservations.free(self._address(self._remembered.pop(arn)))

    def close(self) -> None:
        for arn in list(self._claims):
            self._release(arn)

    @property
    def none_left(self) -> str:
        """Why a load balancer has no address."""
        return f"none of the addresses {self._prefix}{_FIRST} to {self._prefix}{_LAST} could be claimed"

    @property
    def remembered(self) -> dict[str, int]:
        return dict(self._remembered)

    def _address(self, number: int) -> str:
        return f"{self._prefix}{number}"

    def _release(self, arn: str) -> None:
        _, claim = self._claims.pop(arn)
        if claim is not None:
            claim.close()

    def _claim(self, load_balancer: str) -> tuple[int, socket.socket | None] | None:
        used = {number for number, _ in self._claims.values()}
        last = self._remembered.get(load_balancer)
        others = {n for arn, n in self._remembered.items() if arn != load_balancer}
        every = range(_FIRST, _LAST + 1)
        others |= {n for n in every if self._reservations.foreign(self._address(n))}
        # First its own of last time, then those that nobody had, then any.
        order = [last] if last is not None and last not in others else []
        order += [n for n in every if n not in others] + [n for n in every if n in others]
        for number in order:
            if number in used:
                continue
            if sys.platform != "linux":
                return number, None
            try:
                claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            except OSError:
                return None  # out of file descriptors, for this number as for the next
            try:
                claim.bind(f"\0miniecs.proxy.{self._address(number)}")
            except OSError:
                claim.close()
                continue
            return number, claim
        return None


def bound(address: str, port: int, avoided: frozenset[int] = frozenset()) -> tuple[socket.socket | None, str]:
    """(a socket listening on the port or on the next one free above 8000, what is wrong with the port)."""
    made, problem = _bind(address, port)
    if made is not None:
        return made, ""
    if problem != _WHY[errno.EADDRNOTAVAIL]:
        start = _ABOVE + (port if port < _TRIED else port % _TRIED)
        for other in range(start, start + _TRIED):
            if other in avoided or other == port:
                continue
            made, _ = _bind(address, other)
            if made is not None:
                return made, f"port {port}: {problem}"
    return None, f"{address}:{port}: {problem}"


def _bind(address: str, port: int) -> tuple[socket.socket | None, str]:
    with contextlib.ExitStack() as stack:
        try:
            made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            stack.callback(made.close)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setblocking(False)
            made.bind((address, port))
            made.listen(BACKLOG)  # only here is it known that nobody else does
        except OSError as error:
            return None, _WHY.get(error.errno or 0, error.strerror or str(error))
        stack.pop_all()
    return made, ""
