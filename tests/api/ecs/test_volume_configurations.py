"""Volumes that are configured at launch: what is refused, in whose words, and what becomes of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.model.task import Task
from tests.api.conftest import Aws
from tests.api.ecs.conftest import Ecs

ROLE = "arn:aws:iam::000000000000:role/ecsInfrastructureRole"
NET = {"awsvpcConfiguration": {"subnets": ["subnet-0000000a"]}}
NO_EBS = "No EBS volume is made: each task gets an empty volume on its engine's disk"
UNMATCHED = "Volume configuration provided but no matching configuredAtLaunch volume found in task definition"
MISSING = (
    "Volume configuration must be provided for the configuredAtLaunch volume 'data' of the task definition."
)


def volume(name: str = "data", **settings: Any) -> dict[str, Any]:
    return {"name": name, "managedEBSVolume": {"roleArn": ROLE, **settings}}


GP3 = volume(volumeType="gp3", sizeInGiB=10)
LARGER = volume(volumeType="gp3", sizeInGiB=20)


@pytest.fixture(autouse=True)
def bed(aws: Aws) -> None:
    """Task definitions with a volume that is configured at launch (``data``) and without one (``plain``)."""
    aws.ecs("CreateCluster", clusterName="default")
    app = {"name": "app", "image": "a", "memory": 64}
    for family, volumes in (("data", [{"name": "data", "configuredAtLaunch": True}]), ("plain", [])):
        aws.ecs("RegisterTaskDefinition", family=family, containerDefinitions=[app], volumes=volumes)
    aws.ecs(
        "RegisterTaskDefinition",
        family="fargate",
        containerDefinitions=[app],
        volumes=[{"name": "data", "configuredAtLaunch": True}, {"name": "other"}],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        requiresCompatibilities=["FARGATE"],
    )


def ec2(code: str, text: str) -> str:
    return (
        "ECS managed EBS volume configuration was invalid for volume 'data'. "
        f"Encountered '{code}' error from AmazonEC2: \"{text}\""
    )


def value(text: str) -> str:
    return ec2("InvalidParameterValue", text)


def combination(text: str) -> str:
    return ec2("InvalidParameterCombination", text)


def too_small(type: str, size: int, least: int) -> str:
    return value(
        f"The volume size is invalid for {type} volumes: {size} GiB. {type} volumes must be at least {least} "
        "GiB in size. Please specify a volume size above the minimum limit."
    )


def too_large(type: str, size: int, most: int) -> str:
    return value(f"Volume of {size}GiB is too large for volume type {type}; maximum is {most}GiB")


NO_SNAPSHOT = "You can't specify VolumeInitializationRate for volumes that are not created from a snapshot."
NOT_IN_RANGE = "The value specified for VolumeInitializationRate is not in the allowed range."
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, ec2("MissingParameter", "The request must contain the parameter size/snapshot")),
    ({"volumeType": "gp4", "sizeInGiB": 1},
     ec2("UnknownVolumeType", "Unsupported volume type 'gp4' for volume creation.")),
    ({"sizeInGiB": 0}, too_small("gp2", 0, 1)),
    ({"sizeInGiB": 16385}, too_large("gp2", 16385, 16384)),
    ({"volumeType": "gp3", "sizeInGiB": -1}, too_small("gp3", -1, 1)),
    ({"volumeType": "io1", "sizeInGiB": 3, "iops": 100}, too_small("io1", 3, 4)),
    ({"volumeType": "io2", "sizeInGiB": 16385, "iops": 100}, too_large("io2", 16385, 16384)),
    ({"volumeType": "st1", "sizeInGiB": 124}, too_small("st1", 124, 125)),
    ({"volumeType": "sc1", "sizeInGiB": 124}, too_small("sc1", 124, 125)),
    ({"volumeType": "standard", "sizeInGiB": 1025}, too_large("standard", 1025, 1024)),
    ({"volumeType": "io1", "sizeInGiB": 9},
     combination("The parameter iops must be specified for io1 volumes.")),
    ({"volumeType": "io2", "snapshotId": "snap-1"},
     combination("The parameter iops must be specified for io2 volumes.")),
    *(({"volumeType": type, "sizeInGiB": 500, "iops": 3000},
       combination(f"The parameter iops is not supported for {type} volumes."))
      for type in ("gp2", "st1", "sc1", "standard")),
    ({"volumeType": "gp3", "sizeInGiB": 9, "iops": 2999},
     value("Volume iops of 2999 is too low; minimum is 3000.")),
    ({"volumeType": "gp3", "sizeInGiB": 99, "iops": 16001},
     value("Volume iops of 16001 is too high; maximum is 16000.")),
    ({"volumeType": "io1", "sizeInGiB": 9, "iops": 99},
     value("Volume iops of 99 is too low; minimum is 100.")),
    ({"volumeType": "io1", "sizeInGiB": 9999, "iops": 64001},
     value("Volume iops of 64001 is too high; maximum is 64000.")),
    ({"volumeType": "io2", "sizeInGiB": 9999, "iops": 256001},
     value("Volume iops of 256001 is too high; maximum is 256000.")),
    ({"volumeType": "gp3", "sizeInGiB": 20, "iops": 15000},
     value("Iops to volume size ratio of 750.000000 is too high; maximum is 500")),
    *(({"volumeType": type, "sizeInGiB": 125, "throughput": 125, **more},
       combination(f"The throughput parameter is not supported for {type} volumes."))
      for type, more in (("gp2", {}), ("io1", {"iops": 100}), ("io2", {"iops": 100}), ("st1", {}))),
    ({"volumeType": "gp3", "sizeInGiB": 99, "throughput": 1001, "iops": 16000},
     value("Volume throughput of 1001 is too high; maximum is 1000.")),
    ({"volumeType": "gp3", "sizeInGiB": 99, "throughput": -1},
     value("Value (-1) for parameter throughput is invalid. Value must be a positive integer.")),
    ({"volumeType": "gp3", "sizeInGiB": 99, "throughput": 1000},
     value("Throughput (MiBps) to iops ratio of 0.333333 is too high; maximum is 0.250000 MiBps per iops")),
    ({"sizeInGiB": 9, "volumeInitializationRate": 200}, combination(NO_SNAPSHOT)),
    ({"snapshotId": "snap-1", "volumeInitializationRate": 99}, value(NOT_IN_RANGE)),
    ({"snapshotId": "snap-1", "volumeInitializationRate": 301}, value(NOT_IN_RANGE)),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=lambda each: str(each)[:70])
def test_what_ec2_would_refuse(ecs: Ecs, settings: dict[str, Any], message: str) -> None:
    refused = ("InvalidParameterException", message)
    given = {"taskDefinition": "data", "volumeConfigurations": [volume(**settings)]}
    assert ecs.refusal("RunTask", **given) == refused
    assert ecs.refusal("CreateService", serviceName="web", desiredCount=1, **given) == refused


@pytest.mark.parametrize(
    "settings",
    [
        {"sizeInGiB": 1},
        {"sizeInGiB": 16384, "encrypted": True, "kmsKeyId": "alias/k", "filesystemType": "ext4"},
        {"snapshotId": "snap-1"},
        {"snapshotId": "snap-1", "sizeInGiB": 20, "volumeInitializationRate": 300},
        {"volumeType": "gp3", "sizeInGiB": 1, "iops": 3000, "throughput": 750},
        {"volumeType": "gp3", "sizeInGiB": 32, "iops": 16000, "throughput": 1000},
        {"volumeType": "gp3", "sizeInGiB": 16384},
        {"volumeType": "io1", "sizeInGiB": 4, "iops": 200},
        {"volumeType": "io2", "sizeInGiB": 256, "iops": 256000},
        {"volumeType": "st1", "sizeInGiB": 125},
        {"volumeType": "sc1", "sizeInGiB": 16384},
        {"volumeType": "standard", "sizeInGiB": 1024},
    ],
    ids=str,
)
def test_what_is_accepted_is_shown_as_it_was_given(ecs: Ecs, settings: dict[str, Any]) -> None:
    given = [volume(**settings)]
    made = create(ecs, volumeConfigurations=given)
    assert any(hint.startswith(NO_EBS) for hint in ecs.aws.hints)
    assert made["deployments"][0]["volumeConfigurations"] == given


def create(ecs: Ecs, definition: str = "data", **more: Any) -> dict[str, Any]:
    answer = ecs("CreateService", serviceName="web", taskDefinition=definition, desiredCount=1, **more)
    return dict(answer["service"])


def update(ecs: Ecs, **changes: Any) -> list[Any]:
    """What the service's deployments have after UpdateService, the newest first."""
    service = ecs("UpdateService", service="web", **changes)["service"]
    return [each.get("volumeConfigurations") for each in service["deployments"]]


