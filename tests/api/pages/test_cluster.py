"""The cluster page: what it tells of a cluster, and that asking it is asking RunTask without running."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from miniecs.model import arns
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.task import Task
from miniecs.planning.cluster_file import observed
from miniecs.planning.planned import Planned, plan
from miniecs.planning.provider_items import provider_item
from miniecs.planning.question import ask, question
from miniecs.planning.rules import chain, constraint
from miniecs.sim import World
from miniecs_api.pages import cluster

from .conftest import Site


def shown(aws: Any, name: str = "default", *definitions: str) -> Planned:
    """The cluster as the page tells it, through JSON as over the wire."""
    page = cluster.page(aws.store, aws.scope, name, definitions=definitions)
    return plan(observed(json.loads(json.dumps(page))))


def change(aws: Any, arn: str, **changes: Any) -> None:
    with aws.store.transaction() as tx:
        found = tx.get(ContainerInstance, arn)
        assert found is not None
        tx.put(replace(found, **changes))


def test_the_page_is_a_cluster_file(site: Site) -> None:
    site.run_task(last_status="RUNNING")
    site.run_task(last_status="STOPPED", desired_status="STOPPED")
    site.aws.ecs(
        "CreateService",
        serviceName="api",
        taskDefinition="web",
        desiredCount=2,
        placementStrategy=[{"type": "spread", "field": "host"}, {"type": "binpack", "field": "MEMORY"}],
        placementConstraints=[{"type": "memberOf", "expression": "attribute:a exists"}],
    )
    page = site.get("cluster")
    (host,) = page["hosts"]
    assert host | {"capabilities": "", "attributes": {}, "registeredAt": 0, "ec2InstanceId": ""} == {
        "id": site.instance,
        "type": "t3.medium",
        "cpu": 2048,
        "memory": 3953,
        "ports": [22, 2375],
        "zone": "us-east-1a",
        "agentVersion": "1.105.1",
        "capabilities": "",
        "attributes": {},
        "registeredAt": 0,
        "ec2InstanceId": "",
        "tasks": [{"taskDefinition": "web:1", "count": 1, "group": "family:web"}],
    }
    assert [definition["family"] for definition in page["taskDefinitions"]] == ["web"]
    assert page["services"] == [
        {
            "serviceName": "api",
            "taskDefinition": "web:1",
            "count": 0,
            "schedulingStrategy": "REPLICA",
            "placementStrategy": ["spread:instanceId", "binpack:memory"],
            "placementConstraints": ["memberOf:attribute:a exists"],
            "launchType": "EC2",
        }
    ]
    planned = plan(observed(page))
    assert (planned.name, planned.scope) == ("default", site.server.scope)
    assert len(planned.tasks) == 1  # the service's that wait for a place have none here either


STRATEGY = [
    {"capacityProvider": "own", "weight": 1, "base": 2},
    {"capacityProvider": "more", "weight": 2},
]


@pytest.fixture
def grouped() -> World:
    """A host of its own, and two groups with a host each, the default strategy over both."""
    world = World(5, hosts=1)
    world.add_group(1, 2, name="own", managedScaling={"status": "DISABLED"})
    world.add_group(1, 3, name="more")
    world.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["own", "more"],
        defaultCapacityProviderStrategy=STRATEGY,
    )
    world.ecs(
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[{"name": "a", "image": "a", "cpu": 512, "memory": 64}],
    )
    assert world.run_until(lambda: sum(host.arn != "" for host in world.hosts()) == 3)
    world.run(20)
    return world


@pytest.mark.parametrize("count", [1, 3, 8, 10])
@pytest.mark.parametrize("launch", [{}, {"launchType": "EC2"}, {"capacityProviderStrategy": STRATEGY[1:]}])
def test_capacity_providers_share_and_hold_back_as_in_run_task(
    grouped: World, count: int, launch: dict[str, Any]
) -> None:
    page = cluster.page(grouped.store, grouped.scope, "default")
    planned = plan(observed(json.loads(json.dumps(page))))
    asked = question(
        planned,
        task_definition="web",
        count=count,
        launch_type=launch.get("launchType"),
        providers=[provider_item(each) for each in launch.get("capacityProviderStrategy", ())],
    )
    answer = ask(planned, asked)
    real = grouped.ecs("RunTask", taskDefinition="web", count=count, **launch)
    placed = [task for task in real["tasks"] if "containerInstanceArn" in task]
    by_provider = Counter(task.get("capacityProviderName") for task in real["tasks"])
    assert len(answer.decision.placements) == len(placed)
    assert answer.waiting == len(real["tasks"]) - len(placed)
    assert sum(share.refused for share in answer.shares) == count - len(real["tasks"])
    assert by_provider == {share.provider: share.count - share.refused for share in answer.shares}


def test_a_service_goes_by_its_own_strategy_and_counts_what_it_has(grouped: World) -> None:
    grouped.ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=4)
    grouped.run(30)
    page = cluster.page(grouped.store, grouped.scope, "default")
    (service,) = page["services"]
    assert service["capacityProviderStrategy"] == [{"base": 0, **each} for each in STRATEGY]
    assert page["capacityProviders"] == [
        {"name": "own", "managedScaling": "DISABLED", "type": "m5.large", "maxSize": 2, "waiting": 0},
        {"name": "more", "managedScaling": "ENABLED", "type": "m5.large", "maxSize": 3, "waiting": 0},
    ]
    planned = plan(observed(page))
    shares = ask(planned, question(planned, task_definition=None, service="web", count=3)).shares
    # It has 3 on `own`, two of them its base, and 1 on `more`: the next three are shared 1 to 2 again.
    grouped.ecs("UpdateService", service="web", desiredCount=7)
    grouped.run(30)
    has = Counter(task.capacity_provider_name for task in grouped.tasks(service="web"))
    before = planned.by_provider("service:web")
    assert {share.provider: before[str(share.provider)] + share.count for share in shares} == has


def test_hosts_are_what_the_scheduler_sees(site: Site) -> None:
    """Every kind of attribute, state and resource survives the page, so that expressions and fit agree."""
    other = site.aws.register_instance(zone="us-east-1b")
    change(
        site.aws,
        other,
        status="DRAINING",
        agent_connected=False,
        gpus=("gpu-a", "gpu-b"),
        ports_udp=(53,),
        attributes=(
            Attribute("ecs.availability-zone", "us-east-1b"),
            Attribute("com.amazonaws.ecs.capability.x"),
            Attribute("flag"),
            Attribute("stack", "prod"),
        ),
    )
    planned = shown(site.aws)
    told = {host.id: host for host in planned.fleet.hosts()}
    real = {host.id: host for host in site.aws.fleets.of(arns.cluster(site.server.scope, "default")).hosts()}
    assert told == real


def test_tasks_hold_what_they_hold(site: Site) -> None:
    overrides = {"cpu": "512", "memory": "1024"}
    site.aws.ecs("RunTask", taskDefinition="web", overrides=overrides)
    site.aws.ecs("RunTask", taskDefinition="web", group="mine", count=3)
    planned = shown(site.aws)
    real = site.aws.fleets.of(arns.cluster(site.server.scope, "default"))
    assert planned.fleet.free(site.instance) == real.free(site.instance)
    assert sorted(task.group for task in planned.tasks) == ["family:web", "mine", "mine", "mine"]


def test_tasks_that_are_being_stopped_hold_on_and_count_for_no_rule(site: Site) -> None:
    site.change(site.run_task(last_status="RUNNING").arn, desired_status="STOPPED")
    site.run_task(last_status="RUNNING")
    planned = shown(site.aws)
    real = site.aws.fleets.of(arns.cluster(site.server.scope, "default"))
    assert planned.fleet.free(site.instance) == real.free(site.instance)
    assert sorted(task.stopping for task in planned.tasks) == [False, True]
    zone = "ecs.availability-zone"
    assert planned.fleet.spread(zone, "family:web") == real.spread(zone, "family:web") == {"us-east-1a": 1}
    assert len(planned.of_group("family:web")) == 1


def test_definitions_are_those_in_use_the_newest_and_those_asked_for(site: Site) -> None:
    for _ in range(3):
        site.aws.register_task_definition("web")
    site.aws.register_task_definition("api")
    site.aws.ecs("RunTask", taskDefinition="web:2")
    assert list(shown(site.aws).definitions) == ["api:1", "web:2", "web:4"]
    unknown = "nonesuch", "a:b:c", f"web:{'9' * 5000}"
    assert list(shown(site.aws, "default", "web:3", *unknown).definitions) == [
        "api:1",
        "web:2",
        "web:3",
        "web:4",
    ]
    by_arn = [each["revision"] for each in site.get("cluster", definition="web:1")["taskDefinitions"]]
    assert by_arn == [1, 1, 2, 4]


def test_clusters_that_are_not_there_and_others(site: Site) -> None:
    site.aws.ecs("CreateCluster", clusterName="empty")
    page = site.get("cluster", name="empty")
    assert (page["cluster"], page["hosts"]) == ("empty", [])
    assert site.get("cluster", name=arns.cluster(site.server.scope, "empty"))["cluster"] == "empty"
    status, message = site.refused("GET", "cluster?name=nonesuch")
    assert (status, message.partition(".")[0]) == (404, "There is no cluster 'nonesuch'")


CHAINS = (
    "binpack:memory",
    "binpack:cpu,spread:instanceId",
    "spread:attribute:ecs.availability-zone,binpack:memory",
    "spread:attribute:rack,spread:instanceId",
    "random",
)
RULES = (
    (),
    ("distinctInstance",),
    ("memberOf:attribute:rack in [r0, r1]",),
    ("memberOf:not(task:group == family:other)",),
)


def wire(rule: Any, second: str) -> dict[str, str]:
    more = getattr(rule, second)
    return {"type": rule.type, second: more} if more else {"type": rule.type}


@pytest.mark.parametrize("seed", range(12))
def test_what_place_says_is_what_run_task_does(aws: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random clusters, one question after another, each then really run: same hosts, same failures."""
    chance = random.Random(seed)
    aws.ecs("CreateCluster", clusterName="default")
    for n in range(chance.randint(1, 12)):
        arn = aws.register_instance(
            cpu=chance.choice((512, 2048)), memory=chance.choice((512, 2048)), zone=f"us-east-1{'abc'[n % 3]}"
        )
        rack = {"name": "rack", "value": f"r{chance.randrange(3)}", "targetId": arn}
        aws.ecs("PutAttributes", attributes=[rack])
        if chance.random() < 0.2:
            change(aws, arn, status="DRAINING")
    aws.register_task_definition("web", cpu=128, memory=200)
    aws.register_task_definition("port", portMappings=[{"containerPort": 80, "hostPort": 80}])
    aws.register_task_definition("other", cpu=300, memory=64)
    for _ in range(8):
        family, count = chance.choice(("web", "port", "other")), chance.randint(1, 10)
        text, rules = chance.choice(CHAINS), chance.choice(RULES)
        fixed = chance.randrange(2**32)
        planned = shown(aws)
        answer = ask(
            planned,
            question(
                planned,
                task_definition=family,
                count=count,
                strategies=chain(text),
                constraints=[constraint(rule) for rule in rules],
                seed=fixed,
            ),
        )
        with monkeypatch.context() as patched:
            patched.setattr(aws.ids, "number", lambda below, fixed=fixed: fixed)
            done = aws.ecs(
                "RunTask",
                taskDefinition=family,
                count=count,
                placementStrategy=[wire(each, "field") for each in chain(text)],
                placementConstraints=[wire(constraint(each), "expression") for each in rules],
            )
        assert [each.host for each in answer.decision.placements] == [
            task["containerInstanceArn"] for task in done["tasks"]
        ]
        assert [(each.host, each.reason, each.detail) for each in answer.decision.rejections] == [
            (failure["arn"], failure["reason"], failure["detail"]) for failure in done["failures"]
        ]
        because = [aws.store.get(Task, task["taskArn"]).because for task in done["tasks"]]
        assert because == [each.because for each in answer.decision.placements]
        for task in done["tasks"]:
            if chance.random() < 0.3:
                aws.ecs("StopTask", task=task["taskArn"])


def test_the_server_does_not_import_what_reads_cluster_files() -> None:
    """Its start would wait for a YAML parser and for models that it does not use."""
    code = "import sys, miniecs_api.pages.app; print([n for n in sys.modules if 'planning' in n])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "['miniecs.planning', 'miniecs.planning.words']\n"
