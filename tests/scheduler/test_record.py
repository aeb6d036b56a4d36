"""Records of decisions: they agree with the decision and with the rules, and say it in readable lines."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest

from miniecs_scheduler import (
    SERVICE_DEFAULT,
    Constraint,
    Decision,
    Fleet,
    Host,
    Request,
    Resources,
    Strategy,
    decide,
    index,
    place,
    told,
)
from miniecs_scheduler import record as make_record

from . import reference
from .clusters import a_model, a_request, fleet_of
from .reference import Model
from .test_reference import check_accounts

CASES = range(400)
record_module = __import__("miniecs_scheduler.record", fromlist=["record"])


@cache
def drawn(seed: int) -> tuple[Model, Request]:
    random = Random(f"record {seed}")
    return a_model(random), a_request(random)


def decided(model: Model, request: Request) -> tuple[Decision, dict[str, Any]]:
    decision = decide(fleet_of(model), request)
    return decision, json.loads(decision.record)


@cache
def drawn_and_decided(seed: int) -> tuple[Model, Request, Decision, dict[str, Any]]:
    model, request = drawn(seed)
    return model, request, *decided(model, request)


def considered_by(model: Model, request: Request) -> list[Host]:
    only = request.only_hosts
    return [host for host in model.hosts.values() if only is None or host.id in only]


def fitting(model: Model, request: Request) -> list[Host]:
    return [h for h in considered_by(model, request) if not reference.reasons(model, request, h)]


def id_of(host: str) -> str:
    return host.rpartition("/")[2]


def test_the_record_changes_neither_the_decision_nor_the_fleet() -> None:
    for seed in CASES:
        model, request = drawn(seed)
        fleet = fleet_of(model)
        decision = decide(fleet, request)
        check_accounts(fleet, model)
        plain = place(fleet, request)
        assert (decision.placements, decision.rejections) == (plain.placements, plain.rejections), seed
        assert plain.record == "", "who wants none pays for none"
        assert json.loads(decision.record) == make_record(fleet, request, plain), seed


def test_every_host_is_removed_by_its_first_failed_check_or_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether its attributes are asked about by class or of each host."""
    for seed in CASES:
        monkeypatch.setattr(index, "MAX_CLASSES", 64 * (seed % 2))
        model, request = drawn(seed)
        _, kept = decided(model, request)
        considered = considered_by(model, request)
        if not kept["placed"] and not request.count:
            continue
        found = {host.id: reference.reasons(model, request, host) for host in considered}
        removed = {each["reason"]: each["hosts"] for each in kept["removed"]}
        assert removed == Counter(reasons[0] for reasons in found.values() if reasons), seed
        assert kept["fitting"] == sum(not reasons for reasons in found.values()), seed
        assert sum(removed.values()) + kept["fitting"] == kept["considered"] == len(considered), seed
        for each in kept["removed"]:
            (host,) = [host for host in considered if id_of(host.id) == each["closest"]]
            assert found[host.id][0] == each["reason"], seed
            assert each["detail"]


def test_the_numbers_of_what_is_short_are_those_of_the_closest_host() -> None:
    for seed in CASES:
        model, request, _, kept = drawn_and_decided(seed)
        for each in kept["removed"] if kept["placed"] else ():
            name = {"RESOURCE:CPU": "cpu", "RESOURCE:MEMORY": "memory"}.get(each["reason"])
            if name is None:
                continue
            short = [
                getattr(model.free(host), name)
                for host in considered_by(model, request)
                if reference.reasons(model, request, host)[:1] == [each["reason"]]
            ]
            assert each["needed"] == getattr(request.demand, name)
            assert each["available"] == max(*short, 0, 0), seed


