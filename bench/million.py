"""The Million Container Challenge, simulated: 1,000 services of 1,000 tasks on 5,000 hosts, until all RUN.

Through what a cluster of any size goes through: CreateService, the reconciler's loops, the scheduler, the
store (in memory), the agents' sessions, an agent for each host and its SubmitTaskStateChange. The control
plane is one process and its hosts are another one. Only engines and network are simulated, and nothing is put
into JSON on the way. In 2016, HashiCorp had a million containers scheduled on 5,000 real hosts in just under
five minutes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

from _hosts import Hosts
from _parts import Parts
from _report import figure

from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.serve.collector import spare_the_collector
from miniecs.sim import World

TASKS_OF_A_SERVICE = 1_000
TASKS_OF_A_HOST = 200
TYPES = ("m5.4xlarge", "c5.9xlarge", "r5.4xlarge")
CONTAINER = {"name": "app", "image": "app:1", "cpu": 64, "memory": 128}
BETWEEN = 0.1  # simulated seconds between two calls of CreateService
JOINED_WITHIN = 10.0  # simulated seconds
ASKED_SECONDS = 300
ASKED_GIB = 4.0
LIMIT = 600.0  # simulated seconds

PARTS = {
    "miniecs_scheduler": "placing: the scheduler",
    "miniecs.fleets": "placing: the scheduler",
    "miniecs.apply": "applying plans: tasks, events",
    "miniecs.control": "planning, and what reports mean",
    "miniecs.reconciler": "planning, and what reports mean",
    "miniecs.model": "making tasks, containers and events",
    "miniecs.store": "the store",
    "miniecs_api": "operations: CreateService, the agents' reports",
    "miniecs_api.agent": "sessions: what agents are told",
    "miniecs_agent": "agents",
    "miniecs_agent.sim": "simulated engines",
    "miniecs.sim": "simulated time",
    "_hosts": "the network between two processes",
    "miniecs.ids": "fresh ids",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="a multiple of 1,000")
    parser.add_argument("--hosts", type=int, help=f"else one for each {TASKS_OF_A_HOST} tasks")
    asked = parser.parse_args()
    services = max(1, asked.tasks // TASKS_OF_A_SERVICE)
    world = World(0, hosts=0, checked=False)
    hosts = _joined(world, asked.hosts or services * TASKS_OF_A_SERVICE // TASKS_OF_A_HOST)
    spare_the_collector()
    hosts.begin_measuring()
    run = _Run(world, hosts, services)
    with Parts(PARTS) as parts:
        run.go()
    cpu, memory, samples = hosts.close()
    run.check()
    name = f"million.{run.wanted}_tasks"
    figure(name, [run.seconds], "s")
    figure(f"{name}.cpu.control_plane", [run.cpu], "s")
    figure(f"{name}.cpu.hosts", [cpu], "s")
    figure(f"{name}.per_task", [(run.cpu + cpu) / run.wanted * 1e6], "us")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figure(f"{name}.memory.control_plane", [own], "GiB")
    figure(f"{name}.memory.hosts", [memory], "GiB")
    print(f"  asked of 1,000,000: under {ASKED_SECONDS} s and {ASKED_GIB:g} GiB over both processes")
    print("  where the CPU time of both went:")
    parts.samples += samples
    parts.show()


def _joined(world: World, count: int) -> Hosts:
    began = time.perf_counter()
    hosts = Hosts(world, count, TYPES, PARTS)
    hosts.advance(JOINED_WITHIN)
    world.ecs("RegisterTaskDefinition", family="app", containerDefinitions=[CONTAINER])
    joined = world.store.count(ContainerInstance, "cluster", world.cluster_arn)
    if joined != count:
        sys.exit(f"bench: {joined:,} of {count:,} hosts have joined in {JOINED_WITHIN:g} simulated seconds")
    print(f"{count:,} hosts have joined in {time.perf_counter() - began:.1f} s", flush=True)
    return hosts


class _Run:
    """From the first CreateService until all tasks are RUNNING."""

    def __init__(self, world: World, hosts: Hosts, services: int) -> None:
        self._world = world
        self._hosts = hosts
        self._names = [f"service-{number}" for number in range(services)]
        self.wanted = services * TASKS_OF_A_SERVICE
        self.seconds = self.cpu = 0.0
        self._told = 0

    def go(self) -> None:
        world, began, cpu = self._world, time.perf_counter(), time.process_time()
        for number, name in enumerate(self._names, 1):
            world.ecs(
                "CreateService", serviceName=name, taskDefinition="app:1", desiredCount=TASKS_OF_A_SERVICE
            )
            self._hosts.advance(BETWEEN)
            self._tell(number, time.perf_counter() - began)
        end = world.now + LIMIT
        while self._running() < self.wanted:
            if world.now > end:
                sys.exit(f"bench: {self._running():,} tasks RUNNING after {LIMIT:g} simulated seconds")
            self._hosts.advance(BETWEEN)
        self.seconds, self.cpu = time.perf_counter() - began, time.process_time() - cpu

    def check(self) -> None:
        """What DescribeServices says, of every service."""
        for name in self._names:
            service = self._world.ecs("DescribeServices", services=[name])["services"][0]
            if service["runningCount"] != TASKS_OF_A_SERVICE:
                sys.exit(f"bench: {name} has {service['runningCount']} running tasks")

    def _running(self) -> int:
        return self._world.store.count(Task, "cluster", (self._world.cluster_arn, "RUNNING"))

    def _tell(self, services: int, seconds: float) -> None:
        tenth = 10 * services // len(self._names)
        if tenth > self._told:
            self._told = tenth
            print(f"{seconds:6.1f} s: {services:5,} services, {self._running():9,} tasks RUNNING", flush=True)


if __name__ == "__main__":
    main()
