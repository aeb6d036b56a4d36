"""Capacity providers in questions: shares by base and weight, what waits for whom, and bad strategies."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from miniecs.planning.cluster_file import load
from miniecs.planning.documents import answer_document
from miniecs.planning.measures import measure
from miniecs.planning.planned import Planned, plan
from miniecs.planning.provider_items import provider_item
from miniecs.planning.question import Answer, ask, question
from miniecs.planning.shares import wait_text
from miniecs.planning.text import Mistake

FILE = """
hosts:
  - {id: od, count: 2, type: m5.large, capacityProvider: on-demand}
  - {id: spot, type: m5.large, capacityProvider: spot}
  - {id: own, type: m5.large}
capacityProviders:
  - {name: on-demand, managedScaling: DISABLED}
  - {name: spot, type: m5.large, maxSize: 3}
  - {name: elsewhere}
defaultCapacityProviderStrategy:
  - {capacityProvider: on-demand, base: 2, weight: 1}
  - {capacityProvider: spot, weight: 3}
taskDefinitions:
  - {family: web, cpu: 512, memory: 64}
  - {family: big, cpu: 4096, memory: 64}
"""


WAIT = "would wait in PROVISIONING for capacity provider"


def planned(more: str = "") -> Planned:
    return plan(load(FILE + more, "c.yaml"))


def answered(cluster: Planned, count: int, *strategy: str, **more: Any) -> Answer:
    more = {"task_definition": "web", "providers": [provider_item(each) for each in strategy], **more}
    return ask(cluster, question(cluster, count=count, **more))


def waits(cluster: Planned, answer: Answer) -> list[str]:
    request = answer.question.request(cluster)
    return [wait_text(cluster.capacity, share, request) for share in answer.shares if share.waiting]


def test_the_cluster_s_default_shares_by_base_and_weight_and_the_rest_waits() -> None:
    cluster = planned()
    answer = answered(cluster, 14)
    shares = [(each.provider, each.count, each.waiting, each.refused) for each in answer.shares]
    assert shares == [("on-demand", 5, 0, 0), ("spot", 9, 5, 0)]
    hosts = Counter(placement.host[:3] for placement in answer.decision.placements)
    assert hosts == {"od-": 5, "spo": 4}
    assert waits(cluster, answer) == [
        f"5 tasks {WAIT} spot until its group adds 2 hosts"
    ]


def test_without_managed_scaling_nothing_waits() -> None:
    answer = answered(planned(), 10, "on-demand")
    assert [(each.waiting, each.refused) for each in answer.shares] == [(0, 2)]
    assert answer.decision.rejected == {"RESOURCE:CPU": 2}


def test_launch_type_ec2_asks_of_all_hosts() -> None:
    answer = answered(planned(), 16, launch_type="EC2")
    assert [each.provider for each in answer.shares] == [None]
    assert (len(answer.decision.placements), answer.waiting) == (16, 0)


@pytest.mark.parametrize(
    ("count", "strategy", "definition", "told"),
    [
        (5, "spot", "web", f"1 task {WAIT} spot until its group adds a host"),
        (
            14,
            "spot",
            "web",
            f"10 tasks {WAIT} spot until its group adds 3 hosts, but it has 1 of at most 3: what"
            " still waits after 30 minutes is stopped",
        ),
        (
            1,
            "spot",
            "big",
            f"1 task {WAIT} spot and be stopped after 30 minutes: even an"
            " empty m5.large (2048 CPU units, 8192 MiB) does not take one",
        ),
        (
            2,
            "elsewhere",
            "web",
            f"2 tasks {WAIT} elsewhere until its group adds hosts",
        ),
    ],
)
def test_what_is_waited_for(count: int, strategy: str, definition: str, told: str) -> None:
    cluster = planned()
    assert waits(cluster, answered(cluster, count, strategy, task_definition=definition)) == [told]


def test_as_in_ecs_five_hundred_may_wait() -> None:
    strategy = "capacityProviderStrategy: elsewhere"
    cluster = planned(f"services: [{{serviceName: s, taskDefinition: web, count: 454, {strategy}}}]")
    assert cluster.notes == [
        f"service s: 454 tasks {WAIT} elsewhere until its group adds hosts"
    ]
    (share,) = answered(cluster, 50, "elsewhere").shares
    assert (share.waiting, share.refused) == (46, 4)


def test_a_service_counts_what_it_has() -> None:
    services = "services: [{serviceName: s, taskDefinition: web, count: 2}]"
    cluster = planned(services)  # its base is there
    shares = {each.provider: each.count for each in answered(cluster, 4, service="s").shares}
    assert shares == {"on-demand": 1, "spot": 3}
    alone = planned("services: [{serviceName: s, taskDefinition: web, count: 2, launchType: EC2}]")
    assert [each.provider for each in answered(alone, 4, service="s").shares] == [None]


def test_as_a_document() -> None:
    cluster = planned()
    answer = answered(cluster, 6, "capacityProvider=spot,weight=1")
    document = answer_document(cluster, answer, measure(cluster, answer))
    assert document["question"]["capacityProviderStrategy"] == [
        {"capacityProvider": "spot", "weight": 1, "base": 0}
    ]
    assert (document["placed"], document["waiting"], document["unplaced"]) == (4, 2, 0)
    counts = {"tasks": 6, "placed": 4, "waiting": 2, "unplaced": 0}
    (told,) = waits(cluster, answer)
    assert document["capacityProviders"] == [{"name": "spot", **counts, "waitsFor": told}]


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (["sopt"], "there is no capacity provider sopt; did you mean spot?"),
        (["spot", "spot"], "cannot contain the same capacity provider twice"),
        (["spot", "elsewhere"], "must contain at least one capacity provider with a weight greater than 0"),
        (
            ["capacityProvider=spot,base=1", "capacityProvider=elsewhere,base=1,weight=1"],
            "cannot contain more than one capacity provider with a base value greater than 0",
        ),
        (["FARGATE"], "capacity provider strategy FARGATE: Fargate has no hosts to choose from"),
        (["capacityProvider=spot,weight=1", "FARGATE"], "cannot contain a mix of capacity providers using"),
    ],
)
def test_strategies_that_the_cluster_does_not_take(strategy: list[str], told: str) -> None:
    with pytest.raises(Mistake) as mistake:
        answered(planned(), 1, *strategy)
    assert told in str(mistake.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("capacityProvider=spot,wieght=2", "wieght: unknown; did you mean weight?"),
        ("weight=2", "capacityProvider must be the name of one, not None"),
        ("capacityProvider=a b", "capacityProvider must be the name of one, not 'a b'"),
        ("capacityProvider=spot,weight=-1", "weight must be a whole number of 0 to 1000, not '-1'"),
        ("capacityProvider=spot,weight=1001", "weight must be a whole number of 0 to 1000, not 1001"),
        ("capacityProvider=spot,base=1e3", "base must be a whole number of 0 to 100000, not '1e3'"),
        ("capacityProvider=a,capacityProvider=b", "capacityProvider is given twice"),
        ({"capacityProvider": "spot", "weight": True}, "weight must be a whole number of 0 to 1000, not"),
        (7, "must be like capacityProvider=spot,weight=3,base=1"),
    ],
)
def test_entries_that_are_none(given: Any, told: str) -> None:
    with pytest.raises(ValueError, match="^") as wrong:
        provider_item(given)
    assert told in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- {id: x, type: m5.large, capacityProvider: spto}", "line 2: hosts[0].capacityProvider: there"),
        ("capacityProviders: [{name: FARGATE}]", "capacityProviders[0]: FARGATE has no hosts to choose from"),
        ("capacityProviders: [{name: a}, {name: a}]", "capacity provider a is described twice"),
        ("capacityProviders: [{name: a, type: m5.larg}]", "capacityProviders[0]: did you mean m5.large?"),
        ("defaultCapacityProviderStrategy: spot", "line 3: defaultCapacityProviderStrategy: there"),
        (
            "services: [{serviceName: s, taskDefinition: w, launchType: EC2, capacityProviderStrategy: x}]",
            "services[0]: give launchType or capacityProviderStrategy, not both",
        ),
        (
            "taskDefinitions: [{family: w, memory: 1}]\n"
            "services: [{serviceName: s,taskDefinition: w, capacityProviderStrategy: {capacityProvider: x}}]",
            "line 4: services[0].capacityProviderStrategy: there is no capacity provider x; there are none",
        ),
    ],
)
def test_mistakes_in_files(text: str, told: str) -> None:
    hosts = "hosts:\n" + (text if text.startswith("-") else "- {type: m5.large}\n" + text)
    with pytest.raises(Mistake) as mistake:
        plan(load(hosts, "c.yaml"))
    assert told in str(mistake.value)
