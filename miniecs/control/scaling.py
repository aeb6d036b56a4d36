"""CapacityProviderReservation, and how many instances a group should have because of it: numbers alone.

With N instances running and M needed it is M / N × 100; where none runs 200 if some are needed, else 100.
Source: AWS's "Deep dive on Amazon ECS cluster auto scaling"; ECS developer guide, "Managed scaling behavior".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from miniecs_scheduler import Resources

EMPTY, NOTHING_NEEDED = 200.0, 100.0
_FIRST = 2


@dataclass(frozen=True, slots=True)
class Reservation:
    """needed: M. running: N. percent: the metric's value."""

    needed: int
    running: int

    @property
    def percent(self) -> float:
        if self.running:
            return self.needed * 100 / self.running
        return EMPTY if self.needed else NOTHING_NEEDED


@dataclass(frozen=True, slots=True)
class Batch:
    """Waiting tasks with the same needs. apart: each wants an instance of its own."""

    demand: Resources
    count: int
    apart: bool = False


def reservation(running: int, idle: int, lacking: int, *, least_step: int, largest_step: int) -> Reservation:
    """From what a group has. lacking: instances more that the waiting tasks need; idle: without a task."""
    if lacking:
        return Reservation(running + min(max(lacking, least_step), largest_step), running)
    return Reservation(running - idle, running)


def lacking(batches: Iterable[Batch], machine: Resources) -> int:
    """How many empty instances the waiting tasks need at least: those of the batch that needs the most.

    A batch of which not one task fits on an empty instance counts for nothing: no number would help it.
    """
    return max((_instances(batch, machine) for batch in batches), default=0)


def fits(demand: Resources, machine: Resources) -> bool:
    """Whether an empty instance takes one task."""
    return _per_instance(demand, machine) > 0


def _instances(batch: Batch, machine: Resources) -> int:
    each = _per_instance(batch.demand, machine)
    if each == 0:
        return 0
    return -(-batch.count // (1 if batch.apart else each))


def _per_instance(demand: Resources, machine: Resources) -> int:
    ports = demand.tcp_ports | demand.udp_ports
    if demand.tcp_ports & machine.tcp_ports or demand.udp_ports & machine.udp_ports:
        return 0
    pairs = (
        (demand.cpu, machine.cpu),
        (demand.memory, machine.memory),
        (demand.gpu, machine.gpu),
        (demand.enis, machine.enis),
    )
    most = [has // wants for wants, has in pairs if wants]
    return min([*most, 1] if ports else most, default=1_000)


def desired(seen: Reservation, target: int) -> int:
    """Instances with which the reservation is at the target, in percent. An empty group begins with two."""
    if not seen.running and seen.needed:
        return _FIRST
    return -(-seen.needed * 100 // target)
