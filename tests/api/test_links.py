"""Probe results: which pass, which are written, and when simulated targets are probed."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import pytest

from miniecs.config import Timing
from miniecs.control.health import ProbeResult
from miniecs.model.load_balancing import HealthCheck, Target, TargetGroup
from miniecs.store.memory import MemoryStore
from miniecs_api.links import Prober, is_match, report_probes

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123"
OK = ProbeResult(True, 200)
BAD = ProbeResult(False, 503)


def target(state: str = "initial", id: str = "i-1", port: int = 80) -> Target:
    return Target(GROUP, id, port, state=state)


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    check = HealthCheck(interval=10, healthy_threshold=2, unhealthy_threshold=2)
    with made.transaction() as tx:
        tx.put(TargetGroup(GROUP, "web", health_check=check))
    return made


def put(store: MemoryStore, *things: object) -> None:
    with store.transaction() as tx:
        for thing in things:
            tx.put(thing)


def probe(store: MemoryStore, result: ProbeResult) -> tuple[str, bool]:
    """(state after it, whether anything was written)."""
    before = store.seq
    with store.transaction() as tx:
        report_probes(tx, [(target().key, result)], now=5.0)
    found = store.get(Target, target().key)
    assert found is not None
    return found.state, store.seq > before


def test_probes_are_judged_and_written_when_they_say_something(store: MemoryStore) -> None:
    put(store, target())
    results = [OK, OK, OK, BAD, OK, BAD, BAD, BAD, OK, BAD, OK, OK, OK]
    assert [probe(store, result) for result in results] == [
        ("healthy", True),
        ("healthy", False),
        ("healthy", False),
        ("healthy", True),
        ("healthy", True),
        ("healthy", True),
        ("unhealthy", True),
        ("unhealthy", False),
        ("unhealthy", True),
        ("unhealthy", True),
        ("unhealthy", True),
        ("healthy", True),
        ("healthy", False),
    ]


@pytest.mark.parametrize("state", ["draining", "unused", "unavailable"])
def test_targets_that_get_no_requests_are_not_judged(store: MemoryStore, state: str) -> None:
    put(store, target(state))
    assert probe(store, BAD) == (state, False)


def test_results_for_what_is_gone_are_dropped(store: MemoryStore) -> None:
    with store.transaction() as tx:
        report_probes(tx, [("nothing", OK)], now=0.0)
    orphan = Target("arn:gone", "i-1", 80)
    put(store, orphan)
    with store.transaction() as tx:
        report_probes(tx, [(orphan.key, OK)], now=0.0)
    assert store.get(Target, orphan.key) == orphan


@pytest.mark.parametrize(
    ("matcher", "code", "detail", "passes"),
    [
        ("200", 200, "", True),
        ("200", 201, "", False),
        ("200,204", 204, "", True),
        ("200-299, 301", 250, "", True),
        ("200-299,301", 301, "", True),
        ("200-299", 300, "", False),
        ("200-299", None, "timeout", False),
        (None, None, "", True),
        (None, 500, "", True),
        (None, None, "refused", False),
        (None, None, "timeout", False),
    ],
)
def test_what_passes(matcher: str | None, code: int | None, detail: str, passes: bool) -> None:
    assert is_match(HealthCheck(matcher=matcher), code, detail) is passes


class Bench:
    """A prober on wound time; ``asked`` says which target was probed when."""

    def __init__(self, store: MemoryStore, timing: Timing | None = None) -> None:
        self.time = 0.0
        self.answer: tuple[int | None, str] = (200, "")
        self.asked: list[tuple[float, str, int]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self.prober = Prober(store, self, timing or Timing(), self._probe)

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        heappush(self._heap, (when, next(self._count), fn))

    def _probe(self, id: str, port: int) -> tuple[int | None, str]:
        self.asked.append((self.time, id, port))
        return self.answer

    def run(self, until: float) -> list[tuple[float, str, int]]:
        while self._heap and self._heap[0][0] <= until:
            self.time, _, fn = heappop(self._heap)
            fn()
        self.time = until
        asked, self.asked = self.asked, []
        return asked


def test_a_new_target_is_probed_soon_and_then_with_its_group(store: MemoryStore) -> None:
    bench = Bench(store)
    put(store, target())
    assert bench.run(9.0) == [(1.0, "i-1", 80)]
    put(store, target(id="i-2", port=81))
    assert bench.run(25.0) == [(10.0, "i-1", 80), (10.0, "i-2", 81), (20.0, "i-1", 80), (20.0, "i-2", 81)]
    assert {t.state for t in store.all(Target)} == {"healthy"}


def test_a_prober_takes_up_the_targets_it_finds_and_leaves_those_that_are_gone(store: MemoryStore) -> None:
    put(store, target("healthy"))
    bench = Bench(store, Timing().scaled(10))
    assert bench.run(1.5) == [(1.0, "i-1", 80)]
    with store.transaction() as tx:
        tx.delete(Target, target().key)
    assert bench.run(50.0) == []
    put(store, target())
    assert bench.run(51.0) == [(50.1, "i-1", 80), (51.0, "i-1", 80)]
    bench.prober.stop()
    assert bench.run(60.0) == []


def test_the_group_says_at_which_port_and_whether(store: MemoryStore) -> None:
    bench = Bench(store)
    put(store, TargetGroup(GROUP, "web", health_check=HealthCheck(interval=10, port="8080")), target())
    assert bench.run(5.0) == [(1.0, "i-1", 8080)]
    put(store, TargetGroup(GROUP, "web", health_check=HealthCheck(interval=10, enabled=False)))
    assert bench.run(35.0) == []
