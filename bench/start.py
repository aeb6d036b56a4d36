"""From exec to the first answered ListClusters, and memory when idle, beside MiniStack and moto.

The miniecs server starts with an empty cluster; the peers' servers start with nothing.
"""

from __future__ import annotations

import time

import _servers as servers
from _report import figure, ratio

RUNS = 5
IDLE = 3.0  # seconds after the start, before memory is read


def main() -> None:
    servers.peers()
    started: dict[str, list[float]] = {}
    resident: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for start in (servers.miniecs, servers.ministack, servers.moto):
            with start() as server:
                started.setdefault(server.name, []).append(server.started)
                time.sleep(IDLE)
                resident.setdefault(server.name, []).append(server.resident)
    for name, values in started.items():
        figure(f"start.{name}.first_answer", values, "s")
    for name, values in resident.items():
        figure(f"start.{name}.resident", values, "MiB")
    ratio("start.ratio (first answer, miniecs/moto)", started["miniecs"], started["moto"])
    ratio("start.resident.ratio (miniecs/moto)", resident["miniecs"], resident["moto"])


if __name__ == "__main__":
    main()
