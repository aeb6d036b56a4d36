"""The capacity page, and what explain says of capacity providers and of tasks that wait for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model import arns
from miniecs.model.autoscaling import IN_SERVICE, AutoScalingGroup, GroupInstance
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Scope

if TYPE_CHECKING:
    from tests.api.pages.conftest import Site

SCOPE = Scope("000000000000", "us-east-1")
GROUP = arns.auto_scaling_group(SCOPE, "group", "1")


@pytest.fixture
def scaled(site: Site) -> Site:
    """The one instance is that of a group of one to three, behind the default capacity provider `cp`."""
    group = AutoScalingGroup(
        GROUP, "group", arns.cluster(SCOPE, "default"), "t3.medium", ("us-east-1a",), 1, 3, 1
    )
    with site.server.store.transaction() as tx:
        tx.put(group)
        instance = tx.get(ContainerInstance, site.instance)
        assert instance is not None
        tx.put(replace(instance, capacity_provider_name="cp"))
        id = instance.ec2_instance_id or ""
        tx.put(GroupInstance(id, GROUP, "us-east-1a", 0.0, lifecycle_state=IN_SERVICE))
    provider = {"autoScalingGroupArn": GROUP, "managedScaling": {"status": "ENABLED"}}
    site.aws.ecs("CreateCapacityProvider", name="cp", autoScalingGroupProvider=provider)
    site.aws.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp"}],
    )
    site.aws.register_task_definition("big", cpu=2048, memory=1024)
    site.aws.register_task_definition("huge", cpu=4096, memory=1024)
    return site


def waiting(site: Site, definition: str, count: int = 1) -> list[str]:
    tasks = site.aws.ecs("RunTask", taskDefinition=definition, count=count)["tasks"]
    return [task["taskArn"] for task in tasks if task["lastStatus"] == "PROVISIONING"]


def only(site: Site, **query: Any) -> dict[str, Any]:
    (found,) = site.get("capacity", **query)["capacityProviders"]
    return dict(found)


def test_the_figures(scaled: Site) -> None:
    assert len(waiting(scaled, "big", 3)) == 2
    shown = only(scaled)
    assert (shown["name"], shown["cluster"], shown["waiting"]) == ("cp", "default", 2)
    assert (shown["needed"], shown["running"], shown["reservation"], shown["target"]) == (3, 1, 300, 100)
    group = shown["group"]
    assert (group["min"], group["max"], group["desired"], len(group["instances"])) == (1, 3, 1, 1)
    assert group["instances"][0]["containerInstance"] == arns.name_of(scaled.instance)
    assert only(scaled, name="cp") == shown
    assert scaled.refused("GET", "capacity?name=none") == (404, "There is no capacity provider none.")


def test_it_is_looked_at_and_not_touched(scaled: Site) -> None:
    seq = scaled.server.store.seq
    scaled.get("capacity")
    scaled.get("explain", name="cp")
    assert scaled.server.store.seq == seq


def test_what_is_said(scaled: Site) -> None:
    waiting(scaled, "big", 3)
    lines = scaled.get("explain", name="cp")["lines"]
    assert lines[:5] == [
        "Capacity provider cp of cluster default is ACTIVE.",
        "Its Auto Scaling group group of t3.medium wants 1, of at least 1 and at most 3: 1 InService.",
        "2 tasks of big:1 wait in PROVISIONING.",
        "CapacityProviderReservation is 300 %: needed 3, there 1; the target is 100 %.",
        "It is about to grow to 3.",
    ]
    assert "2 tasks of big:1 wait in PROVISIONING." in scaled.get("explain", name="default")["lines"]


def test_what_a_waiting_task_waits_for(scaled: Site) -> None:
    *_, last = waiting(scaled, "big", 3)
    (said,) = [line for line in scaled.get("explain", name=last)["lines"] if "PROVISIONING for" in line]
    assert said == (
        "It waits in PROVISIONING for capacity provider cp: needs 2 more t3.medium, the group has 1 of at "
        "most 3. It stops if it waits 900 s more."
    )
    listed = {task["arn"]: task["capacityProvider"] for task in scaled.get("tasks")["tasks"]}
    assert listed[last] == "cp"


def test_a_task_that_no_instance_can_take_says_so(scaled: Site) -> None:
    (arn,) = waiting(scaled, "huge")
    (said,) = [line for line in scaled.get("explain", name=arn)["lines"] if "PROVISIONING for" in line]
    assert "it needs 4096 CPU units and 1024 MiB, and even an empty t3.medium has 2048 and 4096" in said
    assert only(scaled)["reservation"] == 100


def test_status_has_a_line_for_each(scaled: Site) -> None:
    waiting(scaled, "big", 2)
    (cluster,) = scaled.get("status")["clusters"]
    assert cluster["capacityProviders"] == [
        {
            "name": "cp",
            "instances": 1,
            "min": 1,
            "max": 3,
            "desired": 1,
            "waiting": 1,
            "reservation": 200,
            "target": 100,
        }
    ]


def test_of_a_group_that_nobody_knows(scaled: Site) -> None:
    foreign = GROUP.replace("/group", "/elsewhere")
    provider = {"autoScalingGroupArn": foreign, "managedScaling": {"status": "ENABLED"}}
    scaled.aws.ecs("CreateCapacityProvider", name="far", autoScalingGroupProvider=provider)
    assert scaled.aws.hints == [
        "miniecs has no such Auto Scaling group, so nothing starts or ends its machines; `miniecs up "
        "--autoscale` makes a group. See docs/differences.md."
    ]
    assert scaled.get("explain", name="far")["lines"][0] == (
        "Capacity provider far is ACTIVE and serves no cluster."
    )
    scaled.aws.ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["cp", "far"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "far"}],
    )
    (arn,) = waiting(scaled, "web")
    (said,) = [line for line in scaled.get("explain", name=arn)["lines"] if "PROVISIONING for" in line]
    assert "nothing here scales its Auto Scaling group elsewhere" in said
