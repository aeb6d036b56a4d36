"""The scheduler alone: tasks placed and assigned one after another, and in batches, on fleets of any size.

Hosts of mixed types in three zones fill up under spread(zone), binpack(memory), with tasks of 50 shapes in
random order. Beside it, on the same tasks, what one would write first: look at every host, take the best.
Seconds are of CPU time: nothing here waits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from math import log
from random import Random
from statistics import median

from _report import figure, ratio

from miniecs.serve.collector import spare_the_collector
from miniecs_scheduler import (
    AVAILABILITY_ZONE,
    Fleet,
    Host,
    Request,
    Resources,
    Strategy,
    parse_expression,
    place,
)

RUNS = 3
HOSTS = 10_000
SIZES = (100, 300, 1_000, 3_000, 10_000)
ONE_BY_ONE = 40_000
BATCH = 500
BATCHES = 400
PEER = 300  # tasks that the plain way places at each size: all of them would take it half an hour
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
TYPES = {  # CPU units and MiB, as the agents of these types register them
    "m5.large": (2048, 7764),
    "c5.xlarge": (4096, 7764),
    "m5.2xlarge": (8192, 31654),
    "c5.4xlarge": (16384, 31654),
    "r5.4xlarge": (16384, 127462),
}
STRATEGIES = (Strategy("spread", f"attribute:{AVAILABILITY_ZONE}"), Strategy("binpack", "memory"))
QUERY = (
    "attribute:ecs.instance-type =~ m5.* and attribute:ecs.availability-zone != us-east-1b"
    " and attribute:stack == blue"
)
ASKED = {"placement.single": 20_000, "placement.batch": 200_000}
ASKED_FILTER = 5.0  # milliseconds


def hosts(number: int) -> list[Host]:
    """Those that are alike share their attributes, as the control plane has it."""
    kinds = list(TYPES.items())
    found = []
    for n in range(number):
        type, (cpu, memory) = kinds[n % len(kinds)]
        attributes = _attributes(type, ZONES[n % len(ZONES)], "blue" if n % 2 else "green")
        found.append(Host(f"host-{n:05}", attributes, Resources(cpu=cpu, memory=memory, enis=3)))
    return found


@cache
def _attributes(type: str, zone: str, stack: str) -> dict[str, str]:
    return {AVAILABILITY_ZONE: zone, "ecs.instance-type": type, "ecs.os-type": "linux", "stack": stack}


def fleet(number: int) -> Fleet:
    made = Fleet()
    for host in hosts(number):
        made.put_host(host)
    return made


def shapes(random: Random) -> list[tuple[str, Resources]]:
    """50 of them, each the tasks of one service."""
    return [
        (f"service:{n}", Resources(random.choice((64, 128, 256, 512)), random.randrange(64, 1025, 32)))
        for n in range(50)
    ]


def requests(number: int, seed: int, count: int = 1) -> list[Request]:
    random = Random(seed)
    kinds = shapes(random)
    asked = []
    for n in range(number):
        group, demand = random.choice(kinds)
        asked.append(Request(demand, count, group, strategies=STRATEGIES, seed=n))
    return asked


def run(on: Fleet, asked: list[Request]) -> tuple[float, int]:
    """(seconds, tasks): all are placed, and each is assigned before the next is asked for."""
    number = 0
    began = time.process_time()
    for request in asked:
        placements = place(on, request).placements
        if request.count == 1:
            for placement in placements:
                on.assign(placement.host, f"task-{request.seed}", request.demand, request.group)
        else:
            tasks = [(placement.host, f"task-{request.seed}-{n}") for n, placement in enumerate(placements)]
            on.assign_all(tasks, request.demand, request.group)
        number += len(placements)
    return time.process_time() - began, number


@dataclass
class Plain:
    """The plain way: every host is looked at for every task."""

    hosts: list[Host]
    cpu: list[int] = field(init=False)
    memory: list[int] = field(init=False)
    zone_of: list[str] = field(init=False)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cpu = [host.capacity.cpu for host in self.hosts]
        self.memory = [host.capacity.memory for host in self.hosts]
        self.zone_of = [host.attributes[AVAILABILITY_ZONE] for host in self.hosts]

    def place(self, request: Request) -> None:
        found = self.best(request)
        if found is not None:
            self.assign(found[1], request)

    def best(self, request: Request) -> tuple[tuple[int, int], int] | None:
        """The key of the best host, and which that is."""
        counts = self.counts.setdefault(request.group, Counter())
        cpu, memory = request.demand.cpu, request.demand.memory
        best: tuple[tuple[int, int], int] | None = None
        for n in range(len(self.hosts)):
            if self.cpu[n] < cpu or self.memory[n] < memory:
                continue
            key = (counts[self.zone_of[n]], self.memory[n])
            if best is None or key < best[0]:
                best = key, n
        return best

    def key(self, n: int, request: Request) -> tuple[int, int]:
        """Tasks of the group in its zone, and the memory left on it."""
        return self.counts[request.group][self.zone_of[n]], self.memory[n]

    def assign(self, chosen: int, request: Request) -> None:
        self.cpu[chosen] -= request.demand.cpu
        self.memory[chosen] -= request.demand.memory
        self.counts.setdefault(request.group, Counter())[self.zone_of[chosen]] += 1


def run_plain(plain: Plain, asked: list[Request]) -> float:
    began = time.process_time()
    for request in asked:
        plain.place(request)
    return time.process_time() - began


def compare(asked: list[Request], number: int) -> None:
    """Place the same tasks both ways: our hosts must be as good as the best that looking at all finds."""
    ours, plain = fleet(number), Plain(hosts(number))
    place_of = {host.id: n for n, host in enumerate(plain.hosts)}
    for request in asked:
        placements = place(ours, request).placements
        best = plain.best(request)
        if not placements or best is None:
            sys.exit(f"bench: one of both found no host for {request}")
        ours.assign(placements[0].host, f"task-{request.seed}", request.demand, request.group)
        chosen = place_of[placements[0].host]
        if plain.key(chosen, request) != best[0]:
            sys.exit(f"bench: {placements[0]} is not the best host for {request}: {best}")
        plain.assign(chosen, request)


def curve() -> None:
    """Microseconds of a placement on fleets of growing size, with eight tasks a host; the plain way too."""
    print("placement.curve: microseconds a task, by hosts (eight tasks a host; ours, the plain way)")
    measured = []
    for number in SIZES:
        tasks = min(8 * number, ONE_BY_ONE)
        rounds = max(RUNS, 20_000 // tasks)
        runs = [run(fleet(number), requests(tasks, seed)) for seed in range(rounds)]
        mine = median(took / placed for took, placed in runs) * 1e6
        theirs = run_plain(Plain(hosts(number)), requests(PEER, 0)) / PEER * 1e6
        measured.append(mine)
        bar = "#" * round(mine / 2)
        print(f"  {number:6,} hosts {mine:8.1f} {theirs:12,.1f}   {bar}", flush=True)
    growth, logarithm = measured[-1] / measured[0], log(SIZES[-1]) / log(SIZES[0])
    more = SIZES[-1] // SIZES[0]
    print(f"  {more} times the hosts: {growth:.2f} times the time; the logarithm grows {logarithm:g} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    spare_the_collector()
    compare(requests(2_000, 7), 1_000)
    curve()
    single, batch, plain = [], [], []
    for seed in range(runs):
        took, placed = run(fleet(HOSTS), requests(ONE_BY_ONE, seed))
        single.append(placed / took)
        plain.append(PEER / run_plain(Plain(hosts(HOSTS)), requests(PEER, seed)))
        took, placed = run(fleet(HOSTS), requests(BATCHES, seed, BATCH))
        batch.append(placed / took)
    figure("placement.single", single, "/s")
    figure("placement.plain", plain, "/s")
    figure(f"placement.batch ({BATCH} tasks of a shape)", batch, "/s")
    ratio("placement.single (to plain)", single, plain)
    print(f"  asked: {ASKED['placement.single']:,} and {ASKED['placement.batch']:,} in batches")
    filtering(runs)


def filtering(runs: int) -> None:
    """One expression, compiled before, and all hosts."""
    expression, all_hosts = parse_expression(QUERY), hosts(HOSTS)
    took = []
    for _ in range(10 * runs):
        began = time.process_time()
        expression.select(all_hosts, lambda host: (0, ()))
        took.append((time.process_time() - began) * 1000)
    figure(f"placement.filter ({HOSTS:,} hosts)", took, "ms")
    print(f"  asked: under {ASKED_FILTER:g} ms")


if __name__ == "__main__":
    main()