def test_the_first_of_the_ranking_is_the_pick_and_each_step_narrows_it_down() -> None:
    for seed in CASES:
        model, request, decision, kept = drawn_and_decided(seed)
        if not decision.placements:
            continue
        ranked = kept["ranked"]
        assert ranked[0]["host"] == id_of(decision.placements[0].host), seed
        values = [each["values"] for each in ranked]
        assert values == sorted(values), seed
        assert [step["best"] for step in kept["steps"]] == values[0], seed
        assert len(ranked) == min(5, kept["fitting"]) == len({each["host"] for each in ranked}), seed
        candidates = fitting(model, request)
        strategies = list(dict.fromkeys(_until_random(request.strategies)))
        left_out = [host for host in candidates if id_of(host.id) not in {each["host"] for each in ranked}]
        for host in left_out:
            numbers = [reference.rank(model, request, strategy, host) for strategy in strategies]
            assert numbers >= values[-1], f"{seed}: a better host was left out"
        for strategy, step in zip(strategies, kept["steps"], strict=True):
            least = min(reference.rank(model, request, strategy, host) for host in candidates)
            candidates = [h for h in candidates if reference.rank(model, request, strategy, h) == least]
            assert (step["best"], step["tied"]) == (least, len(candidates)), seed


def _until_random(strategies: tuple[Strategy, ...]) -> list[Strategy]:
    """As they count: host is another word for instanceId, and what follows chance decides nothing."""
    counted = []
    for strategy in strategies:
        if strategy.type == "random":
            break
        counted.append(Strategy("spread", "instanceId") if strategy.field == "host" else strategy)
    return counted


def test_what_was_picked_and_what_was_not_placed() -> None:
    for seed in CASES:
        _, request, decision, kept = drawn_and_decided(seed)
        assert (kept["tasks"], kept["placed"]) == (request.count, len(decision.placements))
        if decision.placements:
            tasks = Counter(id_of(placement.host) for placement in decision.placements)
            assert kept["hosts"] == len(tasks)
            assert {each["host"]: each["tasks"] for each in kept["picked"]}.items() <= tasks.items()
        unplaced = kept.get("unplaced")
        assert (unplaced is None) == (decision.unplaced == 0), seed
        if unplaced is not None:
            assert unplaced["tasks"] == decision.unplaced
            assert unplaced["suggestion"] == decision.suggestion
            closest = decision.closest
            assert unplaced["closest"] == (None if closest is None else id_of(closest.host))
            assert {each["reason"]: each["hosts"] for each in unplaced["removed"]} == decision.rejected


def test_where_hosts_are_too_many_rules_and_picks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "LOOKS", 0)
    monkeypatch.setattr(record_module, "LOOKS_PER_TASK", 0)
    for seed in CASES:
        model, request = drawn(seed)
        decision, kept = decided(model, request)
        if not decision.placements:
            continue
        assert kept["looked"] is False
        assert kept["ranked"][0]["host"] == id_of(decision.placements[0].host), seed
        assert [step["best"] for step in kept["steps"]] == kept["ranked"][0]["values"]
        excluded = [reference.excluded_by(request, host) for host in considered_by(model, request)]
        removed = {each["reason"]: each["hosts"] for each in kept["removed"]}
        assert removed == {reason: excluded.count(reason) for reason in sorted({*excluded} - {""})}, seed
        assert told(kept)


@pytest.mark.parametrize(("hosts", "tasks", "looked"), [(320, 1, True), (321, 160, False), (321, 161, True)])
def test_so_many_hosts_are_looked_at_for_so_many_tasks(hosts: int, tasks: int, looked: bool) -> None:
    made = fleet(*((f"{n:08x}", "a", 4096, 0) for n in range(hosts)))
    request = Request(Resources(256, 512), tasks, "service:web", strategies=(Strategy("binpack", "cpu"),))
    assert json.loads(decide(made, request).record)["looked"] is looked


def test_zones_of_hosts_are_shown_and_of_those_without_none() -> None:
    for seed in CASES:
        model, _, _, kept = drawn_and_decided(seed)
        zones = {
            id_of(host.id): host.attributes.get("ecs.availability-zone", "") for host in model.hosts.values()
        }
        for each in kept.get("ranked", ()):
            assert each["zone"] == zones[each["host"]], seed


