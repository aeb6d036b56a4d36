"""What a placement was decided by: the hosts considered, removed and ranked, as one document.

Made beside the search and not within it, from the fleet before it changes, so that placing stays as
fast as it is and whoever wants no record pays for none. A batch is one record: its ranking is the one
before its first task. To look at every host would cost more than to place a task where there are
thousands; how many are looked at is bounded by the size of the batch.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from typing import Any, Final

from miniecs_scheduler.classes import HostClass, HostSet, Slot
from miniecs_scheduler.constraints import Rules, compile_rules
from miniecs_scheduler.cursors import Ranking
from miniecs_scheduler.explain import STAGES, HostChecks, short_id
from miniecs_scheduler.fits import Fit
from miniecs_scheduler.index import Fleet, has_attributes
from miniecs_scheduler.place import place
from miniecs_scheduler.runners import are_in_order, in_order
from miniecs_scheduler.strategies import Chain, Step, compile_chain
from miniecs_scheduler.ties import RING_MASK, ring_start
from miniecs_scheduler.types import AVAILABILITY_ZONE, Decision, Rejection, Request, Resources

LOOKS: Final = 320
"""So many hosts are looked at for the record of a small batch,"""
LOOKS_PER_TASK: Final = 2
"""and for a large one so many for each of its tasks."""
RANKED: Final = 5
"""Hosts that a record shows in their order."""
PICKED: Final = 8
"""Hosts of which a record says how many tasks of the batch they got."""

Document = dict[str, Any]
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def decide(fleet: Fleet, request: Request) -> Decision:
    """Place, and keep what the decision was made by, as JSON in its `record`."""
    decision = place(fleet, request)
    return replace(decision, record=_encode(record(fleet, request, decision)))


def record(fleet: Fleet, request: Request, decision: Decision) -> Document:
    """The record of a decision that was just made on this fleet, which has not changed since.

    `considered` hosts are either in `removed`, by the first check that each failed, or `fitting`.
    `steps` are the strategies in their order, each with the best value and how many hosts had it;
    `ranked` are the first hosts by them, the pick first. Where there were too many hosts to look at,
    `looked` is false: `removed` then counts what attributes and expressions exclude, no step says how
    many hosts were tied, and without `runnersUp` `ranked` are hosts that were picked. `unplaced` says
    why the next task found no host; its `closest` is the one that a service event names.
    """
    chain = compile_chain(request.strategies)
    document: Document = {
        "tasks": request.count,
        "placed": len(decision.placements),
        "group": request.group,
        "demand": _amounts(request.demand),
        "considered": decision.considered,
        "looked": True,
    }
    if decision.placements:
        rules = compile_rules(request.required_attributes, request.constraints)
        recorder = _Recorder(fleet, request, rules, chain)
        if decision.considered <= max(LOOKS, LOOKS_PER_TASK * request.count):
            document |= recorder.looked(decision)
        else:
            document |= recorder.not_looked(decision)
        document["picked"], document["hosts"] = _picked(decision)
    else:
        document |= {"removed": _rejected(decision), "fitting": 0}
    if decision.unplaced:
        document["unplaced"] = {
            "tasks": decision.unplaced,
            "removed": _rejected(decision),
            "closest": None if decision.closest is None else short_id(decision.closest.host),
            "suggestion": decision.suggestion,
        }
    return document


class _Recorder:
    """One request on its fleet, as both were before the first task was placed."""

    def __init__(self, fleet: Fleet, request: Request, rules: Rules, chain: Chain) -> None:
        self._fleet = fleet
        self._request = request
        self._rules = rules
        self._chain = chain
        self._eligible = fleet.eligible(rules, chain.values, request.demand.gpu > 0)
        self._fit = Fit(request, rules, self._eligible)
        self._checks = HostChecks(request, rules, self._fit)
        self._counts = {name: fleet.spread(name, request.group) for name in chain.values}

    def looked(self, decision: Decision) -> Document:
        """From every host that was considered."""
        slots = self._slots()
        fitting = self._fitting(slots)
        removed: Iterable[Slot] = ()
        if len(fitting) < decision.considered:
            removed = {slot for slot in slots if slot.host is not None}.difference(fitting)
        steps, ranked = self._ranking(fitting, decision.placements[0].host)
        return {
            "removed": self._removed(removed),
            "fitting": len(fitting),
            "steps": steps,
            "ranked": ranked,
        }

    def _fitting(self, slots: Collection[Slot]) -> list[Slot]:
        cpu, memory, classes = self._fit.least_cpu, self._fit.least_memory, self._eligible.classes
        if len(classes) > 1:
            among = frozenset(classes)
            roomy = [s for s in slots if s.usable and s.cpu >= cpu and s.memory >= memory and s.cls in among]
        else:
            only = classes[0]
            roomy = [s for s in slots if s.usable and s.cpu >= cpu and s.memory >= memory and s.cls is only]
        return roomy if self._fit.plain else [slot for slot in roomy if self._fit.fits(slot)]

    def not_looked(self, decision: Decision) -> Document:
        """From the classes of hosts and the first of them in their order, however many there are.

        Where they are in no order, the first are those that were picked.
        """
        excluded: Counter[str] = Counter()
        eligible = frozenset(self._eligible.classes)
        for cls in self._fleet.classes():
            if cls not in eligible:
                excluded[self._excluded_by(cls)] += self._considered_of(cls)
        sets = self._eligible.sets if self._request.only_hosts is None else None
        is_ordered = are_in_order(self._chain, sets)
        slots = list(islice(self._in_order(sets or ()), RANKED)) if is_ordered else self._picks(decision)
        columns = [self._column(step, slots) for step in self._chain.steps]
        return {
            "looked": False,
            "runnersUp": is_ordered,
            "removed": [
                {"reason": reason, "hosts": excluded[reason]} for reason in STAGES if excluded[reason]
            ],
            "steps": [
                {"by": _words(step), "best": best}
                for step, (best, *_) in zip(self._chain.steps, columns, strict=True)
            ],
            "ranked": [self._host(slot, [column[n] for column in columns]) for n, slot in enumerate(slots)],
        }

    def _in_order(self, sets: Sequence[HostSet]) -> Iterator[Slot]:
        start = ring_start(self._request.seed, self._fleet.ring)
        ranking = Ranking(self._request, self._chain, self._fit, start)
        return in_order(ranking, sets, list(self._counts.values()))

    def _picks(self, decision: Decision) -> list[Slot]:
        first = dict.fromkeys(placement.host for placement in islice(decision.placements, 4 * RANKED))
        return [self._fleet.slots[host] for host in islice(first, RANKED)]

    def _slots(self) -> Collection[Slot]:
        only = self._request.only_hosts
        if only is None:
            return self._fleet.slots.values()
        known = (self._fleet.slots.get(host_id) for host_id in only)
        return [slot for slot in known if slot is not None]

    def _ranking(self, fitting: list[Slot], pick: str) -> tuple[list[Document], list[Document]]:
        """Each step with its best value and the hosts tied at it, and the first hosts with their values."""
        steps = []
        tied = fitting
        for step in self._chain.steps:
            column = self._column(step, tied)
            best = min(column)
            if column.count(best) < len(column):
                tied = [slot for slot, number in zip(tied, column, strict=True) if number == best]
            steps.append({"by": _words(step), "best": best, "tied": len(tied)})
        # Where enough are tied for the first place, the others are among them.
        first = tied if len(tied) >= RANKED else fitting
        columns = [self._column(step, first) for step in self._chain.steps]
        if self._chain.random:
            chance = [int(slot.id != pick) for slot in first]
        else:
            start = ring_start(self._request.seed, self._fleet.ring)
            chance = [(slot.place - start) & RING_MASK for slot in first]
        keys = zip(*columns, chance, range(len(first)), strict=True)
        best_keys = nsmallest(RANKED, keys) if len(first) > RANKED else sorted(keys)
        return steps, [self._host(first[key[-1]], list(key[:-2])) for key in best_keys]

    def _column(self, step: Step, slots: list[Slot]) -> list[int]:
        """A number for each host, by which the step compares them."""
        if step.kind == "host":
            group = self._request.group
            return [slot.groups.get(group, 0) for slot in slots]
        if step.kind == "field":
            return [slot.memory for slot in slots] if step.name == "memory" else [slot.cpu for slot in slots]
        tasks, name = self._counts[step.name], step.name
        return [tasks.get(slot.host.attributes.get(name), 0) for slot in slots if slot.host is not None]

    def _host(self, slot: Slot, values: list[int]) -> Document:
        zone = slot.host.attributes.get(AVAILABILITY_ZONE, "") if slot.host is not None else ""
        return {"host": short_id(slot.id), "zone": zone, "values": values}

    def _removed(self, slots: Iterable[Slot]) -> list[Document]:
        """By the first check that each failed; of each reason the closest host, with its numbers."""
        removed: dict[str, list[Slot]] = {}
        for slot in slots:
            removed.setdefault(self._first_failure(slot), []).append(slot)
        found = []
        for reason in STAGES:
            if reason in removed:
                closest = min(removed[reason], key=lambda slot: (-self._free(slot, reason), slot.place))
                assert closest.host is not None
                rejection = self._checks.first(self._checks.refusal(closest, closest.host))
                found.append(_removal(rejection, len(removed[reason])))
        return found

    def _first_failure(self, slot: Slot) -> str:
        """As HostChecks finds it, with a short way for the usual: a host that is away, or full."""
        assert slot.host is not None
        if not slot.host.active:
            return "INACTIVE"
        if not slot.host.connected:
            return "AGENT"
        if slot.cls in self._eligible.classes and not self._eligible.required:
            if slot.cpu < self._fit.least_cpu:
                return "RESOURCE:CPU"
            if slot.memory < self._fit.least_memory:
                return "RESOURCE:MEMORY"
        return self._checks.failures(slot, slot.host)[0].reason

    def _free(self, slot: Slot, reason: str) -> int:
        match reason:
            case "RESOURCE:CPU":
                return slot.cpu
            case "RESOURCE:MEMORY":
                return slot.memory
        return 0

    def _considered_of(self, cls: HostClass) -> int:
        only = self._request.only_hosts
        return len(cls.members) if only is None else sum(slot.id in only for slot in cls.members.values())

    def _excluded_by(self, cls: HostClass) -> str:
        if self._request.demand.gpu and not cls.gpu:
            return "RESOURCE:GPU"
        if not has_attributes(cls.sample, self._request.required_attributes):
            return "ATTRIBUTE"
        return "MemberOf placement constraint unsatisfied."


def _picked(decision: Decision) -> tuple[list[Document], int]:
    """The first hosts with how many tasks each got, and how many hosts got any."""
    if len(decision.placements) == 1:
        return [{"host": short_id(decision.placements[0].host), "tasks": 1}], 1
    tasks = Counter(placement.host for placement in decision.placements)
    return [{"host": short_id(host), "tasks": tasks[host]} for host in islice(tasks, PICKED)], len(tasks)


def _rejected(decision: Decision) -> list[Document]:
    closest: dict[str, Rejection] = {}
    for rejection in decision.rejections:
        closest.setdefault(rejection.reason, rejection)
    return [
        _removal(closest[reason], hosts) if reason in closest else {"reason": reason, "hosts": hosts}
        for reason, hosts in decision.rejected.items()
    ]


def _removal(closest: Rejection, hosts: int) -> Document:
    document: Document = {"reason": closest.reason, "hosts": hosts, "closest": short_id(closest.host)}
    if closest.needed:
        document |= {"needed": closest.needed, "available": closest.available}
    return {**document, "detail": closest.detail}


def _amounts(demand: Resources) -> Document:
    """What is demanded, without what is not."""
    amounts: Document = {"cpu": demand.cpu, "memory": demand.memory, "gpu": demand.gpu, "enis": demand.enis}
    amounts |= {"tcpPorts": sorted(demand.tcp_ports), "udpPorts": sorted(demand.udp_ports)}
    return {name: amount for name, amount in amounts.items() if amount}


def _words(step: Step) -> str:
    match step.kind:
        case "value":
            return f"spread attribute:{step.name}"
        case "host":
            return "spread instanceId"
        case "field":
            return f"binpack {step.name}"
