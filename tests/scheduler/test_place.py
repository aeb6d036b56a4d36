"""Placement rule by rule, in clusters small enough to work out by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from miniecs_scheduler import (
    SERVICE_DEFAULT,
    Constraint,
    Fleet,
    Host,
    Placement,
    Request,
    Resources,
    Strategy,
    place,
    scale_in_order,
)

ZONES = Strategy("spread", "attribute:ecs.availability-zone")
HOSTS = Strategy("spread", "instanceId")
MEMORY = Strategy("binpack", "memory")
CPU = Strategy("binpack", "cpu")
RANDOM = Strategy("random")
ONE = Request(Resources(100, 100), 1, "service:web")


def host(name: str, cpu: int = 1000, memory: int = 1000, zone: str = "a", **more: str) -> Host:
    capacity = Resources(cpu, memory, tcp_ports=frozenset({22}))
    return Host(name, {"ecs.availability-zone": zone, **more}, capacity)


def fleet(*hosts: Host, **tasks: tuple[str, Resources, str]) -> Fleet:
    made = Fleet()
    for each in hosts:
        made.put_host(each)
    for task, (host_id, demand, group) in tasks.items():
        made.assign(host_id, task, demand, group)
    return made


def names(placed: Fleet, request: Request) -> list[str]:
    return [placement.host for placement in place(placed, request).placements]


SOME = Resources(100, 100)


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        ((MEMORY,), "lowmem"),
        ((CPU,), "lowcpu"),
        ((ZONES, MEMORY), "other"),
        ((ZONES, HOSTS), "other"),
        ((Strategy("spread", "attribute:rack"), CPU), "other"),
        ((HOSTS, CPU), "other"),
        ((Strategy("spread", "host"), MEMORY), "other"),
        ((MEMORY, ZONES), "lowmem"),
        ((CPU, RANDOM, MEMORY), "lowcpu"),
        ((MEMORY, MEMORY, CPU), "lowmem"),
    ],
)
def test_strategies(strategies: tuple[Strategy, ...], expected: str) -> None:
    """Two hosts in zone a with tasks of the service, one in zone b without, rich in everything."""
    placed = fleet(
        host("lowmem", memory=400, cpu=900, rack="1"),
        host("lowcpu", memory=900, cpu=400, rack="1"),
        host("other", memory=5000, cpu=5000, zone="b"),
        web1=("lowmem", SOME, "service:web"),
        web2=("lowcpu", SOME, "service:web"),
        db1=("other", SOME, "service:db"),
        db2=("other", SOME, "service:db"),
        db3=("other", SOME, "service:db"),
    )
    assert names(placed, replace(ONE, strategies=strategies)) == [expected]


def test_zones_without_room_are_passed_over_and_counted_as_they_are() -> None:
    placed = fleet(host("full", memory=50, zone="a"), host("b1", zone="b"), host("c1", zone="c"))
    request = replace(ONE, count=4, strategies=(ZONES, MEMORY))
    assert Counter(names(placed, request)) == {"b1": 2, "c1": 2}


def test_a_service_without_strategies_goes_over_zones_then_hosts() -> None:
    placed = fleet(*(host(f"{zone}{n}", zone=zone) for zone in "abc" for n in "12"))
    six = names(placed, replace(ONE, count=6, strategies=SERVICE_DEFAULT))
    assert sorted(six) == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert {name[0] for name in six[:3]} == {name[0] for name in six[3:]} == set("abc")


def test_binpack_fills_a_host_before_it_opens_the_next() -> None:
    placed = fleet(host("x", memory=300), host("y", memory=300), host("z", memory=300))
    seven = names(placed, replace(ONE, count=7, strategies=(MEMORY,)))
    first, second, third = seven[0], seven[3], seven[6]
    assert seven == [first] * 3 + [second] * 3 + [third]
    assert {first, second, third} == {"x", "y", "z"}


def test_random_is_even_and_repeats() -> None:
    placed = fleet(*(host(name, cpu=100000, memory=100000) for name in "vwxyz"))
    request = replace(ONE, count=500, strategies=(RANDOM,), seed=7)
    counts = Counter(names(placed, request))
    assert all(70 <= counts[name] <= 130 for name in "vwxyz"), counts
    assert names(placed, request) == names(placed, request)
    assert names(placed, request) != names(placed, replace(request, seed=8))


def test_ties_go_different_ways_for_different_seeds() -> None:
    placed = fleet(*(host(name) for name in "vwxyz"))
    chosen = {names(placed, replace(ONE, strategies=(MEMORY,), seed=seed))[0] for seed in range(60)}
    assert chosen == set("vwxyz")


@pytest.mark.parametrize(
    ("changed", "reason", "detail", "needed", "available", "suggestion"),
    [
        (
            {"demand": Resources(100, 512)},
            "RESOURCE:MEMORY",
            "needs 512 MiB, 300 MiB free of 1000",
            512,
            300,
            "212 MiB short on the best host, h1",
        ),
        (
            {"demand": Resources(950, 100)},
            "RESOURCE:CPU",
            "needs 950 CPU units, 900 CPU units free of 1000",
            950,
            900,
            "50 CPU units short on the best host, h1",
        ),
        (
            {"demand": Resources(2000, 2000)},
            "RESOURCE:CPU",
            "needs 2000 CPU units, 900 CPU units free of 1000; needs 2000 MiB, 300 MiB free of 1000",
            2000,
            900,
            "no host is large enough: a task needs 2000 CPU units, the largest has 1000; "
            "no host is large enough: a task needs 2000 MiB, the largest has 1000",
        ),
        (
            {"demand": Resources(950, 950)},
            "RESOURCE:CPU",
            "needs 950 CPU units, 900 CPU units free of 1000; needs 950 MiB, 300 MiB free of 1000",
            950,
            900,
            "50 CPU units and 650 MiB short on the best host, h1",
        ),
        (
            {"demand": Resources(1, 1, tcp_ports=frozenset({22, 8080}), udp_ports=frozenset({53}))},
            "RESOURCE:PORTS",
            "already in use: tcp 22, tcp 8080, udp 53",
            3,
            0,
            "1 host would fit but for host ports in use (tcp 22, tcp 8080, udp 53)",
        ),
        (
            {"demand": Resources(1, 1, gpu=1)},
            "RESOURCE:GPU",
            "needs 1 GPU, 0 GPUs free of 0",
            1,
            0,
            "1 GPU short on the best host, h1; "
            "no host is large enough: a task needs 1 GPU, the largest has 0",
        ),
        (
            {"demand": Resources(1, 1, enis=1)},
            "RESOURCE:ENI",
            "needs 1 network interface, 0 network interfaces free of 0",
            1,
            0,
            "1 network interface short on the best host, h1; "
            "no host is large enough: a task needs 1 network interface, the largest has 0",
        ),
        (
            {"required_attributes": (("ecs.capability.efs", None), ("stack", "test"))},
            "ATTRIBUTE",
            "lacks ecs.capability.efs, stack=test",
            0,
            0,
            "1 host would fit with attribute ecs.capability.efs, attribute stack=test",
        ),
        (
            {"constraints": (Constraint("memberOf", "attribute:stack == test"),)},
            "MemberOf placement constraint unsatisfied.",
            "memberOf (attribute:stack == test): attribute:stack is prod",
            0,
            0,
            "1 host would fit without memberOf (attribute:stack == test)",
        ),
        (
            {"constraints": (Constraint("distinctInstance"),)},
            "DistinctInstance placement constraint unsatisfied.",
            "distinctInstance: it has 1 task of service:web",
            0,
            0,
            "1 host would fit without distinctInstance",
        ),
    ],
)
def test_a_rejection_has_ecs_reason_and_numbers(
    changed: dict[str, object], reason: str, detail: str, needed: int, available: int, suggestion: str
) -> None:
    demand = Resources(100, 700, tcp_ports=frozenset({8080}), udp_ports=frozenset({53}))
    placed = fleet(host("cluster/h1", stack="prod"), web=("cluster/h1", demand, "service:web"))
    decision = place(placed, replace(ONE, **changed))  # type: ignore[arg-type]
    assert (decision.placements, decision.unplaced, decision.considered) == ((), 1, 1)
    assert decision.rejected == {reason: 1}
    closest = decision.closest
    assert closest is not None
    assert decision.rejections == (closest,)
    assert (closest.host, closest.reason, closest.detail) == ("cluster/h1", reason, detail)
    assert (closest.needed, closest.available) == (needed, available)
    assert decision.suggestion == suggestion


def test_hosts_that_are_away_say_so_and_a_host_short_of_room_is_closer() -> None:
    placed = fleet(
        replace(host("draining", memory=100), active=False),
        replace(host("lost", memory=100), connected=False),
        host("small", memory=60),
        host("smaller", memory=50),
    )
    decision = place(placed, ONE)
    assert decision.rejected == {"INACTIVE": 1, "AGENT": 1, "RESOURCE:MEMORY": 2}
    assert [rejection.host for rejection in decision.rejections] == ["small", "smaller", "lost", "draining"]
    assert decision.suggestion == (
        "1 host would fit if ACTIVE; 1 host would fit with the agent connected; "
        "40 MiB short on the best host, small"
    )


def test_of_hosts_short_of_the_same_the_closest_lacks_the_least_by_share() -> None:
    """Half of the CPU units and a tenth of the memory is more than a tenth and three tenths."""
    placed = fleet(host("half", cpu=5, memory=900), host("most", cpu=9, memory=700))
    decision = place(placed, replace(ONE, demand=Resources(10, 1000)))
    assert [rejection.host for rejection in decision.rejections] == ["most", "half"]


def test_hosts_that_are_away_in_words() -> None:
    away = replace(host("h1"), active=False, connected=False)
    decision = place(fleet(away), ONE)
    (rejection,) = decision.rejections
    assert rejection.detail == "the container instance is not ACTIVE; its agent is not connected"
    assert decision.suggestion == f"h1 comes closest: {rejection.detail}"
    more = fleet(replace(host("h1"), active=False), replace(host("h2"), active=False))
    assert place(more, ONE).suggestion == "2 hosts would fit if ACTIVE"


def test_the_rest_of_a_batch_is_refused_by_the_tasks_placed_before_it() -> None:
    rule = (Constraint("distinctInstance"),)
    placed = fleet(host("h1"), host("h2"), old1=("h2", SOME, "service:web"), old2=("h2", SOME, "service:web"))
    decision = place(placed, replace(ONE, count=2, constraints=rule))
    assert {rejection.host: rejection.detail for rejection in decision.rejections} == {
        "h1": "distinctInstance: it has 1 task of service:web",
        "h2": "distinctInstance: it has 2 tasks of service:web",
    }


def test_queries_that_refuse_the_rest_of_a_batch_say_what_they_see() -> None:
    texts = ("runningTasksCount < 2", "task:group != service:web", "attribute:stack == prod")
    rules = tuple(Constraint("memberOf", text) for text in texts)
    job = ("h2", SOME, "family:job")
    placed = fleet(host("h1", stack="prod"), host("h2", stack="test"), a=job, b=job)
    decision = place(placed, replace(ONE, count=2, constraints=rules))
    assert {rejection.host: rejection.detail for rejection in decision.rejections} == {
        "h1": "memberOf (task:group != service:web): task:group is service:web",
        "h2": "memberOf (runningTasksCount < 2): runningTasksCount is 2; "
        "memberOf (attribute:stack == prod): attribute:stack is test",
    }
    placed = fleet(host("h1"), old=("h1", SOME, "family:job"))
    decision = place(placed, replace(ONE, count=2, constraints=rules[:1]))
    assert decision.closest is not None
    assert decision.closest.detail == "memberOf (runningTasksCount < 2): runningTasksCount is 2"


def test_what_is_free_is_told_of_what_there_is() -> None:
    placed = fleet(replace(host("h1"), capacity=Resources(1000, 1000, gpu=3, enis=2)))
    placed.assign("h1", "t", Resources(1, 1, gpu=1, enis=2), "family:job")
    (rejection,) = place(placed, replace(ONE, demand=Resources(1, 1, gpu=3, enis=1))).rejections
    assert rejection.detail == (
        "needs 3 GPUs, 2 GPUs free of 3; needs 1 network interface, 0 network interfaces free of 2"
    )


def test_what_would_help_names_the_fewest_rules_that_are_in_the_way() -> None:
    needed = (("efs", None), ("stack", "test"))
    placed = fleet(host("h1"), host("h2", efs=""), host("h3", efs=""))
    assert place(placed, replace(ONE, required_attributes=needed)).suggestion == (
        "2 hosts would fit with attribute stack=test"
    )


def test_the_rest_of_a_batch_is_explained_with_the_batch_in_place() -> None:
    placed = fleet(host("h1", memory=250), host("h2", memory=150))
    decision = place(placed, replace(ONE, count=5, strategies=(MEMORY,)))
    assert [p.host for p in decision.placements] == ["h2", "h1", "h1"]
    assert decision.unplaced == 2
    assert decision.rejected == {"RESOURCE:MEMORY": 2}
    assert decision.closest is not None
    assert decision.closest.available == 50


def test_an_empty_cluster_and_an_empty_request() -> None:
    nowhere = place(Fleet(), ONE)
    assert (nowhere.unplaced, nowhere.considered, nowhere.closest) == (1, 0, None)
    assert nowhere.suggestion == "there is no container instance to place tasks on"
    nothing = place(fleet(host("h1")), replace(ONE, count=0))
    assert (nothing.placements, nothing.unplaced, nothing.suggestion) == ((), 0, "")


def test_rejections_are_a_bounded_sample() -> None:
    placed = fleet(*(host(f"h{n}", memory=n) for n in range(1, 151)))
    decision = place(placed, replace(ONE, demand=Resources(1, 1000)))
    assert decision.rejected == {"RESOURCE:MEMORY": 150}
    assert [r.available for r in decision.rejections] == list(range(150, 50, -1))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("task:group == service:db", ["h2"]),
        ("not(task:group == service:db)", ["h1"]),
        ("runningTasksCount < 2", ["h1"]),
        ("runningTasksCount < 1", []),
    ],
)
def test_queries_about_tasks_see_the_tasks_of_the_request(expression: str, expected: list[str]) -> None:
    """h1 has one task of another group, h2 two: one more each is all that is asked."""
    placed = fleet(
        host("h1"),
        host("h2"),
        a=("h1", SOME, "family:job"),
        b=("h2", SOME, "service:db"),
        c=("h2", SOME, "family:job"),
    )
    rules = (Constraint("memberOf", expression), Constraint("distinctInstance"))
    for strategies in ((), (MEMORY,), (HOSTS,), (MEMORY, HOSTS)):
        request = replace(ONE, count=2, constraints=rules, strategies=strategies)
        assert names(placed, request) == expected


def test_a_limit_on_running_tasks_stops_a_batch() -> None:
    placed = fleet(host("h1"), host("h2"))
    rule = (Constraint("memberOf", "runningTasksCount < 3"),)
    for strategies in ((), (MEMORY,), (HOSTS,), (CPU, HOSTS)):
        request = replace(ONE, count=9, constraints=rule, strategies=strategies)
        assert Counter(names(placed, request)) == {"h1": 3, "h2": 3}


@pytest.mark.parametrize(
    ("strategies", "because"),
    [
        (
            (ZONES, MEMORY),
            "spread attribute:ecs.availability-zone: b had 0 tasks of service:web, fewest; "
            "binpack memory: 1000 MiB free, least that fits",
        ),
        (
            (Strategy("spread", "attribute:rack"), HOSTS),
            "spread attribute:rack: hosts without rack had 1 task of service:web, fewest; "
            "spread instanceId: it had 0 tasks of service:web, fewest",
        ),
        ((CPU,), "binpack cpu: 900 CPU units free, least that fits"),
        ((HOSTS, RANDOM), "spread instanceId: it had 0 tasks of service:web, fewest"),
    ],
)
def test_because(strategies: tuple[Strategy, ...], because: str) -> None:
    placed = fleet(host("h1"), host("h2", zone="b"), web=("h1", SOME, "service:web"))
    assert place(placed, replace(ONE, strategies=strategies)).placements[0].because == because


@pytest.mark.parametrize("only", [None, frozenset({"h1"})])
@pytest.mark.parametrize(
    ("strategies", "told"),
    [
        ((MEMORY,), ["{m} MiB free"]),
        ((CPU,), ["{c} CPU units free"]),
        ((MEMORY, CPU), ["{m} MiB free", "{c} CPU units free"]),
        ((CPU, MEMORY), ["{c} CPU units free", "{m} MiB free"]),
        ((HOSTS, MEMORY), ["{n} task", "{m} MiB free"]),
        ((CPU, HOSTS), ["{c} CPU units free", "{n} task"]),
        ((ZONES, CPU), ["{n} task", "{c} CPU units free"]),
        ((CPU, ZONES, MEMORY), ["{c} CPU units free", "{n} task", "{m} MiB free"]),
    ],
)
def test_because_of_a_batch_has_each_tasks_own_numbers(
    strategies: tuple[Strategy, ...], told: list[str], only: frozenset[str] | None
) -> None:
    """Three tasks of 100 CPU units and 150 MiB on a host with 900 and 2000."""
    request = replace(ONE, demand=Resources(100, 150), count=3, strategies=strategies, only_hosts=only)
    placements = place(fleet(host("h1", cpu=900, memory=2000)), request).placements
    for number, placement in enumerate(placements):
        parts = placement.because.split("; ")
        for part, words in zip(parts, told, strict=True):
            assert words.format(m=2000 - 150 * number, c=900 - 100 * number, n=number) in part


def test_because_of_chance() -> None:
    (placement,) = place(fleet(host("h1")), ONE).placements
    assert placement == Placement("h1", "random among the hosts that fit")
    assert repr(placement) == "Placement(host='h1', because='random among the hosts that fit')"
    assert hash(placement) == hash(Placement("h1", "random among the hosts that fit"))
    assert placement != "h1"


def test_a_strategy_that_does_not_exist_is_a_bug() -> None:
    for strategy in (Strategy("binpack", "disk"), Strategy("spread", "zone"), Strategy("binpack")):
        with pytest.raises(ValueError, match="^not a placement strategy: "):
            place(fleet(host("h1")), replace(ONE, strategies=(strategy,)))


def test_a_constraint_that_does_not_exist_is_told_and_not_passed_over() -> None:
    mistyped = Constraint("distinctinstance")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^not a placement constraint: Constraint.type='distinctinstance'"):
        place(fleet(host("h1")), replace(ONE, constraints=(Constraint("distinctInstance"), mistyped)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": -1},
        {"demand": Resources(cpu=-1)},
        {"demand": Resources(memory=-1)},
        {"demand": Resources(gpu=-1)},
        {"demand": Resources(enis=-1)},
    ],
)
def test_nothing_below_zero_is_placed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="below 0: Request"):
        place(fleet(host("h1")), replace(ONE, **wrong))


@pytest.mark.parametrize(
    ("strategies", "hosts"),
    [
        ((), [{"a1"}, {"a1", "a2"}]),  # the fullest zone, there the host with most of its tasks
        ((ZONES,), [{"a1", "a2"}, {"a1", "a2"}]),
        ((HOSTS,), [{"a1"}]),
        ((MEMORY,), [{"b1"}, {"a2"}, {"a1"}, {"a1"}]),  # the host that then has most left
        ((ZONES, MEMORY), [{"a2"}, {"a1"}, {"b1"}, {"a1"}]),
    ],
)
def test_scale_in_undoes_what_the_strategies_did(
    strategies: tuple[Strategy, ...], hosts: list[set[str]]
) -> None:
    """Two tasks on a1, one on a2 and on b1; b1 has the most memory, then a2. `hosts` of the first to stop."""
    tasks = [("w", "a1"), ("x", "a1"), ("y", "a2"), ("z", "b1")]
    placed = fleet(host("a1", memory=500), host("a2", memory=900), host("b1", memory=5000, zone="b"))
    for task, where in tasks:
        placed.assign(where, task, SOME, "service:web")
    for seed in range(10):
        ordered = scale_in_order(placed, tasks, strategies, "service:web", seed)
        assert sorted(ordered) == ["w", "x", "y", "z"]
        for task, allowed in zip(ordered, hosts, strict=False):
            assert dict(tasks)[task] in allowed, ordered


def test_scale_in_takes_tasks_of_lost_hosts_first_and_repeats() -> None:
    placed = fleet(host("a1"), t1=("a1", SOME, "service:web"), t2=("gone", SOME, "service:web"))
    tasks = [("t1", "a1"), ("t2", "gone")]
    assert scale_in_order(placed, tasks, (), "service:web", 0) == ["t2", "t1"]
    many = [(f"t{n}", "a1") for n in range(20)]
    for task, _ in many:
        placed.assign("a1", task, SOME, "service:web")
    for seed in (0, 2**64 - 1):
        by_chance = scale_in_order(placed, many, (RANDOM,), "service:web", seed)
        assert by_chance != sorted(by_chance)
    one = scale_in_order(placed, many, (RANDOM,), "service:web", 1)
    assert one == scale_in_order(placed, many, (RANDOM,), "service:web", 1)
    assert one != scale_in_order(placed, many, (RANDOM,), "service:web", 2)


def test_tasks_assigned_together_are_assigned_one_by_one() -> None:
    one_by_one, together = (fleet(host("a"), host("b", zone="b"), old=("a", SOME, "g")) for _ in range(2))
    for each in (one_by_one, together):  # so that every order and level is kept
        place(each, replace(ONE, strategies=(ZONES, MEMORY)))
        place(each, replace(ONE, strategies=(HOSTS,)))
    with_port = Resources(10, 20, tcp_ports=frozenset({80}))
    tasks = [("a", "1"), ("a", "2"), ("b", "old"), ("unknown", "3"), ("b", "4"), ("b", "4")]
    for host_id, task_id in tasks:
        one_by_one.assign(host_id, task_id, with_port, "service:web")
    together.assign_all(tasks, with_port, "service:web")
    for host_id in ("a", "b", "unknown"):
        assert together.free(host_id) == one_by_one.free(host_id)
        assert together.running(host_id) == one_by_one.running(host_id)
    assert together.free("a").cpu == 980
    for strategies in ((ZONES, MEMORY), (HOSTS,), (RANDOM,)):
        asked = replace(ONE, count=30, strategies=strategies)
        assert place(together, asked) == place(one_by_one, asked)
    for task_id in ("1", "2", "3", "4", "old"):
        together.release(task_id)
    assert together.free("a") == fleet(host("a")).free("a")
