"""The quick answers are the obvious ones: index, cursors and overlay against tests/scheduler/reference.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest

from miniecs_scheduler import (
    Decision,
    Fleet,
    Host,
    Request,
    Resources,
    Strategy,
    index,
    order,
    place,
    scale_in_order,
)
from miniecs_scheduler.classes import HostClass

from . import reference
from .clusters import (
    GROUPS,
    STRATEGIES,
    a_demand,
    a_host,
    a_model,
    a_request,
    any_group,
    any_host_id,
    fleet_of,
)
from .reference import Model

CLUSTERS = [60, pytest.param(6000, marks=pytest.mark.slow)]


@pytest.fixture(params=["classes", "few classes", "small blocks"])
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The index as it is, with attributes falling out of the classes, and with blocks that split."""
    if request.param == "few classes":
        monkeypatch.setattr(index, "MAX_CLASSES", 3)
    if request.param == "small blocks":
        monkeypatch.setattr(order, "_LOAD", 2)
    yield request.param


def hosts_of(decision: Decision) -> list[str]:
    return [placement.host for placement in decision.placements]


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_same_answer_as_the_reference(shape: str, clusters: int) -> None:
    """In each cluster a few requests, so that the later ones meet an index that the earlier ones shaped."""
    placed_all = placed_some = placed_none = 0
    for seed in range(clusters):
        random = Random(f"{shape} {seed}")
        model = a_model(random)
        fleet = fleet_of(model)
        for _ in range(random.randint(1, 3)):
            request = a_request(random)
            decision = place(fleet, request)
            placed, rejected = reference.place(model, request)
            assert (seed, request, hosts_of(decision)) == (seed, request, placed)
            assert (seed, request, decision.rejected) == (seed, request, rejected)
            assert decision.unplaced == request.count - len(placed)
            placed_all += bool(placed) and not decision.unplaced
            placed_some += bool(placed) and bool(decision.unplaced)
            placed_none += not placed and bool(decision.unplaced)
    assert min(placed_all, placed_some, placed_none) > clusters // 10, "the clusters say too little"


