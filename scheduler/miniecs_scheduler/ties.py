"""Chance that repeats: every random choice is a hash of the request's seed.

Hosts stand on a ring at a position hashed from their id. A tie goes to the first host clockwise from
one that is drawn by the seed, so that sorted lists find it without looking at every tied host.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

RING_BITS: Final = 40
RING_MASK: Final = (1 << RING_BITS) - 1
_MASK64: Final = (1 << 64) - 1


def mix(value: int) -> int:
    """Scatter a number over 64 bits (the finaliser of splitmix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return value ^ (value >> 31)


def draw(seed: int, task: int, attempt: int) -> int:
    """The `attempt`-th random number for the `task`-th task of a request."""
    return mix(mix(seed) + (task << 16) + attempt)


def ring_start(seed: int, ring: Sequence[int]) -> int:
    """Where on the ring ties of this request are looked up first: at one of the hosts, each as likely."""
    return ring[mix(seed) % len(ring)] if ring else 0


def ring_position(host_id: str) -> int:
    """Where on the ring a host stands."""
    return int.from_bytes(blake2b(host_id.encode(), digest_size=RING_BITS // 8).digest(), "big")
