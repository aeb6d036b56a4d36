"""Capacity provider strategies in RunTask, CreateService and UpdateService: what is refused and launched."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1b9d-11:autoScalingGroupName/"
NOT_ASSOCIATED = (
    "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
    "the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and "
    "try again."
)
FORCE = (
    "When switching from launch type to capacity provider strategy on an existing service, or making a "
    "change to a capacity provider strategy on a service that is already using one, you must force a new "
    "deployment."
)
IN_USE = ("ResourceInUseException", "The specified capacity provider is in use and cannot be removed.")
EC2_STRATEGY = [{"capacityProvider": "managed", "weight": 1}]
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}


@pytest.fixture
def cluster(ecs: Ecs) -> Ecs:
    """Cluster default with two providers of groups, one with managed scaling, and Fargate's two."""
    ecs("CreateCluster", clusterName="default")
    for name, status in (("managed", "ENABLED"), ("plain", "DISABLED"), ("stranger", "ENABLED")):
        group = {"autoScalingGroupArn": GROUP + name, "managedScaling": {"status": status}}
        ecs("CreateCapacityProvider", name=name, autoScalingGroupProvider=group)
    associate(ecs, [])
    ecs.aws.register_task_definition("web")
    container = {"name": "app", "image": "busybox:latest"}
    ecs(
        "RegisterTaskDefinition",
        family="fargate",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[container],
    )
    return ecs


def associate(ecs: Ecs, default: list[dict[str, Any]]) -> None:
    ecs(
        "PutClusterCapacityProviders",
        cluster="default",
        capacityProviders=["managed", "plain", "FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=default,
    )


def instance_of(ecs: Ecs, provider: str, *, cpu: int = 2048, memory: int = 3953) -> str:
    """A container instance that its group's loop has found to be the provider's."""
    arn = ecs.aws.register_instance(cpu=cpu, memory=memory)
    with ecs.aws.store.transaction() as tx:
        instance = tx.get(ContainerInstance, arn)
        assert instance is not None
        tx.put(replace(instance, capacity_provider_name=provider))
    return arn


def run(ecs: Ecs, strategy: list[dict[str, Any]] | None = None, **params: Any) -> dict[str, Any]:
    if strategy is not None:
        params["capacityProviderStrategy"] = strategy
    return ecs("RunTask", **{"taskDefinition": "web", **params})


def by_provider(tasks: list[dict[str, Any]]) -> Counter[str | None]:
    return Counter(task.get("capacityProviderName") for task in tasks)


BAD: dict[str, dict[str, Any]] = {
    "Specify either Launch Type or Capacity Provider Strategy, but not both.": {
        "launchType": "EC2",
        "capacityProviderStrategy": EC2_STRATEGY,
    },
    NOT_ASSOCIATED: {"capacityProviderStrategy": [{"capacityProvider": "stranger", "weight": 1}]},
    "The specified capacity provider 'none' was not found. Specify a valid name or ARN and try again.": {
        "capacityProviderStrategy": [{"capacityProvider": "none"}]
    },
    "The specified capacity provider strategy cannot contain more than 20 capacity providers.": {
        "capacityProviderStrategy": EC2_STRATEGY * 21
    },
    "The specified capacity provider strategy cannot contain the same capacity provider twice.": {
        "capacityProviderStrategy": EC2_STRATEGY * 2
    },
    "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and "
    "Fargate providers. Specify one or the other and try again.": {
        "capacityProviderStrategy": [*EC2_STRATEGY, {"capacityProvider": "FARGATE", "weight": 1}]
    },
    "The specified capacity provider strategy cannot contain more than one capacity provider with a base "
    "value greater than 0.": {
        "capacityProviderStrategy": [
            {"capacityProvider": "managed", "weight": 1, "base": 1},
            {"capacityProvider": "plain", "weight": 1, "base": 1},
        ]
    },
    "The specified capacity provider strategy must contain at least one capacity provider with a weight "
    "greater than 0.": {
        "capacityProviderStrategy": [{"capacityProvider": "managed"}, {"capacityProvider": "plain"}]
    },
    "Task definition does not support launch_type FARGATE.": {
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    },
    "The platform version must be null when specifying an EC2 launch type.": {
        "capacityProviderStrategy": EC2_STRATEGY,
        "platformVersion": "LATEST",
    },
}


@pytest.mark.parametrize("message", BAD)
@pytest.mark.parametrize("operation", ["RunTask", "CreateService"])
def test_what_is_refused(cluster: Ecs, operation: str, message: str) -> None:
    params: dict[str, Any] = {"taskDefinition": "web", **BAD[message]}
    if operation == "CreateService":
        params |= {"serviceName": "web", "desiredCount": 1}
    assert cluster.refusal(operation, **params) == ("InvalidParameterException", message)


def test_a_deleted_provider_is_none(cluster: Ecs) -> None:
    cluster("DeleteCapacityProvider", capacityProvider="stranger")
    refusal = cluster.refusal(
        "RunTask", taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "stranger"}]
    )
    assert refusal[1].startswith("The specified capacity provider 'stranger' was not found.")


