"""Requests through a load balancer on simulated time: none fails, and no situation is left out."""

from __future__ import annotations

from collections import Counter

import pytest

from miniecs.sim import balanced
from miniecs.sim.balanced import LOSSES_IN, NETWORKS, SITUATIONS, run

SEEDS = 200


@pytest.mark.slow
def test_no_request_fails_in_two_hundred_seeds_and_every_situation_is_met() -> None:
    met: Counter[str] = Counter()
    for outcome in map(run, range(SEEDS)):
        assert outcome.failure == "", "\n".join([*outcome.history, f"{outcome.seed}: {outcome.failure}"])
        met += outcome.met + outcome.faults
    rare = {name: met[name] for name in SITUATIONS if met[name] < SEEDS // 20}
    assert rare == {}
    assert met["rolling update"] >= balanced.ROLLS * SEEDS
    assert met["requests"] > 1000 * SEEDS


def test_one_seed_of_each_network_and_one_with_losses() -> None:
    seeds = [LOSSES_IN * n for n in range(len(NETWORKS))]
    for seed in (*seeds, LOSSES_IN - 1):
        outcome = run(seed)
        assert outcome.failure == "", "\n".join([*outcome.history, outcome.failure])
        assert outcome.met["requests in flight as their target began to drain"] > 10


def test_a_run_repeats_exactly() -> None:
    assert run(5, with_history=True) == run(5, with_history=True)
