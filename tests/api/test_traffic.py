"""The last minute's counts: what is added up, what is forgotten, and what the percentiles say."""

from __future__ import annotations

import random

import pytest

from miniecs.model.routing import Tally, Traffic, bucket_of
from miniecs_api.traffic import Summary, TrafficHistory

NOTHING = Summary(10.0)


def second(
    *latencies: float, codes: dict[str, int] | None = None, errors: int = 0, active: int = 0
) -> Traffic:
    """A report of a listener's requests that took so many seconds."""
    counts: dict[int, int] = {}
    for latency in latencies:
        bucket = bucket_of(int(latency * 1e6))
        counts[bucket] = counts.get(bucket, 0) + 1
    return Traffic(1.0, {"l": Tally(len(latencies), codes or {}, counts, errors, active)})


def test_nothing_was_carried() -> None:
    history = TrafficHistory()
    assert history.summary("listeners", "l", now=5.0) == NOTHING
    assert NOTHING.rate == 0.0 and Summary().rate == 0.0
    history.add(second(0.1), now=5.0)
    assert history.summary("listeners", "other", now=5.0) == NOTHING
    assert history.summary("targets", "l", now=5.0) == NOTHING


def test_only_the_last_seconds_count() -> None:
    history = TrafficHistory()
    for at in range(100):
        history.add(second(0.1, 0.1, codes={"target_2xx": 1, "elb_502": 1}, errors=1), now=float(at))
    seen = history.summary("listeners", "l", now=99.0, seconds=10.0)
    assert (seen.requests, seen.rate, seen.connection_errors) == (20, 2.0, 10)
    assert seen.codes == {"target_2xx": 10, "elb_502": 10}
    assert history.summary("listeners", "l", now=99.0, seconds=1000.0).requests == 2 * 61
    assert history.summary("listeners", "l", now=108.5, seconds=10.0).requests == 2
    assert history.summary("listeners", "l", now=200.0, seconds=10.0) == NOTHING


def test_active_is_of_the_last_report() -> None:
    history = TrafficHistory()
    history.add(second(active=7), now=1.0)
    assert history.summary("listeners", "l", now=1.0).active == 7
    history.add(Traffic(1.0, {"other": Tally(1)}), now=2.0)  # which has nothing of l, so l has nothing
    assert history.summary("listeners", "l", now=2.0).active == 0


@pytest.mark.parametrize(
    ("latencies", "median", "p99"),
    [
        ([0.010], 0.010, 0.010),
        ([0.010] * 99 + [1.0], 0.010, 0.010),
        ([0.010] * 98 + [1.0] * 2, 0.010, 1.0),
        ([0.010] * 49 + [1.0] * 51, 1.0, 1.0),
        ([0.0], 0.000001, 0.000001),
        ([100.0], 100.0, 100.0),
    ],
)
def test_percentiles(latencies: list[float], median: float, p99: float) -> None:
    history = TrafficHistory()
    for latency in latencies:
        history.add(second(latency), now=1.0)
    seen = history.summary("listeners", "l", now=1.0)
    for found, wanted in ((seen.median, median), (seen.p99, p99)):
        assert found is not None and wanted <= found <= wanted * 1.25 + 1e-6


def test_percentiles_of_many() -> None:
    history, dice = TrafficHistory(), random.Random(1)
    latencies = sorted(dice.lognormvariate(-5, 1) for _ in range(5000))
    for at in range(0, 5000, 100):
        history.add(second(*latencies[at : at + 100]), now=1.0)
    seen = history.summary("listeners", "l", now=1.0)
    for found, share in ((seen.median, 0.5), (seen.p99, 0.99)):
        wanted = latencies[int(5000 * share) - 1]
        assert found is not None and wanted <= found <= wanted * 1.26