@pytest.mark.parametrize("weights", [(1, 1), (1, 4), (0, 1)])
def test_run_task_shares_by_weight(cluster: Ecs, weights: tuple[int, int]) -> None:
    for provider in ("managed", "plain"):
        instance_of(cluster, provider, cpu=8192, memory=8192)
    strategy = [
        {"capacityProvider": "managed", "weight": weights[0]},
        {"capacityProvider": "plain", "weight": weights[1]},
    ]
    answered = run(cluster, strategy, count=10)
    assert answered["failures"] == []
    expected = {"managed": 10 * weights[0] // sum(weights), "plain": 10 * weights[1] // sum(weights)}
    assert by_provider(answered["tasks"]) == {name: n for name, n in expected.items() if n}
    assert {task["launchType"] for task in answered["tasks"]} == {"EC2"}


def test_tasks_go_to_their_providers_instances_only(cluster: Ecs) -> None:
    cluster.aws.register_instance(cpu=8192, memory=8192)
    own = instance_of(cluster, "plain")
    answered = run(cluster, [{"capacityProvider": "plain"}], count=4)
    assert {task["containerInstanceArn"] for task in answered["tasks"]} == {own}


def test_without_managed_scaling_what_does_not_fit_fails(cluster: Ecs) -> None:
    own = instance_of(cluster, "plain", cpu=128, memory=512)
    answered = run(cluster, [{"capacityProvider": "plain"}], count=2)
    assert len(answered["tasks"]) == 1
    assert [(f["arn"], f["reason"]) for f in answered["failures"]] == [(own, "RESOURCE:CPU")]


def test_without_managed_scaling_an_empty_provider_is_an_error(cluster: Ecs) -> None:
    cluster.aws.register_instance()
    assert cluster.refusal(
        "RunTask", taskDefinition="web", capacityProviderStrategy=[{"capacityProvider": "plain"}]
    ) == ("InvalidParameterException", "No Container Instances were found in your capacity provider.")


def test_under_managed_scaling_what_does_not_fit_waits(cluster: Ecs) -> None:
    instance_of(cluster, "managed", cpu=256, memory=512)
    answered = run(
        cluster,
        EC2_STRATEGY,
        count=5,
        placementConstraints=[{"type": "memberOf", "expression": "runningTasksCount < 9"}],
        placementStrategy=[{"type": "binpack", "field": "CPU"}],
    )
    assert answered["failures"] == []
    assert Counter(task["lastStatus"] for task in answered["tasks"]) == {"PENDING": 2, "PROVISIONING": 3}
    assert by_provider(answered["tasks"]) == {"managed": 5}
    for task in answered["tasks"]:
        assert ("containerInstanceArn" in task) is (task["lastStatus"] == "PENDING")
    stored = [task for task in cluster.aws.store.all(Task) if task.last_status == "PROVISIONING"]
    assert all(task.placement is not None and task.placement.strategy for task in stored)
    shown = cluster("DescribeClusters", clusters=["default"])["clusters"][0]
    assert shown["pendingTasksCount"] == 5


def test_at_most_500_tasks_of_a_cluster_wait(cluster: Ecs) -> None:
    for _ in range(50):
        run(cluster, EC2_STRATEGY, count=10)
    assert cluster.refusal("RunTask", taskDefinition="web", capacityProviderStrategy=EC2_STRATEGY) == (
        "ClientException",
        "Tasks provisioning capacity limit exceeded.",
    )


def test_the_clusters_default_is_used_where_nothing_is_said(cluster: Ecs) -> None:
    associate(cluster, EC2_STRATEGY)
    assert by_provider(run(cluster)["tasks"]) == {"managed": 1}
    own = cluster.aws.register_instance()
    (task,) = run(cluster, launchType="EC2")["tasks"]
    assert (task["containerInstanceArn"], task.get("capacityProviderName")) == (own, None)
    started = cluster("StartTask", taskDefinition="web", containerInstances=[own])
    assert by_provider(started["tasks"]) == {None: 1}, "StartTask knows no strategies"


def test_fargate_strategies(cluster: Ecs) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    ]
    answered = run(cluster, strategy, taskDefinition="fargate", count=9, networkConfiguration=NETWORK)
    assert by_provider(answered["tasks"]) == {"FARGATE": 3, "FARGATE_SPOT": 6}
    assert {(t["launchType"], t["platformVersion"], t["lastStatus"]) for t in answered["tasks"]} == {
        ("FARGATE", "1.4.0", "PROVISIONING")
    }


