"""What holds for every cluster and every request, whatever the strategies prefer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniecs_scheduler import Request, Strategy, place

from . import reference
from .clusters import a_model, a_request, fleet_of
from .reference import Model
from .test_reference import check_accounts


def drawn(seed: int) -> tuple[Model, Request]:
    random = Random(f"property {seed}")
    return a_model(random), a_request(random)


def with_placements(model: Model, request: Request, hosts: list[str]) -> Model:
    after = Model(dict(model.hosts), dict(model.tasks))
    for number, host in enumerate(hosts):
        after.tasks[f"placed {number}"] = (host, request.demand, request.group)
    return after


CASES = [range(60), pytest.param(range(60, 6000), marks=pytest.mark.slow)]
some_and_many = pytest.mark.parametrize("seeds", CASES)


@some_and_many
def test_each_task_goes_to_a_host_that_passes_every_check_at_that_moment(seeds: range) -> None:
    for seed in seeds:
        model, request = drawn(seed)
        hosts = [placement.host for placement in place(fleet_of(model), request).placements]
        assert len(hosts) <= request.count
        for number, host in enumerate(hosts):
            before = with_placements(model, request, hosts[:number])
            assert reference.reasons(before, request, model.hosts[host]) == [], seed
            assert request.only_hosts is None or host in request.only_hosts


@some_and_many
def test_no_host_gets_more_than_it_has_of_what_is_asked(seeds: range) -> None:
    for seed in seeds:
        model, request = drawn(seed)
        hosts = [placement.host for placement in place(fleet_of(model), request).placements]
        after = with_placements(model, request, hosts)
        for host in set(hosts):
            free = after.free(model.hosts[host])
            for amount in ("cpu", "memory", "gpu", "enis"):
                assert not getattr(request.demand, amount) or getattr(free, amount) >= 0, (seed, host, amount)
            if request.demand.tcp_ports or request.demand.udp_ports:
                assert hosts.count(host) == 1


@some_and_many
def test_placing_changes_nothing_and_repeats(seeds: range) -> None:
    for seed in seeds:
        model, request = drawn(seed)
        fleet = fleet_of(model)
        first = place(fleet, request)
        check_accounts(fleet, model)
        assert place(fleet, request) == first == place(fleet_of(model), request), seed


@some_and_many
def test_the_explanation_agrees_with_the_decision(seeds: range) -> None:
    for seed in seeds:
        model, request = drawn(seed)
        decision = place(fleet_of(model), request)
        hosts = [placement.host for placement in decision.placements]
        considered = [h for h in model.hosts if request.only_hosts is None or h in request.only_hosts]
        assert decision.considered == len(considered)
        assert bool(decision.suggestion) == bool(decision.unplaced) == (len(hosts) < request.count)
        if not decision.unplaced:
            assert (decision.rejected, decision.rejections, decision.closest) == ({}, (), None)
            continue
        after = with_placements(model, request, hosts)
        found = {h: reference.reasons(after, request, model.hosts[h]) for h in considered}
        assert {r.host: r.reason for r in decision.rejections} == {h: r[0] for h, r in found.items()}
        assert decision.rejected == Counter(reasons[0] for reasons in found.values())
        assert decision.closest == (decision.rejections[0] if considered else None)
        failed = [("INACTIVE" in found[r.host], len(found[r.host])) for r in decision.rejections]
        assert failed == sorted(failed), "the closest hosts come first"
        assert all(r.detail and r.available >= 0 for r in decision.rejections)


@some_and_many
def test_one_by_one_is_the_same_as_together(seeds: range) -> None:
    """But for chance, which is drawn by a task's place in its request."""
    for seed in seeds:
        model, request = drawn(seed)
        if reference.by_chance(request):
            request = replace(request, strategies=(Strategy("spread", "host"),))
        fleet, singly = fleet_of(model), []
        for number in range(request.count):
            for placement in place(fleet, replace(request, count=1)).placements:
                singly.append(placement.host)
                fleet.assign(placement.host, f"singly {number}", request.demand, request.group)
        together = [placement.host for placement in place(fleet_of(model), request).placements]
        assert singly == together, seed


@given(st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_every_pick_is_an_optimum_of_its_strategies(random: Random) -> None:
    """Of all hosts that could take the task at that moment, none is better by its strategies."""
    model, request = a_model(random), a_request(random)
    hosts = [placement.host for placement in place(fleet_of(model), request).placements]
    for number, host in enumerate(hosts):
        now = with_placements(model, request, hosts[:number])
        could = [
            each
            for each in now.hosts.values()
            if not reference.reasons(now, request, each)
            and (request.only_hosts is None or each.id in request.only_hosts)
        ]
        assert host in {each.id for each in reference.best(now, request, could)}


@given(st.randoms(use_true_random=False), st.permutations([1, 2, 3]))
@settings(max_examples=60)
def test_the_order_of_requests_of_equal_shape_does_not_matter(random: Random, counts: list[int]) -> None:
    """One, two and three tasks in any order go where six go together."""
    model, request = a_model(random), replace(a_request(random), count=6)
    if reference.by_chance(request):
        request = replace(request, strategies=(Strategy("binpack", "memory"),))
    fleet, found = fleet_of(model), list[str]()
    for count in counts:
        for placement in place(fleet, replace(request, count=count)).placements:
            fleet.assign(placement.host, f"task {len(found)} of them", request.demand, request.group)
            found.append(placement.host)
    assert found == [placement.host for placement in place(fleet_of(model), request).placements]
