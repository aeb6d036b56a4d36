"""Questions: the scheduler's own answer, what it is worth by hand-made numbers, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs.planning.cluster_file import load
from miniecs.planning.documents import answer_document
from miniecs.planning.measures import Loss, Stranded, measure
from miniecs.planning.planned import Planned, plan
from miniecs.planning.question import ask, question
from miniecs.planning.rules import chain, constraint
from miniecs.planning.text import Mistake

BY_ZONE = "spread:attribute:ecs.availability-zone,binpack:memory"
FILE = """
hosts:
  - {count: 4, cpu: 1000, memory: 1000, zones: [a, b], ports: []}
  - {id: off, cpu: 1000, memory: 1000, zone: c, agentConnected: false}
taskDefinitions:
  - {family: web, cpu: 100, memory: 400}
  - {family: log, cpu: 10, memory: 10}
  - {family: far, memory: 1, requiresCompatibilities: [FARGATE], cpu: 256}
  - {family: old, memory: 1, status: INACTIVE}
services:
  - serviceName: web
    taskDefinition: web
    count: 2
    placementStrategy: [binpack:memory]
    placementConstraints: ["memberOf:attribute:ecs.availability-zone == us-east-1a"]
  - {serviceName: log, taskDefinition: log, schedulingStrategy: DAEMON}
