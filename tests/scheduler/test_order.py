"""Hosts in the order of what they have left: as sorting all of them would give it, and kept in few blocks."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from miniecs_scheduler.classes import Slot
from miniecs_scheduler.order import _LOAD, Order
from miniecs_scheduler.ties import RING_MASK

PLACES = (*range(300), *range(RING_MASK - 299, RING_MASK + 1))
"""The first and the last of the ring, next to each other."""
FIELDS = ((), ("cpu",), ("memory",), ("cpu", "memory"), ("memory", "cpu"))


def a_slot(random: Random, place: int) -> Slot:
    slot = Slot(f"h{place}", place)
    slot.cpu, slot.memory = random.randint(-2, 9), random.randint(-2, 9)
    return slot


def key(order: Order, slot: Slot) -> tuple[int, ...]:
    return tuple(getattr(slot, field) for field in order.fields)


def walked(order: Order, slots: list[Slot], start: int, cpu: int, memory: int) -> list[Slot]:
    roomy = [slot for slot in slots if slot.cpu >= cpu and slot.memory >= memory]
    return sorted(roomy, key=lambda slot: (key(order, slot), (slot.place - start) & RING_MASK))


def check_blocks(order: Order) -> None:
    """None is so small that it could join another, and none is said to be fuller than it is."""
    for block, slots in enumerate(order._slots):
        assert len(slots) >= _LOAD // 4 or len(order._slots) == 1
        assert order._cpu[block] >= max(slot.cpu for slot in slots)
        assert order._memory[block] >= max(slot.memory for slot in slots)


@pytest.mark.parametrize("fields", FIELDS)
def test_hosts_are_walked_as_they_would_be_sorted(fields: tuple[str, ...]) -> None:
    """While they come, go and change: more and more of them, then fewer and fewer."""
    random = Random(f"order {fields}")
    order, slots, places = Order(fields), list[Slot](), [*random.sample(PLACES[1:], len(PLACES) - 1), 0]
    for step in range(500):
        if random.random() < (0.8 if step < 250 else 0.2) or not slots:
            slots.append(a_slot(random, places.pop()))
            order.add(slots[-1])
        else:
            gone = slots.pop(random.randrange(len(slots)))
            order.remove(gone)
            places.append(gone.place)
        if slots and step % 3 == 0:
            changed = random.choice(slots)
            order.remove(changed)
            changed.cpu += random.randint(-3, 3)
            order.add(changed)
        check_blocks(order)
        start = random.choice(slots).place if slots else 0
        cpu, memory = random.randint(-1, 12), random.randint(-1, 12)
        found = [slot.id for slot in order.walk(start, cpu, memory)]
        assert found == [slot.id for slot in walked(order, slots, start, cpu, memory)], step


def test_blocks_neither_grow_nor_shrivel() -> None:
    random = Random("blocks")
    order, slots = Order(("cpu",)), [a_slot(random, place) for place in random.sample(PLACES, 20 * _LOAD)]
    for slot in slots:
        order.add(slot)
        assert max(map(len, order._slots)) <= 2 * _LOAD
    for slot in random.sample(slots, len(slots) // 4):
        order.remove(slot)
    assert len(order._slots) > 8
    check_blocks(order)


def test_a_block_that_promised_too_much_is_corrected_when_a_search_finds_out() -> None:
    random = Random("promises")
    order, slots = Order(()), [a_slot(random, place) for place in PLACES[-5 * _LOAD :]]
    for slot in slots:
        order.add(slot)
    for slot in slots:
        slot.cpu, slot.memory = slot.cpu - 5, slot.memory - 5
    most = max(slot.cpu for slot in slots) + 1
    assert list(order.walk(0, most, 0)) == []
    assert order._cpu == [max(slot.cpu for slot in block) for block in order._slots]
    assert order._memory == [max(slot.memory for slot in block) for block in order._slots]


@pytest.mark.parametrize("amount", ["cpu", "memory"])
def test_room_that_a_task_leaves_is_found_where_hosts_are_in_no_order(amount: str) -> None:
    random = Random("raised")
    order, slots = Order(()), [a_slot(random, place) for place in PLACES[-5 * _LOAD :]]
    for slot in slots:
        order.add(slot)
    for slot in slots:
        setattr(slot, amount, 20)
        order.raised(slot)
        least = {"cpu": -2, "memory": -2, amount: 20}
        assert slot in list(order.walk(0, **least))


@pytest.mark.parametrize("fields", FIELDS[1:])
def test_a_search_begins_at_the_first_host_that_can_have_enough(fields: tuple[str, ...]) -> None:
    slot = Slot("h", 0)
    slot.cpu, slot.memory = 1024, 2048
    assert Order(fields).lowest(1024, 2048) == Order(fields).code(slot)
    assert Order(()).lowest(1024, 2048) == 0


@pytest.mark.parametrize("start", [0, RING_MASK - 1, RING_MASK])
def test_where_the_ring_ends_each_host_comes_once(start: int) -> None:
    order, slots = Order(("cpu",)), [Slot(f"h{place}", place) for place in (0, RING_MASK - 1, RING_MASK)]
    for slot in slots:
        order.add(slot)
    assert list(islice(order.walk(start, 0, 0), 4)) == walked(order, slots, start, 0, 0)
