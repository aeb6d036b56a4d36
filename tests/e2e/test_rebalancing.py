"""Placement as a user watches it: zones that are lost and come back, protected tasks, and why it is so."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from .aws_shapes import events, id_of, register, service, steady, task, tasks
from .conftest import StartServer
from .process import ServerProcess, until

A, B, C = "us-east-1a", "us-east-1b", "us-east-1c"


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> ServerProcess:
    """Each story makes a cluster and container instances of its own."""
    return start_server(time_scale=20.0, instances=0)


def add_instance(server: ServerProcess, cluster: str, zone: str) -> str:
    return str(server.request("POST", "/_miniecs/instances", {"cluster": cluster, "zone": zone})["arn"])


def make_cluster(server: ServerProcess, name: str, *zones: str) -> dict[str, str]:
    """A cluster with an instance in each zone: zone -> its ARN."""
    server.client("ecs").create_cluster(clusterName=name)
    return {zone: add_instance(server, name, zone) for zone in zones}


def make_service(ecs: Any, cluster: str, desired: int, **params: Any) -> None:
    register(ecs, cluster)
    ecs.create_service(
        cluster=cluster, serviceName="shop", taskDefinition=cluster, desiredCount=desired, **params
    )
    until("the service", lambda: steady(ecs, "shop", desired, cluster))


def by_zone(ecs: Any, cluster: str) -> dict[str, int]:
    running = [each for each in tasks(ecs, cluster, serviceName="shop") if each["lastStatus"] == "RUNNING"]
    return dict(Counter(each["availabilityZone"] for each in running))


def explained(server: ServerProcess, name: str, cluster: str) -> dict[str, Any]:
    page: dict[str, Any] = server.request("GET", f"/_miniecs/explain?name={name}&cluster={cluster}")
    return page


def said(ecs: Any, cluster: str, since: int = 0) -> list[str]:
    """The events without the service's name, with task ids made one word."""
    texts = [text.removeprefix("(service shop) ") for text in events(ecs, "shop", cluster)[since:]]
    return [re.sub(r"\(task \w+\)", "(task)", text) for text in texts]


def test_a_zone_is_lost_tasks_crowd_and_are_spread_again(server: ServerProcess, ecs: Any) -> None:
    cluster = "zones"
    instances = make_cluster(server, cluster, A, B, C)
    make_service(ecs, cluster, 6)
    assert service(ecs, "shop", cluster)["availabilityZoneRebalancing"] == "ENABLED"
    assert by_zone(ecs, cluster) == {A: 2, B: 2, C: 2}
    before = len(events(ecs, "shop", cluster))
    ecs.deregister_container_instance(cluster=cluster, containerInstance=instances[B], force=True)
    until("the crowd", lambda: by_zone(ecs, cluster) == {A: 3, C: 3} and steady(ecs, "shop", 6, cluster))
    server.restart()
    add_instance(server, cluster, B)
    least = [6]

    def spread_again() -> bool:
        least.append(service(ecs, "shop", cluster)["runningCount"])
        return by_zone(ecs, cluster) == {A: 2, B: 2, C: 2}

    until("zones to be balanced", spread_again)
    assert min(least) == 6, "never fewer than are wanted"
    balanced = f"is AZ balanced with 2 tasks in {A}, 2 tasks in {B}, 2 tasks in {C}."
    until("the end of it", lambda: said(ecs, cluster)[-1] == balanced)
    unbalanced = (
        f"is not AZ balanced with 3 tasks in {A}, 3 tasks in {C}, 0 tasks in {B}."
        " AZ Rebalancing in progress."
    )
    told = said(ecs, cluster, before)
    assert unbalanced in told
    story = told[told.index(unbalanced) :]
    assert story[1] == f"has started 2 tasks in {B} to AZ Rebalance: (task) (task)."
    stopped = [text for text in story if text.startswith("has stopped")]
    assert sorted(stopped) == [
        f"has stopped 1 running tasks in {zone} due to AZ rebalancing: (task)." for zone in (A, C)
    ]
    assert story[-2:] == ["has reached a steady state.", balanced]
    ended = tasks(ecs, cluster, "STOPPED", serviceName="shop")
    (deployment,) = service(ecs, "shop", cluster)["deployments"]
    reason = f"Availability-zone rebalancing initiated by (deployment {deployment['id']})"
    moved = [each for each in ended if each["stoppedReason"] == reason]
    assert sorted(each["availabilityZone"] for each in moved) == [A, C]
    assert {each["stopCode"] for each in moved} == {"ServiceSchedulerInitiated"}
    newest = max(tasks(ecs, cluster, serviceName="shop"), key=lambda each: each["createdAt"])
    placement = explained(server, id_of(newest["taskArn"]), cluster)["details"]["placement"]
    assert (placement["considered"], placement["fitting"], placement["placed"]) == (3, 1, 2)
    assert [each["hosts"] for each in placement["removed"]] == [2]
    assert f"3 tasks are in {A} and 0 in {B}" in placement["because"]


