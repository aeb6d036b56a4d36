"""A port for a server that is to be found there again after every restart."""

from __future__ import annotations

import socket
from pathlib import Path

from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.ids import Ids

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DYNAMIC = 32768  # where dynamic ports begin on Linux; elsewhere at 49152
_FIRST = 10_000
_TRIES = 100


def lasting(bind: str) -> int:
    """A free TCP port of an address, which nobody else is given while the server is down for a moment.

    Connections, containers' dynamic host ports and whoever asks for any port get one of the system's dynamic
    range, so it is one below that, as long as one is free. Raises Problem when none can be had.
    """
    below = _dynamic_begin() - _FIRST
    ids = Ids()
    tried = [_FIRST + ids.number(below) for _ in range(_TRIES)] if below > 0 else []
    why = ""
    for port in [*tried, 0]:
        with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
            try:
                probe.bind((bind, port))
            except OSError as problem:
                why = problem.strerror or str(problem)
            else:
                return int(probe.getsockname()[1])
    raise Problem(f"No port can be had on {bind}: {why}. Choose another address with --bind.", ASKED_WRONGLY)


def _dynamic_begin() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _DYNAMIC
