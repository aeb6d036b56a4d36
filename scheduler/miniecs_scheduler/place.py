"""Where tasks go: the hosts that can take them, in the order of their strategies, one after another.

The hosts are searched set by set: all hosts of a set have the same values in the attributes that are
spread over. Sets wait in a heap under the best key that they could have; a set's true key is looked
up only when it reaches the top. That is right because placing a task improves no set but its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from heapq import heapify, heappop, heapreplace
from typing import Final

from miniecs_scheduler.constraints import compile_rules
from miniecs_scheduler.cursors import Cursor, Key, Ranking, ScanCursor, class_cursor
from miniecs_scheduler.explain import explain
from miniecs_scheduler.fits import Fit
from miniecs_scheduler.index import Fleet, HostClass, Slot
from miniecs_scheduler.strategies import Chain, Story, compile_chain
from miniecs_scheduler.ties import RING_MASK, draw, ring_start
from miniecs_scheduler.types import Decision, Placement, Request

DRAWS: Final = 32
"""How often chance is asked before the first host clockwise is taken, when few hosts fit."""

_Counts = dict[str | None, int]


def place(fleet: Fleet, request: Request) -> Decision:
    """Choose hosts for the tasks of a request; the fleet stays as it is.

    The answer depends on the fleet's content and the request alone. Raises ExpressionError for a
    memberOf that cannot be read and ValueError for a strategy that does not exist.
    """
    rules = compile_rules(request.required_attributes, request.constraints)
    chain = compile_chain(request.strategies)
    eligible = fleet.eligible(rules, chain.values, request.demand.gpu > 0)
    fit = Fit(request, rules, eligible)
    search = _Search(fleet, request, chain, fit)
    if request.count > 0:
        sets = search.sets(eligible.classes)
        if chain.random:
            search.place_at_random(sets)
        else:
            search.place_in_order(sets)
    placements = tuple(search.placements)
    considered = (
        len(fleet)
        if request.only_hosts is None
        else sum(fleet.host(host_id) is not None for host_id in request.only_hosts)
    )
    unplaced = max(request.count, 0) - len(placements)
    if not unplaced:
        return Decision(placements, 0, considered, {}, (), None, "")
    return replace(explain(fleet, request, rules, fit), placements=placements, unplaced=unplaced)


class _Set:
    """Hosts with the same values in the attributes that are spread over: a class, or some of its hosts."""

    __slots__ = ("_cls", "_slots", "values")

    def __init__(self, values: tuple[str | None, ...], cls: HostClass | None, slots: Iterable[Slot]) -> None:
        self.values = values
        self._cls = cls
        self._slots = frozenset(slots)

    def cursor(self, ranking: Ranking) -> Cursor:
        return class_cursor(ranking, self._cls) if self._cls is not None else ScanCursor(ranking, self._slots)

    def holds(self, slot: Slot) -> bool:
        return slot.cls is self._cls if self._cls is not None else slot in self._slots

    def clockwise(self, start: int, cpu: int, memory: int) -> Iterator[Slot]:
        if self._cls is not None:
            return self._cls.order(()).walk(start, cpu, memory)
        return iter(sorted(self._slots, key=lambda slot: (slot.place - start) & RING_MASK))


class _Search:
    """One request being placed."""

    def __init__(self, fleet: Fleet, request: Request, chain: Chain, fit: Fit) -> None:
        self._fleet = fleet
        self._request = request
        self._chain = chain
        self._fit = fit
        self._story = Story(chain, request.group)
        self._counts: list[_Counts] = [dict(fleet.spread(name, request.group)) for name in chain.values]
        self.placements: list[Placement] = []

    def sets(self, classes: tuple[HostClass, ...]) -> list[_Set]:
        names = self._chain.values
        only = self._request.only_hosts
        if only is None and not any(map(self._fleet.is_wide, names)):
            return [_Set(tuple(map(cls.sample.attributes.get, names)), cls, ()) for cls in classes]
        slots: Iterable[Slot]
        if only is None:
            slots = (slot for cls in classes for slot in cls.members.values())
        else:
            known = (self._fleet.slots.get(host_id) for host_id in only)
            slots = (slot for slot in known if slot is not None and slot.cls in classes)
        grouped: dict[tuple[str | None, ...], list[Slot]] = {}
        for slot in slots:
            if slot.host is not None:
                grouped.setdefault(tuple(map(slot.host.attributes.get, names)), []).append(slot)
        return [_Set(values, None, members) for values, members in grouped.items()]

    def place_in_order(self, sets: list[_Set]) -> None:
        """By the keys of the sets' cursors, least first."""
        request, placed, placements, story = self._request, self._fit.placed, self.placements, self._story
        key_of = self._key_maker()
        bump = self._bump
        ranking = Ranking(request, self._chain, self._fit, ring_start(request.seed))
        leading = next(i for i, step in enumerate(self._chain.steps) if step.kind != "value")
        heap: list[tuple[Key, int]] = [(self._prefix(each)[:leading], n) for n, each in enumerate(sets)]
        heapify(heap)
        cursors: list[Cursor | None] = [None] * len(sets)
        left = request.count
        while heap and left:
            key, n = heap[0]
            values = sets[n].values
            cursor = cursors[n]
            if cursor is None:
                cursor = cursors[n] = sets[n].cursor(ranking)
                if not cursor.open():
                    heappop(heap)
                    continue
            fresh = key_of(values, cursor.key)
            if fresh != key:
                heapreplace(heap, (fresh, n))
                continue
            slot = cursor.slot
            placements.append(Placement(slot.id, (story, slot.host, fresh)))  # type: ignore[arg-type]
            placed[slot] = placed.get(slot, 0) + 1
            bump(values)
            left -= 1
            if cursor.advance():
                heapreplace(heap, (key_of(values, cursor.key), n))
            else:
                heappop(heap)

    def place_at_random(self, sets: list[_Set]) -> None:
        """By chance among the sets with the fewest tasks, as long as any of their hosts fits."""
        open_sets = list(sets)
        for task in range(self._request.count):
            while open_sets:
                fewest = min(map(self._prefix, open_sets))
                tied = [each for each in open_sets if self._prefix(each) == fewest]
                found = self._draw(task, tied)
                if found is not None:
                    break
                open_sets = [each for each in open_sets if each not in tied]
            else:
                return
            slot, chosen = found
            self.placements.append(Placement(slot.id, (self._story, slot.host, fewest)))  # type: ignore[arg-type]
            self._fit.placed[slot] = self._fit.placed.get(slot, 0) + 1
            self._bump(chosen.values)

    def _draw(self, task: int, sets: list[_Set]) -> tuple[Slot, _Set] | None:
        ring, by_place = self._fleet.ring, self._fleet.by_place
        fit, fits, seed = self._fit, self._fit.fits, self._request.seed
        place = 0
        for attempt in range(DRAWS):
            place = ring[draw(seed, task, attempt) % len(ring)]
            slot = by_place[place]
            if fits(slot):
                for each in sets:
                    if each.holds(slot):
                        return slot, each
        nearest: tuple[int, Slot, _Set] | None = None
        for each in sets:
            slots = each.clockwise(place, fit.least_cpu, fit.least_memory)
            first = next((slot for slot in slots if fits(slot)), None)
            if first is not None:
                distance = (first.place - place) & RING_MASK
                if nearest is None or distance < nearest[0]:
                    nearest = (distance, first, each)
        return nearest[1:] if nearest is not None else None

    def _prefix(self, each: _Set) -> Key:
        return tuple(counts.get(value, 0) for counts, value in zip(self._counts, each.values, strict=True))

    def _bump(self, values: tuple[str | None, ...]) -> None:
        for counts, value in zip(self._counts, values, strict=True):
            counts[value] = counts.get(value, 0) + 1

    def _key_maker(self) -> Callable[[tuple[str | None, ...], Key], Key]:
        """Puts the counts of a set's values and the numbers of its best host in the chain's order."""
        kinds = [step.kind for step in self._chain.steps]
        all_counts = self._counts
        if kinds.count("value") == 0:
            return lambda values, key: key
        if kinds.count("value") == 1 and kinds[0] == "value":
            counts = all_counts[0]
            return lambda values, key: (counts.get(values[0], 0), *key)

        def interleave(values: tuple[str | None, ...], key: Key) -> Key:
            from_values, from_host = iter(zip(all_counts, values, strict=True)), iter(key)
            numbers = []
            for kind in kinds:
                if kind == "value":
                    counts, value = next(from_values)
                    numbers.append(counts.get(value, 0))
                else:
                    numbers.append(next(from_host))
            return (*numbers, *from_host)

        return interleave