def test_protected_tasks_outlast_scaling_in_and_a_kill(server: ServerProcess, ecs: Any) -> None:
    cluster = "protected"
    make_cluster(server, cluster, A)
    make_service(ecs, cluster, 3)
    kept, *others = [each["taskArn"] for each in tasks(ecs, cluster)]
    answer = ecs.update_task_protection(
        cluster=cluster, tasks=[kept], protectionEnabled=True, expiresInMinutes=10
    )
    assert [each["taskArn"] for each in answer["protectedTasks"]] == [kept]
    ecs.update_service(cluster=cluster, service="shop", desiredCount=0)
    (deployment,) = service(ecs, "shop", cluster)["deployments"]
    held = (
        f"was unable to reach steady state because (taskSet {deployment['id']})"
        " was unable to scale in due to (reason 1 tasks under protection)"
    )
    until("the service to say what holds it up", lambda: held in said(ecs, cluster))
    server.restart()
    until("the others to stop", lambda: all(task(ecs, a, cluster)["lastStatus"] == "STOPPED" for a in others))
    assert task(ecs, kept, cluster)["desiredStatus"] == "RUNNING"
    lines = explained(server, "shop", cluster)["lines"]
    waits = r"  1 is protected from scale-in and deployments, the first for \d+ s more\."
    assert any(re.match(waits, line) for line in lines)
    (shown,) = ecs.get_task_protection(cluster=cluster, tasks=[kept])["protectedTasks"]
    assert shown == answer["protectedTasks"][0]
    gone = "its protection to end, half a minute after it began"
    until(gone, lambda: task(ecs, kept, cluster)["lastStatus"] == "STOPPED", within=60.0)
    assert task(ecs, kept, cluster)["stoppingAt"] >= shown["expirationDate"]


def test_a_deployment_waits_for_a_protected_task(server: ServerProcess, ecs: Any) -> None:
    cluster = "rollout"
    make_cluster(server, cluster, A)
    make_service(ecs, cluster, 2)
    kept, other = [each["taskArn"] for each in tasks(ecs, cluster)]
    ecs.update_task_protection(cluster=cluster, tasks=[kept], protectionEnabled=True)
    ecs.update_service(cluster=cluster, service="shop", taskDefinition=register(ecs, cluster))
    until("the other one to be replaced", lambda: task(ecs, other, cluster)["lastStatus"] == "STOPPED")
    until("three to run", lambda: service(ecs, "shop", cluster)["runningCount"] == 3)
    first, second = service(ecs, "shop", cluster)["deployments"]
    assert (first["rolloutState"], second["runningCount"]) == ("IN_PROGRESS", 1)
    held = f"(taskSet {second['id']}) was unable to scale in"
    until("it to say why", lambda: held in str(said(ecs, cluster)))
    refused = ecs.update_task_protection(
        cluster=cluster,
        tasks=[each["taskArn"] for each in tasks(ecs, cluster) if each["taskArn"] != kept],
        protectionEnabled=True,
    )
    assert [each["reason"] for each in refused["failures"]] == ["DEPLOYMENT_BLOCKED"]
    others = [each["taskArn"] for each in refused["protectedTasks"]]
    ecs.update_task_protection(cluster=cluster, tasks=[kept, *others], protectionEnabled=False)
    until("the deployment to complete", lambda: steady(ecs, "shop", 2, cluster))


def test_what_placed_a_task_and_what_did_not_is_there_after_a_kill(server: ServerProcess, ecs: Any) -> None:
    cluster = "why"
    make_cluster(server, cluster, A, B)
    register(ecs, cluster, memory=3000)
    run = ecs.run_task(cluster=cluster, taskDefinition=cluster, count=3)
    assert (len(run["tasks"]), {each["reason"] for each in run["failures"]}) == (2, {"RESOURCE:MEMORY"})
    full = ecs.run_task(cluster=cluster, taskDefinition=cluster)
    assert full["tasks"] == []
    arns = [each["taskArn"] for each in run["tasks"]]
    until("both to run", lambda: {task(ecs, arn, cluster)["lastStatus"] for arn in arns} == {"RUNNING"})
    before = [explained(server, name, cluster)["details"] for name in (*map(id_of, arns), cluster)]
    server.restart()
    after = [explained(server, name, cluster)["details"] for name in (*map(id_of, arns), cluster)]
    assert [each["placement"] for each in after[:2]] == [each["placement"] for each in before[:2]]
    first, second, whole = after
    assert first["placement"] == second["placement"], "they were placed together"
    assert first["placement"]["unplaced"]["tasks"] == 1
    assert re.match(r"\d+ MiB short on the best host", first["placement"]["unplaced"]["suggestion"])
    (failed,) = whole["placements"]
    assert (failed["placed"], failed["fitting"]) == (0, 0)
    assert [(each["reason"], each["hosts"]) for each in failed["removed"]] == [("RESOURCE:MEMORY", 2)]
