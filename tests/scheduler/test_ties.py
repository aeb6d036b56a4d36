"""Chance repeats, on every machine and in every version: a seed goes on to mean what it meant."""

from __future__ import annotations

from collections import Counter

from miniecs_scheduler.ties import RING_MASK, draw, mix, ring_position, ring_start

GAMMA = 0x9E3779B97F4A7C15


def test_mix_is_splitmix64() -> None:
    """Its published first numbers for the state 1234567."""
    states = [(1234567 + n * GAMMA) % 2**64 for n in range(5)]
    assert [mix(state) for state in states] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_draws_differ_by_seed_task_and_attempt() -> None:
    drawn = [draw(seed, task, attempt) for seed in range(5) for task in range(20) for attempt in range(32)]
    assert len(set(drawn)) == len(drawn)
    assert all(400 < Counter(number % 6 for number in drawn)[side] < 670 for side in range(6))


def test_hosts_stand_all_over_the_ring() -> None:
    places = [ring_position(f"host {n}") for n in range(800)]
    assert max(places) <= RING_MASK == 2**40 - 1
    eighths = Counter(place * 8 // (RING_MASK + 1) for place in places)
    assert set(eighths) == set(range(8))
    assert ring_position("host 1") == ring_position("host 1")


def test_ties_are_looked_up_from_any_host() -> None:
    ring = [10, 20, 30]
    assert {ring_start(seed, ring) for seed in range(50)} == {10, 20, 30}
    assert ring_start(7, []) == 0
