"""The scheduler alone: tasks placed and assigned one after another, and in batches, on fleets of any size.

Hosts of mixed types in three zones fill up under spread(zone), binpack(memory), with tasks of 50 shapes in random
order. Beside it, on the same tasks, what one would write first: look at every host, take the best. Seconds are
of CPU time: nothing here waits.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from _report import figure, ratio

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
PEER = 150  # tasks that the plain way places on so many hosts; a full run of it would take half an hour
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
TYPES = {  # CPU units and MiB, as the agents of these types register them
    "m5.large": (2048, 7764),
    "c5.xlarge": (4096, 7764),
    "m5.2xlarge": (8192, 31654),
    "c5.4xlarge": (16384, 31654),
    "r5.4xlarge": (16384, 127462),
}
STRATEGIES = (Strategy("spread", f"attribute:{AVAILABILITY_ZONE}"), Strategy("binpack", "memory"))
QUERY = "attribute:ecs.instance-type =~ m5.* and attribute:ecs.availability-zone != us-east-1b and attribute:stack == blue"
ASKED = {"placement.single": 20_000, "placement.batch": 200_000}
ASKED_FILTER = 5.0  # milliseconds


def hosts(number: int) -> list[Host]:
    kinds = list(TYPES.items())
    found = []
    for n in range(number):
        type, (cpu, memory) = kinds[n % len(kinds)]
        attributes = {
            AVAILABILITY_ZONE: ZONES[n % len(ZONES)],
            "ecs.instance-type": type,
            "ecs.os-type": "linux",
            "stack": "blue" if n % 2 else "green",
        }
        found.append(Host(f"host-{n:05}", attributes, Resources(cpu=cpu, memory=memory, enis=3)))
    return found


def fleet(number: int) -> Fleet:
    made = Fleet()
    for host in hosts(number):
        made.put_host(host)
    return made


def shapes(random: Random) -> list[tuple[str, Resources]]:
    """50 of them, each the tasks of one service."""
    return [
        (f"service:{n}", Resources(cpu=random.choice((64, 128, 256, 512)), memory=random.randrange(64, 1025, 32)))
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

    def place(self, request: Request) -> tuple[int, int] | None:
        """(tasks of the group in its zone, memory left on it) of the best host, which gets the task."""
        counts = self.counts.setdefault(request.group, Counter())
        cpu, memory = request.demand.cpu, request.demand.memory
        best, chosen = None, -1
        for n in range(len(self.hosts)):
            if self.cpu[n] < cpu or self.memory[n] < memory:
                continue
            key = (counts[self.zone_of[n]], self.memory[n])
            if best is None or key < best:
                best, chosen = key, n
        if best is not None:
            self.assign(chosen, request)
        return best

    def assign(self, chosen: int, request: Request) -> None:
        self.cpu[chosen] -= request.demand.cpu
        self.memory[chosen] -= request.demand.memory
        self.counts.setdefault(request.group, Counter())[self.zone_of[chosen]] += 1
