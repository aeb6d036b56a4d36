"""Shares of a capacity provider strategy: the base first, then the weights as ratios."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs.control.capacity import shares
from miniecs.model.cluster import CapacityProviderStrategyItem

A, B, C = "a", "b", "c"


def strategy(*items: tuple[str, int, int]) -> list[CapacityProviderStrategyItem]:
    """(provider, weight, base) for each."""
    return [CapacityProviderStrategyItem(*item) for item in items]


@pytest.mark.parametrize(
    ("items", "count", "running", "expected"),
    [
        # Two of weight 1: evenly (API reference, CapacityProviderStrategyItem).
        ([(A, 1, 0), (B, 1, 0)], 10, {}, {A: 5, B: 5}),
        ([(A, 1, 0), (B, 1, 0)], 1, {}, {A: 1}),
        ([(A, 1, 0), (B, 1, 0)], 1, {A: 1}, {B: 1}),
        # Weights 1 and 4: four on b for every one on a (the same page).
        ([(A, 1, 0), (B, 4, 0)], 5, {}, {A: 1, B: 4}),
        ([(A, 1, 0), (B, 4, 0)], 100, {}, {A: 20, B: 80}),
        ([(A, 1, 0), (B, 4, 0)], 1, {}, {B: 1}),
        # The base comes first, and is not counted by the weights.
        ([(A, 1, 2), (B, 1, 0)], 2, {}, {A: 2}),
        ([(A, 1, 2), (B, 1, 0)], 6, {}, {A: 4, B: 2}),
        ([(A, 1, 1), (B, 3, 0)], 9, {}, {A: 3, B: 6}),
        ([(B, 3, 0), (A, 1, 1)], 9, {}, {A: 3, B: 6}),
        ([(A, 0, 2), (B, 1, 0)], 6, {}, {A: 2, B: 4}),
        ([(A, 1, 100), (B, 1, 0)], 6, {}, {A: 6}),
        # What runs already is counted: one task lost on a is replaced on a.
        ([(A, 1, 2), (B, 1, 0)], 1, {A: 1, B: 2}, {A: 1}),
        ([(A, 1, 0), (B, 4, 0)], 5, {A: 1, B: 4}, {A: 1, B: 4}),
        ([(A, 1, 0), (B, 4, 0)], 4, {A: 5, B: 0}, {B: 4}),
        # Weight 0 takes nothing beside others, and everything alone.
        ([(A, 0, 0), (B, 1, 0)], 3, {}, {B: 3}),
        ([(A, 0, 0)], 3, {}, {A: 3}),
        ([(A, 0, 0), (B, 0, 0)], 3, {}, {}),
        # Providers that the strategy does not name are not counted.
        ([(A, 1, 0), (B, 1, 0)], 2, {C: 50, "": 7}, {A: 1, B: 1}),
        ([(A, 1, 0)], 0, {}, {}),
    ],
)
def test_shares(
    items: list[tuple[str, int, int]], count: int, running: Mapping[str, int], expected: dict[str, int]
) -> None:
    assert shares(strategy(*items), count, running) == expected


WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(WEIGHTS, st.integers(1, 5), st.integers(0, 20))
def test_whole_rounds_are_exact(weights: list[int], rounds: int, base: int) -> None:
    """After the base and a multiple of the weights' sum each provider has exactly its multiple."""
    items = strategy(*((f"p{n}", weight, base if n == 0 else 0) for n, weight in enumerate(weights)))
    got = shares(items, base + rounds * sum(weights), {})
    assert got == {f"p{n}": rounds * weight + (base if n == 0 else 0) for n, weight in enumerate(weights)}


@given(WEIGHTS, st.integers(0, 60), st.integers(0, 60))
def test_in_two_calls_as_in_one(weights: list[int], first: int, second: int) -> None:
    items = strategy(*((f"p{n}", weight, 0) for n, weight in enumerate(weights)))
    before = shares(items, first, {})
    more = shares(items, second, before)
    together = {name: before.get(name, 0) + more.get(name, 0) for name in {*before, *more}}
    assert together == shares(items, first + second, {})