# Services


def service(ecs: Ecs, **params: Any) -> dict[str, Any]:
    usual = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
    made = ecs("CreateService", **{**usual, **params})
    shown: dict[str, Any] = made["service"]
    return shown


def test_a_service_shows_its_strategy_and_no_launch_type(cluster: Ecs) -> None:
    shown = service(cluster, capacityProviderStrategy=EC2_STRATEGY)
    full = [{"capacityProvider": "managed", "weight": 1, "base": 0}]
    assert (shown["capacityProviderStrategy"], shown.get("launchType")) == (full, None)
    (deployment,) = shown["deployments"]
    assert (deployment["capacityProviderStrategy"], deployment.get("launchType")) == (full, None)


def test_a_service_takes_the_clusters_default(cluster: Ecs) -> None:
    associate(cluster, EC2_STRATEGY)
    assert service(cluster)["capacityProviderStrategy"][0]["capacityProvider"] == "managed"
    assert "capacityProviderStrategy" not in service(cluster, serviceName="other", launchType="EC2")


def test_a_daemon_has_no_strategy_not_even_the_clusters(cluster: Ecs) -> None:
    associate(cluster, EC2_STRATEGY)
    params = {"serviceName": "logs", "taskDefinition": "web", "schedulingStrategy": "DAEMON"}
    assert cluster.refusal("CreateService", **params) == (
        "InvalidParameterException",
        "Specifying a capacity provider strategy is not supported when you create a service using the DAEMON "
        "scheduling strategy.",
    )
    assert cluster("CreateService", **params, launchType="EC2")["service"]["launchType"] == "EC2"


def test_another_strategy_needs_a_forced_deployment(cluster: Ecs) -> None:
    service(cluster, launchType="EC2")
    to_managed = {"service": "web", "capacityProviderStrategy": EC2_STRATEGY}
    assert cluster.refusal("UpdateService", **to_managed) == ("InvalidParameterException", FORCE)
    shown = cluster("UpdateService", **to_managed, forceNewDeployment=True)["service"]
    assert len(shown["deployments"]) == 2
    assert ("launchType" in shown, shown["capacityProviderStrategy"][0]["capacityProvider"]) == (
        False,
        "managed",
    )
    assert len(cluster("UpdateService", **to_managed)["service"]["deployments"]) == 2, "it is the same"
    other = {"service": "web", "capacityProviderStrategy": [{"capacityProvider": "plain", "weight": 1}]}
    assert cluster.refusal("UpdateService", **other) == ("InvalidParameterException", FORCE)
    back = {"service": "web", "capacityProviderStrategy": []}
    assert cluster.refusal("UpdateService", **back) == ("InvalidParameterException", FORCE)
    shown = cluster("UpdateService", **back, forceNewDeployment=True)["service"]
    assert (shown["launchType"], shown.get("capacityProviderStrategy")) == ("EC2", None)


