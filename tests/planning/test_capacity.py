"""How many hosts are needed, against arithmetic where that is easy."""

from __future__ import annotations

from collections import Counter

import pytest

from miniecs.planning.capacity import Capacity, capacity
from miniecs.planning.cluster_file import load
from miniecs.planning.documents import capacity_document
from miniecs.planning.planned import Planned, plan
from miniecs.planning.question import question
from miniecs.planning.rules import chain, constraint
from miniecs.planning.text import Mistake

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"
SPREAD = "spread:attribute:ecs.availability-zone"
DEFINITIONS = """
taskDefinitions:
  - {family: web, cpu: 256, memory: 512}
  - {family: port, cpu: 1, memory: 1, hostPorts: [80]}
  - {family: eni, cpu: 1, memory: 1, networkMode: awsvpc}
  - {family: huge, cpu: 1, memory: 64 GB}
"""


def found(
    family: str = "web",
    count: int = 10,
    *,
    hosts: str = "[{count: 3, type: m5.large}]",
    services: str = "[]",
    strategies: str = "random",
    rule: str | None = None,
    type: str | None = "m5.large",
) -> Capacity:
    planned = cluster(hosts, services)
    asked = question(
        planned,
        task_definition=family,
        count=count,
        strategies=chain(strategies),
        constraints=[constraint(rule)] if rule else None,
    )
    free = {host.id: planned.fleet.free(host.id) for host in planned.fleet.hosts()}
    answer = capacity(planned, asked, type=type)
    assert {host.id: planned.fleet.free(host.id) for host in planned.fleet.hosts()} == free
    return answer


def cluster(hosts: str, services: str = "[]") -> Planned:
    return plan(load(f"hosts: {hosts}\n{DEFINITIONS}services: {services}", "c.yaml"))


def numbers(answer: Capacity) -> tuple[int | None, ...]:
    each = (answer.needed, answer.one_host_lost, answer.one_zone_lost, answer.added)
    return tuple(None if by_zone is None else by_zone.total() for by_zone in each)


def test_by_cpu() -> None:
    # 2048 / 256 = 8 tasks a host: 20 need 3; without a host 4; without one of three zones 2 + 2 are 3 left.
    answer = found(count=20)
    assert (answer.tasks_a_host, *numbers(answer)) == (8, 3, 4, 5, 0)
    assert answer.needed == Counter({A: 1, B: 1, C: 1})
    assert answer.one_zone_lost == Counter({A: 2, B: 2, C: 1})


def test_what_this_cluster_lacks() -> None:
    assert found(count=40).added == Counter({A: 1, B: 1})  # 24 fit, 16 do not
    full = "[{serviceName: s, taskDefinition: web, count: 24}]"
    assert numbers(found(count=8, services=full)) == (1, 2, 2, 1)


def test_a_spread_needs_all_zones() -> None:
    assert numbers(found(count=6)) == (1, 2, 2, 0)
    assert numbers(found(count=6, strategies=SPREAD)) == (3, 3, 3, 0)
    # Eight in each zone are a host each; twenty-five do not fit evenly on 3 + 1.
    assert numbers(found(count=24, strategies=SPREAD))[0] == 3
    assert found(count=25, strategies=SPREAD).needed == Counter({A: 2, B: 1, C: 1})


@pytest.mark.parametrize(("family", "rule"), [("port", None), ("web", "distinctInstance")])
def test_one_task_a_host(family: str, rule: str | None) -> None:
    answer = found(family, 5, rule=rule)
    assert (answer.tasks_a_host, *numbers(answer)) == (1, 5, 6, 8, 2)


def test_network_interfaces() -> None:
    assert found("eni", 5).tasks_a_host == 2  # an m5.large has three, and one of them is its own


def test_daemons_are_on_new_hosts_too() -> None:
    daemon = "[{serviceName: d, taskDefinition: web, schedulingStrategy: DAEMON}]"
    assert found(count=7, services=daemon).tasks_a_host == 7
    assert numbers(found(count=8, services=daemon))[0] == 2


def test_new_hosts_are_like_those_that_the_cluster_has() -> None:
    rule = "memberOf:attribute:disk == ssd"
    with_disks = "[{count: 2, type: m5.large, zones: [a, b], attributes: {disk: ssd}}]"
    assert numbers(found(count=8, hosts=with_disks, rule=rule))[0] == 1
    without = found(count=8, rule=rule)
    assert numbers(without) == (None, None, None, None)
    assert "would fit without memberOf (attribute:disk == ssd)" in without.why_not


def test_only_zones_that_may_take_tasks_count() -> None:
    answer = found(count=16, rule=f"memberOf:attribute:ecs.availability-zone != {C}", strategies=SPREAD)
    assert answer.needed == Counter({A: 1, B: 1})
    assert answer.one_zone_lost == Counter({A: 2, B: 2})


def test_a_task_that_fits_on_no_host_of_the_type() -> None:
    answer = found("huge")
    assert answer.why_not.startswith("57344 MiB short on the best host, new-0; no host is large enough")
    cluster_document = capacity_document(cluster("[{type: m5.large}]"), answer)
    assert (cluster_document["needed"], cluster_document["toAdd"]) == (None, None)


def test_the_type_is_the_clusters_unless_given() -> None:
    hosts = "[{type: m5.large}, {count: 2, type: c5.xlarge}]"
    assert found(hosts=hosts, type=None).type == "c5.xlarge"
    assert found(hosts=hosts, type="r5.large").size == "2048 CPU units, 16384 MiB"


def test_a_type_that_nobody_knows() -> None:
    with pytest.raises(Mistake) as refused:
        found(type="m5.huge")
    assert str(refused.value).startswith("--type: ")
    assert "'m5.huge' is not a known instance type. Known are: t2 (nano" in str(refused.value)
    with pytest.raises(Mistake, match="--capacity needs the type of the hosts: --type m5.large"):
        found(hosts="[{cpu: 1024, memory: 1024}]", type=None)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("strategies", ["binpack:memory", SPREAD])
def test_one_host_less_is_not_enough(count: int, strategies: str) -> None:
    answer = found(count=count, strategies=strategies)
    assert answer.needed is not None
    needed = answer.needed.total()
    by_hand = -(-count // 8)
    if strategies == SPREAD:
        smallest = [n for n in range(1, 400) if _spreads(count, n)]
        by_hand = smallest[0]
    assert needed == by_hand


def _spreads(count: int, hosts: int) -> bool:
    """Whether three zones with so many hosts, dealt in turn, take the tasks evenly."""
    rooms = [8 * len(range(zone, hosts, 3)) for zone in range(3)]
    low, extra = divmod(count, 3)
    return min(rooms) >= low and sum(room > low for room in rooms) >= extra
