"""Clusters: made, found, changed, emptied and deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.model.scope import Scope
from miniecs.model.service import Revision, Service
from miniecs.model.task import Task

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/"
GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1b9d:autoScalingGroupName/web"
NOT_ASSOCIATED = (
    "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
    "the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and "
    "try again."
)


def cluster(name: str = "web", **members: Any) -> dict[str, Any]:
    """A cluster as it is answered when nothing was asked for."""
    return {
        "clusterArn": ARN + name,
        "clusterName": name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": 0,
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
        **members,
    }


def insights(value: str) -> list[dict[str, str]]:
    return [{"name": "containerInsights", "value": value}]


def describe(ecs: Ecs, name: str = "web", *include: str) -> dict[str, Any]:
    return dict(ecs("DescribeClusters", clusters=[name], include=list(include))["clusters"][0])


def put(ecs: Ecs, *things: Any) -> None:
    with ecs.aws.store.transaction() as tx:
        for thing in things:
            tx.put(thing)


def task(id: str, status: str, launch_type: str | None = "EC2", provider: str | None = None) -> Task:
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/web/{id}"
    return Task(
        arn,
        ARN + "web",
        "td",
        "family:web",
        last_status=status,
        launch_type=launch_type,
        capacity_provider_name=provider,
    )


def service(name: str, status: str, revision: Revision) -> Service:
    arn = f"arn:aws:ecs:us-east-1:000000000000:service/web/{name}"
    return Service(arn, name, ARN + "web", status=status, revision=revision)


def provider(ecs: Ecs, name: str = "cp") -> None:
    group = {"autoScalingGroupArn": f"{GROUP}-{name}"}
    ecs("CreateCapacityProvider", name=name, autoScalingGroupProvider=group)


def test_create(ecs: Ecs) -> None:
    tags = [{"key": "team", "value": "blue"}]
    assert ecs("CreateCluster", clusterName="web", tags=tags) == {
        "cluster": cluster(settings=insights("disabled"), tags=tags)
    }
    assert ecs("CreateCluster") == {"cluster": cluster("default", settings=insights("disabled"))}


def test_create_again_changes_nothing(ecs: Ecs) -> None:
    first = ecs("CreateCluster", clusterName="web", settings=insights("enabled"))
    seq = ecs.aws.store.seq
    assert ecs("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "b"}]) == first
    assert ecs.aws.store.seq == seq


@pytest.mark.parametrize("name", ["a b", "web/1", "a" * 256, "é"])
def test_names(ecs: Ecs, name: str) -> None:
    assert ecs.refusal("CreateCluster", clusterName=name) == (
        "InvalidParameterException",
        "Cluster name must have up to 255 letters (uppercase and lowercase), numbers, underscores, and "
        "hyphens.",
    )


def test_everything_that_describe_can_include(ecs: Ecs) -> None:
    configuration = {
        "executeCommandConfiguration": {
            "logging": "OVERRIDE",
            "logConfiguration": {"cloudWatchLogGroupName": "exec"},
        },
        "managedStorageConfiguration": {"kmsKeyId": "key"},
    }
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 2, "base": 1}, {"capacityProvider": "FARGATE"}]
    ecs(
        "CreateCluster",
        clusterName="web",
        tags=[{"key": "a", "value": "b"}],
        configuration=configuration,
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=strategy,
        serviceConnectDefaults={"namespace": "internal"},
    )
    assert ecs.aws.hints == [
        f"{name} is stored and answered, but miniecs does not act on it; see docs/differences.md."
        for name in (
            "configuration.executeCommandConfiguration",
            "configuration.managedStorageConfiguration",
            "serviceConnectDefaults",
        )
    ]
    plain = cluster(
        capacityProviders=["FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=[
            {"capacityProvider": "FARGATE_SPOT", "weight": 2, "base": 1},
            {"capacityProvider": "FARGATE", "weight": 0, "base": 0},
        ],
        serviceConnectDefaults={"namespace": "internal"},
    )
    assert describe(ecs) == plain
    everything = {
        **plain,
        "attachments": [],
        "attachmentsStatus": "UPDATE_COMPLETE",
        "configuration": configuration,
        "settings": insights("disabled"),
        "tags": [{"key": "a", "value": "b"}],
    }
    assert describe(ecs, "web", "ATTACHMENTS", "CONFIGURATIONS", "SETTINGS", "TAGS") == everything


def test_describe_by_name_and_arn_and_what_is_missing(ecs: Ecs) -> None:
    ecs("CreateCluster")
    ecs("CreateCluster", clusterName="web")
    foreign = "arn:aws:ecs:eu-west-1:000000000000:cluster/web"
    assert ecs("DescribeClusters", clusters=["web", ARN + "default", "none", foreign, "web"]) == {
        "clusters": [cluster(), cluster("default")],
        "failures": [{"arn": ARN + "none", "reason": "MISSING"}, {"arn": foreign, "reason": "MISSING"}],
    }
    assert ecs("DescribeClusters") == {"clusters": [cluster("default")], "failures": []}
    assert ecs.refusal("DescribeClusters", clusters=["web"] * 101) == (
        "InvalidParameterException",
        "Clusters can have at most 100 items.",
    )


def test_counts_and_statistics(ecs: Ecs) -> None:
    ecs("CreateCluster", clusterName="web")
    ecs.aws.register_instance("web")
    spot = (CapacityProviderStrategyItem("FARGATE_SPOT", 1),)
    put(
        ecs,
        task("1", "RUNNING"),
        task("2", "PENDING"),
        task("3", "PROVISIONING", "FARGATE"),
        task("4", "RUNNING", None, "FARGATE_SPOT"),
        task("5", "ACTIVATING", "EXTERNAL"),
        task("6", "STOPPED"),
        task("7", "STOPPING"),
        service("a", "ACTIVE", Revision("td")),
        service("b", "ACTIVE", Revision("td", None, spot)),
        service("c", "DRAINING", Revision("td", "FARGATE")),
        service("d", "INACTIVE", Revision("td")),
    )
    expected = cluster(
        registeredContainerInstancesCount=1, runningTasksCount=2, pendingTasksCount=3, activeServicesCount=2
    )
    assert describe(ecs) == expected
    statistics = {s["name"]: s["value"] for s in describe(ecs, "web", "STATISTICS")["statistics"]}
    assert statistics == {
        "runningEC2TasksCount": "1",
        "pendingEC2TasksCount": "1",
        "runningFargateTasksCount": "1",
        "pendingFargateTasksCount": "1",
        "runningExternalTasksCount": "0",
        "pendingExternalTasksCount": "1",
        "activeEC2ServiceCount": "1",
        "drainingEC2ServiceCount": "0",
        "activeFargateServiceCount": "1",
        "drainingFargateServiceCount": "1",
        "activeExternalServiceCount": "0",
        "drainingExternalServiceCount": "0",
    }


def test_list(ecs: Ecs) -> None:
    for name in ("b", "a", "c"):
        ecs("CreateCluster", clusterName=name)
    ecs("DeleteCluster", cluster="c")
    assert ecs("ListClusters") == {"clusterArns": [ARN + "a", ARN + "b"]}
    first = ecs("ListClusters", maxResults=1)
    assert first["clusterArns"] == [ARN + "a"]
    assert ecs("ListClusters", nextToken=first["nextToken"]) == {"clusterArns": [ARN + "b"]}
    assert ecs.refusal("ListClusters", maxResults=101) == (
        "InvalidParameterException",
        "maxResults must be between 1 and 100.",
    )
    ecs.aws.scope = Scope("111111111111", "us-east-1")
    assert ecs("ListClusters") == {"clusterArns": []}


def test_container_insights_follow_the_account(ecs: Ecs) -> None:
    ecs("PutAccountSettingDefault", name="containerInsights", value="enhanced")
    assert ecs("CreateCluster", clusterName="a")["cluster"]["settings"] == insights("enhanced")
    made = ecs("CreateCluster", clusterName="b", settings=insights("disabled"))
    assert made["cluster"]["settings"] == insights("disabled")


def test_update_settings(ecs: Ecs) -> None:
    ecs("CreateCluster", clusterName="web")
    updated = ecs("UpdateClusterSettings", cluster="web", settings=insights("enabled"))["cluster"]
    assert updated["settings"] == insights("enabled")
    assert ecs.aws.hints == [
        "containerInsights is stored and answered, but miniecs does not act on it; see docs/differences.md."
    ]
    assert describe(ecs, "web", "SETTINGS")["settings"] == insights("enabled")
    assert ecs.refusal("UpdateClusterSettings", cluster="web", settings=insights("on")) == (
        "InvalidParameterException",
        "Setting containerInsights must be one of [enhanced, enabled, disabled].",
    )
    assert ecs.refusal("UpdateClusterSettings", cluster="web", settings=[{"value": "enabled"}]) == (
        "InvalidParameterException",
        "Setting name must be containerInsights.",
    )


def test_update_replaces_what_is_given(ecs: Ecs) -> None:
    first = {"executeCommandConfiguration": {"logging": "NONE"}}
    ecs(
        "CreateCluster",
        clusterName="web",
        configuration=first,
        serviceConnectDefaults={"namespace": "internal"},
    )
    updated = ecs("UpdateCluster", cluster="web", settings=insights("enabled"))["cluster"]
    assert (updated["settings"], updated["configuration"]) == (insights("enabled"), first)
    second = {"executeCommandConfiguration": {"kmsKeyId": "key"}}
    updated = ecs(
        "UpdateCluster", cluster=ARN + "web", configuration=second, serviceConnectDefaults={"namespace": ""}
    )["cluster"]
    assert updated["configuration"] == {
        "executeCommandConfiguration": {"kmsKeyId": "key", "logging": "DEFAULT"}
    }
    assert "serviceConnectDefaults" not in updated
    assert describe(ecs, "web", "SETTINGS")["settings"] == insights("enabled")


@pytest.mark.parametrize(
    "command", [{"logging": "OVERRIDE"}, {"logging": "NONE", "logConfiguration": {"s3BucketName": "b"}}]
)
def test_a_log_configuration_goes_with_override(ecs: Ecs, command: dict[str, Any]) -> None:
    given = {"executeCommandConfiguration": command}
    assert ecs.refusal("CreateCluster", configuration=given) == (
        "InvalidParameterException",
        "logConfiguration must be specified when logging is OVERRIDE, and not otherwise.",
    )


def test_put_capacity_providers_replaces_both_lists(ecs: Ecs) -> None:
    provider(ecs)
    ecs("CreateCluster", clusterName="web", capacityProviders=["FARGATE"])
    updated = ecs(
        "PutClusterCapacityProviders",
        cluster="web",
        capacityProviders=["arn:aws:ecs:us-east-1:000000000000:capacity-provider/cp", "cp"],
        defaultCapacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
    )["cluster"]
    assert updated["capacityProviders"] == ["cp"]
    assert updated["defaultCapacityProviderStrategy"] == [{"capacityProvider": "cp", "weight": 1, "base": 0}]
    emptied = ecs(
        "PutClusterCapacityProviders",
        cluster="web",
        capacityProviders=[],
        defaultCapacityProviderStrategy=[],
    )["cluster"]
    assert (emptied["capacityProviders"], emptied["defaultCapacityProviderStrategy"]) == ([], [])


STRATEGIES = {
    NOT_ASSOCIATED: [{"capacityProvider": "other", "weight": 1}],
    "The specified capacity provider 'none' was not found. Specify a valid name or ARN and try again.": [
        {"capacityProvider": "none"}
    ],
    "The specified capacity provider strategy cannot contain the same capacity provider twice.": [
        {"capacityProvider": "cp", "weight": 1}
    ]
    * 2,
    "The specified capacity provider strategy cannot contain more than 20 capacity providers.": [
        {"capacityProvider": "cp", "weight": 1}
    ]
    * 21,
    "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and "
    "Fargate providers. Specify one or the other and try again.": [
        {"capacityProvider": "cp", "weight": 1},
        {"capacityProvider": "FARGATE", "weight": 1},
    ],
    "The specified capacity provider strategy cannot contain more than one capacity provider with a base "
    "value greater than 0.": [
        {"capacityProvider": "FARGATE", "weight": 1, "base": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 1},
    ],
    "The specified capacity provider strategy must contain at least one capacity provider with a weight "
    "greater than 0.": [{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE_SPOT"}],
}


@pytest.mark.parametrize("message", STRATEGIES)
def test_bad_strategies(ecs: Ecs, message: str) -> None:
    provider(ecs)
    provider(ecs, "other")
    ecs("CreateCluster", clusterName="web")
    refusal = ecs.refusal(
        "PutClusterCapacityProviders",
        cluster="web",
        capacityProviders=["cp", "FARGATE", "FARGATE_SPOT"],
        defaultCapacityProviderStrategy=STRATEGIES[message],
    )
    assert refusal == ("InvalidParameterException", message)


def test_bad_capacity_providers(ecs: Ecs) -> None:
    assert ecs.refusal("CreateCluster", capacityProviders=["none"]) == (
        "InvalidParameterException",
        "The specified capacity provider 'none' was not found. Specify a valid name or ARN and try again.",
    )
    for n in range(21):
        provider(ecs, f"cp{n}")
    assert ecs.refusal("CreateCluster", capacityProviders=[f"cp{n}" for n in range(21)]) == (
        "InvalidParameterException",
        "A cluster can have at most 20 capacity providers.",
    )
    ecs("CreateCluster", clusterName="web", capacityProviders=["cp0", "FARGATE"])
    assert ecs.refusal("CreateCluster", clusterName="two", capacityProviders=["FARGATE", "cp0"]) == (
        "InvalidParameterException",
        "The specified capacity provider 'cp0' is already associated with cluster web. "
        "A capacity provider can be associated with one cluster only.",
    )


def test_a_capacity_provider_that_a_service_uses_stays(ecs: Ecs) -> None:
    ecs("CreateCluster", clusterName="web", capacityProviders=["FARGATE"])
    used = service("a", "ACTIVE", Revision("td", None, (CapacityProviderStrategyItem("FARGATE", 1),)))
    put(ecs, used)
    params = {"cluster": "web", "capacityProviders": [], "defaultCapacityProviderStrategy": []}
    assert ecs.refusal("PutClusterCapacityProviders", **params) == (
        "ResourceInUseException",
        "The specified capacity provider is in use and cannot be removed.",
    )
    put(ecs, replace(used, status="INACTIVE"))
    ecs("PutClusterCapacityProviders", **params)


def test_delete_leaves_an_inactive_cluster_whose_name_can_be_used_again(ecs: Ecs) -> None:
    ecs("CreateCluster", clusterName="web", tags=[{"key": "a", "value": "b"}])
    gone = ecs("DeleteCluster", cluster=ARN + "web")["cluster"]
    assert gone["status"] == "INACTIVE"
    assert describe(ecs) == cluster(status="INACTIVE")
    for operation, params in (
        ("DeleteCluster", {}),
        ("UpdateCluster", {}),
        ("UpdateClusterSettings", {"settings": insights("enabled")}),
        ("PutClusterCapacityProviders", {"capacityProviders": [], "defaultCapacityProviderStrategy": []}),
    ):
        assert ecs.refusal(operation, cluster="web", **params) == (
            "ClusterNotFoundException",
            "The referenced cluster was inactive.",
        )
        assert ecs.refusal(operation, cluster="none", **params) == (
            "ClusterNotFoundException",
            "Cluster not found.",
        )
    ecs("CreateCluster", clusterName="web")
    assert describe(ecs, "web", "TAGS") == cluster()


def test_what_keeps_a_cluster_from_being_deleted(ecs: Ecs) -> None:
    ecs("CreateCluster", clusterName="web")
    instance = ecs.aws.register_instance("web")
    running = task("1", "RUNNING")
    active = service("a", "ACTIVE", Revision("td"))
    put(ecs, running, active)
    assert ecs.refusal("DeleteCluster", cluster="web") == (
        "ClusterContainsServicesException",
        "The Cluster cannot be deleted while Services are active.",
    )
    put(ecs, replace(active, status="INACTIVE"))
    for status in ("PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING"):
        put(ecs, replace(running, last_status=status))
        assert ecs.refusal("DeleteCluster", cluster="web") == (
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        )
    put(ecs, replace(running, last_status="STOPPED"))
    assert ecs.refusal("DeleteCluster", cluster="web") == (
        "ClusterContainsContainerInstancesException",
        "The Cluster cannot be deleted while Container Instances are active or draining.",
    )
    ecs("DeregisterContainerInstance", cluster="web", containerInstance=instance, force=True)
    managed = {
        "infrastructureRoleArn": "arn:aws:iam::000000000000:role/ecs",
        "instanceLaunchTemplate": {
            "ec2InstanceProfileArn": "arn:aws:iam::000000000000:instance-profile/ecs",
            "networkConfiguration": {"subnets": ["subnet-1"]},
        },
    }
    ecs("CreateCapacityProvider", name="managed", cluster="web", managedInstancesProvider=managed)
    assert ecs.refusal("DeleteCluster", cluster="web") == (
        "ClusterContainsCapacityProviderException",
        "The Cluster cannot be deleted while Capacity Providers are active.",
    )
    ecs("DeleteCapacityProvider", capacityProvider="managed", cluster="web")
    assert ecs("DeleteCluster", cluster="web")["cluster"]["status"] == "INACTIVE"
