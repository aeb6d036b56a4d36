"""A host's account, and hosts that are searched together.

Kept apart from the fleet that keeps them up to date: these are what a search walks over.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from miniecs_scheduler.order import Order
from miniecs_scheduler.ties import RING_MASK
from miniecs_scheduler.types import Host, Resources


class Slot:
    """A host's account: what is free on it and which groups have tasks on it.

    `host` is None while only tasks are known. Free amounts are negative when more was assigned than
    the host has. `tcp` and `udp` count who occupies a port, the host's own reservation included. `held`
    counts the tasks that hold something here; `running`, like `groups`, those that are to go on.
    """

    __slots__ = (
        "cls",
        "cpu",
        "enis",
        "gpu",
        "groups",
        "held",
        "host",
        "id",
        "memory",
        "place",
        "running",
        "tcp",
        "udp",
        "usable",
    )

    def __init__(self, host_id: str, place: int) -> None:
        self.id = host_id
        self.place = place
        self.host: Host | None = None
        self.cls: HostClass | None = None
        self.usable = False
        self.cpu = self.memory = self.gpu = self.enis = self.held = self.running = 0
        self.groups: dict[str, int] = {}
        self.tcp: dict[int, int] = {}
        self.udp: dict[int, int] = {}

    def count(self, resources: Resources, sign: int) -> None:
        """Add what a host offers (sign 1: its ports are occupied ones) or has lost (sign -1)."""
        self.cpu += sign * resources.cpu
        self.memory += sign * resources.memory
        self.gpu += sign * resources.gpu
        self.enis += sign * resources.enis
        self.occupy(resources, sign)

    def occupy(self, resources: Resources, sign: int) -> None:
        for ports, occupied in ((resources.tcp_ports, self.tcp), (resources.udp_ports, self.udp)):
            for port in ports:
                holders = occupied.get(port, 0) + sign
                if holders:
                    occupied[port] = holders
                else:
                    del occupied[port]


class HostClass:
    """Hosts that no request so far can tell apart by attributes.

    `orders` hold the usable ones. Like these, the levels of groups are kept from when the first request
    asks for them.
    """

    __slots__ = ("_levels", "gpu", "members", "orders", "sample")

    def __init__(self, sample: Host) -> None:
        self.sample = sample
        self.gpu = sample.capacity.gpu > 0
        self.members: dict[int, Slot] = {}
        self.orders: dict[tuple[str, ...], Order] = {}
        self._levels: dict[str, dict[int, list[int]]] | None = None

    def order(self, fields: tuple[str, ...]) -> Order:
        order = self.orders.get(fields)
        if order is None:
            order = self.orders[fields] = Order(fields)
            for slot in self.members.values():
                if slot.usable:
                    order.add(slot)
        return order

    def levels(self, group: str) -> dict[int, list[int]]:
        """The places of hosts with 1, 2, ... tasks of the group, usable or not."""
        if self._levels is None:
            self._levels = {}
            for slot in self.members.values():
                for each, tasks in slot.groups.items():
                    self.shift(slot, each, 0, tasks)
        return self._levels.get(group, {})

    def without(self, group: str) -> int:
        """How many hosts have no task of the group."""
        return len(self.members) - sum(map(len, self.levels(group).values()))

    def shift(self, slot: Slot, group: str, before: int, after: int) -> None:
        """Move a host between the levels of a group."""
        if self._levels is None:
            return
        levels = self._levels.setdefault(group, {})
        if before:
            places = levels[before]
            del places[bisect_left(places, slot.place)]
            if not places:
                del levels[before]
        if after:
            insort(levels.setdefault(after, []), slot.place)
        if not levels:
            del self._levels[group]


class HostSet:
    """Hosts with the same values in the attributes that are spread over: a class, or some hosts by hand."""

    __slots__ = ("cls", "slots", "values")

    def __init__(
        self, values: tuple[str | None, ...], cls: HostClass | None, slots: Iterable[Slot] = ()
    ) -> None:
        self.values = values
        self.cls = cls
        self.slots = frozenset(slots)

    def holds(self, slot: Slot) -> bool:
        return slot.cls is self.cls if self.cls is not None else slot in self.slots

    def clockwise(self, start: int, cpu: int, memory: int) -> Iterator[Slot]:
        """The hosts by the ring; those of a class only if they have so much free."""
        if self.cls is not None:
            return self.cls.order(()).walk(start, cpu, memory)
        return iter(sorted(self.slots, key=lambda slot: (slot.place - start) & RING_MASK))
