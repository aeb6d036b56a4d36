"""What a caller sees of placement: every reason of `failures`, every refusal, and where tasks went.

What the scheduler decides is tests/scheduler's; here it has ECS's shapes, codes and words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.network import default_subnet_id
from miniecs_agent.core.capabilities import docker_capabilities

from .conftest import Ecs

MEMBER_OF = "MemberOf placement constraint unsatisfied."
DISTINCT = "DistinctInstance placement constraint unsatisfied."
PRIVILEGED = "com.amazonaws.ecs.capability.privileged-container"


@pytest.fixture
def cluster(ecs: Ecs) -> Ecs:
    ecs("CreateCluster", clusterName="default")
    ecs.aws.register_task_definition("web")
    return ecs


def change(ecs: Ecs, arn: str, **fields: Any) -> None:
    with ecs.aws.store.transaction() as tx:
        found = tx.get(ContainerInstance, arn)
        assert found is not None
        tx.put(replace(found, **fields))


def an_instance(ecs: Ecs, **sizes: Any) -> str:
    """With all that miniecs's agent can do where privileged containers are not allowed."""
    arn = ecs.aws.register_instance(**sizes)
    shown = ecs.aws.store.get(ContainerInstance, arn)
    assert shown is not None
    can = docker_capabilities("1.41", allow_privileged=False)
    change(ecs, arn, attributes=(*shown.attributes, *(Attribute(name, None) for name in can)))
    return arn


def with_attributes(ecs: Ecs, arn: str, **values: str) -> None:
    target = {"targetType": "container-instance", "targetId": arn}
    ecs("PutAttributes", attributes=[{"name": n, "value": v, **target} for n, v in values.items()])


def web(ecs: Ecs, **container: Any) -> str:
    return ecs.aws.register_task_definition("web", **container)


# Each makes the only instance of a cluster one that cannot take the task; it answers what the call then says.
Refuses = Callable[[Ecs, str], dict[str, Any]]


def too_many_units(ecs: Ecs, arn: str) -> dict[str, Any]:
    return {"taskDefinition": web(ecs, cpu=2049)}


def too_much_memory(ecs: Ecs, arn: str) -> dict[str, Any]:
    return {"taskDefinition": web(ecs, memory=3954)}


def too_much_reserved(ecs: Ecs, arn: str) -> dict[str, Any]:
    return {"taskDefinition": web(ecs, memory=4000, memoryReservation=3954)}


def taken_port(ecs: Ecs, arn: str) -> dict[str, Any]:
    port = {"taskDefinition": web(ecs, portMappings=[{"containerPort": 80, "hostPort": 8080}])}
    assert ecs("RunTask", **port)["tasks"]
    return port


def taken_udp_port(ecs: Ecs, arn: str) -> dict[str, Any]:
    port = {"containerPort": 53, "hostPort": 5353, "protocol": "udp"}
    assert ecs("RunTask", taskDefinition=web(ecs, portMappings=[port]))["tasks"]
    free = web(ecs, portMappings=[{**port, "protocol": "tcp"}])
    assert ecs("RunTask", taskDefinition=free)["tasks"], "tcp has ports of its own"
    return {"taskDefinition": web(ecs, portMappings=[port])}


def reserved_port(ecs: Ecs, arn: str) -> dict[str, Any]:
    return {"taskDefinition": web(ecs, portMappings=[{"containerPort": 22, "hostPort": 22}])}


def too_many_gpus(ecs: Ecs, arn: str) -> dict[str, Any]:
    change(ecs, arn, gpus=("gpu-1",))
    return {"taskDefinition": web(ecs, resourceRequirements=[{"type": "GPU", "value": "2"}])}


def too_many_interfaces(ecs: Ecs, arn: str) -> dict[str, Any]:
    """A t3.medium has three, its own included."""
    own = in_vpc(ecs)
    assert len(ecs("RunTask", **own, count=2)["tasks"]) == 2
    return own


def other_zone(ecs: Ecs, arn: str) -> dict[str, Any]:
    return in_vpc(ecs, zone="us-east-1b")