def test_from_an_auto_scaling_group_to_fargate_and_back(cluster: Ecs) -> None:
    service(cluster, taskDefinition="fargate", launchType="FARGATE", networkConfiguration=NETWORK)
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    shown = cluster("UpdateService", service="web", capacityProviderStrategy=spot, forceNewDeployment=True)
    assert shown["service"]["platformVersion"] == "LATEST"
    shown = cluster("UpdateService", service="web", capacityProviderStrategy=[], forceNewDeployment=True)
    assert shown["service"]["launchType"] == "FARGATE"


@pytest.mark.parametrize(
    ("placement", "what"),
    [
        ({"placementConstraints": [{"type": "distinctInstance"}]}, "constraints"),
        ({"placementStrategy": [{"type": "random"}]}, "strategies"),
    ],
)
def test_rules_of_placement_do_not_go_to_fargate(cluster: Ecs, placement: dict[str, Any], what: str) -> None:
    """Neither those that the service has, nor others; an empty list in the same call removes them."""
    container = {"name": "app", "image": "busybox:latest", "memory": 64}
    both = {"networkMode": "awsvpc", "requiresCompatibilities": ["EC2", "FARGATE"], "cpu": "256"}
    cluster("RegisterTaskDefinition", family="both", memory="512", containerDefinitions=[container], **both)
    service(cluster, taskDefinition="both", launchType="EC2", networkConfiguration=NETWORK, **placement)
    fargate = {
        "service": "web",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
        "forceNewDeployment": True,
    }
    refused = ("InvalidParameterException", f"Placement {what} are not supported with FARGATE launch type.")
    assert cluster.refusal("UpdateService", **fargate) == refused
    assert len(cluster("DescribeServices", services=["web"])["services"][0]["deployments"]) == 1
    nothing: dict[str, Any] = dict.fromkeys(placement, [])
    assert "launchType" not in cluster("UpdateService", **fargate, **nothing)["service"]
    assert cluster.refusal("UpdateService", service="web", **placement) == refused


# In use


def test_a_provider_in_a_services_strategy_stays(cluster: Ecs) -> None:
    service(cluster, capacityProviderStrategy=EC2_STRATEGY)
    params = {"cluster": "default", "capacityProviders": ["plain"], "defaultCapacityProviderStrategy": []}
    assert cluster.refusal("PutClusterCapacityProviders", **params) == IN_USE
    assert cluster.refusal("DeleteCapacityProvider", capacityProvider="managed")[1].startswith(
        "The specified capacity provider cannot be deleted because it is associated with cluster: default."
    )


def test_a_provider_that_tasks_wait_for_stays(cluster: Ecs) -> None:
    (task,) = run(cluster, EC2_STRATEGY)["tasks"]
    params = {"cluster": "default", "capacityProviders": ["plain"], "defaultCapacityProviderStrategy": []}
    assert cluster.refusal("PutClusterCapacityProviders", **params) == IN_USE
    assert task["lastStatus"] == "PROVISIONING"


def test_an_auto_scaling_group_has_one_provider(cluster: Ecs) -> None:
    group = {"autoScalingGroupArn": GROUP + "managed"}
    assert cluster.refusal("CreateCapacityProvider", name="again", autoScalingGroupProvider=group) == (
        "ClientException",
        "The specified Auto Scaling group ARN is already being used by another capacity provider. Specify a "
        "unique Auto Scaling group ARN and try again.",
    )
    cluster("DeleteCapacityProvider", capacityProvider="stranger")
    free = {"autoScalingGroupArn": GROUP + "stranger"}
    made = cluster("CreateCapacityProvider", name="again", autoScalingGroupProvider=free)
    assert made["capacityProvider"]["status"] == "ACTIVE"
