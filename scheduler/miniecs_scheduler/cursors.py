"""The best host of a set, then the next best, under the part of a chain that compares hosts.

Within a set all hosts have the same values in the attributes that are spread over. Placing a task
changes only the host that takes it, and never makes another host fit: so a cursor moves on and
never looks back, and a batch costs little more than the hosts that it fills.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Protocol

from miniecs_scheduler.classes import HostClass, HostSet, Slot
from miniecs_scheduler.fits import Fit
from miniecs_scheduler.strategies import Chain
from miniecs_scheduler.ties import RING_MASK
from miniecs_scheduler.types import Request

Key = tuple[int, ...]


class Ranking:
    """How a request compares hosts: the numbers of its host steps, then the distance on the ring."""

    __slots__ = ("chain", "demand", "fit", "group", "start", "step")

    def __init__(self, request: Request, chain: Chain, fit: Fit, start: int) -> None:
        self.chain = chain
        self.demand = request.demand
        self.group = request.group
        self.fit = fit
        self.start = start
        demand = request.demand  # a task takes of what each field compares:
        self.step = tuple([demand.memory if each == "memory" else demand.cpu for each in chain.fields])

    def key(self, slot: Slot) -> Key:
        placed = self.fit.placed.get(slot, 0)
        numbers = []
        for step in self.chain.host_steps:
            if step.kind == "host":
                numbers.append(slot.groups.get(self.group, 0) + placed)
            elif step.name == "memory":
                numbers.append(slot.memory - placed * self.demand.memory)
            else:
                numbers.append(slot.cpu - placed * self.demand.cpu)
        numbers.append((slot.place - self.start) & RING_MASK)
        return tuple(numbers)


class Cursor(Protocol):
    """`slot` is the best host that fits and `key` its rank; `advance` follows placing a task on it."""

    slot: Slot
    key: Key

    def open(self) -> bool:
        """Find the first host; whether there is one."""

    def advance(self) -> bool:
        """Find the host for the next task; whether there is one."""


class BinpackCursor:
    """For chains that compare only what is left: a host that is chosen stays the best until it is full."""

    __slots__ = ("_fit", "_left", "_ranking", "_step", "_stream", "key", "slot")

    def __init__(self, ranking: Ranking, cls: HostClass) -> None:
        self._ranking = ranking
        self._fit = ranking.fit
        self._stream = _walk(ranking, cls, ranking.chain.fields)
        self._step = ranking.step
        self._left = 0

    def open(self) -> bool:
        fits = self._fit.fits
        for slot in self._stream:
            if fits(slot):
                self.slot = slot
                self.key = self._ranking.key(slot)
                self._left = self._fit.room(slot)
                return True
        return False

    def advance(self) -> bool:
        self._left -= 1
        if self._left <= 0:
            if not self._fit.fits(self.slot):
                return self.open()
            self._left = self._fit.room(self.slot)
        key, step = self.key, self._step
        if len(step) == 1:
            self.key = (key[0] - step[0], key[1])
        else:
            self.key = (key[0] - step[0], key[1] - step[1], key[2])
        return True


class HostSpreadCursor:
    """For chains that first compare tasks of the group on a host: level by level, fewest first.

    A host that takes a task leaves the stream of its level for a heap of raised ones.
    """

    __slots__ = ("_cls", "_fields", "_fit", "_raised", "_ranking", "_stream", "_waiting", "key", "slot")

    def __init__(self, ranking: Ranking, cls: HostClass) -> None:
        self._ranking = ranking
        self._cls = cls
        self._fit = ranking.fit
        self._fields = ranking.chain.fields
        self._stream = self._levels()
        self._raised: list[tuple[Key, Slot]] = []
        self._waiting: tuple[Key, Slot] | None = None

    def open(self) -> bool:
        self._waiting = next(self._stream, None)
        return self._choose()

    def advance(self) -> bool:
        slot = self.slot
        if self._raised and self._raised[0][1] is slot:
            heappop(self._raised)
        else:
            self._waiting = next(self._stream, None)
        if self._fit.fits(slot):
            heappush(self._raised, (self._ranking.key(slot), slot))
        return self._choose()

    def _choose(self) -> bool:
        best = self._waiting
        if self._raised and (best is None or self._raised[0][0] < best[0]):
            best = self._raised[0]
        if best is None:
            return False
        self.key, self.slot = best
        return True

    def _levels(self) -> Iterator[tuple[Key, Slot]]:
        ranking, fits = self._ranking, self._fit.fits
        levels = self._cls.levels(ranking.group)
        if self._cls.without(ranking.group):
            for slot in _walk(ranking, self._cls, self._fields):
                if ranking.group not in slot.groups and fits(slot):
                    yield ranking.key(slot), slot
        for level in sorted(levels):
            yield from self._level(levels[level])

    def _level(self, places: list[int]) -> Iterator[tuple[Key, Slot]]:
        ranking, fits, members = self._ranking, self._fit.fits, self._cls.members
        if self._fields:
            yield from sorted((ranking.key(members[p]), members[p]) for p in places if fits(members[p]))
            return
        turn = bisect_left(places, ranking.start)
        for i in range(turn - len(places), turn):
            slot = members[places[i]]
            if fits(slot):
                yield ranking.key(slot), slot


class ScanCursor:
    """For every other chain, and for hosts that no class holds together: all hosts, in a heap."""

    __slots__ = ("_fit", "_heap", "_ranking", "key", "slot")

    def __init__(self, ranking: Ranking, slots: Iterable[Slot]) -> None:
        self._ranking = ranking
        self._fit = ranking.fit
        self._heap = [(ranking.key(slot), slot) for slot in slots if ranking.fit.fits(slot)]
        heapify(self._heap)

    def open(self) -> bool:
        if not self._heap:
            return False
        self.key, self.slot = self._heap[0]
        return True

    def advance(self) -> bool:
        if self._fit.fits(self.slot):
            heapreplace(self._heap, (self._ranking.key(self.slot), self.slot))
        else:
            heappop(self._heap)
        return self.open()


def open_cursor(ranking: Ranking, hosts: HostSet) -> Cursor | None:
    """The quickest cursor for a set, at its best host; None when none of its hosts fits."""
    cursor: Cursor
    steps = ranking.chain.host_steps
    if hosts.cls is None:
        cursor = ScanCursor(ranking, hosts.slots)
    elif ranking.chain.packs:
        cursor = BinpackCursor(ranking, hosts.cls)
    elif steps[0].kind == "host":
        cursor = HostSpreadCursor(ranking, hosts.cls)
    else:
        cursor = ScanCursor(ranking, hosts.cls.members.values())
    return cursor if cursor.open() else None


def _walk(ranking: Ranking, cls: HostClass, fields: tuple[str, ...]) -> Iterator[Slot]:
    return cls.order(fields).walk(ranking.start, ranking.fit.least_cpu, ranking.fit.least_memory)
