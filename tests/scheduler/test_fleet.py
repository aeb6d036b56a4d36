"""The accounts of a fleet: what is known of hosts and tasks, in whatever order it is heard."""

from __future__ import annotations

import pytest

from miniecs_scheduler import Constraint, Fleet, Host, Request, Resources, Strategy, index, place
from miniecs_scheduler.ties import RING_MASK

HALF = Resources(cpu=500, memory=400, gpu=1, enis=1, tcp_ports=frozenset({80}), udp_ports=frozenset({53}))
OFFER = Resources(cpu=1000, memory=1000, gpu=2, enis=2, tcp_ports=frozenset({22}))


def host(name: str, **attributes: str) -> Host:
    return Host(name, attributes, OFFER)


def test_what_is_not_known() -> None:
    fleet = Fleet()
    assert (fleet.host("x"), fleet.free("x"), fleet.running("x"), dict(fleet.groups("x"))) == (
        None,
        Resources(),
        0,
        {},
    )
    assert (len(fleet), list(fleet.hosts()), fleet.task("t")) == (0, [], None)
    fleet.release("t")
    fleet.remove_host("x")
    assert (len(fleet), fleet.slots, fleet.by_place) == (0, {}, {})


def test_what_a_task_takes_comes_back() -> None:
    fleet = Fleet()
    fleet.put_host(host("a"))
    fleet.assign("a", "t", HALF, "g")
    assert fleet.free("a") == Resources(500, 600, 1, 1, frozenset({22, 80}), frozenset({53}))
    assert (fleet.running("a"), dict(fleet.groups("a"))) == (1, {"g": 1})
    fleet.release("t")
    assert fleet.free("a") == OFFER
    assert (fleet.running("a"), dict(fleet.groups("a")), fleet.task("t")) == (0, {}, None)


def test_a_port_that_two_hold_is_free_when_both_have_gone() -> None:
    fleet = Fleet()
    fleet.put_host(host("a"))
    for task in ("t", "u"):
        fleet.assign("a", task, HALF, "g")
    fleet.release("t")
    assert fleet.free("a").tcp_ports == {22, 80}
    fleet.release("u")
    assert fleet.free("a").tcp_ports == {22}


def test_of_hosts_that_have_gone_nothing_is_kept() -> None:
    fleet = Fleet()
    fleet.put_host(host("a"))
    fleet.remove_host("a")
    assert (fleet.slots, fleet.by_place, list(fleet.classes())) == ({}, {}, [])


def test_of_requests_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_MAX_CACHE", 3)
    fleet = Fleet()
    fleet.put_host(host("a"))
    for n in range(10):
        rule = (Constraint("memberOf", f"runningTasksCount < {n}"),)
        assert len(place(fleet, Request(HALF, 1, "g", constraints=rule)).placements) == (n > 0)
        assert len(fleet._eligible) <= 3


@pytest.mark.parametrize(
    "strategies", [(), ("spread", "instanceId"), ("binpack", "cpu"), ("binpack", "memory")]
)
def test_what_a_task_leaves_is_found_at_once(strategies: tuple[str, ...]) -> None:
    fleet = Fleet()
    fleet.put_host(host("a"))
    fleet.assign("a", "t", Resources(1000, 1000), "family:job")
    chain = (Strategy(*strategies),) if strategies else ()  # type: ignore[arg-type]
    request = Request(Resources(1, 1), 1, "g", strategies=chain)
    assert place(fleet, request).unplaced == 1
    fleet.release("t")
    assert place(fleet, request).unplaced == 0


@pytest.mark.parametrize("fields", [("spread", "instanceId"), ("binpack", "cpu"), ("binpack", "memory")])
def test_a_host_whose_attributes_change_is_found_by_the_new_ones(fields: tuple[str, str]) -> None:
    fleet = Fleet()
    for name in "abc":
        fleet.put_host(host(name, stack="prod"))
    rule = (Constraint("memberOf", "attribute:stack == prod"), Constraint("distinctInstance"))
    request = Request(HALF, 3, "g", constraints=rule, strategies=(Strategy(*fields),))  # type: ignore[arg-type]
    assert sorted(p.host for p in place(fleet, request).placements) == ["a", "b", "c"]
    fleet.put_host(host("b", stack="test"))
    fleet.remove_host("c")
    assert [p.host for p in place(fleet, request).placements] == ["a"]