def in_vpc(ecs: Ecs, zone: str = "us-east-1a") -> dict[str, Any]:
    """A task with an interface of its own, in a zone."""
    container = {"name": "app", "image": "busybox", "cpu": 1, "memory": 6}
    ecs("RegisterTaskDefinition", family="vpc", networkMode="awsvpc", containerDefinitions=[container])
    subnets = {"subnets": [default_subnet_id(ecs.aws.scope, zone)]}
    return {"taskDefinition": "vpc", "networkConfiguration": {"awsvpcConfiguration": subnets}}


def agent_away(ecs: Ecs, arn: str) -> dict[str, Any]:
    change(ecs, arn, agent_connected=False)
    return {"taskDefinition": "web"}


def draining(ecs: Ecs, arn: str) -> dict[str, Any]:
    ecs("UpdateContainerInstancesState", containerInstances=[arn], status="DRAINING")
    return {"taskDefinition": "web"}


def privileged(ecs: Ecs, arn: str) -> dict[str, Any]:
    return {"taskDefinition": web(ecs, privileged=True)}


def unmatched(ecs: Ecs, arn: str) -> dict[str, Any]:
    return {"taskDefinition": "web", "placementConstraints": [member("attribute:stack == prod")]}


def not_distinct(ecs: Ecs, arn: str) -> dict[str, Any]:
    assert ecs("RunTask", taskDefinition="web")["tasks"]
    return {"taskDefinition": "web", "placementConstraints": [{"type": "distinctInstance"}]}


def member(expression: str) -> dict[str, str]:
    return {"type": "memberOf", "expression": expression}


@pytest.mark.parametrize(
    ("refuses", "reason", "detail"),
    [
        (too_many_units, "RESOURCE:CPU", "needs 2049 CPU units, 2048 CPU units free of 2048"),
        (too_much_memory, "RESOURCE:MEMORY", "needs 3954 MiB, 3953 MiB free of 3953"),
        (too_much_reserved, "RESOURCE:MEMORY", "needs 3954 MiB, 3953 MiB free of 3953"),
        (taken_port, "RESOURCE:PORTS", "already in use: tcp 8080"),
        (taken_udp_port, "RESOURCE:PORTS", "already in use: udp 5353"),
        (reserved_port, "RESOURCE:PORTS", "already in use: tcp 22"),
        (too_many_gpus, "RESOURCE:GPU", "needs 2 GPUs, 1 GPU free of 1"),
        (too_many_interfaces, "RESOURCE:ENI", "needs 1 network interface, 0 network interfaces free of 2"),
        (other_zone, "LOCATION", "none of the subnets is in us-east-1a"),
        (agent_away, "AGENT", "its agent is not connected"),
        (draining, "INACTIVE", "the container instance is not ACTIVE"),
        (privileged, "ATTRIBUTE", f"lacks {PRIVILEGED}"),
        (unmatched, MEMBER_OF, "memberOf (attribute:stack == prod): no attribute:stack"),
        (not_distinct, DISTINCT, "distinctInstance: it has 1 task of family:web"),
    ],
)
def test_failures(cluster: Ecs, refuses: Refuses, reason: str, detail: str) -> None:
    """HTTP 200, no task, and for the instance ARN, reason and numbers."""
    arn = an_instance(cluster)
    answer = cluster("RunTask", **refuses(cluster, arn))
    assert answer == {"tasks": [], "failures": [{"arn": arn, "reason": reason, "detail": detail}]}
    assert cluster.aws.hints, "and what would help"


def test_the_hint_of_a_privileged_task_names_the_switch(cluster: Ecs) -> None:
    arn = an_instance(cluster)
    cluster("RunTask", **privileged(cluster, arn))
    (hint,) = cluster.aws.hints
    assert hint == (
        f"1 host would fit with attribute {PRIVILEGED} "
        "(`miniecs up --allow-privileged` gives it to instances)"
    )
    cluster("StartTask", taskDefinition="web", containerInstances=[arn])
    assert cluster.aws.hints == [hint]


def test_some_fit_and_each_instance_says_why_no_more_do(cluster: Ecs) -> None:
    small, lost = an_instance(cluster, memory=300), an_instance(cluster)
    change(cluster, lost, agent_connected=False)
    answer = cluster("RunTask", taskDefinition="web", count=5)
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [small, small]
    assert {f["arn"]: f["reason"] for f in answer["failures"]} == {small: "RESOURCE:MEMORY", lost: "AGENT"}


