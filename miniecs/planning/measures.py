"""What an answer is worth: hosts used, balance over zones, what is stranded, what a loss takes down.

All are counted after the new tasks were placed and over the question's group, its tasks that were there
before included: whoever loses a zone does not lose only the new ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from miniecs.planning.planned import Planned
from miniecs.planning.question import Answer
from miniecs_scheduler import Resources


@dataclass(frozen=True, slots=True)
class Stranded:
    """An amount that is free where no further task of the shape fits for want of the other amount."""

    amount: int
    of: int  # what all usable hosts have
    hosts: int

    @property
    def percent(self) -> float:
        return 100 * self.amount / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Loss:
    """The worst that losing one host or one zone does to the group."""

    what: str | None
    tasks: int
    of: int

    @property
    def percent(self) -> float:
        return 100 * self.tasks / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Measures:
    """zones: the group's tasks in each zone that has a usable host. hosts_empty: with daemons at most.

    waiting: tasks that would wait in PROVISIONING; unplaced: those that would not.
    """

    placed: int
    waiting: int
    unplaced: int
    hosts_used: int
    hosts_empty: int
    hosts: int
    zones: Mapping[str, int]
    stranded_cpu: Stranded
    stranded_memory: Stranded
    host_loss: Loss
    zone_loss: Loss

    @property
    def imbalance(self) -> int:
        """Tasks in the fullest zone, less those in the emptiest."""
        return max(self.zones.values(), default=0) - min(self.zones.values(), default=0)


def measure(planned: Planned, answer: Answer) -> Measures:
    usable = [i for i in planned.instances.values() if i.status == "ACTIVE" and i.agent_connected]
    placed = answer.placed
    by_host = Counter(task.host for task in planned.of_group(answer.question.group)) + placed
    by_zone = Counter({zone: 0 for i in usable if (zone := i.availability_zone) is not None})
    for host, tasks in by_host.items():
        by_zone[planned.instances[host].availability_zone or "no zone"] += tasks
    usable_ids = [i.arn for i in usable]
    daemons = {each.group for each in planned.services.values() if each.scheduling_strategy == "DAEMON"}
    busy = placed.keys() | {task.host for task in planned.tasks if task.group not in daemons}
    return Measures(
        placed=len(answer.decision.placements),
        waiting=answer.waiting,
        unplaced=answer.decision.unplaced - answer.waiting,
        hosts_used=len(placed),
        hosts_empty=sum(id not in busy for id in usable_ids),
        hosts=len(planned.instances),
        zones=dict(sorted(by_zone.items())),
        stranded_cpu=_stranded(planned, answer, usable_ids, cpu=True),
        stranded_memory=_stranded(planned, answer, usable_ids, cpu=False),
        host_loss=_worst(by_host),
        zone_loss=_worst(by_zone),
    )


def _worst(tasks: Counter[str]) -> Loss:
    what, most = max(tasks.items(), key=lambda each: each[1], default=(None, 0))
    return Loss(what if most else None, most, tasks.total())


def _stranded(planned: Planned, answer: Answer, usable: list[str], *, cpu: bool) -> Stranded:
    """What is left of one amount where it would do for a task, and the other would not."""
    demand, placed = answer.question.demand, answer.placed
    amount = hosts = total = 0
    for id in usable:
        free = planned.fleet.free(id)
        left = Resources(free.cpu - placed[id] * demand.cpu, free.memory - placed[id] * demand.memory)
        capacity = planned.instances[id]
        total += capacity.cpu if cpu else capacity.memory
        enough_cpu, enough_memory = left.cpu >= demand.cpu, left.memory >= demand.memory
        if cpu and enough_cpu and not enough_memory:
            amount, hosts = amount + left.cpu, hosts + (left.cpu > 0)
        elif not cpu and enough_memory and not enough_cpu:
            amount, hosts = amount + left.memory, hosts + (left.memory > 0)
    return Stranded(amount, total, hosts)