@pytest.mark.parametrize(
    ("definition", "given", "message"),
    [
        ("plain", [GP3], UNMATCHED),
        ("data", [volume("other", sizeInGiB=1)],
         "The volume name 'other' in your request does not have a matching volume in your Task Definition"),
        ("data", [], MISSING),
        ("data", [GP3, GP3], "volumeConfigurations can have at most 1 items."),
        ("data", [{"name": "data"}], "managedEBSVolume must be specified for volume 'data'."),
    ],
    ids=["none", "another", "missing", "twice", "empty"],
)  # fmt: skip
def test_it_goes_with_the_task_definitions_volume(
    ecs: Ecs, definition: str, given: list[dict[str, Any]], message: str
) -> None:
    refused = ("InvalidParameterException", message)
    params = {"taskDefinition": definition, "volumeConfigurations": given}
    instance = ecs.aws.register_instance()
    assert ecs.refusal("RunTask", **params) == refused
    assert ecs.refusal("StartTask", containerInstances=[instance], **params) == refused
    assert ecs.refusal("CreateService", serviceName="web", desiredCount=1, **params) == refused
    create(ecs, definition, **({"volumeConfigurations": [GP3]} if definition == "data" else {}))
    assert ecs.refusal("UpdateService", service="web", **params) == refused