def test_a_task_that_is_being_stopped_is_no_reason_against_its_instance(cluster: Ecs) -> None:
    """Its desired status counts, although it holds its memory until it has stopped."""
    arn = an_instance(cluster, memory=300)
    alone = {"taskDefinition": "web", "placementConstraints": [{"type": "distinctInstance"}]}
    (task,) = cluster("RunTask", **alone)["tasks"]
    filtered = {"filter": "task:group == family:web and runningTasksCount == 1"}
    assert cluster("ListContainerInstances", **filtered)["containerInstanceArns"] == [arn]
    cluster("StopTask", task=task["taskArn"])
    assert cluster("ListContainerInstances", **filtered)["containerInstanceArns"] == []
    assert len(cluster("RunTask", **alone)["tasks"]) == 1
    assert [f["reason"] for f in cluster("RunTask", taskDefinition="web")["failures"]] == ["RESOURCE:MEMORY"]


def test_start_task_answers_for_each_instance(cluster: Ecs) -> None:
    """MISSING, INACTIVE, full or started; without constraint or strategy, and each instance once."""
    fits, full, off = (an_instance(cluster, memory=memory) for memory in (200, 100, 200))
    cluster("UpdateContainerInstancesState", containerInstances=[off], status="DRAINING")
    unknown = f"arn:aws:ecs:us-east-1:000000000000:container-instance/default/{'f' * 32}"
    named = [fits, full, off, "f" * 32, fits]
    answer = cluster("StartTask", taskDefinition="web", containerInstances=named)
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [fits]
    assert answer["failures"] == [
        {"arn": full, "reason": "RESOURCE:MEMORY", "detail": "needs 128 MiB, 100 MiB free of 100"},
        {"arn": off, "reason": "INACTIVE"},
        {"arn": unknown, "reason": "MISSING"},
    ]


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ([], "Container instances cannot be empty."),
        ([f"{n:032x}" for n in range(11)], "A maximum of 10 container instances can be given."),
    ],
)
def test_start_task_takes_one_to_ten_instances(cluster: Ecs, instances: list[str], message: str) -> None:
    refusal = cluster.refusal("StartTask", taskDefinition="web", containerInstances=instances)
    assert refusal == ("InvalidParameterException", message)


STRATEGY_TYPE = "Placement strategy type must be one of [random, spread, binpack]."
NO_FIELD = "Field should not be specified for the random placement strategy."
BINPACK = "Field must be one of [CPU, MEMORY] for the binpack placement strategy."
SPREAD = "Field must be instanceId, host or attribute:NAME for the spread placement strategy."
CONSTRAINT_TYPE = "Placement constraint type must be one of [distinctInstance, memberOf]."
TOO_MANY = "A maximum of 10 placement constraints is allowed."
NEEDLESS = "distinctInstance expression should not be specified."
NO_EXPRESSION = "Expression must be specified for the memberOf constraint."


@pytest.mark.parametrize("operation", ["RunTask", "CreateService"])
@pytest.mark.parametrize(
    ("member", "given", "message"),
    [
        ("placementStrategy", [{"type": "random"}] * 6, "A maximum of 5 placement strategies is allowed."),
        ("placementStrategy", [{"type": "pack"}], STRATEGY_TYPE),
        ("placementStrategy", [{"field": "cpu"}], STRATEGY_TYPE),
        (
            "placementStrategy",
            [{"type": "random", "field": "cpu"}],
            NO_FIELD,
        ),
        ("placementStrategy", [{"type": "binpack"}], BINPACK),
        ("placementStrategy", [{"type": "binpack", "field": "gpu"}], BINPACK),
        ("placementStrategy", [{"type": "spread"}], SPREAD),
        ("placementStrategy", [{"type": "spread", "field": "zone"}], SPREAD),
        ("placementStrategy", [{"type": "spread", "field": "attribute:"}], SPREAD),
        (
            "placementConstraints",
            [{"type": "distinctInstance"}] * 11,
            TOO_MANY,
        ),
        ("placementConstraints", [{"type": "apart"}], CONSTRAINT_TYPE),
        ("placementConstraints", [{"expression": "attribute:a exists"}], CONSTRAINT_TYPE),
        (
            "placementConstraints",
            [{"type": "distinctInstance", "expression": ""}],
            NEEDLESS,
        ),
        ("placementConstraints", [{"type": "memberOf"}], NO_EXPRESSION),
        ("placementConstraints", [{"type": "memberOf", "expression": ""}], NO_EXPRESSION),
    ],
)
def test_refused(
    cluster: Ecs, operation: str, member: str, given: list[dict[str, str]], message: str
) -> None:
    an_instance(cluster)
    name = {"serviceName": "web", "desiredCount": 1} if operation == "CreateService" else {}
    refusal = cluster.refusal(operation, taskDefinition="web", **name, **{member: given})
    assert refusal == ("InvalidParameterException", message)