"""


@pytest.fixture
def planned() -> Planned:
    return plan(load(FILE, "c.yaml"))


def test_an_answer_says_where_and_why_and_changes_nothing(planned: Planned) -> None:
    before = {host.id: planned.fleet.free(host.id) for host in planned.fleet.hosts()}
    answer = ask(planned, question(planned, task_definition="web", count=4, strategies=chain(BY_ZONE)))
    assert answer.decision.unplaced == 0
    assert [(each.zone, each.tasks) for each in answer.hosts] == [("us-east-1a", 2), ("us-east-1b", 2)]
    assert answer.hosts[1].because == (
        "spread attribute:ecs.availability-zone: us-east-1b had 0 tasks of family:web, fewest; "
        "binpack memory: 990 MiB free, least that fits"
    )
    assert {host.id: planned.fleet.free(host.id) for host in planned.fleet.hosts()} == before


def test_measures_by_hand(planned: Planned) -> None:
    """Two tasks of 400 MiB fill a host of 990 MiB and leave 790 of its CPU units to nobody."""
    measures = measure(
        planned, ask(planned, question(planned, task_definition="web", count=3, strategies=chain(BY_ZONE)))
    )
    # Service web's two fill one host of zone a; these three: two to the emptier of a and b each, one beside.
    assert (measures.placed, measures.unplaced, measures.hosts) == (3, 0, 5)
    assert measures.zones == {"us-east-1a": 2, "us-east-1b": 1} or measures.zones == {
        "us-east-1a": 1,
        "us-east-1b": 2,
    }
    assert measures.imbalance == 1
    assert measures.hosts_used == 2
    assert measures.hosts_empty == 1  # the fifth is not to be used, and daemons do not count
    full = 2  # web's, and that with two of the new ones
    assert measures.stranded_cpu == Stranded(full * 790, 4000, full)
    assert measures.stranded_memory == Stranded(0, 4000, 0)
    assert (measures.host_loss.tasks, measures.host_loss.of) == (2, 3)
    assert round(measures.zone_loss.percent) == 67


def test_the_groups_older_tasks_count_for_losses(planned: Planned) -> None:
    asked = question(planned, task_definition=None, service="web", count=1)
    measures = measure(planned, ask(planned, asked))
    assert measures.zones == {"us-east-1a": 3, "us-east-1b": 0}
    assert measures.zone_loss == Loss("us-east-1a", 3, 3)
    assert measures.host_loss.tasks == 2


def test_a_service_brings_its_rules_unless_others_are_given(planned: Planned) -> None:
    own = question(planned, task_definition=None, service="web")
    assert (own.chain, own.group) == (chain("binpack:memory"), "service:web")
    assert own.constraints == (constraint("memberOf:attribute:ecs.availability-zone == us-east-1a"),)
    other = question(
        planned,
        task_definition="log",
        service="web",
        strategies=chain("random"),
        constraints=[constraint("distinctInstance")],
    )
    assert (other.definition.family, other.chain, len(other.constraints)) == ("log", chain("random"), 1)
    new = question(planned, task_definition="web", service="new")
    assert new.chain == chain("spread:attribute:ecs.availability-zone,spread:instanceId")


def test_what_finds_no_place_says_why(planned: Planned) -> None:
    asked = question(planned, task_definition=None, service="web", count=5)
    answer = ask(planned, asked)
    document = answer_document(planned, answer, measure(planned, answer))
    assert (document["placed"], document["unplaced"]) == (2, 3)
    assert document["rejected"] == {
        "AGENT": 1,
        "RESOURCE:MEMORY": 2,
        "MemberOf placement constraint unsatisfied.": 2,
    }
    assert document["closest"]["reason"] == "MemberOf placement constraint unsatisfied."
    assert "2 hosts would fit without memberOf" in document["suggestion"]
    assert document["measures"]["worstZoneLost"] == {
        "id": "us-east-1a", "tasks": 4, "of": 4, "percent": 100.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"task_definition": None}, "name what to place: --task-definition, or --service"),
        ({"task_definition": "wob"}, "there is no task definition wob; did you mean web?"),
        ({"task_definition": None, "service": "wob"}, "there is no service wob; did you mean web?"),
        ({"task_definition": "web", "count": 0}, "--count must be 1 to 100,000, not 0"),
        ({"task_definition": "web", "count": 10**9}, "--count must be 1 to 100,000, not 1,000,000,000"),
        ({"task_definition": "web", "group": "service:x"}, "groups that begin with service: belong"),
        ({"task_definition": "web", "zones": ["x"]}, "no host is in x; there are hosts in us-east-1a, us-"),
        ({"task_definition": None, "service": "log"}, "service log is a DAEMON: it has one task on"),
        ({"task_definition": "far"}, "far:1 is for Fargate only, and Fargate has no hosts to choose from"),
        ({"task_definition": "old"}, "task definition old:1 is INACTIVE: ECS would not run it"),
    ],
)
def test_questions_that_cannot_be_answered(planned: Planned, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Mistake) as refused:
        question(planned, **asked)
    assert told in str(refused.value)


def test_zones_bound_where_tasks_go(planned: Planned) -> None:
    answer = ask(planned, question(planned, task_definition="web", count=9, zones=["b"]))
    assert {each.zone for each in answer.hosts} == {"us-east-1b"}
    assert answer.decision.unplaced == 5


@given(seed=st.integers(0, 2**32), count=st.integers(1, 30), text=st.sampled_from([BY_ZONE, "random"]))
def test_the_same_seed_gives_the_same_answer(seed: int, count: int, text: str) -> None:
    answers = []
    for _ in range(2):
        cluster = plan(load(FILE, "c.yaml"), seed=seed)
        asked = question(cluster, task_definition="web", count=count, strategies=chain(text), seed=seed)
        answer = ask(cluster, asked)
        answers.append(answer_document(cluster, answer, measure(cluster, answer)))
    assert answers[0] == answers[1]


def test_a_thousand_tasks_on_ten_thousand_hosts_take_a_moment() -> None:
    text = "hosts: [{count: 10000, type: m5.large}]\ntaskDefinitions: [{family: w, memory: 512}]"
    cluster = plan(load(text, "c.yaml"))
    began = time.process_time()
    answer = ask(cluster, question(cluster, task_definition="w", count=1000, strategies=chain(BY_ZONE)))
    assert measure(cluster, answer).placed == 1000
    assert time.process_time() - began < 1.0