def test_a_reason_whose_hosts_are_all_far_is_counted_without_the_closest() -> None:
    """A decision has the hundred closest: those that lack one MiB come before those that lack an agent."""
    made = fleet(*((f"{n:08x}", "a", 511, 0) for n in range(100)))
    made.put_host(Host("arn:host/away", {}, Resources(2048, 511), connected=False))
    request = Request(Resources(256, 512), 1, "service:web")
    kept = json.loads(decide(made, request).record)
    assert kept["removed"][0] == {"reason": "AGENT", "hosts": 1}
    assert kept["removed"][1]["hosts"] == 100
    assert told(kept)[2] == "  removed 1 by AGENT"


def test_runners_up_of_many_hosts_are_those_that_looking_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = [drawn_and_decided(seed)[3] for seed in CASES]
    monkeypatch.setattr(record_module, "LOOKS", 0)
    monkeypatch.setattr(record_module, "LOOKS_PER_TASK", 0)
    found = 0
    for seed in CASES:
        _, kept = decided(*drawn(seed))
        if kept.get("runnersUp"):
            found += 1
            assert kept["ranked"] == looked[seed]["ranked"], seed
            assert [step["best"] for step in kept["steps"]] == [s["best"] for s in looked[seed]["steps"]]
            assert "picked are shown" not in told(kept)[1]
        elif kept["placed"]:
            assert "Only hosts that were picked are shown." in told(kept)[1]
    assert found > len(CASES) // 10


@pytest.mark.parametrize(
    ("strategies", "are_shown"),
    [
        (SERVICE_DEFAULT, True),
        ((Strategy("binpack", "memory"), Strategy("binpack", "cpu")), True),
        ((Strategy("spread", "instanceId"), Strategy("spread", "attribute:ecs.availability-zone")), True),
        ((Strategy("random"),), False),
        ((Strategy("spread", "attribute:ecs.availability-zone"),), False),  # and then chance
        ((Strategy("spread", "instanceId"), Strategy("binpack", "cpu")), False),  # levels would be sorted
        ((Strategy("binpack", "cpu"), Strategy("spread", "instanceId")), False),
        ((Strategy("spread", "attribute:name"), Strategy("binpack", "cpu")), False),  # a class for each host
    ],
)
def test_which_chains_keep_hosts_in_an_order_that_can_be_shown(
    strategies: tuple[Strategy, ...], are_shown: bool
) -> None:
    made = Fleet()
    for n in range(400):
        attributes = {"ecs.availability-zone": "abc"[n % 3], "name": str(n)}
        made.put_host(Host(f"arn:host/{n:08x}", attributes, Resources(2048, 4096)))
    request = Request(Resources(256, 512), 1, "service:web", strategies=strategies)
    kept = json.loads(decide(made, request).record)
    assert (kept["looked"], kept["runnersUp"]) == (False, are_shown)
    assert len(kept["ranked"]) == (5 if are_shown else 1)


def fleet(*hosts: tuple[str, str, int, int], group: str = "service:web") -> Fleet:
    """Hosts as (id, zone, free MiB, tasks of the group)."""
    made = Fleet()
    for id, zone, memory, tasks in hosts:
        host = Host(f"arn:host/{id}", {"ecs.availability-zone": zone}, Resources(2048, memory))
        made.put_host(host)
        for n in range(tasks):
            made.assign(host.id, f"{id}-{n}", Resources(), group)
    return made


def lines(made: Fleet, **fields: Any) -> list[str]:
    fields = {"count": 1, "demand": Resources(256, 512), "group": "service:web", "seed": 1, **fields}
    return told(json.loads(decide(made, Request(**fields)).record))


