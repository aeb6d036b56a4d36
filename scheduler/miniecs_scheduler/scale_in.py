"""Which tasks of a service to stop first when it has too many: its strategies, the other way round.

With spread, from where the service has the most tasks; with binpack, from the host that then has the
most left, so that hosts become empty (ECS developer guide, "Task placement strategies").
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
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


class _Set:
    """Candidates on hosts with the same values in the attributes that are spread over."""

    __slots__ = ("by_host", "heap", "values")

    def __init__(self, values: tuple[str | None, ...]) -> None:
        self.values = values
        self.heap: list[tuple[tuple[int, ...], str, _Candidate]] = []
        self.by_host: dict[str, list[_Candidate]] = {}


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
        """Hosts with the same values in what is spread over compare by their own numbers alone.

        So each such set keeps its tasks in a heap, and the sets wait in a heap of their own: a stop
        changes the numbers of its set and its host, not those of every task in the zone.
        """
        sets: dict[tuple[str | None, ...], _Set] = {}
        for candidate in candidates:
            values = tuple(map(candidate.host.attributes.get, self._chain.values))
            each = sets.get(values)
            if each is None:
                each = sets[values] = _Set(values)
            each.heap.append((self._host_key(candidate), candidate.task, candidate))
            each.by_host.setdefault(candidate.host.id, []).append(candidate)
        for each in sets.values():
            heapify(each.heap)
        waiting = [(self._set_key(each), n, each) for n, each in enumerate(sets.values())]
        heapify(waiting)
        done: set[str] = set()
        ordered = []
        while waiting:
            key, n, each = waiting[0]
            if not self._first(each, done):
                heappop(waiting)
                continue
            fresh = self._set_key(each)
            if fresh != key:
                heapreplace(waiting, (fresh, n, each))
                continue
            _, task, candidate = heappop(each.heap)
            done.add(task)
            ordered.append(task)
            self._stop(candidate)
            # A host with more left moves its other tasks forward: what waits in the heap is out of date.
            for other in each.by_host[candidate.host.id] if self._chain.fields else ():
                if other.task not in done:
                    heappush(each.heap, (self._host_key(other), other.task, other))
            if self._first(each, done):
                heapreplace(waiting, (self._set_key(each), n, each))
        return ordered

    def _first(self, each: _Set, done: set[str]) -> bool:
        """Bring the set's true first task to the top of its heap; False when it has none left."""
        heap = each.heap
        while heap:
            key, task, candidate = heap[0]
            if task in done:
                heappop(heap)
                continue
            fresh = self._host_key(candidate)
            if fresh <= key:
                return True
            heapreplace(heap, (fresh, task, candidate))
        return False

    def _set_key(self, each: _Set) -> tuple[tuple[int, ...], str]:
        """The numbers of the set's first task, in the chain's order, and its id. Least first."""
        host_key, task, _ = each.heap[0]
        from_host, values = iter(host_key), iter(zip(self._chain.values, each.values, strict=True))
        numbers = []
        for step in self._chain.steps:
            if step.kind == "value":
                name, value = next(values)
                numbers.append(-self._values[name].get(value, 0))
            else:
                numbers.append(next(from_host))
        return (*numbers, *from_host), task

    def _host_key(self, candidate: _Candidate) -> tuple[int, ...]:
        """What does not depend on the set: minus the host's tasks, minus what it would have left; chance."""
        host_id, numbers = candidate.host.id, []
        for step in self._chain.host_steps:
            slot = self._fleet.slots[host_id]
            if step.kind == "host":
                numbers.append(self._stopped.get(host_id, 0) - slot.groups.get(self._group, 0))
            else:
                cpu, memory = self._freed.get(host_id, (0, 0))
                if step.name == "cpu":
                    numbers.append(-(slot.cpu + cpu + candidate.demand.cpu))
                else:
                    numbers.append(-(slot.memory + memory + candidate.demand.memory))
        return (*numbers, candidate.chance)

    def _stop(self, candidate: _Candidate) -> None:
        host_id = candidate.host.id
        for name, counts in self._values.items():
            value = candidate.host.attributes.get(name)
            counts[value] = counts.get(value, 0) - 1
        self._stopped[host_id] = self._stopped.get(host_id, 0) + 1
        cpu, memory = self._freed.get(host_id, (0, 0))
        self._freed[host_id] = (cpu + candidate.demand.cpu, memory + candidate.demand.memory)
