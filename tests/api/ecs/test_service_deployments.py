"""Service deployments and revisions as their operations answer, without control loops to move them on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.control import service_deployments
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs_api.wire.outputs import problems
from tests.api.conftest import Aws

from .test_services import CLUSTER, create, refused

DEPLOYMENT = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/"
REVISION = "arn:aws:ecs:us-east-1:000000000000:service-revision/default/web/"


def brief(aws: Aws, **params: Any) -> list[dict[str, Any]]:
    answer = aws.ecs("ListServiceDeployments", service="web", **params)
    assert problems("ecs", "ListServiceDeployments", answer) == []
    return list(answer["serviceDeployments"])


def shown(aws: Aws, arn: str) -> dict[str, Any]:
    answer = aws.ecs("DescribeServiceDeployments", serviceDeploymentArns=[arn])
    assert problems("ecs", "DescribeServiceDeployments", answer) == []
    assert answer["failures"] == []
    (found,) = answer["serviceDeployments"]
    return dict(found)


def end(aws: Aws, arn: str, status: str) -> None:
    """What the control loop does in its time."""
    release = aws.store.get(ServiceDeployment, arn)
    assert release is not None
    if release.status == "PENDING":
        release = service_deployments.moved(
            release, "IN_PROGRESS", now=aws.clock.time, started_at=aws.clock.time
        )
    with aws.store.transaction() as tx:
        tx.put(service_deployments.moved(release, status, now=aws.clock.time))


def update(aws: Aws, **params: Any) -> dict[str, Any]:
    aws.clock.time += 1
    answer = aws.ecs("UpdateService", service="web", **params)
    assert problems("ecs", "UpdateService", answer) == []
    return dict(answer["service"])


def test_a_new_service_has_a_service_deployment_and_a_revision(cluster: Aws) -> None:
    created = create(cluster)
    (listed,) = brief(cluster)
    arn = listed["serviceDeploymentArn"]
    assert arn.startswith(DEPLOYMENT) and len(arn) == len(DEPLOYMENT) + 21
    assert created["currentServiceDeployment"] == arn
    revision_arn = listed["targetServiceRevisionArn"]
    assert revision_arn.startswith(REVISION) and revision_arn.removeprefix(REVISION).isdigit()
    assert {name: value for name, value in listed.items() if value is not None} == {
        "serviceDeploymentArn": arn,
        "serviceArn": created["serviceArn"],
        "clusterArn": CLUSTER,
        "createdAt": cluster.clock.time,
        "targetServiceRevisionArn": revision_arn,
        "status": "PENDING",
    }
    target = {"arn": revision_arn, "requestedTaskCount": 2, "runningTaskCount": 0, "pendingTaskCount": 0}
    assert created["currentServiceRevisions"] == [target]
    assert {name: value for name, value in shown(cluster, arn).items() if value is not None} == {
        "serviceDeploymentArn": arn,
        "serviceArn": created["serviceArn"],
        "clusterArn": CLUSTER,
        "createdAt": cluster.clock.time,
        "updatedAt": cluster.clock.time,
        "sourceServiceRevisions": [],
        "targetServiceRevision": target,
        "status": "PENDING",
        "deploymentConfiguration": created["deploymentConfiguration"],
        "deploymentCircuitBreaker": {"status": "DISABLED", "failureCount": 0, "threshold": 3},
        "alarms": {"status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": []},
    }
    answer = cluster.ecs("DescribeServiceRevisions", serviceRevisionArns=[revision_arn])
    assert problems("ecs", "DescribeServiceRevisions", answer) == []
    (revision,) = answer["serviceRevisions"]
    assert {name: value for name, value in revision.items() if value is not None} == {
        "serviceRevisionArn": revision_arn,
        "serviceArn": created["serviceArn"],
        "clusterArn": CLUSTER,
        "taskDefinition": created["taskDefinition"],
        "launchType": "EC2",
        "loadBalancers": [],
        "containerImages": [{"containerName": "app", "image": "busybox:latest", "imageDigest": None}],
        "guardDutyEnabled": False,
        "createdAt": cluster.clock.time,
    }


@pytest.mark.parametrize(
    ("params", "begins"),
    [
        ({"forceNewDeployment": True}, True),
        ({"taskDefinition": "web:2"}, True),
        ({"taskDefinition": "web:1"}, False),
        ({"desiredCount": 5}, False),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, False),
        ({"healthCheckGracePeriodSeconds": 5}, False),
        ({"propagateTags": "SERVICE"}, False),
        ({"enableECSManagedTags": True}, False),
        (
            {"placementStrategy": [{"type": "random"}], "availabilityZoneRebalancing": "DISABLED"},
            False,
        ),
        ({"placementConstraints": [{"type": "distinctInstance"}]}, False),
        ({"availabilityZoneRebalancing": "DISABLED"}, False),
    ],
)
def test_which_updates_begin_a_deployment(cluster: Aws, params: dict[str, Any], begins: bool) -> None:
    created = create(cluster)
    cluster.ecs(
        "RegisterTaskDefinition",
        family="web",
        containerDefinitions=[{"name": "app", "image": "nginx:2", "memory": 64}],
    )
    updated = update(cluster, **params)
    assert (len(brief(cluster)) == 2) is begins
    assert (updated["currentServiceDeployment"] != created["currentServiceDeployment"]) is begins
    assert len(updated["currentServiceRevisions"]) == 1 + begins
    if not begins:
        (listed,) = brief(cluster)
        release = shown(cluster, listed["serviceDeploymentArn"])
        assert release["deploymentConfiguration"] == updated["deploymentConfiguration"]
        assert release["targetServiceRevision"]["requestedTaskCount"] == updated["desiredCount"]


def test_a_newer_deployment_takes_over(cluster: Aws) -> None:
    create(cluster)
    (first,) = brief(cluster)
    update(cluster, forceNewDeployment=True)
    second, before = brief(cluster)
    assert [second["status"], before["status"]] == ["PENDING", "STOP_REQUESTED"]
    assert before["statusReason"] == (
        "Service deployment stopped because a newer service deployment was created."
    )
    release = shown(cluster, second["serviceDeploymentArn"])
    sources = release["sourceServiceRevisions"]
    assert [source["arn"] for source in sources] == [first["targetServiceRevisionArn"]]
    (service,) = cluster.ecs("DescribeServices", services=["web"])["services"]
    assert service["currentServiceDeployment"] == second["serviceDeploymentArn"]


def test_listing_filters_and_pages(cluster: Aws) -> None:
    create(cluster)
    started = cluster.clock.time
    for _ in range(24):
        update(cluster, forceNewDeployment=True)
    first = cluster.ecs("ListServiceDeployments", service="web")
    assert (len(first["serviceDeployments"]), first["nextToken"] is None) == (20, False)
    rest = cluster.ecs("ListServiceDeployments", service="web", nextToken=first["nextToken"])
    assert (len(rest["serviceDeployments"]), rest["nextToken"]) == (5, None)
    every = [*first["serviceDeployments"], *rest["serviceDeployments"]]
    times = [each["createdAt"] for each in every]
    assert times == sorted(times, reverse=True) and len(set(times)) == 25
    assert len(brief(cluster, maxResults=7)) == 7
    assert [each["status"] for each in brief(cluster, status=["PENDING"])] == ["PENDING"]
    assert len(brief(cluster, status=["PENDING", "STOP_REQUESTED"], maxResults=100)) == 25
    assert brief(cluster, status=["SUCCESSFUL"]) == []
    between = brief(cluster, createdAt={"after": started, "before": started + 3})
    assert [each["createdAt"] for each in between] == [started + 2, started + 1]


@pytest.mark.parametrize(
    ("operation", "params", "code", "message"),
    [
        ("ListServiceDeployments", {"service": "no"}, "ServiceNotFoundException", "Service not found."),
        (
            "ListServiceDeployments",
            {"service": "web", "cluster": "no"},
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        (
            "ListServiceDeployments",
            {"service": "web", "maxResults": 101},
            "InvalidParameterException",
            "maxResults must be between 1 and 100.",
        ),
        (
            "DescribeServiceDeployments",
            {"serviceDeploymentArns": []},
            "InvalidParameterException",
            "Service deployment ARNs cannot be empty.",
        ),
        (
            "DescribeServiceDeployments",
            {"serviceDeploymentArns": [f"{DEPLOYMENT}{n}" for n in range(21)]},
            "InvalidParameterException",
            "Service deployment ARNs must have at most 20 members.",
        ),
        (
            "DescribeServiceRevisions",
            {"serviceRevisionArns": [f"{DEPLOYMENT}1"]},
            "InvalidParameterException",
            "The ARN provided is invalid.",
        ),
        (
            "StopServiceDeployment",
            {"serviceDeploymentArn": "web"},
            "InvalidParameterException",
            "The ARN provided is invalid.",
        ),
        (
            "StopServiceDeployment",
            {"serviceDeploymentArn": DEPLOYMENT.replace("000000000000", "111111111111") + "1"},
            "ServiceDeploymentNotFoundException",
            "Service deployment not found.",
        ),
        (
            "StopServiceDeployment",
            {"serviceDeploymentArn": f"{DEPLOYMENT}nope"},
            "ServiceDeploymentNotFoundException",
            "Service deployment not found.",
        ),
    ],
)
def test_refusals(cluster: Aws, operation: str, params: dict[str, Any], code: str, message: str) -> None:
    create(cluster)
    assert refused(cluster, operation, **params) == (code, message)


def test_unknown_ones_are_failures(cluster: Aws) -> None:
    create(cluster)
    for operation, argument, prefix in (
        ("DescribeServiceDeployments", "serviceDeploymentArns", DEPLOYMENT),
        ("DescribeServiceRevisions", "serviceRevisionArns", REVISION),
    ):
        answer = cluster.ecs(operation, **{argument: [f"{prefix}1"]})
        assert answer["failures"] == [{"arn": f"{prefix}1", "reason": "MISSING"}]


def test_stopping(cluster: Aws) -> None:
    create(cluster)
    (first,) = brief(cluster)
    arn = first["serviceDeploymentArn"]
    cluster.clock.time += 1
    for _ in range(2):  # what is rolling back goes on doing so
        answer = cluster.ecs("StopServiceDeployment", serviceDeploymentArn=arn)
        assert answer == {"serviceDeploymentArn": arn}
        release = shown(cluster, arn)
        assert (release["status"], release["updatedAt"]) == ("ROLLBACK_REQUESTED", cluster.clock.time)
        assert release["statusReason"] == "Service deployment rolled back because the user requested it."
    update(cluster, forceNewDeployment=True)
    assert brief(cluster)[1]["status"] == "ROLLBACK_FAILED"
    second = brief(cluster)[0]["serviceDeploymentArn"]
    cluster.ecs("StopServiceDeployment", serviceDeploymentArn=second, stopType="ABORT")
    release = shown(cluster, second)
    assert (release["status"], release["statusReason"]) == (
        "STOP_REQUESTED",
        "Service deployment stopped by the user.",
    )


def test_what_has_ended_cannot_be_stopped(cluster: Aws) -> None:
    create(cluster)
    (first,) = brief(cluster)
    arn = first["serviceDeploymentArn"]
    end(cluster, arn, "SUCCESSFUL")
    assert refused(cluster, "StopServiceDeployment", serviceDeploymentArn=arn) == (
        "ConflictException",
        "The service deployment cannot be stopped because it is in the SUCCESSFUL state.",
    )
    (service,) = cluster.ecs("DescribeServices", services=["web"])["services"]
    assert service["currentServiceDeployment"] is None
    assert shown(cluster, arn)["finishedAt"] == cluster.clock.time


def test_a_deleted_services_deployment_is_asked_to_stop(cluster: Aws) -> None:
    create(cluster)
    cluster.ecs("DeleteService", service="web", force=True)
    (listed,) = brief(cluster)
    assert (listed["status"], listed["statusReason"]) == (
        "STOP_REQUESTED",
        "Service deployment stopped because the service is being deleted.",
    )


# deploymentConfiguration


def configured(aws: Aws, **configuration: Any) -> dict[str, Any]:
    service = create(aws, deploymentConfiguration=configuration)
    shown: dict[str, Any] = service["deploymentConfiguration"]
    return shown


def alarm(aws: Aws, name: str) -> None:
    aws.call(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName=name,
        MetricName="m",
        Namespace="n",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )


def test_the_circuit_breakers_settings_are_kept_member_by_member(cluster: Aws) -> None:
    breaker = {
        "enable": True,
        "rollback": True,
        "resetOnHealthyTask": False,
        "thresholdConfiguration": {"type": "COUNT", "value": 7},
    }
    assert configured(cluster, deploymentCircuitBreaker=breaker)["deploymentCircuitBreaker"] == breaker
    (first,) = brief(cluster)
    assert shown(cluster, first["serviceDeploymentArn"])["deploymentCircuitBreaker"] == {
        "status": "MONITORING",
        "failureCount": 0,
        "threshold": 7,
    }
    updated = update(
        cluster,
        deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": False}},
    )
    assert updated["deploymentConfiguration"]["deploymentCircuitBreaker"] == breaker | {"rollback": False}


def test_alarms_and_early_success_are_shown(cluster: Aws) -> None:
    alarm(cluster, "slow")
    alarms = {"alarmNames": ["slow"], "enable": True, "rollback": True}
    early = {"enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}
    configuration = configured(cluster, alarms=alarms, earlySuccessCriteria=early)
    assert (configuration["alarms"], configuration["earlySuccessCriteria"]) == (alarms, early)
    (first,) = brief(cluster)
    assert shown(cluster, first["serviceDeploymentArn"])["alarms"] == {
        "status": "MONITORING",
        "alarmNames": ["slow"],
        "triggeredAlarmNames": [],
    }
    updated = update(cluster, deploymentConfiguration={"earlySuccessCriteria": {"enable": False}})
    assert "earlySuccessCriteria" not in updated["deploymentConfiguration"]
    assert updated["deploymentConfiguration"]["alarms"] == alarms


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (
            {"alarms": {"alarmNames": [], "enable": True, "rollback": False}},
            "alarmNames cannot be empty when deployment alarms are enabled.",
        ),
        (
            {"alarms": {"alarmNames": ["a", "slow", "b"], "enable": True, "rollback": False}},
            "The CloudWatch alarms do not exist: a, b.",
        ),
        (
            {"earlySuccessCriteria": {"enable": True, "healthyPercent": 100}},
            "earlySuccessCriteria.sourceServiceRevisionCleanup must be specified when early success is"
            " enabled.",
        ),
        (
            {"earlySuccessCriteria": {"enable": True, "sourceServiceRevisionCleanup": "BLOCKING"}},
            "earlySuccessCriteria.healthyPercent must be specified when early success is enabled.",
        ),
        (
            {
                "minimumHealthyPercent": 60,
                "earlySuccessCriteria": {
                    "enable": True,
                    "healthyPercent": 59,
                    "sourceServiceRevisionCleanup": "BLOCKING",
                },
            },
            "earlySuccessCriteria.healthyPercent must be greater than or equal to minimumHealthyPercent.",
        ),
        (
            {
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": True,
                    "thresholdConfiguration": {"type": "COUNT", "value": 0},
                }
            },
            "thresholdConfiguration.value must be greater than or equal to 1.",
        ),
        (
            {
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": True,
                    "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 101},
                }
            },
            "thresholdConfiguration.value must be at most 100 for the type BOUNDED_PERCENT.",
        ),
    ],
)
def test_configurations_that_are_refused(
    cluster: Aws, configuration: dict[str, Any], message: str
) -> None:
    alarm(cluster, "slow")
    params = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}
    given = refused(cluster, "CreateService", **params, deploymentConfiguration=configuration)
    assert given == ("InvalidParameterException", message)


def test_the_monitors_of_a_deployment_that_has_ended(cluster: Aws) -> None:
    alarm(cluster, "slow")
    configured(
        cluster,
        alarms={"alarmNames": ["slow"], "enable": True, "rollback": True},
        deploymentCircuitBreaker={"enable": True, "rollback": True},
    )
    (first,) = brief(cluster)
    arn = first["serviceDeploymentArn"]
    end(cluster, arn, "STOPPED")

    def monitors(**fields: Any) -> tuple[str, str]:
        release = cluster.store.get(ServiceDeployment, arn)
        assert release is not None
        with cluster.store.transaction() as tx:
            tx.put(replace(release, **fields))
        told = shown(cluster, arn)
        return told["deploymentCircuitBreaker"]["status"], told["alarms"]["status"]

    assert monitors(watched_alarms=("slow",)) == ("MONITORING_COMPLETE", "MONITORING_COMPLETE")
    assert monitors(breaker_tripped=True) == ("TRIGGERED", "MONITORING_COMPLETE")
    assert monitors(triggered_alarms=("slow",), breaker_tripped=False) == (
        "MONITORING_COMPLETE",
        "TRIGGERED",
    )
    # Every one of them was in ALARM when it started.
    assert monitors(triggered_alarms=(), watched_alarms=()) == ("MONITORING_COMPLETE", "DISABLED")


def test_reading_changes_nothing(cluster: Aws) -> None:
    create(cluster)
    before = cluster.store.seq
    (first,) = brief(cluster)
    shown(cluster, first["serviceDeploymentArn"])
    cluster.ecs("DescribeServiceRevisions", serviceRevisionArns=[first["targetServiceRevisionArn"]])
    assert cluster.store.seq == before
    assert cluster.store.get(Service, first["serviceArn"]) is not None