def fill(expression: str, length: int) -> str:
    return expression + " " * (length - len(expression))


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("stack == prod", "unknown subject 'stack' at position 0: expected a subject"),
        ("attribute:stack", "the expression ends at position 15: expected an operator"),
        ("attribute:stack > 1", "'>' does not apply to this subject at position 16: expected one of =="),
        ("attribute:stack ==", "the expression ends at position 18: expected a value"),
        ("attribute:stack == 'prod", "a string is not closed at position 19: expected a closing '"),
        ("(attribute:stack exists", "a parenthesis is not closed at position 23: expected ')'"),
        ("registeredAt > 2018-02-30", "'2018-02-30' is not a date at position 15: expected a date"),
        ("runningTasksCount > -1", "'-1' is not a number at position 20: expected a number of tasks"),
        ("attribute:stack =~ (a)\\1", "backreferences are not supported at position 22"),
        ("attribute:stack =~ (a{1000}){1000}", "the pattern's repetitions make it too large at position 19"),
        (fill("attribute:a exists", 2001), "the expression is too long at position 2000"),
    ],
)
def test_an_expression_that_is_wrong_says_where_in_every_operation(
    cluster: Ecs, expression: str, problem: str
) -> None:
    """As a constraint of a call, of a service and of a task definition, and as a filter: one language."""
    rule = {"placementConstraints": [member(expression)]}
    an_instance(cluster)
    container = {"name": "app", "image": "busybox", "memory": 6}
    definition = {"family": "new", "containerDefinitions": [container]}
    wrong, of_rule = "InvalidParameterException", "placement constraint"
    service = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
    attempts: list[tuple[str, dict[str, Any], str, str]] = [
        ("RunTask", {"taskDefinition": "web", **rule}, wrong, of_rule),
        ("CreateService", {**service, **rule}, wrong, of_rule),
        (
            "RegisterTaskDefinition",
            {**definition, **rule},
            "ClientException",
            of_rule,
        ),
        ("ListContainerInstances", {"filter": expression}, wrong, "filter"),
    ]
    for operation, params, code, what in attempts:
        given, message = cluster.refusal(operation, **params)
        assert given == code
        assert message.startswith(f"Invalid {what} expression: {problem}"), message


@pytest.mark.parametrize(
    "expression",
    [
        fill("attribute:stack == prod", 2000),
        "attribute:stack =~ (p+)+(r|r)*od.*",
        "not(attribute:stack != prod) && task:group !in [a, b] and agentConnected == true",
    ],
)
def test_an_expression_that_is_right_means_the_same_everywhere(cluster: Ecs, expression: str) -> None:
    prod, test = an_instance(cluster), an_instance(cluster)
    with_attributes(cluster, prod, stack="prod")
    with_attributes(cluster, test, stack="p" * 60)
    rule = {"placementConstraints": [member(expression)]}
    answer = cluster("RunTask", taskDefinition="web", count=3, **rule)
    assert {task["containerInstanceArn"] for task in answer["tasks"]} == {prod}
    assert cluster("ListContainerInstances", filter=expression)["containerInstanceArns"] == [prod]


def test_negative_and_absurd_sizes(cluster: Ecs) -> None:
    an_instance(cluster)
    for count in (-1, 0, 11, 2**31 - 1):
        assert cluster.refusal("RunTask", taskDefinition="web", count=count) == (
            "InvalidParameterException",
            "Count must be between 1 and 10.",
        )
    huge = {"containerOverrides": [{"name": "app", "cpu": 2**31 - 1, "memory": 2**31 - 1}]}
    answer = cluster("RunTask", taskDefinition="web", overrides=huge)
    assert [f["reason"] for f in answer["failures"]] == ["RESOURCE:CPU"]
    for size in ("-1", "1e9", "9" * 30):
        code = cluster.refusal("RunTask", taskDefinition="web", overrides={"cpu": size})[0]
        assert code == "InvalidParameterException"
