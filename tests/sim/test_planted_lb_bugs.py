"""Every bug between tasks and their load balancer is caught within a few seeds, by a rule that forbids it."""

from __future__ import annotations

import pytest

from miniecs.sim.balanced import run

from .planted_lb_bugs import BUGS

SEEDS = 24

CAUGHT_BY: dict[str, str] = {}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BUGS[name](monkeypatch)
    failures = (run(seed).failure for seed in range(SEEDS))
    caught = next((failure for failure in failures if failure), "")
    assert caught, f"{name} went unnoticed in {SEEDS} seeds"
    print(name, "|", caught[:150])
    assert caught.startswith(CAUGHT_BY.get(name, "")), caught
