"""Launching: what a task demands, how placement is asked, and what the new task is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.control.launch import (
    LaunchSpec,
    demand_of,
    demand_of_task,
    host_of,
    new_task,
    placement_request,
    service_spec,
)
from miniecs.ids import Ids
from miniecs.model.container_definition import ContainerDefinition, PortMapping, ResourceRequirement
from miniecs.model.instance import Attribute
from miniecs.model.scope import Tag
from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.model.task import Task
from miniecs.model.task_definition import PlacementConstraint as DefinitionConstraint
from miniecs.model.task_definition import RequiredAttribute, TaskDefinition
from miniecs_scheduler import SERVICE_DEFAULT, Constraint, Request, Resources, Strategy

from .cases import CLUSTER, NOW, definition, deployment, instance, service, task


def of_containers(*containers: dict[str, Any], **fields: Any) -> TaskDefinition:
    made = tuple(ContainerDefinition(name=f"c{n}", image="i", **c) for n, c in enumerate(containers))
    return definition().model_copy(update={"container_definitions": made, **fields})


@pytest.mark.parametrize(
    ("of", "overrides", "expected"),
    [
        (of_containers({"cpu": 10, "memory": 64}, {"cpu": 5, "memory": 32}), None, (15, 96)),
        (of_containers({"memory": 64, "memory_reservation": 16}, {"memory_reservation": 8}), None, (0, 24)),
        (of_containers({"cpu": 10, "memory": 64}, cpu="256", memory="512"), None, (256, 512)),
        (of_containers({"cpu": 10, "memory": 64}, cpu="256"), None, (256, 64)),
        (of_containers({"cpu": 10, "memory": 64}), {"cpu": "128", "memory": "99"}, (128, 99)),
        (
            of_containers({"cpu": 10, "memory": 64}, {"cpu": 5, "memory": 32}),
            {"containerOverrides": [{"name": "c1", "cpu": 7, "memoryReservation": 2}]},
            (17, 66),
        ),
    ],
)
def test_cpu_and_memory(
    of: TaskDefinition, overrides: dict[str, Any] | None, expected: tuple[int, int]
) -> None:
    demand = demand_of(of, overrides)
    assert (demand.cpu, demand.memory) == expected


TCP, UDP = PortMapping(container_port=80, host_port=8080), PortMapping(container_port=53, protocol="udp")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("bridge", Resources(memory=1, tcp_ports=frozenset({8080}))),
        ("host", Resources(memory=1, tcp_ports=frozenset({8080}), udp_ports=frozenset({53}))),
        ("awsvpc", Resources(memory=1, enis=1)),
        ("none", Resources(memory=1)),
    ],
)
def test_static_ports_and_interfaces(mode: str, expected: Resources) -> None:
    of = of_containers({"memory": 1, "port_mappings": (TCP, UDP)}, network_mode=mode)
    assert demand_of(of) == expected


def test_gpus_and_existing_tasks() -> None:
    of = of_containers(
        {
            "memory": 1,
            "port_mappings": (TCP,),
            "resource_requirements": (ResourceRequirement(type="GPU", value="2"),),
        }
    )
    assert demand_of(of).gpu == 2
    held = task("a", reserved_cpu=7, reserved_memory=9)
    assert demand_of_task(held, of) == Resources(7, 9, gpu=2, tcp_ports=frozenset({8080}))
    assert demand_of_task(held, None) == Resources(7, 9)


def test_hosts() -> None:
    host = host_of(instance(1, gpus=("g0", "g1"), ports_udp=(53,), agent_version="1.9"))
    assert (host.id, host.active, host.connected) == (instance(1).arn, True, True)
    assert host.attributes == {"ecs.availability-zone": "us-east-1b"}
    assert (host.capacity.cpu, host.capacity.memory, host.capacity.gpu) == (2048, 4096, 2)
    assert (host.capacity.tcp_ports, host.capacity.udp_ports) == (frozenset({22, 2375}), frozenset({53}))
    assert not host_of(instance(1, status="DRAINING")).active
    assert not host_of(instance(1, agent_connected=False)).connected


def test_amazons_own_agent_is_not_given_what_needs_a_roles_credentials() -> None:
    """1.48.1 and 1.105.1 say that they can, and then wait for the credentials for ever."""
    needing = ("secrets.ssm.environment-variables", "env-files.s3", "execution-role-awslogs")
    names = [f"ecs.capability.{name}" for name in (*needing, "container-ordering")]
    given = tuple(Attribute(name) for name in names)
    for hash, kept in (("a8b3e7d3", names[-1:]), ("miniecs", names), (None, names)):
        host = host_of(instance(1, attributes=given, agent_hash=hash))
        assert [name for name in host.attributes if name in names] == kept


def test_the_question_to_the_scheduler() -> None:
    of = definition(
        requires_attributes=(RequiredAttribute(name="cap"),),
        placement_constraints=(DefinitionConstraint(type="memberOf", expression="attribute:a == b"),),
    )
    asked = placement_request(
        of,
        overrides=None,
        count=3,
        group="family:web",
        constraints=(PlacementConstraint("distinctInstance"),),
        strategies=(PlacementStrategy("binpack", "cpu"),),
        seed=5,
        only_hosts=frozenset({"h"}),
    )
    assert asked == Request(
        demand=Resources(128, 128),
        count=3,
        group="family:web",
        required_attributes=(("cap", None),),
        constraints=(Constraint("distinctInstance"), Constraint("memberOf", "attribute:a == b")),
        strategies=(Strategy("binpack", "cpu"),),
        seed=5,
        only_hosts=frozenset({"h"}),
    )


@pytest.mark.parametrize(("group", "expected"), [("service:web", SERVICE_DEFAULT), ("family:web", ())])
def test_only_services_have_a_default_strategy(group: str, expected: tuple[Strategy, ...]) -> None:
    asked = placement_request(
        definition(), overrides=None, count=1, group=group, constraints=(), strategies=(), seed=0
    )
    assert asked.strategies == expected


def test_a_standalone_task() -> None:
    spec = LaunchSpec(CLUSTER, definition(), "family:web", started_by="me", overrides={"cpu": "64"})
    made = new_task(spec, now=NOW, ids=Ids(seed=3), instance=instance(1), because="RunTask")
    assert made == Task(
        arn=made.arn,
        cluster_arn=CLUSTER.arn,
        task_definition_arn=definition().arn,
        group="family:web",
        containers=made.containers,
        container_instance_arn=instance(1).arn,
        started_by="me",
        availability_zone="us-east-1b",
        overrides={"cpu": "64"},
        reserved_cpu=64,
        reserved_memory=128,
        created_at=NOW,
        because="RunTask",
    )
    assert made.arn.startswith("arn:aws:ecs:us-east-1:000000000000:task/default/")
    assert [(c.name, c.last_status, len(c.id)) for c in made.containers] == [("app", "PENDING", 36)]


def test_tasks_that_need_something_first_are_provisioning() -> None:
    spec = LaunchSpec(CLUSTER, definition(), "g")
    assert new_task(spec, now=NOW, ids=Ids(seed=3), instance=None).last_status == "PROVISIONING"
    spec = replace(spec, definition=definition(network_mode="awsvpc"))
    assert new_task(spec, now=NOW, ids=Ids(seed=3), instance=instance(1)).last_status == "PROVISIONING"


@pytest.mark.parametrize(
    ("propagate", "tags"),
    [
        ("NONE", ()),
        ("SERVICE", (Tag("of", "service"),)),
        ("TASK_DEFINITION", (Tag("of", "definition"),)),
    ],
)
@pytest.mark.parametrize("managed", [False, True])
def test_a_services_task_carries_its_deployment_and_the_tags_asked_for(
    propagate: str, tags: tuple[Tag, ...], managed: bool
) -> None:
    of = service(
        1,
        deployment(1),
        tags=(Tag("of", "service"),),
        propagate_tags=propagate,
        enable_ecs_managed_tags=managed,
        enable_execute_command=True,
    )
    spec = service_spec(CLUSTER, of, of.primary, definition(tags=(Tag("of", "definition"),)))
    made = new_task(spec, now=NOW, ids=Ids(seed=3), instance=instance(1))
    assert (made.group, made.started_by, made.deployment_id, made.service_arn) == (
        "service:web",
        "ecs-svc/1",
        "ecs-svc/1",
        of.arn,
    )
    own = (Tag("aws:ecs:clusterName", "default"), Tag("aws:ecs:serviceName", "web")) if managed else ()
    assert made.tags == (*tags, *own)
    assert made.enable_execute_command
