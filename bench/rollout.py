"""A rolling update on simulated hosts, the whole control plane: operations, store, loops, agents.

Real seconds from UpdateService to the deployment's COMPLETED, on the memory store. The
invariants that tests check at every commit are off: they would be what is measured.
"""

from __future__ import annotations

import resource
import sys
import time

from _report import figure

from miniecs.model.service import Service
from miniecs.sim import World

RUNS = 3
ASKED = 5.0  # seconds for 2,000 tasks on 1,000 hosts
SIZES = ((2_000, 1_000),)
_ROLLOUT_LIMIT = 3600.0  # simulated seconds


def definition(revision: int) -> dict[str, object]:
    container = {"name": "app", "image": f"app:{revision}", "cpu": 128, "memory": 256}
    return {"family": "app", "containerDefinitions": [container]}


def rollout(tasks: int, hosts: int, seed: int) -> float:
    world = World(seed, hosts=hosts, types=("m5.large", "c5.xlarge"), checked=False)
    world.ecs("RegisterTaskDefinition", **definition(1))
    world.ecs("CreateService", serviceName="app", taskDefinition="app:1", desiredCount=tasks)

    def service() -> Service:
        return world.store.all(Service).__next__()

    def is_done() -> bool:
        deployments = service().deployments
        return len(deployments) == 1 and deployments[0].rollout_state == "COMPLETED"

    if not world.run_until(is_done, _ROLLOUT_LIMIT):
        sys.exit(f"bench: {tasks} tasks did not come up within {_ROLLOUT_LIMIT:g} simulated seconds")
    world.ecs("RegisterTaskDefinition", **definition(2))
    began = time.perf_counter()
    world.ecs("UpdateService", service="app", taskDefinition="app:2")
    if not world.run_until(is_done, _ROLLOUT_LIMIT):
        sys.exit(f"bench: {tasks} tasks were not replaced within {_ROLLOUT_LIMIT:g} simulated seconds")
    return time.perf_counter() - began


def main() -> None:
    for tasks, hosts in SIZES:
        took = [rollout(tasks, hosts, seed) for seed in range(RUNS)]
        middle = figure(f"rollout.{tasks}_tasks_on_{hosts}_hosts", took, "s")
        print(f"{'':<44} asked: under {ASKED:g} s; {tasks / middle:,.0f} tasks a second")
    print(f"rollout.memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
