"""Why hosts could not take a task, which came closest, and what little change would have helped.

Made only when a task could not be placed, and by looking at every host: the index answers "where",
this answers "why not", and must not be the thing that makes placing slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from heapq import nsmallest
from typing import Final, NamedTuple, get_args

from miniecs_scheduler.classes import Slot
from miniecs_scheduler.constraints import Rules
from miniecs_scheduler.fits import Fit
from miniecs_scheduler.index import Fleet
from miniecs_scheduler.types import Decision, Host, Reason, Rejection, Request
from miniecs_scheduler.words import count

MAX_REJECTIONS: Final = 100
STAGES: Final[dict[Reason, int]] = {reason: stage for stage, reason in enumerate(get_args(Reason))}
_AMOUNTS: Final[dict[Reason, str]] = {
    "RESOURCE:CPU": "CPU unit",
    "RESOURCE:MEMORY": "MiB",
    "RESOURCE:GPU": "GPU",
    "RESOURCE:ENI": "network interface",
}


class _Failure(NamedTuple):
    reason: Reason
    needed: int = 0
    available: int = 0


_Distance = tuple[bool, int, int, float, int]


class Refusal(NamedTuple):
    """All checks that one host failed, in the order of checking, and how far it is from taking the task."""

    distance: _Distance
    slot: Slot
    host: Host
    failures: tuple[_Failure, ...]


def _distance(slot: Slot, failures: tuple[_Failure, ...]) -> _Distance:
    """Fewest failures first, then the latest, then the least lacking.

    A host that is not ACTIVE is farther than any that is: nobody would free room on it.
    """
    reason = failures[0].reason
    lacking = 0.0
    for failure in failures:
        if failure.needed:
            lacking += (failure.needed - failure.available) / failure.needed
    return reason == "INACTIVE", len(failures), -STAGES[reason], lacking, slot.place


def explain(fleet: Fleet, request: Request, rules: Rules, fit: Fit) -> Decision:
    """A decision without placements that says why the next task finds no host."""
    asker = HostChecks(request, rules, fit)
    slots: Iterable[Slot] = fleet.slots.values()
    if request.only_hosts is not None:
        known = (fleet.slots.get(host_id) for host_id in request.only_hosts)
        slots = [slot for slot in known if slot is not None]
    refusals = []
    for slot in slots:
        if slot.host is not None:
            refusals.append(asker.refusal(slot, slot.host))
    closest = nsmallest(MAX_REJECTIONS, refusals)  # by distance, in which no two hosts are equal
    counted = Counter(refusal.failures[0].reason for refusal in refusals)
    rejected: dict[str, int] = {reason: counted[reason] for reason in STAGES if counted[reason]}
    rejections = tuple(asker.rejection(refusal) for refusal in closest)
    suggestion = _suggest(asker, refusals, closest[0] if closest else None)
    return Decision((), 0, len(refusals), rejected, rejections, next(iter(rejections), None), suggestion)


class HostChecks:
    """The checks of a request, one by one and with their numbers, of a host at a time."""

    def __init__(self, request: Request, rules: Rules, fit: Fit) -> None:
        self.request = request
        self.rules = rules
        self.fit = fit

    def refusal(self, slot: Slot, host: Host) -> Refusal:
        """All that keeps a host from taking one more task; it must fail something."""
        failures = self.failures(slot, host)
        return Refusal(_distance(slot, failures), slot, host, failures)

    def failures(self, slot: Slot, host: Host) -> tuple[_Failure, ...]:
        """Every check that the host fails for one more task."""
        demand, placed = self.request.demand, self.fit.placed.get(slot, 0)
        found = []
        if not host.active:
            found.append(_Failure("INACTIVE"))
        if not host.connected:
            found.append(_Failure("AGENT"))
        if self.request.required_attributes and self.lacking(host):
            found.append(_Failure("ATTRIBUTE"))
        cpu, memory = slot.cpu - placed * demand.cpu, slot.memory - placed * demand.memory
        if 0 < demand.cpu > cpu:
            found.append(_Failure("RESOURCE:CPU", demand.cpu, cpu))
        if 0 < demand.memory > memory:
            found.append(_Failure("RESOURCE:MEMORY", demand.memory, memory))
        if demand.tcp_ports or demand.udp_ports:
            needed = len(demand.tcp_ports) + len(demand.udp_ports)
            taken = len(self.taken_ports(slot))
            if taken:
                found.append(_Failure("RESOURCE:PORTS", needed, needed - taken))
        gpu, enis = slot.gpu - placed * demand.gpu, slot.enis - placed * demand.enis
        if 0 < demand.gpu > gpu:
            found.append(_Failure("RESOURCE:GPU", demand.gpu, gpu))
        if 0 < demand.enis > enis:
            found.append(_Failure("RESOURCE:ENI", demand.enis, enis))
        if self.rules.expressions and self.unmatched(slot, host):
            found.append(_Failure("MemberOf placement constraint unsatisfied."))
        if self.rules.distinct and self.of_group(slot):
            found.append(_Failure("DistinctInstance placement constraint unsatisfied."))
        return tuple(found)

    def lacking(self, host: Host) -> list[str]:
        required, attributes = self.request.required_attributes, host.attributes
        return [
            name if value is None else f"{name}={value}"
            for name, value in required
            if name not in attributes or (value is not None and attributes[name] != value)
        ]

    def taken_ports(self, slot: Slot) -> list[str]:
        demand = self.request.demand
        mine = slot in self.fit.placed
        return [f"tcp {p}" for p in sorted(demand.tcp_ports) if mine or p in slot.tcp] + [
            f"udp {p}" for p in sorted(demand.udp_ports) if mine or p in slot.udp
        ]

    def unmatched(self, slot: Slot, host: Host) -> list[str]:
        running, groups = slot.running + self.fit.placed.get(slot, 0), self.fit.groups(slot)
        return [e.text for e in self.rules.expressions if not e.matches(host, running, groups)]

    def of_group(self, slot: Slot) -> int:
        return slot.groups.get(self.request.group, 0) + self.fit.placed.get(slot, 0)

    def rejection(self, refusal: Refusal) -> Rejection:
        first = refusal.failures[0]
        details = [self.detail(refusal, failure) for failure in refusal.failures]
        return Rejection(
            refusal.slot.id, first.reason, "; ".join(details), first.needed, max(first.available, 0)
        )

    def first(self, refusal: Refusal) -> Rejection:
        """The first check that the host failed, alone."""
        failure = refusal.failures[0]
        detail = self.detail(refusal, failure)
        return Rejection(refusal.slot.id, failure.reason, detail, failure.needed, max(failure.available, 0))

    def detail(self, refusal: Refusal, failure: _Failure) -> str:
        slot, host = refusal.slot, refusal.host
        unit = _AMOUNTS.get(failure.reason)
        if unit is not None:
            total = _total(host, failure.reason)
            return f"needs {count(failure.needed, unit)}, {count(failure.available, unit)} free of {total}"
        match failure.reason:
            case "INACTIVE":
                return "the container instance is not ACTIVE"
            case "AGENT":
                return "its agent is not connected"
            case "ATTRIBUTE":
                return f"lacks {', '.join(self.lacking(host))}"
            case "RESOURCE:PORTS":
                return f"already in use: {', '.join(self.taken_ports(slot))}"
            case "DistinctInstance placement constraint unsatisfied.":
                tasks = self.of_group(slot)
                of_group = f"{tasks} task{'' if tasks == 1 else 's'} of {self.request.group}"
                return f"distinctInstance: it has {of_group}"
        running, groups = slot.running + self.fit.placed.get(slot, 0), self.fit.groups(slot)
        texts = set(self.unmatched(slot, host))
        return "; ".join(
            f"memberOf ({e.text}): {e.describe(host, running, groups)}"
            for e in self.rules.expressions
            if e.text in texts
        )


def _total(host: Host, reason: Reason) -> int:
    match reason:
        case "RESOURCE:CPU":
            return host.capacity.cpu
        case "RESOURCE:MEMORY":
            return host.capacity.memory
        case "RESOURCE:GPU":
            return host.capacity.gpu
    return host.capacity.enis


def _suggest(asker: HostChecks, refusals: list[Refusal], closest: Refusal | None) -> str:
    """The changes of one thing that would each have made the task fit."""
    if closest is None:
        return "there is no container instance to place tasks on"
    single: dict[Reason, list[Refusal]] = {}
    for refusal in refusals:
        if len(refusal.failures) == 1:
            single.setdefault(refusal.failures[0].reason, []).append(refusal)
    changes = []
    for reason in sorted(single, key=STAGES.__getitem__):
        changes.extend(_change(asker, reason, single[reason]))
    changes.extend(_too_large(refusals))
    return "; ".join(changes or [_together(asker, closest)])


def _together(asker: HostChecks, closest: Refusal) -> str:
    """All that would have to change at once on the host that comes closest."""
    if all(failure.reason in _AMOUNTS for failure in closest.failures):
        return _short(closest)
    return f"{short_id(closest.host.id)} comes closest: {asker.rejection(closest).detail}"


def _short(best: Refusal) -> str:
    amounts = [count(f.needed - f.available, _AMOUNTS[f.reason]) for f in best.failures]
    return f"{' and '.join(amounts)} short on the best host, {short_id(best.host.id)}"


def _change(asker: HostChecks, reason: Reason, refusals: list[Refusal]) -> list[str]:
    hosts = count(len(refusals), "host")
    if reason in _AMOUNTS:
        return [_short(min(refusals))]
    match reason:
        case "INACTIVE":
            return [f"{hosts} would fit if ACTIVE"]
        case "AGENT":
            return [f"{hosts} would fit with the agent connected"]
        case "RESOURCE:PORTS":
            ports = sorted({port for refusal in refusals for port in asker.taken_ports(refusal.slot)})
            return [f"{hosts} would fit but for host ports in use ({', '.join(ports)})"]
        case "DistinctInstance placement constraint unsatisfied.":
            return [f"{hosts} would fit without distinctInstance"]
        case "ATTRIBUTE":
            return _alone(refusals, "with", lambda r: [f"attribute {name}" for name in asker.lacking(r.host)])
    return _alone(refusals, "without", lambda r: [f"memberOf ({t})" for t in asker.unmatched(r.slot, r.host)])


def _alone(refusals: list[Refusal], word: str, unmet: Callable[[Refusal], list[str]]) -> list[str]:
    """For each rule how many hosts fail nothing else; or, if all fail several, for the fewest together."""
    counts = Counter(tuple(unmet(refusal)) for refusal in refusals)
    fewest = min(map(len, counts))
    best = sorted((rules, hosts) for rules, hosts in counts.items() if len(rules) == fewest)
    return [f"{count(hosts, 'host')} would fit {word} {', '.join(rules)}" for rules, hosts in best]


def _too_large(refusals: list[Refusal]) -> list[str]:
    """Amounts that no considered host offers even when empty."""
    needed = {f.reason: f.needed for r in refusals for f in r.failures if f.reason in _AMOUNTS}
    changes = []
    for reason in sorted(needed, key=STAGES.__getitem__):
        unit, most = _AMOUNTS[reason], max(_total(refusal.host, reason) for refusal in refusals)
        if needed[reason] > most:
            changes.append(
                f"no host is large enough: a task needs {count(needed[reason], unit)}, the largest has {most}"
            )
    return changes


def short_id(host_id: str) -> str:
    """The last part of a container instance's ARN."""
    return host_id.rpartition("/")[2]