@pytest.mark.parametrize("strategies", [(), (Strategy("spread", "attribute:rack"),)])
@pytest.mark.parametrize("hosts", [2, 12])
def test_chance_that_meets_no_fitting_host_takes_the_first_clockwise(
    hosts: int, strategies: tuple[Strategy, ...]
) -> None:
    """Few of many, in racks that have equally few tasks: those that are named, or the only ones with room."""
    model = Model()
    for number in range(200):
        memory = 1024 if number < hosts else 0
        host = Host(f"arn:host/{number}", {"rack": str(number % 3)}, Resources(1024, memory))
        model.hosts[host.id] = host
    fleet = fleet_of(model)
    named = frozenset(f"arn:host/{number}" for number in range(hosts))
    for seed in range(5):
        for only in (None, named):
            request = Request(
                Resources(1, 512), 3, "service:web", strategies=strategies, seed=seed, only_hosts=only
            )
            assert hosts_of(place(fleet, request)) == reference.place(model, request)[0], seed


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_same_answer_after_any_history(shape: str, clusters: int) -> None:
    """Hosts and tasks come, change and go between requests; only what is there now counts."""
    for seed in range(clusters // 4):
        random = Random(f"history {shape} {seed}")
        model = a_model(random)
        fleet = fleet_of(model)
        for step in range(random.randint(1, 25)):
            change(random, fleet, model, step)
            check_accounts(fleet, model)
            request = a_request(random)
            assert (seed, step, hosts_of(place(fleet, request))) == (
                seed,
                step,
                reference.place(model, request)[0],
            )


def change(random: Random, fleet: Fleet, model: Model, step: int) -> None:
    host_id = any_host_id(random)
    match random.choice(("put", "remove", "assign", "assign", "release")):
        case "put":
            host = a_host(random, int(host_id.rpartition("/")[2]))
            model.hosts[host_id] = host
            fleet.put_host(host)
        case "remove":
            model.hosts.pop(host_id, None)
            fleet.remove_host(host_id)
        case "assign":
            task = random.choice((f"new-{step}", f"task-{random.randint(0, 12)}"))
            demand, group = a_demand(random), any_group(random)
            model.tasks[task] = (host_id, demand, group)
            fleet.assign(host_id, task, demand, group)
        case "release":
            task = f"task-{random.randint(0, 12)}"
            model.tasks.pop(task, None)
            fleet.release(task)


def levels_of(cls: HostClass) -> dict[str, dict[int, list[int]]]:
    """What a class keeps of groups, counted anew: nothing of those that are gone."""
    levels: dict[str, dict[int, list[int]]] = {}
    for at in sorted(cls.members):
        for group, tasks in cls.members[at].groups.items():
            levels.setdefault(group, {}).setdefault(tasks, []).append(at)
    return levels


def spread_of(model: Model, name: str) -> dict[str, dict[str | None, int]]:
    """The tasks of groups by an attribute of their hosts, counted anew."""
    counts: dict[str, dict[str | None, int]] = {}
    for host in model.hosts.values():
        for group in model.groups(host.id):
            by_value = counts.setdefault(group, {})
            value = host.attributes.get(name)
            by_value[value] = by_value.get(value, 0) + 1
    return counts


def check_accounts(fleet: Fleet, model: Model) -> None:
    for cls in fleet.classes():
        assert cls._levels in (None, levels_of(cls))
    for name, counts in fleet._spread.items():
        assert counts == spread_of(model, name)
    assert {host.id: host for host in fleet.hosts()} == model.hosts
    assert len(fleet) == len(model.hosts)
    for host in model.hosts.values():
        assert fleet.host(host.id) == host
        assert fleet.free(host.id) == model.free(host)
        assert fleet.running(host.id) == len(model.groups(host.id))
        assert fleet.groups(host.id) == Counter(model.groups(host.id))


@pytest.mark.parametrize("clusters", CLUSTERS)
def test_scale_in_always_takes_a_best_task(clusters: int) -> None:
    for seed in range(clusters):
        random = Random(f"scale in {seed}")
        model = a_model(random)
        check_scale_in(
            model, tuple(random.choices(STRATEGIES, k=random.randint(0, 3))), random.choice(GROUPS), seed
        )


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 2000), marks=pytest.mark.slow)])
def test_scale_in_of_many_alike_always_takes_a_best_task(seeds: range) -> None:
    """Tasks of one service on a few hosts, of which each has several that leave more or less behind."""
    for seed in seeds:
        random = Random(f"scale in of many {seed}")
        model = Model()
        for number in range(4):
            attributes = {"ecs.availability-zone": "ab"[number % 2], "stack": "xy"[number // 2]}
            host = Host(f"arn:host/{number}", attributes, Resources(random.randint(9, 12), 10))
            model.hosts[host.id] = host
        for number in range(14):
            demand = Resources(random.randint(1, 3), random.randint(0, 2))
            model.tasks[f"task-{number}"] = (f"arn:host/{random.randrange(4)}", demand, "service:web")
        check_scale_in(
            model, tuple(random.sample(STRATEGIES[1:], k=random.randint(1, 3))), "service:web", seed
        )


def check_scale_in(model: Model, strategies: tuple[Strategy, ...], group: str, seed: int) -> None:
    own = [(task, where) for task, (where, _, owner) in model.tasks.items() if owner == group]
    ordered = scale_in_order(fleet_of(model), own, strategies, group, seed)
    gone = [task for task, where in own if where not in model.hosts]
    assert sorted(ordered) == sorted(task for task, _ in own)
    assert sorted(ordered[: len(gone)]) == sorted(gone)
    left = ordered[len(gone) :]
    while left:
        ranks = {task: reference.scale_in_rank(model, strategies, group, task) for task in left}
        assert (seed, ranks[left[0]]) == (seed, min(ranks.values()))
        del model.tasks[left.pop(0)]


@pytest.mark.parametrize("seeds", [range(12), pytest.param(range(12, 1500), marks=pytest.mark.slow)])
def test_same_answer_on_many_alike(monkeypatch: pytest.MonkeyPatch, seeds: range) -> None:
    """Up to forty hosts of one class, kept in many small blocks that split and join as tasks come and go."""
    strategies: list[tuple[Strategy, ...]] = [(), (Strategy("binpack", "memory"),)]
    strategies.append((Strategy("binpack", "cpu"), Strategy("spread", "host")))
    strategies.append((Strategy("spread", "host"), Strategy("binpack", "cpu")))
    for seed in seeds:
        random = Random(f"alike {seed}")
        monkeypatch.setattr(order, "_LOAD", random.choice((4, 8, 9)))
        model = Model()
        for number in range(random.randint(20, 40)):
            capacity = Resources(cpu=random.randint(5, 12), memory=random.randint(5, 12))
            model.hosts[f"h{number}"] = Host(f"h{number}", {}, capacity)
        fleet = fleet_of(model)
        for step in range(35):
            host_id = random.choice(sorted(model.hosts))
            if step % 2 and len(model.hosts) > 4:
                fleet.remove_host(host_id)
                del model.hosts[host_id]
            demand = Resources(cpu=random.randint(1, 5), memory=random.randint(1, 5))
            task = f"t{random.randint(0, 40)}"
            model.tasks[task] = (host_id, demand, "service:web")
            fleet.assign(host_id, task, demand, "service:web")
            request = Request(
                demand, random.randint(1, 4), "service:web", strategies=random.choice(strategies), seed=seed
            )
            assert (seed, step, hosts_of(place(fleet, request))) == (
                seed,
                step,
                reference.place(model, request)[0],
            )
