"""CapacityProviderReservation and what follows from it: AWS's examples, and the bounds of the steps."""

from __future__ import annotations

import pytest

from miniecs.control.launch import machine_of
from miniecs.control.scaling import Batch, Reservation, desired, fits, lacking, reservation
from miniecs_scheduler import Resources

T3 = machine_of("t3.medium")  # 2048 CPU units, 4096 MiB, 2 interfaces for tasks


@pytest.mark.parametrize(
    ("running", "idle", "more", "needed", "percent"),
    [
        (0, 0, 0, 0, 100),  # nothing is there and nothing is needed
        (0, 0, 1, 1, 200),  # the special case: something is needed and nothing is there
        (0, 0, 50, 50, 200),
        (1, 0, 0, 1, 100),
        (1, 1, 0, 0, 0),
        (4, 0, 0, 4, 100),  # all have tasks
        (4, 1, 0, 3, 75),
        (10, 5, 0, 5, 50),
        (1, 0, 2, 3, 300),
        (4, 0, 1, 5, 125),
        (4, 2, 1, 5, 125),  # while tasks wait, those without tasks are no surplus
    ],
)
def test_reservation(running: int, idle: int, more: int, needed: int, percent: float) -> None:
    seen = reservation(running, idle, more, least_step=1, largest_step=10_000)
    assert (seen, seen.percent) == (Reservation(needed, running), percent)


@pytest.mark.parametrize(("more", "needed"), [(1, 13), (3, 13), (4, 14), (6, 16), (9, 16), (0, 10)])
def test_the_steps_bound_what_is_needed(more: int, needed: int) -> None:
    assert reservation(10, 0, more, least_step=3, largest_step=6).needed == needed


@pytest.mark.parametrize(
    ("seen", "target", "expected"),
    [
        (Reservation(3, 1), 100, 3),
        (Reservation(1, 0), 100, 2),  # 200 %: an empty group begins with two
        (Reservation(40, 0), 100, 2),
        (Reservation(0, 0), 100, 0),
        (Reservation(0, 0), 50, 0),
        (Reservation(10, 10), 50, 20),  # half of them are in reserve
        (Reservation(9, 10), 90, 10),
        (Reservation(10, 10), 90, 12),
        (Reservation(2, 4), 100, 2),
        (Reservation(0, 4), 100, 0),
        (Reservation(1, 4), 33, 4),
    ],
)
def test_desired(seen: Reservation, target: int, expected: int) -> None:
    assert desired(seen, target) == expected


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([], 0),
        ([Batch(Resources(cpu=1024, memory=1024), 1)], 1),
        ([Batch(Resources(cpu=1024, memory=1024), 2)], 1),
        ([Batch(Resources(cpu=1024, memory=1024), 3)], 2),
        ([Batch(Resources(cpu=1, memory=4096), 3)], 3),  # memory is what runs out
        ([Batch(Resources(memory=128), 64)], 2),
        ([Batch(Resources(cpu=256, memory=128, enis=1), 4)], 2),  # interfaces are
        ([Batch(Resources(memory=128, tcp_ports=frozenset({80})), 3)], 3),  # a host port is
        ([Batch(Resources(memory=128), 3, apart=True)], 3),
        # Of several kinds the one that needs the most: a lower bound, since they may share.
        ([Batch(Resources(cpu=1024, memory=1), 4), Batch(Resources(cpu=2048, memory=1), 3)], 3),
        # What fits on no empty instance is left out, as no number would help.
        ([Batch(Resources(cpu=4096, memory=1), 9), Batch(Resources(cpu=2048, memory=1), 1)], 1),
        ([Batch(Resources(gpu=1, memory=1), 9)], 0),
        ([Batch(Resources(memory=128, tcp_ports=frozenset({22})), 1)], 0),
    ],
)
def test_lacking(batches: list[Batch], expected: int) -> None:
    assert lacking(batches, T3) == expected


def test_fits() -> None:
    assert fits(Resources(cpu=2048, memory=4096), T3)
    assert not fits(Resources(cpu=2049, memory=1), T3)
    assert not fits(Resources(cpu=1, memory=4097), T3)