@pytest.mark.parametrize("first", ["with", "without"])
def test_hosts_with_a_gpu_are_found_among_those_without(first: str) -> None:
    fleet = Fleet()
    hosts = [Host("with", {}, Resources(1, 1, gpu=1)), Host("without", {}, Resources(1, 1))]
    for each in sorted(hosts, key=lambda each: each.id != first):
        fleet.put_host(each)
    assert [p.host for p in place(fleet, Request(Resources(gpu=1), 1, "g")).placements] == ["with"]


def test_a_task_that_is_assigned_again_has_moved() -> None:
    fleet = Fleet()
    for name in "ab":
        fleet.put_host(host(name))
    fleet.assign("a", "t", HALF, "g")
    fleet.assign("b", "t", HALF, "h")
    assert fleet.free("a") == OFFER
    assert (dict(fleet.groups("a")), dict(fleet.groups("b"))) == ({}, {"h": 1})


def test_a_task_that_is_being_stopped_holds_and_does_not_count() -> None:
    fleet = Fleet()
    fleet.put_host(host("a", zone="z"))
    fleet.assign("a", "t", HALF, "g")
    assert dict(fleet.spread("zone", "g")) == {"z": 1}
    fleet.assign("a", "t", HALF, None)
    assert fleet.free("a").cpu == 500
    assert (fleet.running("a"), dict(fleet.groups("a")), dict(fleet.spread("zone", "g"))) == (0, {}, {})
    fleet.remove_host("a")
    fleet.put_host(host("a", zone="z"))
    assert fleet.free("a").cpu == 500, "it is still known"
    fleet.release("t")
    assert fleet.free("a") == OFFER


def test_tasks_and_hosts_come_in_any_order() -> None:
    fleet = Fleet()
    fleet.assign("a", "t", HALF, "g")
    assert (len(fleet), fleet.host("a"), fleet.free("a"), fleet.running("a")) == (0, None, Resources(), 1)
    fleet.put_host(host("a", zone="z"))
    assert (fleet.free("a").cpu, dict(fleet.spread("zone", "g"))) == (500, {"z": 1})
    fleet.put_host(host("a", zone="y"))
    assert (fleet.free("a").cpu, dict(fleet.spread("zone", "g"))) == (500, {"y": 1})
    fleet.remove_host("a")
    assert (len(fleet), fleet.running("a"), dict(fleet.spread("zone", "g"))) == (0, 1, {})
    fleet.release("t")
    assert (fleet.slots, fleet.by_place, fleet.ring) == ({}, {}, [])


def test_hosts_whose_names_hash_alike_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last place of the ring is followed by the first."""
    monkeypatch.setattr(index, "ring_position", lambda name: RING_MASK)
    fleet = Fleet()
    for name in "abc":
        fleet.put_host(host(name))
    assert fleet.ring == [0, 1, RING_MASK]
    request = Request(Resources(900, 1), 3, "g", strategies=(Strategy("binpack", "cpu"),))
    assert sorted(p.host for p in place(fleet, request).placements) == ["a", "b", "c"]
    fleet.remove_host("b")
    assert [each.id for each in fleet.hosts()] == ["a", "c"]


def test_more_shapes_of_requests_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_MAX_CACHE", 2)
    fleet = Fleet()
    for number in range(6):
        fleet.put_host(host(f"h{number}", n=str(number)))
    for _ in range(2):
        for number in range(6):
            rule = Constraint("memberOf", f"attribute:n == {number}")
            request = Request(Resources(1, 1), 1, "g", constraints=(rule,))
            assert [p.host for p in place(fleet, request).placements] == [f"h{number}"]


@pytest.mark.parametrize("hosts", [63, 64, 65, 200])
def test_an_attribute_with_a_value_for_each_host_makes_no_class_for_each(hosts: int) -> None:
    fleet = Fleet()
    for number in range(hosts):
        fleet.put_host(host(f"h{number}", own=f"n{number}", rack=str(number % 3)))
    rules = (Constraint("memberOf", "attribute:own == n7 and attribute:rack == 1"),)
    request = Request(Resources(1, 1), 2, "g", constraints=rules)
    assert [p.host for p in place(fleet, request).placements] == ["h7", "h7"]
    assert len(fleet._classes) == (hosts if hosts <= 64 else 3)
    fleet.put_host(host("more", own="n7", rack="1"))
    many = Request(Resources(600, 1), 3, "g", constraints=rules)
    assert sorted(p.host for p in place(fleet, many).placements) == ["h7", "more"]