def test_on_fargate_there_are_no_magnetic_disks(ecs: Ecs) -> None:
    on_fargate = {"taskDefinition": "fargate", "launchType": "FARGATE", "networkConfiguration": NET}
    magnetic = [volume(volumeType="standard", sizeInGiB=9)]
    message = "The standard volume type is not supported for the FARGATE launch type."
    refused = ("InvalidParameterException", message)
    assert ecs.refusal("RunTask", **on_fargate, volumeConfigurations=magnetic) == refused
    (task,) = ecs("RunTask", **on_fargate, volumeConfigurations=[GP3])["tasks"]
    assert kept(ecs, task["taskArn"]) == (GP3,)


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_with_ecss_own_deployments_only(ecs: Ecs, controller: str) -> None:
    message = "Volume configurations can only be used with the ECS deployment controller."
    balanced = {"loadBalancers": [{"containerName": "app", "containerPort": 80, "targetGroupArn": "arn:x"}]}
    params = {"taskDefinition": "data", **balanced} if controller == "CODE_DEPLOY" else {}
    assert ecs.refusal(
        "CreateService",
        serviceName="web",
        deploymentController={"type": controller},
        volumeConfigurations=[GP3],
        **params,
    ) == ("InvalidParameterException", message)


def test_a_task_set_can_have_none(ecs: Ecs) -> None:
    ecs("CreateService", serviceName="web", deploymentController={"type": "EXTERNAL"})
    made = {"cluster": "default", "service": "web"}
    refused = ("InvalidParameterException", MISSING)
    assert ecs.refusal("CreateTaskSet", taskDefinition="data", **made) == refused
    ecs("CreateTaskSet", taskDefinition="plain", **made)


def kept(ecs: Ecs, arn: str) -> tuple[Any, ...]:
    with ecs.aws.store.transaction() as tx:
        task = tx.get(Task, arn)
    assert task is not None
    return tuple(task.volume_configurations)


def test_an_update_changes_keeps_or_removes_it(ecs: Ecs) -> None:
    create(ecs, volumeConfigurations=[GP3])
    assert update(ecs, desiredCount=2) == [[GP3]]
    assert update(ecs, volumeConfigurations=[GP3]) == [[GP3]], "the same is no new deployment"
    assert update(ecs, volumeConfigurations=[LARGER]) == [[LARGER], [GP3]]
    assert any(hint.startswith(NO_EBS) for hint in ecs.aws.hints)
    assert update(ecs, taskDefinition="data", forceNewDeployment=True)[0] == [LARGER]
    refused = ("InvalidParameterException", UNMATCHED)
    assert ecs.refusal("UpdateService", service="web", taskDefinition="plain") == refused
    refused = ("InvalidParameterException", MISSING)
    assert ecs.refusal("UpdateService", service="web", volumeConfigurations=[]) == refused
    assert update(ecs, taskDefinition="plain", volumeConfigurations=[])[:2] == [None, [LARGER]]
    assert not any(hint.startswith(NO_EBS) for hint in ecs.aws.hints)
    assert ecs.refusal("UpdateService", service="web", taskDefinition="data") == refused
    assert update(ecs, taskDefinition="data", volumeConfigurations=[GP3])[0] == [GP3]


def test_service_revisions_have_it(ecs: Ecs) -> None:
    create(ecs, volumeConfigurations=[GP3])
    service = ecs("UpdateService", service="web", volumeConfigurations=[LARGER])["service"]
    arns = [each["arn"] for each in service["currentServiceRevisions"]]
    shown = ecs("DescribeServiceRevisions", serviceRevisionArns=arns)["serviceRevisions"]
    assert {each["serviceRevisionArn"]: each["volumeConfigurations"] for each in shown} == {
        arns[0]: [LARGER], arns[1]: [GP3]
    }  # fmt: skip


def test_creating_it_again_with_another_volume_is_another_service(ecs: Ecs) -> None:
    create(ecs, volumeConfigurations=[GP3])
    create(ecs, volumeConfigurations=[GP3])
    given = {"serviceName": "web", "taskDefinition": "data", "desiredCount": 1}
    assert ecs.refusal("CreateService", **given, volumeConfigurations=[LARGER])[1] == (
        "Creation of service was not idempotent."
    )