def test_a_record_in_words() -> None:
    hosts = fleet(("aaaaaaaa1", "a", 300, 0), ("bbbbbbbb1", "a", 1024, 2), ("cccccccc1", "b", 2048, 1))
    assert lines(hosts, strategies=SERVICE_DEFAULT) == [
        "Placement of 1 task of service:web with 256 CPU units, 512 MiB.",
        "  3 container instances considered, 1 removed, 2 left.",
        "  removed 1 by RESOURCE:MEMORY (aaaaaaaa: needs 512 MiB, 300 MiB free of 300)",
        "  1. spread attribute:ecs.availability-zone: least is 1 task, 1 host left",
        "  2. spread instanceId: least is 1 task, 1 host left",
        "  HOST      ZONE  TASKS IN ZONE  TASKS ON HOST",
        "  cccccccc  b     1              1              picked",
        "  bbbbbbbb  a     2              2",
        "  Picked: cccccccc1.",
    ]


def test_a_batch_is_one_record() -> None:
    hosts = fleet(("a", "a", 1100, 0), ("b", "b", 1100, 0))
    told_lines = lines(hosts, count=5, strategies=(Strategy("binpack", "memory"),))
    assert told_lines[0] == (
        "Placement of 5 tasks of service:web, each with 256 CPU units, 512 MiB: 4 placed."
    )
    assert told_lines[2:4] == ["  1. binpack memory: least is 1100 MiB free, 2 hosts left", "  2. chance"]
    assert told_lines[-3] == "  4 tasks went to 2 hosts: a 2, b 2."
    assert told_lines[-2].startswith("  No host was left for 1 more task: 2 by RESOURCE:MEMORY (closest, ")
    assert told_lines[-1].startswith("  What would help: 436 MiB short on the best host, ")


def test_a_batch_on_many_hosts_names_eight_of_them() -> None:
    hosts = fleet(*((f"{n:08x}", "a", 512, 0) for n in range(10)))
    *_, picked = lines(hosts, count=10, strategies=SERVICE_DEFAULT)
    assert picked.startswith("  10 tasks went to 10 hosts: 0000000")
    assert picked.endswith(" 1 and 2 more.")
    assert picked.count(", 0000000") == 7


def test_what_kept_the_rest_of_a_batch_from_every_host() -> None:
    hosts = fleet(("a", "a", 600, 0))
    hosts.put_host(Host("arn:host/b", {}, Resources(2048, 2048), connected=False))
    told_lines = lines(hosts, count=2)
    assert told_lines[0] == "Placement of 2 tasks of service:web, each with 256 CPU units, 512 MiB: 1 placed."
    assert told_lines[-3:] == [
        "  No host was left for 1 more task: 1 by AGENT (b: its agent is not connected); "
        "1 by RESOURCE:MEMORY (a: needs 512 MiB, 88 MiB free of 600).",
        "  The closest of all is a.",
        "  What would help: 1 host would fit with the agent connected; 424 MiB short on the best host, a.",
    ]


def test_what_would_help_calls_hosts_as_the_table_does() -> None:
    hosts = fleet(("405b803d215c033ab7238b5e87b4e362", "a", 300, 0))
    assert lines(hosts)[-1].startswith("  What would help: 212 MiB short on the best host, 405b803d; no host")


def test_nothing_placed_in_words() -> None:
    hosts = fleet(("a", "a", 2048, 0), ("b", "b", 100, 0))
    constraints = (Constraint("memberOf", "attribute:ecs.availability-zone == c"),)
    rule = "memberOf (attribute:ecs.availability-zone == c)"
    assert lines(hosts, constraints=constraints) == [
        "Placement of 1 task of service:web with 256 CPU units, 512 MiB: none placed.",
        "  2 container instances considered, 2 removed, none left.",
        "  removed 1 by RESOURCE:MEMORY (b: needs 512 MiB, 100 MiB free of 100;"
        f" {rule}: attribute:ecs.availability-zone is b)",
        "  removed 1 by MemberOf placement constraint unsatisfied"
        f" (a: {rule}: attribute:ecs.availability-zone is a)",
        "  The closest of all is a.",
        f"  What would help: 1 host would fit without {rule}.",
    ]
    assert lines(Fleet())[1:] == [
        "  0 container instances considered, none removed, none left.",
        "  What would help: there is no container instance to place tasks on.",
    ]


