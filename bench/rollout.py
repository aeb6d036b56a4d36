"""A rolling update on simulated hosts, the whole control plane: operations, store, loops, agents.

Real seconds from UpdateService to the deployment's COMPLETED, on the memory store. The
invariants that tests check at every commit are off: they would be what is measured. Then two
figures of a service that hardly changes: one look at it, and what many cost at rest.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from statistics import median

from _report import figure

from miniecs.control.plan import Key
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.serve.collector import spare_the_collector
from miniecs.sim import World

SIZES = ((2_000, 1_000, 3, 5.0), (20_000, 10_000, 1, 60.0))  # tasks, hosts, runs, seconds asked
ASKED_GIB = 3.0
MOST_OF_A_SERVICE = 5_000  # ECS allows a service no more: 20,000 tasks are four, updated at once
_ROLLOUT_LIMIT = 3600.0  # simulated seconds
STEP_TASKS, STEPS, ASKED_STEP = 5_000, 20, 5.0  # milliseconds
REST_SERVICES, REST_TASKS, REST_SECONDS, ASKED_REST = 100, 10, 600.0, 1.0  # percent of a core


def definition(revision: int) -> dict[str, object]:
    container = {"name": "app", "image": f"app:{revision}", "cpu": 128, "memory": 256}
    return {"family": "app", "containerDefinitions": [container]}


def make_world(hosts: int, seed: int = 0) -> World:
    world = World(seed, hosts=hosts, types=("m5.large", "c5.xlarge"), checked=False)
    world.run(10)  # all hosts have joined
    world.ecs("RegisterTaskDefinition", **definition(1))
    return world


def come_up(world: World, services: int, tasks: int) -> None:
    for number in range(services):
        world.ecs("CreateService", serviceName=f"app-{number}", taskDefinition="app:1", desiredCount=tasks)
    if not world.run_until(lambda: is_done(world), _ROLLOUT_LIMIT):
        sys.exit(f"bench: {services} services were not up within {_ROLLOUT_LIMIT:g} simulated seconds")


def is_done(world: World) -> bool:
    return all(
        len(service.deployments) == 1 and service.deployments[0].rollout_state == "COMPLETED"
        for service in world.store.all(Service)
    )


def rollout(tasks: int, hosts: int, seed: int) -> float:
    world = make_world(hosts, seed)
    services = -(-tasks // MOST_OF_A_SERVICE)
    come_up(world, services, tasks // services)
    world.ecs("RegisterTaskDefinition", **definition(2))
    spare_the_collector()
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(services):
        world.ecs("UpdateService", service=f"app-{number}", taskDefinition="app:2")
    if not world.run_until(lambda: is_done(world), _ROLLOUT_LIMIT):
        sys.exit(f"bench: {tasks} tasks were not replaced within {_ROLLOUT_LIMIT:g} simulated seconds")
    took = time.perf_counter() - began
    print(f"  {tasks} tasks: {took:.1f} s, of CPU time {time.process_time() - cpu:.1f} s", flush=True)
    return took


def step() -> None:
    """One of a service's tasks has failed: from the loop's look at it to the plan and its application."""
    world = make_world(1_000)
    come_up(world, 1, STEP_TASKS)
    world.run(120)
    reconciler = world.reconciler
    key = Key("service", next(world.store.all(Service)).arn)
    took, launched = [], 0
    for task in world.tasks("RUNNING")[:STEPS]:
        host = world.instances.get(task.container_instance_arn or "")
        if host is None or not host.engine.crash(task.arn, "app", 1):
            sys.exit(f"bench: {task.arn} does not run")
        before = world.store.count(Task, "service", (key.id, "PENDING"))
        world.run_until(lambda arn=task.arn: _has_stopped(world, arn), 5)
        began = time.process_time()
        reconciler.step(world.now + 1.0)
        took.append((time.process_time() - began) * 1000)
        launched += world.store.count(Task, "service", (key.id, "PENDING")) > before
        world.run(60)
    if not launched:
        sys.exit("bench: no step has started a substitute")
    figure(f"rollout.step ({STEP_TASKS} tasks, one has failed)", took, "ms")
    print(f"{'':<44} asked: under {ASKED_STEP:g} ms, of CPU time")


def _has_stopped(world: World, arn: str) -> bool:
    task = world.store.get(Task, arn)
    return task is None or task.last_status == "STOPPED"


def rest() -> None:
    """Nothing happens: what services, tasks and agents cost then, in percent of a core."""
    world = make_world(100)
    come_up(world, REST_SERVICES, REST_TASKS)
    spare_the_collector()
    shares = []
    for _ in range(3):
        began = time.process_time()
        world.run(REST_SECONDS)
        shares.append(100 * (time.process_time() - began) / REST_SECONDS)
    figure(f"rollout.rest ({REST_SERVICES} services, {REST_SERVICES * REST_TASKS} tasks)", shares, "%")
    print(f"{'':<44} asked: under {ASKED_REST:g} % of a core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="the first size alone")
    sizes = SIZES[:1] if parser.parse_args().small else SIZES
    step()
    rest()
    for tasks, hosts, runs, asked in sizes:
        took = [rollout(tasks, hosts, seed) for seed in range(runs)]
        figure(f"rollout.{tasks}_tasks_on_{hosts}_hosts", took, "s")
        print(f"{'':<44} asked: under {asked:g} s; {tasks / median(took):,.0f} tasks a second")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figure("rollout.memory", [peak], "GiB")
    print(f"{'':<44} asked: under {ASKED_GIB:g} GiB")


if __name__ == "__main__":
    main()
