"""The Auto Scaling group of a random run, and what users do with its capacity provider.

Demand above what the largest group has, and tasks that fit on none of its instances, are wanted here: they
have to wait, and to be stopped in the end.
"""

from __future__ import annotations

from typing import Any

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.sim.world import World

GROUPED_IN = 4  # of so many clusters one has a group
NAME = "group"
STRATEGY = {"capacityProviderStrategy": [{"capacityProvider": NAME, "weight": 1}]}
TIMING = Timing(scale_in_after=90.0, provisioning_timeout=60.0)
"""Shorter than ECS's, or a run would be over before a group shrinks and a task has waited too long."""

_MOST = 8  # instances: enough for all that is wanted at the end
_LARGEST = 3
_SIZES = ((256, 512), (512, 1500), (512, 3500), (256, 9000))  # of a task; nothing takes the last one
_ENDING = "sim/exit-0-after-20"
_IMAGES = ("httpd:2.4", _ENDING)
_ALONE = (512, 6500)  # one on an instance


def is_grouped(seed: int) -> bool:
    return seed % GROUPED_IN == 1


def add_group(world: World, choices: Ids) -> None:
    """One with a random least size; in half of the runs its instances with tasks are protected."""
    world.add_group(
        choices.number(3),
        _MOST,
        name=NAME,
        is_default=False,
        managedScaling={"status": "ENABLED", "instanceWarmupPeriod": 15},
        managedTerminationProtection=("DISABLED", "ENABLED")[choices.number(2)],
    )


def begin(world: World, choices: Ids) -> None:
    """What the group has to do with at first: too many tasks for it, which soon end, or too large ones."""
    if choices.number(2):
        _run(world, _ENDING, _ALONE, _MOST)
    else:
        _run(world, _IMAGES[choices.number(2)], _SIZES[_LARGEST], 5 + choices.number(4))


def run_tasks(world: World, choices: Ids) -> None:
    """Standalone tasks for the group: some stay, some end, some are too many or too large."""
    size = _SIZES[choices.number(len(_SIZES))]
    _run(world, _IMAGES[choices.number(2)], size, 5 + choices.number(4))


def _run(world: World, image: str, size: tuple[int, int], count: int) -> None:
    cpu, memory = size
    container: dict[str, Any] = {"name": "main", "image": image, "cpu": cpu, "memory": memory}
    definition = world.ecs("RegisterTaskDefinition", family="on-group", containerDefinitions=[container])
    arn = definition["taskDefinition"]["taskDefinitionArn"]
    world.ecs("RunTask", taskDefinition=arn, count=count, **STRATEGY)


def end_standalone(world: World) -> None:
    """Stop the tasks that nobody moves: they would keep instances that the group wants to end."""
    for task in world.tasks():
        if task.wanted and task.service_arn is None:
            world.ecs("StopTask", task=task.arn, reason="the day is over")
