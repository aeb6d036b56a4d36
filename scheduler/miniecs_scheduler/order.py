"""The hosts of one class in the order of what they have left, with a quick way past those too full.

A list of sorted blocks. Each block keeps an upper bound of the CPU and memory that any of its hosts
has free, so that a search steps over a block of full hosts at once. Bounds are raised at once and
lowered only when a search finds a block that promised too much: most changes then cost one bisect.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from miniecs_scheduler.ties import RING_BITS, RING_MASK

if TYPE_CHECKING:
    from miniecs_scheduler.classes import Slot

_LOAD: Final = 24
_FIELD_BITS: Final = 40


class Order:
    """Slots sorted by `fields` (free cpu, free memory), then by their place on the ring.

    A slot's code is all of that in one number. A slot must be removed before, and added after, its
    free amounts change.
    """

    __slots__ = ("_codes", "_cpu", "_lasts", "_memory", "_slots", "fields")

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields
        self._codes: list[list[int]] = []
        self._slots: list[list[Slot]] = []
        self._lasts: list[int] = []
        self._cpu: list[int] = []
        self._memory: list[int] = []

    def code(self, slot: Slot) -> int:
        fields = self.fields
        if not fields:
            return slot.place
        key = slot.memory if fields[0] == "memory" else slot.cpu
        if len(fields) > 1:
            key = (key << _FIELD_BITS) + (slot.memory if fields[1] == "memory" else slot.cpu)
        return (key << RING_BITS) + slot.place

    def lowest(self, cpu: int, memory: int) -> int:
        """The smallest code that a slot with so much free can have."""
        if not self.fields:
            return 0
        key, other = (memory, cpu) if self.fields[0] == "memory" else (cpu, memory)
        if len(self.fields) > 1:
            key = (key << _FIELD_BITS) + other
        return key << RING_BITS

    def add(self, slot: Slot) -> None:
        code = self.code(slot)
        lasts = self._lasts
        at = bisect_left(lasts, code)
        if at == len(lasts):
            if at == 0:
                self._insert_block(0, [code], [slot])
                return
            at -= 1
            lasts[at] = code
        codes = self._codes[at]
        i = bisect_left(codes, code)
        codes.insert(i, code)
        self._slots[at].insert(i, slot)
        if slot.cpu > self._cpu[at]:
            self._cpu[at] = slot.cpu
        if slot.memory > self._memory[at]:
            self._memory[at] = slot.memory
        if len(codes) > 2 * _LOAD:
            slots = self._slots[at]
            self._drop_block(at)
            self._insert_block(at, codes[_LOAD:], slots[_LOAD:])
            self._insert_block(at, codes[:_LOAD], slots[:_LOAD])

    def remove(self, slot: Slot) -> None:
        code = self.code(slot)
        at = bisect_left(self._lasts, code)
        codes = self._codes[at]
        i = bisect_left(codes, code)
        del codes[i], self._slots[at][i]
        if not codes:
            self._drop_block(at)
            return
        self._lasts[at] = codes[-1]
        if len(codes) < _LOAD // 4 and len(self._lasts) > 1:
            left = at - 1 if at > 0 else at
            codes = self._codes[left] + self._codes[left + 1]
            slots = self._slots[left] + self._slots[left + 1]
            self._drop_block(left + 1)
            self._drop_block(left)
            self._insert_block(left, codes, slots)

    def raised(self, slot: Slot) -> None:
        """The free amounts of a slot rose and its place stays: only for an order without fields."""
        at = bisect_left(self._lasts, slot.place)
        if slot.cpu > self._cpu[at]:
            self._cpu[at] = slot.cpu
        if slot.memory > self._memory[at]:
            self._memory[at] = slot.memory

    def find(self, low: int, high: int | None, cpu: int, memory: int) -> Slot | None:
        """The first slot with low <= code < high that has so much free."""
        lasts, bound_cpu, bound_memory = self._lasts, self._cpu, self._memory
        at = bisect_left(lasts, low)
        if at == len(lasts):
            return None
        i = bisect_left(self._codes[at], low)
        for block in range(at, len(lasts)):
            if high is not None and self._codes[block][i] >= high:
                return None
            if bound_cpu[block] >= cpu and bound_memory[block] >= memory:
                slots = self._slots[block]
                for slot in slots[i:] if i else slots:
                    if slot.cpu >= cpu and slot.memory >= memory:
                        return slot if high is None or self.code(slot) < high else None
                if i == 0:
                    self._tighten(block)
            i = 0
        return None

    def scan(self, low: int, high: int | None, cpu: int, memory: int) -> Iterator[Slot]:
        """All such slots, in order. The order must not change meanwhile."""
        slot = self.find(low, high, cpu, memory)
        while slot is not None:
            yield slot
            slot = self.find(self.code(slot) + 1, high, cpu, memory)

    def walk(self, start: int, cpu: int, memory: int) -> Iterator[Slot]:
        """Slots that have so much free, best first, ties clockwise on the ring from `start`."""
        if not self.fields:
            yield from self.scan(start, None, cpu, memory)
            yield from self.scan(0, start, cpu, memory)
            return
        low = self.lowest(cpu, memory)
        while True:
            first = self.find(low, None, cpu, memory)
            if first is None:
                return
            code = self.code(first)
            base = code & ~RING_MASK
            low = base + RING_MASK + 1
            if first.place >= start:
                yield first
                yield from self.scan(code + 1, low, cpu, memory)
            else:
                yield from self.scan(base + start, low, cpu, memory)
                yield first
                yield from self.scan(code + 1, base + start, cpu, memory)

    def _insert_block(self, at: int, codes: list[int], slots: list[Slot]) -> None:
        self._codes.insert(at, codes)
        self._slots.insert(at, slots)
        self._lasts.insert(at, codes[-1])
        self._cpu.insert(at, max(slot.cpu for slot in slots))
        self._memory.insert(at, max(slot.memory for slot in slots))

    def _drop_block(self, at: int) -> None:
        del self._codes[at], self._slots[at], self._lasts[at], self._cpu[at], self._memory[at]

    def _tighten(self, block: int) -> None:
        slots = self._slots[block]
        self._cpu[block] = max([slot.cpu for slot in slots])
        self._memory[block] = max([slot.memory for slot in slots])
