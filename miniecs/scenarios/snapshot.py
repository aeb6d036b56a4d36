"""The hosts of a story at one moment, filled with their tasks, as `miniecs place` draws them."""

from __future__ import annotations

import re
from collections import Counter

from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.plots.contents import HostFill, Panel, Part
from miniecs.scenarios.durations import told
from miniecs.scenarios.stage import Stage


def snapshot(stage: Stage) -> Panel:
    """All hosts that ECS knows now; those that are lost, draining or cut off take no tasks."""
    world = stage.world
    alive = {host.arn for host in world.hosts()}
    instances = world.store.find(ContainerInstance, "cluster", world.cluster_arn)
    hosts = [_fill(stage, each, each.arn in alive) for each in instances if each.status != "INACTIVE"]
    tasks = sum(part.tasks for host in hosts for part in host.parts)
    used = sum(1 for host in hosts if host.parts)
    name = stage.story.variant or stage.story.title
    subtitle = f"{tasks} tasks on {used} of {len(hosts)} hosts"
    order = {name: n for n, name in enumerate(stage.hosts())}
    hosts.sort(key=lambda host: (host.zone, order.get(host.name, len(order)), _natural(host.name)))
    return Panel(f"{name} at {told(stage.now)}", subtitle, tuple(hosts))


def _natural(name: str) -> list[tuple[str, int]]:
    """So that spot-10 stands after spot-9."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _fill(stage: Stage, instance: ContainerInstance, is_alive: bool) -> HostFill:
    kinds: Counter[tuple[str, int, int]] = Counter()
    for task in stage.world.store.find(Task, "instance", instance.arn):
        if not task.is_stopped:
            kinds[task.group, task.reserved_cpu, task.reserved_memory] += 1
    return HostFill(
        name=stage.watcher.names[arns.name_of(instance.arn)],
        zone=instance.availability_zone or "no zone",
        cpu=instance.cpu,
        memory=instance.memory,
        usable=is_alive and instance.status == "ACTIVE" and instance.agent_connected,
        parts=tuple(Part(group, False, n, cpu, memory) for (group, cpu, memory), n in sorted(kinds.items())),
    )
