"""Where tasks go: the hosts that can take them, in the order of their strategies, one after another.

The hosts are searched set by set: all hosts of a set have the same values in the attributes that are
spread over. Sets wait in a heap under the best key that they could have; a set's true key is looked
up only when it reaches the top. That is right because placing a task improves no set but its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heapreplace
from typing import Final

from miniecs_scheduler.classes import HostSet, Slot
from miniecs_scheduler.constraints import compile_rules
from miniecs_scheduler.cursors import Cursor, Key, Ranking, open_cursor
from miniecs_scheduler.explain import explain
from miniecs_scheduler.fits import Fit
from miniecs_scheduler.index import Eligible, Fleet
from miniecs_scheduler.strategies import Chain, Story, compile_chain
from miniecs_scheduler.ties import RING_MASK, draw, ring_start
from miniecs_scheduler.types import Decision, Placement, Request

DRAWS: Final = 32
"""How often chance is asked before the first host clockwise is taken, when few hosts fit."""

_Counts = dict[str | None, int]


def place(fleet: Fleet, request: Request) -> Decision:
    """Choose hosts for the tasks of a request; the fleet stays as it is.

    The answer depends on the fleet's content and the request alone. Raises ExpressionError for a
    memberOf that cannot be read, and ValueError for a strategy or a constraint that does not exist, and
    for a count or an amount below 0.
    """
    demand = request.demand
    if min(demand.cpu, demand.memory, demand.gpu, demand.enis, request.count) < 0:
        raise ValueError(f"neither a count nor an amount may be below 0: {request}")
    rules = compile_rules(request.required_attributes, request.constraints)
    chain = compile_chain(request.strategies)
    eligible = fleet.eligible(rules, chain.values, demand.gpu > 0)
    fit = Fit(request, rules, eligible)
    search = _Search(fleet, request, chain, fit)
    if request.count > 0:
        sets = search.sets(eligible)
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
    unplaced = request.count - len(placements)
    if not unplaced:
        return Decision(placements, 0, considered, {}, (), None, "")
    return replace(explain(fleet, request, rules, fit), placements=placements, unplaced=unplaced)


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

    def sets(self, eligible: Eligible) -> Sequence[HostSet]:
        only = self._request.only_hosts
        if only is None and eligible.sets is not None:
            return eligible.sets
        slots: Iterable[Slot]
        if only is None:
            slots = (slot for cls in eligible.classes for slot in cls.members.values())
        else:
            known = (self._fleet.slots.get(host_id) for host_id in only)
            slots = (slot for slot in known if slot is not None and slot.cls in eligible.classes)
        names = self._chain.values
        grouped: dict[tuple[str | None, ...], list[Slot]] = {}
        for slot in slots:
            if slot.host is not None:
                grouped.setdefault(tuple(map(slot.host.attributes.get, names)), []).append(slot)
        return [HostSet(values, None, members) for values, members in grouped.items()]

    def place_in_order(self, sets: Sequence[HostSet]) -> None:
        """By the keys of the sets' best hosts, least first."""
        request, placed, placements, story = self._request, self._fit.placed, self.placements, self._story
        key_of, bump = self._key_maker(), self._bump
        ranking = Ranking(request, self._chain, self._fit, ring_start(request.seed, self._fleet.ring))
        leading = self._chain.leading
        heap: list[tuple[Key, int]] = [(self._counted(each)[:leading], n) for n, each in enumerate(sets)]
        heapify(heap)
        cursors: dict[int, Cursor] = {}
        left = request.count
        while heap and left:
            key, n = heap[0]
            values = sets[n].values
            cursor = cursors.get(n)
            if cursor is None:
                cursor = open_cursor(ranking, sets[n])
                if cursor is None:
                    heappop(heap)
                    continue
                cursors[n] = cursor
            fresh = key_of(values, cursor.key)
            if fresh != key:
                heapreplace(heap, (fresh, n))
                continue
            slot = cursor.slot
            placements.append(Placement(slot.id, (story, slot.host, fresh)))  # type: ignore[arg-type]
            left -= 1
            placed[slot] = placed.get(slot, 0) + 1
            if left:
                bump(values)
                if cursor.advance():
                    heapreplace(heap, (key_of(values, cursor.key), n))
                else:
                    heappop(heap)

    def place_at_random(self, sets: Sequence[HostSet]) -> None:
        """By chance among the sets with the fewest tasks, as long as any of their hosts fits."""
        open_sets = list(sets)
        for task in range(self._request.count):
            while open_sets:
                fewest = min(map(self._counted, open_sets))
                tied = [each for each in open_sets if self._counted(each) == fewest]
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

    def _draw(self, task: int, sets: Sequence[HostSet]) -> tuple[Slot, HostSet] | None:
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
        nearest: tuple[int, Slot, HostSet] | None = None
        for each in sets:
            slots = each.clockwise(place, fit.least_cpu, fit.least_memory)
            first = next((slot for slot in slots if fits(slot)), None)
            if first is not None:
                distance = (first.place - place) & RING_MASK
                if nearest is None or distance < nearest[0]:
                    nearest = (distance, first, each)
        return nearest[1:] if nearest is not None else None

    def _counted(self, hosts: HostSet) -> Key:
        """How many tasks of the group each of a set's values has."""
        all_counts, values = self._counts, hosts.values
        if len(values) == 1:
            return (all_counts[0].get(values[0], 0),)
        return tuple(counts.get(value, 0) for counts, value in zip(all_counts, values, strict=True))

    def _bump(self, values: tuple[str | None, ...]) -> None:
        if len(values) == 1:  # mostly: the zones
            value, counts = values[0], self._counts[0]
            counts[value] = counts.get(value, 0) + 1
            return
        for counts, value in zip(self._counts, values, strict=True):
            counts[value] = counts.get(value, 0) + 1

    def _key_maker(self) -> Callable[[tuple[str | None, ...], Key], Key]:
        """Puts the counts of a set's values and the numbers of its best host in the chain's order."""
        all_counts = self._counts
        if not all_counts:
            return lambda values, key: key
        if len(all_counts) == 1 and self._chain.leading == 1:
            counts = all_counts[0]
            return lambda values, key: (counts.get(values[0], 0), *key)
        kinds = [step.kind for step in self._chain.steps]

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
