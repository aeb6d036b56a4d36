"""Which tasks of a service to stop first when it has too many: its strategies, the other way round.

With spread, from where the service has the most tasks; with binpack, from the host that then has the
most left, so that hosts become empty (ECS developer guide, "Task placement strategies").
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from miniecs_scheduler.index import Fleet
from miniecs_scheduler.strategies import Chain, compile_chain
from miniecs_scheduler.ties import mix, ring_position
from miniecs_scheduler.types import SERVICE_DEFAULT, Host, Resources, Strategy


class _Candidate(NamedTuple):
    task: str
    host: Host
    demand: Resources
    chance: int


def scale_in_order(
    fleet: Fleet, tasks: Sequence[tuple[str, str]], strategies: tuple[Strategy, ...], group: str, seed: int
) -> list[str]:
    """All task ids, the first to stop first, as if each were stopped before the next is chosen.

    `tasks` are (task id, host id). Tasks on hosts that are gone come first. Without strategies a
    service's default applies.
    """
    gone, candidates = [], []
    for task, host_id in tasks:
        host = fleet.host(host_id)
        chance = mix(seed ^ ring_position(task))
        if host is None:
            gone.append((chance, task))
        else:
            held = fleet.task(task)
            candidates.append(_Candidate(task, host, held[1] if held else Resources(), chance))
    chain = compile_chain(strategies or SERVICE_DEFAULT)
    return [task for _, task in sorted(gone)] + _Emptying(fleet, chain, group).order(candidates)


class _Emptying:
    """What the hosts look like as tasks are taken away one after another."""

    def __init__(self, fleet: Fleet, chain: Chain, group: str) -> None:
        self._fleet = fleet
        self._chain = chain
        self._group = group
        self._values = {name: dict(fleet.spread(name, group)) for name in chain.values}
        self._stopped: dict[str, int] = {}
        self._freed: dict[str, tuple[int, int]] = {}

    def order(self, candidates: list[_Candidate]) -> list[str]:
        by_host: dict[str, list[_Candidate]] = {}
        for candidate in candidates:
            by_host.setdefault(candidate.host.id, []).append(candidate)
        heap = [(self._key(candidate), candidate.task, candidate) for candidate in candidates]
        heapify(heap)
        done: set[str] = set()
        ordered = []
        while heap:
            key, task, candidate = heappop(heap)
            if task in done:
                continue
            fresh = self._key(candidate)
            if fresh > key:
                heappush(heap, (fresh, task, candidate))
                continue
            done.add(task)
            ordered.append(task)
            self._stop(candidate)
            # A host with more left moves its other tasks forward: what waits in the heap is out of date.
            for other in by_host[candidate.host.id] if self._chain.fields else ():
                if other.task not in done:
                    heappush(heap, (self._key(other), other.task, other))
        return ordered

    def _key(self, candidate: _Candidate) -> tuple[int, ...]:
        """Least first: minus the tasks, minus what would be left."""
        host, numbers = candidate.host, []
        for step in self._chain.steps:
            if step.kind == "value":
                numbers.append(-self._values[step.name].get(host.attributes.get(step.name), 0))
            elif step.kind == "host":
                slot = self._fleet.slots[host.id]
                numbers.append(self._stopped.get(host.id, 0) - slot.groups.get(self._group, 0))
            else:
                free = self._fleet.slots[host.id]
                cpu, memory = self._freed.get(host.id, (0, 0))
                if step.name == "cpu":
                    numbers.append(-(free.cpu + cpu + candidate.demand.cpu))
                else:
                    numbers.append(-(free.memory + memory + candidate.demand.memory))
        return (*numbers, candidate.chance)

    def _stop(self, candidate: _Candidate) -> None:
        host_id = candidate.host.id
        for name, counts in self._values.items():
            value = candidate.host.attributes.get(name)
            counts[value] = counts.get(value, 0) - 1
        self._stopped[host_id] = self._stopped.get(host_id, 0) + 1
        cpu, memory = self._freed.get(host_id, (0, 0))
        self._freed[host_id] = (cpu + candidate.demand.cpu, memory + candidate.demand.memory)
