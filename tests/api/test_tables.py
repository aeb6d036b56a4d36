"""What data planes are told, and what they are taken to know: on a store and wound time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush
from itertools import count

import pytest

from miniecs.config import Timing
from miniecs.model.load_balancing import Listener, LoadBalancer, Target, TargetGroup
from miniecs.model.routing import RoutedTarget, RoutingTable
from miniecs.store.memory import MemoryStore
from miniecs_api.tables import TableFeed

SCOPE = "arn:aws:elasticloadbalancing:us-east-1:000000000000:"
GROUP = TargetGroup(
    f"{SCOPE}targetgroup/web/0123",
    "web",
    target_type="ip",
    attributes=(("deregistration_delay.timeout_seconds", "30"),),
)
BALANCER = LoadBalancer(f"{SCOPE}loadbalancer/app/front/0123", "front")
FORWARD = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP.arn}]}}
LISTENER = Listener(f"{SCOPE}listener/app/front/0123/4567", BALANCER.arn, 80, "HTTP", (FORWARD,))
HEALTHY = Target(GROUP.arn, "10.0.0.1", 80, state="healthy")
DRAINING = replace(HEALTHY, state="draining", draining_until=130.0)


class Bench:
    """A control plane's feed, and a data plane that keeps all tables that it was told."""

    def __init__(self, *things: object, timing: Timing | None = None) -> None:
        self.time = 100.0
        self.told: list[RoutingTable] = []
        self.store = MemoryStore()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()
        self.put(BALANCER, LISTENER, GROUP, *things)
        self.timing = timing or Timing()
        self.feed = TableFeed(self.store, self, self.timing)

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        heappush(self._heap, (when, next(self._count), fn))

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while self._heap and self._heap[0][0] <= end:
            self.time, _, fn = heappop(self._heap)
            fn()
        self.time = end

    def put(self, *things: object) -> None:
        with self.store.transaction() as tx:
            for thing in things:
                tx.put(thing)

    def connect(self, serves: int = 0) -> Callable[[], None]:
        return self.feed.connect(serves, self.told.append)

    def drains_until(self) -> float | None:
        target = self.store.get(Target, HEALTHY.key)
        return target.draining_until if target is not None else None


def states(table: RoutingTable) -> list[str]:
    return [target.state for target in table.groups[0].targets]


def test_whoever_connects_is_told_at_once_and_then_of_each_change() -> None:
    bench = Bench(HEALTHY)
    bench.connect()
    [first] = bench.told
    assert first.version == bench.store.seq
    assert first.groups[0].targets == (RoutedTarget("10.0.0.1", 80, "10.0.0.1", "healthy"),)
    bench.put(DRAINING)
    bench.put(replace(HEALTHY, id="10.0.0.2", state="initial"))
    assert len(bench.told) == 1
    bench.run(1.0)
    assert len(bench.told) == 2  # both changes in one
    assert (states(bench.told[1]), bench.told[1].version) == (["draining", "initial"], bench.store.seq)


def test_counted_probes_are_no_news() -> None:
    bench = Bench(HEALTHY)
    bench.connect()
    bench.put(replace(HEALTHY, failures=1))
    bench.run(1.0)
    assert len(bench.told) == 1
    bench.put(replace(HEALTHY, failures=2, state="unhealthy"))
    bench.run(1.0)
    assert len(bench.told) == 2


def test_who_has_gone_and_a_feed_that_is_stopped_tell_nothing() -> None:
    bench = Bench(HEALTHY)
    disconnect = bench.connect()
    disconnect()
    bench.put(DRAINING)
    bench.run(1.0)
    assert len(bench.told) == 1
    bench.connect(bench.store.seq)
    bench.put(HEALTHY)
    bench.feed.stop()
    bench.run(1.0)
    assert len(bench.told) == 2


@pytest.mark.parametrize("time_scale", [1.0, 10.0])
def test_what_drained_unheard_of_drains_anew(time_scale: float) -> None:
    bench = Bench(HEALTHY, timing=Timing().scaled(time_scale))
    served = bench.store.seq
    bench.put(DRAINING)
    bench.run(20.0)
    bench.connect(served)
    assert bench.drains_until() == 120.0 + 30.0 / time_scale
    assert states(bench.told[0]) == ["draining"]


def test_what_was_heard_of_keeps_its_time() -> None:
    bench = Bench(DRAINING)
    seq = bench.store.seq
    bench.run(20.0)
    bench.connect(seq)
    assert (bench.drains_until(), bench.store.seq) == (130.0, seq)


@pytest.mark.parametrize("serves", [0, 10_000])
def test_without_a_table_of_this_store_nothing_was_heard_of(serves: int) -> None:
    bench = Bench(DRAINING)
    bench.run(20.0)
    bench.connect(serves)
    assert bench.drains_until() == 150.0
