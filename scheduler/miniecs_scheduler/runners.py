"""The first hosts in the order of a chain, walked as the search walks them: without looking at all.

A record shows runners-up. Where there are thousands of hosts only what is kept in order anyway can name
them at the price of a placement: classes of hosts, by what is left of a resource or by tasks on a host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace

from miniecs_scheduler.classes import HostSet, Slot
from miniecs_scheduler.cursors import Cursor, Key, Ranking, open_cursor
from miniecs_scheduler.strategies import Chain

Counts = Mapping[str | None, int]


def are_in_order(chain: Chain, sets: Sequence[HostSet] | None) -> bool:
    """Whether the hosts of these sets need not be sorted to be named one after another."""
    if sets is None or chain.random or any(each.cls is None for each in sets):
        return False
    return chain.packs or (chain.host_steps[0].kind == "host" and not chain.fields)


def in_order(ranking: Ranking, sets: Sequence[HostSet], counts: Sequence[Counts]) -> Iterator[Slot]:
    """Hosts that fit, the best first, as all were before anything was placed; sets as `are_in_order` has it.

    counts: tasks of the group by value, for each attribute that is spread over.
    """
    chain = ranking.chain
    of_values = [
        tuple([tasks.get(value, 0) for tasks, value in zip(counts, each.values, strict=True)])
        for each in sets
    ]
    heap: list[tuple[Key, int]] = [(numbers[: chain.leading], n) for n, numbers in enumerate(of_values)]
    heapify(heap)
    cursors: dict[int, Cursor] = {}
    while heap:
        n = heap[0][1]
        cursor = cursors.get(n)
        if cursor is None:
            cursor = open_cursor(ranking, sets[n])
            if cursor is None:
                heappop(heap)
                continue
            cursors[n] = cursor
        else:
            yield cursor.slot
            if not cursor.open():  # nothing was placed: it goes on to the next host
                heappop(heap)
                continue
        heapreplace(heap, (_numbers(chain, of_values[n], cursor.key), n))


def _numbers(chain: Chain, of_values: Key, of_host: Key) -> Key:
    """What the chain compares, in its order: counts of a set's values, and numbers of its best host."""
    if chain.leading == len(of_values):
        return (*of_values, *of_host)
    values, host = iter(of_values), iter(of_host)
    merged = [next(values if step.kind == "value" else host) for step in chain.steps]
    return (*merged, *host)
