"""The hosts of one cluster and what is assigned to them, arranged so that placing need not look at all.

Hosts with equal values in every attribute that some request has asked about form a class. A rule on
attributes is answered once per class, and within a class hosts are kept in the orders that requests
have needed. An attribute that would make too many classes (a name per host) is not used for them:
rules on it are asked of each host instead. Whatever the classes are, the answers are the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from miniecs_scheduler.classes import HostClass, HostSet, Slot
from miniecs_scheduler.constraints import RequiredAttributes, Rules
from miniecs_scheduler.expressions import Expression
from miniecs_scheduler.ties import RING_MASK, ring_position
from miniecs_scheduler.types import AVAILABILITY_ZONE, Host, Resources

MAX_CLASSES: Final = 64
_MAX_CACHE: Final = 4096
_AGENT_VERSION: Final = "\0agentVersion"  # read by expressions like an attribute; no attribute is called so

_Signature = tuple[str | None, ...]


class Eligible(NamedTuple):
    """What can satisfy a request's rules, and the rules that each host must still be asked.

    `sets` are the classes as sets of equal values of the attributes that are spread over; None when
    hosts are not classed by one of these.
    """

    classes: tuple[HostClass, ...]
    sets: tuple[HostSet, ...] | None
    required: RequiredAttributes
    expressions: tuple[Expression, ...]


class Fleet:
    """The hosts of one cluster with the tasks assigned to them; kept up to date change by change."""

    def __init__(self) -> None:
        self.slots: dict[str, Slot] = {}
        self.ring: list[int] = []
        self.by_place: dict[int, Slot] = {}
        self._tasks: dict[str, tuple[Slot, Resources, str | None]] = {}
        self._classes: dict[_Signature, HostClass] = {}
        self._names: tuple[str, ...] = (AVAILABILITY_ZONE,)
        self._wide: set[str] = set()
        self._spread: dict[str, dict[str, dict[str | None, int]]] = {}
        self._eligible: dict[tuple[Rules, tuple[str, ...], bool], Eligible] = {}

    # Changes

    def put_host(self, host: Host) -> None:
        """Add a host, or replace what is known of it; its tasks stay."""
        slot = self._slot(host.id)
        if slot.host is None:
            insort(self.ring, slot.place)
        else:
            self._leave(slot)
            slot.count(slot.host.capacity, -1)
        slot.host = host
        slot.usable = host.active and host.connected
        slot.count(host.capacity, 1)
        self._enter(slot)
        if len(self._classes) > MAX_CLASSES:
            self._arrange(self._names)

    def remove_host(self, host_id: str) -> None:
        """Forget a host; its tasks stay known until they are released."""
        slot = self.slots.get(host_id)
        if slot is None or slot.host is None:
            return
        self._leave(slot)
        slot.count(slot.host.capacity, -1)
        slot.host = None
        slot.usable = False
        del self.ring[bisect_left(self.ring, slot.place)]
        self._drop_if_unused(slot)

    def assign(self, host_id: str, task_id: str, demand: Resources, group: str | None) -> None:
        """Account for a task on a host, known or not; a task that was elsewhere is moved.

        Without a group it is one that is being stopped: it still holds what it holds, and neither
        constraints nor strategies see it (ECS developer guide, "Define which container instances Amazon
        ECS uses for tasks": placement looks at the desired status).
        """
        if task_id in self._tasks:
            self.release(task_id)
        slot = self._slot(host_id)
        self._tasks[task_id] = (slot, demand, group)
        self._charge(slot, demand, group, 1)

    def assign_all(self, tasks: Iterable[tuple[str, str]], demand: Resources, group: str) -> None:
        """The same for (host id, task id) of many tasks of a shape: each host is brought up to date once."""
        held, slots = self._tasks, self.slots
        more: dict[Slot, int] = {}
        moved = []
        for host_id, task_id in tasks:
            if task_id in held:
                moved.append((host_id, task_id))
                continue
            slot = slots.get(host_id) or self._slot(host_id)
            held[task_id] = (slot, demand, group)
            more[slot] = more.get(slot, 0) + 1
        for slot, count in more.items():
            self._charge(slot, demand, group, count)
        for host_id, task_id in moved:
            self.assign(host_id, task_id, demand, group)

    def release(self, task_id: str) -> None:
        """Give back what a task held."""
        task = self._tasks.pop(task_id, None)
        if task is not None:
            self._charge(*task, -1)
            self._drop_if_unused(task[0])

    # Questions

    def free(self, host_id: str) -> Resources:
        """What is left on a host; its ports are the occupied ones. An unknown host has nothing free."""
        slot = self.slots.get(host_id)
        if slot is None or slot.host is None:
            return Resources()
        return Resources(slot.cpu, slot.memory, slot.gpu, slot.enis, frozenset(slot.tcp), frozenset(slot.udp))

    def hosts(self) -> Iterable[Host]:
        """All hosts, in the order in which they came."""
        return [slot.host for slot in self.slots.values() if slot.host is not None]

    def host(self, host_id: str) -> Host | None:
        slot = self.slots.get(host_id)
        return slot.host if slot is not None else None

    def running(self, host_id: str) -> int:
        """How many tasks are on a host that are not being stopped."""
        slot = self.slots.get(host_id)
        return slot.running if slot is not None else 0

    def groups(self, host_id: str) -> Mapping[str, int]:
        """How many of them each group has."""
        slot = self.slots.get(host_id)
        return slot.groups if slot is not None else {}

    def __len__(self) -> int:
        return len(self.ring)

    def classes(self) -> Iterable[HostClass]:
        """All hosts, class by class."""
        return self._classes.values()

    def task(self, task_id: str) -> tuple[Slot, Resources, str | None] | None:
        """Where a task is, what it holds and its group."""
        return self._tasks.get(task_id)

    def spread(self, name: str, group: str) -> Mapping[str | None, int]:
        """Tasks of the group behind each value of an attribute; None is for hosts that lack it."""
        by_group = self._spread.get(name)
        if by_group is None:
            by_group = self._spread[name] = {}
            for slot in self.slots.values():
                if slot.host is not None:
                    value = slot.host.attributes.get(name)
                    for each, tasks in slot.groups.items():
                        counts = by_group.setdefault(each, {})
                        counts[value] = counts.get(value, 0) + tasks
        return by_group.get(group, {})

    def eligible(self, rules: Rules, values: tuple[str, ...], gpu: bool) -> Eligible:
        """Which classes can satisfy the rules; `values` are attributes that are spread over."""
        key = (rules, values, gpu)
        known = self._eligible.get(key)
        if known is None:
            asked = rules.attributes.union(values)
            if rules.reads_version:
                asked |= {_AGENT_VERSION}
            new = sorted(asked.difference(self._names, self._wide))
            if new:
                self._arrange((*self._names, *new))
            known = self._select(rules, values, gpu)
            if len(self._eligible) >= _MAX_CACHE:
                self._eligible.clear()
            self._eligible[key] = known
        return known

    # Upkeep

    def _select(self, rules: Rules, values: tuple[str, ...], gpu: bool) -> Eligible:
        wide = self._wide
        by_host = tuple(
            e
            for e in rules.class_expressions
            if not e.attributes.isdisjoint(wide) or (e.reads_version and _AGENT_VERSION in wide)
        )
        by_class = [e for e in rules.class_expressions if e not in by_host]
        required = [pair for pair in rules.required if pair[0] not in wide]
        classes = tuple(
            cls
            for cls in self._classes.values()
            if (cls.gpu or not gpu)
            and has_attributes(cls.sample, required)
            and all(e.matches(cls.sample) for e in by_class)
        )
        sets = None
        if wide.isdisjoint(values):
            sets = tuple(HostSet(tuple(map(cls.sample.attributes.get, values)), cls) for cls in classes)
        residual = tuple(pair for pair in rules.required if pair[0] in wide)
        return Eligible(classes, sets, residual, by_host + rules.host_expressions)

    def _slot(self, host_id: str) -> Slot:
        slot = self.slots.get(host_id)
        if slot is None:
            place = ring_position(host_id)
            while place in self.by_place:
                place = (place + 1) & RING_MASK
            slot = self.slots[host_id] = self.by_place[place] = Slot(host_id, place)
        return slot

    def _drop_if_unused(self, slot: Slot) -> None:
        if slot.host is None and not slot.held:
            del self.slots[slot.id], self.by_place[slot.place]

    def _charge(self, slot: Slot, demand: Resources, group: str | None, count: int) -> None:
        """Account for so many more tasks of one shape on a host; negative: so many fewer."""
        cls = slot.cls
        orders = cls.orders.values() if cls is not None and slot.usable else ()
        for order in orders:
            if order.fields:
                order.remove(slot)
        slot.cpu -= count * demand.cpu
        slot.memory -= count * demand.memory
        slot.gpu -= count * demand.gpu
        slot.enis -= count * demand.enis
        if demand.tcp_ports or demand.udp_ports:
            slot.occupy(demand, count)
        for order in orders:
            if order.fields:
                order.add(slot)
            elif count < 0:
                order.raised(slot)
        slot.held += count
        if group is None:
            return
        slot.running += count
        before = slot.groups.get(group, 0)
        after = before + count
        if after:
            slot.groups[group] = after
        else:
            del slot.groups[group]
        if cls is not None:
            cls.shift(slot, group, before, after)
            self._count_spread(slot, group, count)

    def _count_spread(self, slot: Slot, group: str, tasks: int) -> None:
        if slot.host is None:
            return
        attributes = slot.host.attributes
        for name, by_group in self._spread.items():
            value = attributes.get(name)
            counts = by_group.setdefault(group, {})
            left = counts.get(value, 0) + tasks
            if left:
                counts[value] = left
            else:
                del counts[value]
                if not counts:
                    del by_group[group]

    def _enter(self, slot: Slot) -> None:
        """Put a known host into its class and into every count."""
        if slot.host is None:
            return
        self._classify(slot, slot.host)
        for group, tasks in slot.groups.items():
            self._count_spread(slot, group, tasks)

    def _leave(self, slot: Slot) -> None:
        cls = slot.cls
        if cls is None or slot.host is None:
            return
        for group, tasks in slot.groups.items():
            self._count_spread(slot, group, -tasks)
            cls.shift(slot, group, tasks, 0)
        if slot.usable:
            for order in cls.orders.values():
                order.remove(slot)
        del cls.members[slot.place]
        slot.cls = None
        if not cls.members:
            del self._classes[self._signature(slot.host)]
            self._eligible.clear()

    def _classify(self, slot: Slot, host: Host) -> None:
        signature = self._signature(host)
        cls = self._classes.get(signature)
        if cls is None:
            # What a class is asked about are its attributes; that its usable hosts are connected is known.
            sample = Host(host.id, host.attributes, host.capacity, agent_version=host.agent_version)
            cls = self._classes[signature] = HostClass(sample)
            self._eligible.clear()
        slot.cls = cls
        cls.members[slot.place] = slot
        for group, tasks in slot.groups.items():
            cls.shift(slot, group, 0, tasks)
        if slot.usable:
            for order in cls.orders.values():
                order.add(slot)

    def _signature(self, host: Host) -> _Signature:
        return _signature(host, self._names)

    def _arrange(self, names: Sequence[str]) -> None:
        """Class all hosts anew by these attributes, leaving out those with the most values if too many."""
        hosts = [slot.host for slot in self.slots.values() if slot.host is not None]
        kept = list(names)
        while len({_signature(host, kept) for host in hosts}) > MAX_CLASSES and kept:
            widest = max(kept, key=lambda name: (len({_value(host, name) for host in hosts}), name))
            kept.remove(widest)
            self._wide.add(widest)
        self._names = tuple(kept)
        self._classes.clear()
        self._eligible.clear()
        for slot in self.slots.values():
            if slot.host is not None:
                self._classify(slot, slot.host)


def has_attributes(host: Host, required: Iterable[tuple[str, str | None]]) -> bool:
    """Whether the host has each attribute, with the value if one is given."""
    attributes = host.attributes
    return all(
        name in attributes and (value is None or attributes[name] == value) for name, value in required
    )


def _value(host: Host, name: str) -> str | None:
    return host.agent_version if name == _AGENT_VERSION else host.attributes.get(name)


def _signature(host: Host, names: Sequence[str]) -> _Signature:
    gpu = "gpu" if host.capacity.gpu > 0 else None
    return (gpu, *[_value(host, name) for name in names])
