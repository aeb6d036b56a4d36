"""Who gets the next request: turns, weights, health, cookies, drains."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from miniecs.ids import Ids
from miniecs.model.routing import RoutedGroup, RoutedTarget, Stickiness
from miniecs.proxy.balance import Group, Weighted


def spec(*states: str, **more: object) -> RoutedGroup:
    targets = tuple(RoutedTarget(f"i-{n}", 80, f"10.0.0.{n}", state) for n, state in enumerate(states))
    return replace(RoutedGroup("group", "group", targets=targets), **more)  # type: ignore[arg-type]


def made(*states: str, **more: object) -> Group:
    return Group(spec(*states, **more), Ids(1))


def turns(group: Group, count: int) -> list[str]:
    found = []
    for _ in range(count):
        target = group.next()
        assert target is not None
        found.append(target.spec.id)
    return found


def test_round_robin() -> None:
    assert turns(made("healthy", "healthy", "healthy"), 5) == ["i-0", "i-1", "i-2", "i-0", "i-1"]


def test_only_healthy_targets_and_those_without_checks() -> None:
    group = made("initial", "healthy", "unhealthy", "draining", "unused", "unavailable")
    assert turns(group, 4) == ["i-1", "i-5", "i-1", "i-5"]


def test_when_none_is_healthy_all_registered_ones_take_requests() -> None:
    assert turns(made("unhealthy", "draining", "initial", "unused"), 3) == ["i-0", "i-2", "i-0"]


def test_fewer_healthy_ones_than_asked_for() -> None:
    assert turns(made("unhealthy", "healthy", minimum_healthy_count=2), 2) == ["i-0", "i-1"]
    half = ("unhealthy", "healthy", "healthy", "unhealthy")
    assert turns(made(*half, minimum_healthy_percentage=50), 3) == ["i-1", "i-2", "i-1"]
    assert turns(made(*half, minimum_healthy_percentage=51), 4) == ["i-0", "i-1", "i-2", "i-3"]


def test_nobody_there() -> None:
    assert made().next() is None
    assert made("draining", "unused").next() is None


def test_weighted_random_reaches_all() -> None:
    group = made("healthy", "healthy", algorithm="weighted_random")
    seen = Counter(turns(group, 1000))
    assert set(seen) == {"i-0", "i-1"} and min(seen.values()) > 400


def test_targets_live_across_tables() -> None:
    group = made("healthy", "healthy")
    first = group.next()
    assert first is not None
    group.told(spec("draining", "healthy"))
    assert turns(group, 2) == ["i-1", "i-1"] and not first.accepts
    group.told(spec("healthy", "healthy"))
    assert group.targets[first.key] is first and first.accepts
    moved = spec("healthy")
    group.told(replace(moved, targets=(replace(moved.targets[0], address="10.9.9.9"),)))
    assert group.targets[first.key] is not first and not first.accepts


def test_a_cookie_leads_to_its_target_while_that_is_healthy() -> None:
    sticky = Stickiness(seconds=60)
    group = made("healthy", "healthy", stickiness=sticky)
    target = group.next()
    assert target is not None
    assert group.stuck_to(target.token) is target
    group.told(spec("unhealthy", "healthy", stickiness=sticky))
    assert group.stuck_to(target.token) is None
    assert group.stuck_to(b"nonsense") is None


def test_weights_are_kept_in_every_few_requests() -> None:
    groups = [Group(replace(spec("healthy"), arn=name), Ids(1)) for name in ("blue", "green", "off")]
    weighted = Weighted(list(zip(groups, (3, 1, 0), strict=True)), 60)
    chosen = [weighted.next() for _ in range(8)]
    names = [group.arn for group in chosen if group is not None]
    assert names == ["blue", "blue", "green", "blue"] * 2
    assert weighted.stuck_to(groups[1].token) is groups[1]
    assert weighted.stuck_to(groups[2].token) is None


def test_without_any_weight_nobody() -> None:
    group = made("healthy")
    assert Weighted([(group, 0)], None).next() is None
    assert Weighted([(group, 0), (made("healthy"), 0)], None).next() is None
    assert Weighted([], None).next() is None
