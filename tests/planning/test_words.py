"""Percentages in words: what there is of something is never called nothing."""

from __future__ import annotations

import pytest

from miniecs.planning.words import rounded


@pytest.mark.parametrize(
    ("percent", "told"),
    [
        (0.0, "0"),
        (0.001, "<1"),
        (0.99, "<1"),
        (1.0, "1"),
        (1.4, "1"),
        (99.0, "99"),
        (99.01, ">99"),
        (100.0, "100"),
    ],
)
def test_little_is_not_nothing_and_nearly_all_not_all(percent: float, told: str) -> None:
    assert rounded(percent) == told
