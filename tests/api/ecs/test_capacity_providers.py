"""Capacity providers: Auto Scaling groups', managed instances', and the two that are always there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

ARN = "arn:aws:ecs:us-east-1:000000000000:capacity-provider/"
GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1b9d-11:autoScalingGroupName/web"
SCALING = {
    "status": "ENABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10000,
    "instanceWarmupPeriod": 300,
}
MANAGED: dict[str, Any] = {
    "infrastructureRoleArn": "arn:aws:iam::000000000000:role/ecs",
    "instanceLaunchTemplate": {
        "ec2InstanceProfileArn": "arn:aws:iam::000000000000:instance-profile/ecs",
        "networkConfiguration": {"subnets": ["subnet-1"]},
    },
}
BAD_NAME = (
    "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters "
    '(upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with "aws", '
    '"ecs", or "fargate". Specify a valid name and try again.'
)
BAD_GROUP = (
    "The specified Auto Scaling group ARN is invalid. Specify a valid ARN in this account and Region and try "
    "again."
)
UNKNOWN = "The specified capacity provider '{}' was not found. Specify a valid name or ARN and try again."


def create(ecs: Ecs, name: str = "cp", tags: list[dict[str, str]] | None = None, **group: Any) -> Any:
    params: dict[str, Any] = {"tags": tags} if tags else {}
    # An Auto Scaling group has one capacity provider.
    arn = GROUP if name == "cp" else GROUP.replace("/web", f"/{name}")
    made = ecs(
        "CreateCapacityProvider",
        name=name,
        autoScalingGroupProvider={"autoScalingGroupArn": arn, **group},
        **params,
    )
    return made["capacityProvider"]


def refused(ecs: Ecs, operation: str, **params: Any) -> str:
    code, message = ecs.refusal(operation, **params)
    assert code == "InvalidParameterException"
    return message


def test_create_with_the_least(ecs: Ecs) -> None:
    assert create(ecs) == {
        "capacityProviderArn": ARN + "cp",
        "name": "cp",
        "status": "ACTIVE",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": GROUP,
            "managedScaling": {"status": "DISABLED"},
            "managedTerminationProtection": "DISABLED",
            "managedDraining": "ENABLED",
        },
        "updateStatus": "CREATE_COMPLETE",
        "tags": [],
        "type": "EC2_AUTOSCALING",
    }
    assert ecs.aws.hints == [
        "miniecs has no such Auto Scaling group, so nothing starts or ends its machines; "
        "`miniecs up --autoscale` makes a group. See docs/differences.md."
    ]


def test_create_with_everything(ecs: Ecs) -> None:
    made = create(
        ecs,
        tags=[{"key": "a", "value": "b"}],
        managedScaling={"targetCapacity": 90},
        managedTerminationProtection="ENABLED",
        managedDraining="DISABLED",
    )
    assert made["autoScalingGroupProvider"] == {
        "autoScalingGroupArn": GROUP,
        "managedScaling": {**SCALING, "targetCapacity": 90},
        "managedTerminationProtection": "ENABLED",
        "managedDraining": "DISABLED",
    }
    assert made["tags"] == [{"key": "a", "value": "b"}]


def test_a_group_can_be_named_by_its_name(ecs: Ecs) -> None:
    assert create(ecs, autoScalingGroupArn="web")["autoScalingGroupProvider"]["autoScalingGroupArn"] == "web"


@pytest.mark.parametrize("name", ["a b", "a" * 256, "aws-cp", "ECScp", "fargate", "FARGATE_SPOT", ""])
def test_names(ecs: Ecs, name: str) -> None:
    provider = {"autoScalingGroupArn": GROUP}
    assert refused(ecs, "CreateCapacityProvider", name=name, autoScalingGroupProvider=provider) == BAD_NAME


@pytest.mark.parametrize(
    "group",
    [
        "arn:aws:autoscaling:us-east-1:000000000000:launchConfiguration:1:launchConfigurationName/web",
        "arn:aws:autoscaling:eu-west-1:000000000000:autoScalingGroup:1:autoScalingGroupName/web",
        "arn:aws:autoscaling:us-east-1:111111111111:autoScalingGroup:1:autoScalingGroupName/web",
        "arn:aws:ecs:us-east-1:000000000000:cluster/web",
        "arn:web",
        "a/b",
        "",
    ],
)
def test_groups(ecs: Ecs, group: str) -> None:
    provider = {"autoScalingGroupArn": group}
    assert refused(ecs, "CreateCapacityProvider", name="cp", autoScalingGroupProvider=provider) == BAD_GROUP


def test_what_create_refuses(ecs: Ecs) -> None:
    create(ecs)
    group = {"autoScalingGroupArn": GROUP}
    for params, message in (
        (
            {"name": "cp", "autoScalingGroupProvider": group},
            "The specified capacity provider already exists. To change the configuration of an existing "
            "capacity provider, update the capacity provider.",
        ),
        (
            {"name": "two"},
            "Specify either an Auto Scaling group provider or a managed instances provider, and not both.",
        ),
        (
            {"name": "two", "autoScalingGroupProvider": group, "managedInstancesProvider": MANAGED},
            "Specify either an Auto Scaling group provider or a managed instances provider, and not both.",
        ),
        (
            {"name": "two", "autoScalingGroupProvider": group, "cluster": "web"},
            "The cluster can be specified for managed instances providers only.",
        ),
        (
            {"name": "two", "managedInstancesProvider": MANAGED},
            "The cluster of a managed instances provider must be specified.",
        ),
        (
            {
                "name": "two",
                "autoScalingGroupProvider": {
                    **group,
                    "managedScaling": {"minimumScalingStepSize": 3, "maximumScalingStepSize": 2},
                },
            },
            "The specified managed scaling configuration is invalid. The minimum scaling step size must not "
            "be greater than the maximum scaling step size.",
        ),
        (
            {
                "name": "two",
                "autoScalingGroupProvider": {**group, "managedTerminationProtection": "ENABLED"},
            },
            "The managed termination protection setting for the capacity provider is invalid. To enable "
            "managed termination protection for a capacity provider, managed scaling must be enabled.",
        ),
    ):
        assert refused(ecs, "CreateCapacityProvider", **params) == message


def test_describe(ecs: Ecs) -> None:
    create(ecs, "b", tags=[{"key": "a", "value": "b"}])
    create(ecs, "a")
    everything = ecs("DescribeCapacityProviders", include=["TAGS"])
    assert [p["name"] for p in everything["capacityProviders"]] == ["FARGATE", "FARGATE_SPOT", "a", "b"]
    assert everything["capacityProviders"][1] == {
        "capacityProviderArn": ARN + "FARGATE_SPOT",
        "name": "FARGATE_SPOT",
        "status": "ACTIVE",
        "tags": [],
        "type": "FARGATE_SPOT",
    }
    assert everything["capacityProviders"][3]["tags"] == [{"key": "a", "value": "b"}]
    some = ecs("DescribeCapacityProviders", capacityProviders=["b", ARN + "FARGATE", "none", "arn:none"])
    assert [(p["name"], p["tags"]) for p in some["capacityProviders"]] == [("b", []), ("FARGATE", [])]
    assert some["failures"] == [
        {"arn": ARN + "none", "reason": "MISSING"},
        {"arn": "arn:none", "reason": "MISSING"},
    ]


def test_describe_in_pages_and_of_a_cluster(ecs: Ecs) -> None:
    create(ecs, "cp")
    create(ecs, "other")
    page = ecs("DescribeCapacityProviders", maxResults=3)
    assert [p["name"] for p in page["capacityProviders"]] == ["FARGATE", "FARGATE_SPOT", "cp"]
    rest = ecs("DescribeCapacityProviders", nextToken=page["nextToken"])
    assert [p["name"] for p in rest["capacityProviders"]] == ["other"]
    ecs("CreateCluster", clusterName="web", capacityProviders=["cp", "FARGATE"])
    ecs("CreateCapacityProvider", name="m", cluster="web", managedInstancesProvider=MANAGED)
    of_web = ecs("DescribeCapacityProviders", cluster="web")
    assert [p["name"] for p in of_web["capacityProviders"]] == ["FARGATE", "cp", "m"]
    assert ecs.refusal("DescribeCapacityProviders", cluster="none") == (
        "ClusterNotFoundException",
        "Cluster not found.",
    )
    assert refused(ecs, "DescribeCapacityProviders", capacityProviders=["a"] * 101) == (
        "Up to 100 capacity providers can be described in an action."
    )


def test_update_changes_only_what_is_given(ecs: Ecs) -> None:
    create(ecs, managedDraining="DISABLED")

    def update(**group: Any) -> Any:
        changed = ecs("UpdateCapacityProvider", name="cp", autoScalingGroupProvider=group)
        assert changed["capacityProvider"]["updateStatus"] == "UPDATE_COMPLETE"
        return changed["capacityProvider"]["autoScalingGroupProvider"]

    assert update(managedScaling={"targetCapacity": 50}) == {
        "autoScalingGroupArn": GROUP,
        "managedScaling": {**SCALING, "targetCapacity": 50},
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "DISABLED",
    }
    assert update(managedTerminationProtection="ENABLED")["managedTerminationProtection"] == "ENABLED"
    scaling = update(managedScaling={"minimumScalingStepSize": 2})["managedScaling"]
    assert scaling == {**SCALING, "targetCapacity": 50, "minimumScalingStepSize": 2}
    (described,) = ecs("DescribeCapacityProviders", capacityProviders=["cp"])["capacityProviders"]
    assert described["autoScalingGroupProvider"]["managedScaling"] == scaling
    assert refused(
        ecs,
        "UpdateCapacityProvider",
        name="cp",
        autoScalingGroupProvider={"managedScaling": {"status": "DISABLED"}},
    ) == (
        "The managed termination protection setting for the capacity provider is invalid. To enable managed "
        "termination protection for a capacity provider, managed scaling must be enabled."
    )


def test_what_update_refuses(ecs: Ecs) -> None:
    create(ecs)
    assert refused(ecs, "UpdateCapacityProvider", name="none") == UNKNOWN.format("none")
    assert refused(ecs, "UpdateCapacityProvider", name="FARGATE") == (
        "The specified capacity provider is reserved and cannot be updated."
    )
    assert refused(ecs, "UpdateCapacityProvider", name="cp", managedInstancesProvider=MANAGED) == (
        "Specify the Auto Scaling group provider to update."
    )


def test_delete(ecs: Ecs) -> None:
    create(ecs)
    ecs("CreateCluster", clusterName="web", capacityProviders=["cp"])
    assert refused(ecs, "DeleteCapacityProvider", capacityProvider=ARN + "cp") == (
        "The specified capacity provider cannot be deleted because it is associated with cluster: web. "
        "Remove the capacity provider from the cluster and try again."
    )
    ecs(
        "PutClusterCapacityProviders",
        cluster="web",
        capacityProviders=[],
        defaultCapacityProviderStrategy=[],
    )
    gone = ecs("DeleteCapacityProvider", capacityProvider=ARN + "cp")["capacityProvider"]
    assert (gone["status"], gone["updateStatus"]) == ("INACTIVE", "DELETE_COMPLETE")
    (described,) = ecs("DescribeCapacityProviders", capacityProviders=["cp"])["capacityProviders"]
    assert described == gone
    assert refused(ecs, "DeleteCapacityProvider", capacityProvider="cp") == UNKNOWN.format("cp")
    assert refused(ecs, "DeleteCapacityProvider", capacityProvider="FARGATE_SPOT") == (
        "The specified capacity provider is reserved and cannot be deleted."
    )
    assert create(ecs)["status"] == "ACTIVE"


def test_managed_instances_belong_to_a_cluster(ecs: Ecs) -> None:
    ecs("CreateCluster", clusterName="web")
    ecs("CreateCluster", clusterName="other")
    made = ecs("CreateCapacityProvider", name="m", cluster="web", managedInstancesProvider=MANAGED)
    assert made["capacityProvider"] == {
        "capacityProviderArn": ARN + "m",
        "name": "m",
        "cluster": "web",
        "status": "ACTIVE",
        "managedInstancesProvider": {"propagateTags": "NONE", **MANAGED},
        "updateStatus": "CREATE_COMPLETE",
        "tags": [],
        "type": "MANAGED_INSTANCES",
    }
    changed = {**MANAGED, "propagateTags": "CAPACITY_PROVIDER"}
    updated = ecs("UpdateCapacityProvider", name="m", cluster="web", managedInstancesProvider=changed)
    assert updated["capacityProvider"]["managedInstancesProvider"] == changed
    for params, message in (
        ({"name": "m", "cluster": "web"}, "Specify the managed instances provider to update."),
        ({"name": "m", "cluster": "other", "managedInstancesProvider": MANAGED}, UNKNOWN.format("m")),
        (
            {"name": "m", "managedInstancesProvider": MANAGED},
            "The cluster of a managed instances provider must be specified.",
        ),
    ):
        assert refused(ecs, "UpdateCapacityProvider", **params) == message
    assert refused(
        ecs,
        "CreateCapacityProvider",
        name="n",
        cluster="web",
        managedInstancesProvider={**MANAGED, "infrastructureRoleArn": "ecs"},
    ) == ("The specified infrastructure role ARN is invalid. Specify a valid ARN and try again.")
    assert (
        refused(
            ecs,
            "CreateCapacityProvider",
            name="n",
            cluster="web",
            managedInstancesProvider={
                **MANAGED,
                "instanceLaunchTemplate": {**MANAGED["instanceLaunchTemplate"], "networkConfiguration": {}},
            },
        )
        == "subnets can not be empty."
    )
    ecs("DeleteCapacityProvider", capacityProvider="m", cluster="web")