def test_a_table_of_many_hosts_has_five_and_says_how_many_were_tied() -> None:
    hosts = fleet(*((f"{n:08x}", "abc"[n % 3], 4096, 0) for n in range(300)))
    told_lines = lines(hosts, strategies=SERVICE_DEFAULT)
    assert told_lines[1:5] == [
        "  300 container instances considered, none removed, 300 left.",
        "  1. spread attribute:ecs.availability-zone: least is 0 tasks, 300 hosts left",
        "  2. spread instanceId: least is 0 tasks, 300 hosts left",
        "  3. chance",
    ]
    assert told_lines[-2] == "  … and 295 hosts more"
    assert len(told_lines) == 13
    six = fleet(*((f"{n:08x}", "a", 4096, 0) for n in range(6)))
    assert lines(six)[-2] == "  … and 1 host more"
    many = fleet(*((f"{n:08x}", "abc"[n % 3], 4096, 0) for n in range(400)))
    assert lines(many, strategies=SERVICE_DEFAULT)[1] == (
        "  400 container instances considered; too many to look at each of them for so few tasks."
    )
    assert lines(many, count=200, strategies=SERVICE_DEFAULT)[1].endswith(", none removed, 400 left.")


def test_rules_that_leave_hosts_out_of_too_many_to_look_at() -> None:
    hosts = fleet(*((f"{n:08x}", "ab"[n < 30], 4096, 0) for n in range(400)))
    constraints = (Constraint("memberOf", "attribute:ecs.availability-zone == a"),)
    assert lines(hosts, constraints=constraints)[1] == (
        "  400 container instances considered; rules leave out 30 by MemberOf placement constraint"
        " unsatisfied; too many to look at each of them for so few tasks. Only hosts that were picked are"
        " shown."
    )
    told_lines = lines(hosts, strategies=(Strategy("binpack", "cpu"),))
    assert told_lines[2] == "  1. binpack cpu: least is 2048 CPU units free"
    assert told_lines[3].startswith("  HOST")


def test_every_kind_of_step_in_words() -> None:
    made = Fleet()
    made.put_host(Host("arn:host/a", {"rack": "1"}, Resources(1024, 2048)))
    made.put_host(Host("arn:host/b", {"rack": "1"}, Resources(1024, 4096)))
    made.put_host(Host("arn:host/c", {"rack": "2"}, Resources(2048, 1024)))
    made.assign("arn:host/c", "t", Resources(), "service:web")
    fields = ("attribute:rack", "instanceId")
    chain = [
        *(Strategy("spread", field) for field in fields),
        *(Strategy("binpack", f) for f in ("cpu", "memory")),
    ]
    assert lines(made, strategies=tuple(chain))[2:] == [
        "  1. spread attribute:rack: least is 0 tasks, 2 hosts left",
        "  2. spread instanceId: least is 0 tasks, 2 hosts left",
        "  3. binpack cpu: least is 1024 CPU units free, 2 hosts left",
        "  4. binpack memory: least is 2048 MiB free, 1 host left",
        "  HOST  ZONE  TASKS BY RACK  TASKS ON HOST  CPU UNITS FREE  MIB FREE",
        "  a           0              0              1024            2048      picked",
        "  b           0              0              1024            4096",
        "  c           1              1              2048            1024",
        "  Picked: a.",
    ]


def test_demands_in_words() -> None:
    demand = Resources(0, 64, 1, 1, frozenset({80, 443}), frozenset({53}))
    first, *_ = lines(fleet(), demand=demand, group="family:job")
    assert first == (
        "Placement of 1 task of family:job with 64 MiB, 1 GPU, 1 network interface, tcp ports 80, 443,"
        " udp port 53: none placed."
    )
    assert "with no demands" in lines(fleet(), demand=Resources())[0]
