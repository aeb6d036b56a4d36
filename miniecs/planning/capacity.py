"""How many hosts of a type so many tasks need: found by placing them, not by dividing.

The scheduler itself is asked on ever more hosts, so that constraints, host ports, network interfaces,
daemons and the zones that a strategy spreads over all count as they would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from miniecs.model.instance import ContainerInstance
from miniecs.planning.growth import Growth, kinds_of, size_text
from miniecs.planning.planned import Planned
from miniecs.planning.question import Question
from miniecs.planning.sizes import MOST_HOSTS
from miniecs_scheduler import Fleet


@dataclass(frozen=True, slots=True)
class Capacity:
    """Numbers of hosts by zone; None where no number of them is enough.

    ``needed``: in a cluster of only such hosts; one_host_lost and one_zone_lost: as many as still hold all
    tasks after that. added: as many as this cluster lacks for the tasks to fit in what it has free and them.
    """

    question: Question
    type: str
    size: str
    tasks_a_host: int
    needed: Counter[str] | None = None
    one_host_lost: Counter[str] | None = None
    one_zone_lost: Counter[str] | None = None
    added: Counter[str] | None = None
    why_not: str = ""


def capacity(
    planned: Planned, question: Question, *, type: str | None, zones: Sequence[str] | None = None
) -> Capacity:
    """zones: where the hosts would be; [where the cluster's are]. Raises Mistake."""
    kinds = kinds_of(planned, question, type, zones)
    name, size = kinds[0].attribute("ecs.instance-type") or "host", size_text(kinds[0])
    rooms, why_not = Growth(planned, question, kinds, Fleet()).rooms()
    room = max(rooms)
    if not room:
        return Capacity(question, name, size, 0, why_not=why_not)
    taking = [kind for kind, tasks in zip(kinds, rooms, strict=True) if tasks]
    alone, beside = (Growth(planned, question, taking, fleet) for fleet in (Fleet(), planned.fleet))
    least = -(-question.count // room)
    fitting = _fewest(alone, least, alone.fits)
    needed = _fewest(alone, fitting, alone.holds) if question.spreads_over_zones else fitting
    return Capacity(
        question,
        name,
        size,
        room,
        needed=alone.by_zone(needed),
        one_host_lost=alone.by_zone(_larger(needed, fitting, 1)),
        one_zone_lost=alone.by_zone(_larger(needed, _without_a_zone(planned, question, taking, least), 0)),
        added=beside.by_zone(_fewest(beside, 0, beside.fits)),
    )


def _fewest(growth: Growth, start: int | None, enough: Callable[[int], bool]) -> int | None:
    """The smallest number of hosts, from ``start`` on, that is enough; more are enough as well."""
    if start is None:
        return None
    try:
        too_few, hosts = start - 1, start
        while not enough(hosts):
            if hosts >= MOST_HOSTS:
                return None
            too_few, hosts = hosts, min(MOST_HOSTS, hosts + max(1, hosts - start))
        while hosts - too_few > 1:
            middle = (too_few + hosts) // 2
            too_few, hosts = (too_few, middle) if enough(middle) else (middle, hosts)
        return hosts
    finally:
        growth.grow(0)


def _larger(needed: int | None, other: int | None, more: int) -> int | None:
    return None if needed is None or other is None else max(needed, other + more)


def _without_a_zone(
    planned: Planned, question: Question, kinds: Sequence[ContainerInstance], least: int
) -> int | None:
    """As many hosts as leave enough when the first zone, which has as many as any, is gone."""
    if len(kinds) == 1:
        return None
    others = Growth(planned, question, kinds[1:], Fleet())
    left = _fewest(others, least, others.fits)
    if left is None:
        return None
    hosts = left
    while hosts - -(-hosts // len(kinds)) < left:
        hosts += 1
    return hosts
