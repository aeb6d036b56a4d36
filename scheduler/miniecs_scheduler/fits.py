"""Whether a host can take one more task of a request, counting those placed on it a moment ago.

The tasks of a request are placed without touching the fleet: what they would take is the number
placed on a host times one shape, so an overlay of counts is enough and there is nothing to undo.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from miniecs_scheduler.classes import Slot
from miniecs_scheduler.constraints import Rules
from miniecs_scheduler.index import Eligible, has_attributes
from miniecs_scheduler.types import Request

_NO_LIMIT: Final = 1 << 60
_ANY: Final = -(1 << 36)


class Fit:
    """The checks of one request that differ from host to host; `placed` counts its tasks on a host."""

    __slots__ = (
        "_cpu",
        "_demand",
        "_distinct",
        "_expressions",
        "_group",
        "_memory",
        "_once",
        "_plain",
        "_required",
        "least_cpu",
        "least_memory",
        "placed",
    )

    def __init__(self, request: Request, rules: Rules, eligible: Eligible) -> None:
        demand = self._demand = request.demand
        self._cpu = demand.cpu
        self._memory = demand.memory
        # What a task does not need is not asked for, even of a host that was given too much of it.
        self.least_cpu = demand.cpu or _ANY
        self.least_memory = demand.memory or _ANY
        self._group = request.group
        self._required = eligible.required
        self._expressions = eligible.expressions
        self._distinct = rules.distinct
        # A host port is free once, and a task of the group is alone on its host.
        self._once = rules.distinct or bool(demand.tcp_ports) or bool(demand.udp_ports)
        self._plain = not (self._once or demand.gpu or demand.enis or self._required or self._expressions)
        self.placed: dict[Slot, int] = {}

    @property
    def plain(self) -> bool:
        """Whether CPU and memory are all that differs between the usable hosts of an eligible class."""
        return self._plain

    def fits(self, slot: Slot) -> bool:
        """Whether one more task fits on a host of an eligible class."""
        if not slot.usable:
            return False
        more = self.placed.get(slot, 0) + 1
        if slot.cpu < more * self.least_cpu or slot.memory < more * self.least_memory:
            return False
        return self._plain or self._fits_rest(slot, more)

    def _fits_rest(self, slot: Slot, more: int) -> bool:
        demand = self._demand
        if more > 1 and self._once:
            return False
        if (demand.gpu and slot.gpu < more * demand.gpu) or (demand.enis and slot.enis < more * demand.enis):
            return False
        if self._distinct and self._group in slot.groups:
            return False
        if not (demand.tcp_ports.isdisjoint(slot.tcp) and demand.udp_ports.isdisjoint(slot.udp)):
            return False
        host = slot.host
        if host is None or not has_attributes(host, self._required):
            return False
        running, groups = slot.running + more - 1, self.groups(slot)
        return all(e.matches(host, running, groups) for e in self._expressions)

    def groups(self, slot: Slot) -> Collection[str]:
        """The groups with tasks on a host."""
        if slot in self.placed and self._group not in slot.groups:
            return {*slot.groups, self._group}
        return slot.groups

    def room(self, slot: Slot) -> int:
        """A number of tasks, at least one, that fit on a host on which one does."""
        if not self._plain:
            return 1
        cpu, memory = self._cpu, self._memory
        before = self.placed.get(slot, 0)
        by_cpu = slot.cpu // cpu if cpu else _NO_LIMIT
        by_memory = slot.memory // memory if memory else _NO_LIMIT
        return (by_cpu if by_cpu < by_memory else by_memory) - before
