"""What a picture of hosts shows, before any of it is drawn: panels of hosts, filled with tasks by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from miniecs.model import arns
from miniecs.planning.measures import Measures, measure
from miniecs.planning.planned import Planned
from miniecs.planning.question import Answer
from miniecs.planning.words import rounded, said


@dataclass(frozen=True, slots=True)
class Part:
    """Equal tasks of a group on a host. cpu and memory: what one of them holds."""

    group: str
    new: bool
    tasks: int
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class HostFill:
    """usable: whether it takes tasks. Parts from the bottom up: others' tasks, the group's, the new ones."""

    name: str
    zone: str
    cpu: int
    memory: int
    usable: bool
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One strategy's outcome, or the cluster as it is. Hosts are sorted by zone, in the cluster's order."""

    title: str
    subtitle: str
    hosts: tuple[HostFill, ...]

    @property
    def zones(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(host.zone for host in self.hosts))


def panels(planned: Planned, answers: Sequence[Answer]) -> list[Panel]:
    """A panel for each answer; without answers one of the cluster as it is."""
    if not answers:
        tasks = len(planned.tasks)
        hosts = len(planned.instances)
        return [Panel(f"cluster {planned.name}", f"{tasks} tasks on {hosts} hosts", _hosts(planned, None))]
    return [_panel(planned, answer) for answer in answers]


def groups(shown: Sequence[Panel]) -> list[str]:
    """All groups: those of new tasks first, then the largest."""
    sizes: Counter[str] = Counter()
    new: dict[str, None] = {}
    for panel in shown:
        for host in panel.hosts:
            for part in host.parts:
                sizes[part.group] += part.tasks
                if part.new:
                    new[part.group] = None
    return sorted(sizes, key=lambda group: (group not in new, -sizes[group], group))


def group_name(group: str) -> str:
    """A service is known by its name."""
    return group.removeprefix("service:")


def _panel(planned: Planned, answer: Answer) -> Panel:
    question = answer.question
    return Panel(
        said(question.chain).replace(",", ", ") or "random",
        _summary(answer, measure(planned, answer)),
        _hosts(planned, answer),
    )


def _summary(answer: Answer, measures: Measures) -> str:
    asked = answer.question
    parts = [
        f"{measures.placed} of {asked.count} tasks of {asked.definition.family_revision} on "
        f"{measures.hosts_used} of {measures.hosts} hosts",
        f"{measures.hosts_empty} left empty",
    ]
    if measures.waiting:
        parts.append(f"{measures.waiting} would wait in PROVISIONING")
    if measures.zone_loss.what is not None:
        parts.append(f"a zone's loss takes down {rounded(measures.zone_loss.percent)} %")
    return ", ".join(parts)


def _hosts(planned: Planned, answer: Answer | None) -> tuple[HostFill, ...]:
    own = answer.question.group if answer is not None else ""
    held: dict[str, Counter[tuple[str, int, int]]] = {}
    for task in planned.tasks:
        kinds = held.setdefault(task.host, Counter())
        kinds[(task.group, task.demand.cpu, task.demand.memory)] += 1
    placed = answer.placed if answer is not None else Counter()
    found = []
    for id, instance in planned.instances.items():
        kinds = held.get(id, Counter())
        parts = [
            Part(group, False, tasks, cpu, memory)
            for (group, cpu, memory), tasks in sorted(
                kinds.items(), key=lambda each: (each[0][0] == own, each)
            )
        ]
        if answer is not None and placed[id]:
            demand = answer.question.demand
            parts.append(Part(own, True, placed[id], demand.cpu, demand.memory))
        usable = instance.status == "ACTIVE" and instance.agent_connected
        name = arns.name_of(id)[:8] if id.startswith("arn:") else id
        zone = instance.availability_zone or "no zone"
        found.append(HostFill(name, zone, instance.cpu, instance.memory, usable, tuple(parts)))
    return tuple(sorted(found, key=lambda host: host.zone))
