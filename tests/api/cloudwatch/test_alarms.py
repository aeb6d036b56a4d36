"""Metric alarms: what is kept of them, how they are found, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.model.frozen import replace
from miniecs.model.scope import Scope
from miniecs.model.service import Service
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.outputs import problems
from tests.api.conftest import Aws

ONE: dict[str, Any] = {
    "MetricName": "Latency",
    "Namespace": "Shop",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 0.5,
    "ComparisonOperator": "GreaterThanThreshold",
}
STAT = {"Metric": {"Namespace": "Shop", "MetricName": "Errors"}, "Period": 60, "Stat": "Sum"}
SEVERAL: dict[str, Any] = {
    "Metrics": [
        {"Id": "errors", "MetricStat": STAT, "ReturnData": False},
        {"Id": "rate", "Expression": "errors / 100"},
    ],
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
ARN = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:slow"


def put(aws: Aws, alarm_name: str = "slow", **params: Any) -> None:
    assert aws.call("cloudwatch", "PutMetricAlarm", AlarmName=alarm_name, **(params or ONE)) == {}


def described(aws: Aws, **params: Any) -> list[dict[str, Any]]:
    answer = aws.call("cloudwatch", "DescribeAlarms", **params)
    assert problems("cloudwatch", "DescribeAlarms", answer) == []
    assert answer["CompositeAlarms"] == []
    return list(answer["MetricAlarms"])


def names(aws: Aws, **params: Any) -> list[str]:
    return [alarm["AlarmName"] for alarm in described(aws, **params)]


def refused(aws: Aws, operation: str, **params: Any) -> tuple[str, str]:
    before = aws.store.seq
    with pytest.raises(AwsError) as caught:
        aws.call("cloudwatch", operation, **params)
    assert aws.store.seq == before
    return caught.value.code, caught.value.message


def test_a_new_alarm_has_no_data(aws: Aws) -> None:
    put(aws, **ONE, AlarmDescription="too slow", AlarmActions=["arn:aws:sns:us-east-1:0:t"])
    assert aws.hints == [
        "Metrics are not evaluated yet: the alarm keeps its state until SetAlarmState changes it, and its"
        " actions are not run (docs/differences.md, Other AWS services)."
    ]
    (alarm,) = described(aws)
    now = aws.clock.time
    assert {name: value for name, value in alarm.items() if value is not None} == {
        **ONE,
        "AlarmName": "slow",
        "AlarmArn": ARN,
        "AlarmDescription": "too slow",
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": ["arn:aws:sns:us-east-1:0:t"],
        "InsufficientDataActions": [],
        "AlarmConfigurationUpdatedTimestamp": now,
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": now,
        "StateTransitionedTimestamp": now,
    }


def test_another_configuration_replaces_the_first_and_the_state_stays(aws: Aws) -> None:
    put(aws, **ONE, AlarmDescription="too slow", Tags=[{"Key": "team", "Value": "a"}])
    aws.clock.time += 1
    state = {"AlarmName": "slow", "StateValue": "ALARM", "StateReason": "testing", "StateReasonData": "{}"}
    assert aws.call("cloudwatch", "SetAlarmState", **state) == {}
    aws.clock.time += 1
    put(aws, **SEVERAL, Tags=[{"Key": "team", "Value": "b"}])
    (alarm,) = described(aws)
    assert (alarm["StateValue"], alarm["StateReason"], alarm["StateReasonData"]) == ("ALARM", "testing", "{}")
    assert alarm["StateTransitionedTimestamp"] == aws.clock.time - 1
    assert alarm["AlarmConfigurationUpdatedTimestamp"] == aws.clock.time
    assert alarm["Metrics"] == SEVERAL["Metrics"]
    assert "MetricName" not in alarm and "AlarmDescription" not in alarm
    tags = aws.call("cloudwatch", "ListTagsForResource", ResourceARN=ARN)
    assert tags == {"Tags": [{"Key": "team", "Value": "a"}]}, "as in CloudWatch, tags are of the creation"


def test_a_state_that_is_set_again_is_no_transition(aws: Aws) -> None:
    put(aws, **ONE, AlarmActions=["arn:aws:sns:us-east-1:0:t"])
    for reason in ("once", "twice"):
        aws.clock.time += 1
        aws.call("cloudwatch", "SetAlarmState", AlarmName="slow", StateValue="ALARM", StateReason=reason)
        assert bool(aws.hints) is (reason == "once"), "its actions are those of a transition"
    (alarm,) = described(aws)
    assert alarm["StateUpdatedTimestamp"] - alarm["StateTransitionedTimestamp"] == 1


def test_alarms_are_found(aws: Aws) -> None:
    for name in ("web-slow", "web-5xx", "db"):
        put(aws, name, **ONE, OKActions=[f"arn:aws:sns:{name}"])
    aws.call("cloudwatch", "SetAlarmState", AlarmName="db", StateValue="OK", StateReason="r")
    assert names(aws) == ["db", "web-5xx", "web-slow"]
    assert names(aws, AlarmNamePrefix="web") == ["web-5xx", "web-slow"]
    assert names(aws, AlarmNames=["db", "nope"]) == ["db"]
    assert names(aws, StateValue="OK") == ["db"]
    assert names(aws, ActionPrefix="arn:aws:sns:web-5") == ["web-5xx"]
    assert names(aws, AlarmTypes=["CompositeAlarm"]) == []
    assert names(aws, AlarmTypes=["MetricAlarm", "CompositeAlarm"]) == ["db", "web-5xx", "web-slow"]
    assert names(aws, ParentsOfAlarmName="db") == []
    first = aws.call("cloudwatch", "DescribeAlarms", MaxRecords=2)
    assert len(first["MetricAlarms"]) == 2
    assert names(aws, MaxRecords=2, NextToken=first["NextToken"]) == ["web-slow"]
    assert refused(aws, "DescribeAlarms", NextToken="x")[0] == "InvalidNextToken"
    assert refused(aws, "DescribeAlarms", AlarmNames=["a"], AlarmNamePrefix="b")[0] == "ValidationException"


def test_alarms_are_deleted(aws: Aws) -> None:
    put(aws)
    assert aws.call("cloudwatch", "DeleteAlarms", AlarmNames=["slow", "nope"]) == {}
    assert described(aws) == []
    assert refused(aws, "DeleteAlarms", AlarmNames=["slow"])[0] == "ResourceNotFound"
    assert not aws.hints
    unknown = {"AlarmName": "slow", "StateValue": "OK", "StateReason": "r"}
    assert refused(aws, "SetAlarmState", **unknown) == ("ResourceNotFound", "Unknown alarm.")


def test_whoever_deletes_an_alarm_hears_which_deployments_go_on_without_it(aws: Aws) -> None:
    put(aws)
    put(aws, "other")
    aws.call("ecs", "CreateCluster", clusterName="c")
    definition = {"name": "a", "image": "busybox", "memory": 16}
    aws.call("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[definition])
    for name, enable in (("web", True), ("api", True), ("deaf", False), ("ended", True)):
        alarms = {"alarmNames": ["slow", "other"], "enable": enable, "rollback": False}
        aws.call(
            "ecs",
            "CreateService",
            cluster="c",
            serviceName=name,
            taskDefinition="web",
            desiredCount=0,
            deploymentConfiguration={"alarms": alarms},
        )
    aws.call("ecs", "DeleteService", cluster="c", service="ended")
    (ended,) = aws.call("ecs", "DescribeServices", cluster="c", services=["ended"])["services"]
    with aws.store.transaction() as tx:
        service = tx.get(Service, ended["serviceArn"])
        assert service is not None
        tx.put(replace(service, status="INACTIVE"))
    aws.call("cloudwatch", "DeleteAlarms", AlarmNames=["slow"])
    assert aws.hints == ["Deployments of c/api, c/web go on without the alarm 'slow'."]


def test_alarms_of_another_account_are_not_seen(aws: Aws) -> None:
    put(aws)
    aws.scope = Scope("111122223333", "us-east-1")
    assert described(aws) == []
    assert refused(aws, "ListTagsForResource", ResourceARN=ARN)[0] == "ResourceNotFoundException"


def test_tags(aws: Aws) -> None:
    put(aws)
    pairs = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    aws.call("cloudwatch", "TagResource", ResourceARN=ARN, Tags=pairs)
    aws.call("cloudwatch", "TagResource", ResourceARN=ARN, Tags=[{"Key": "a", "Value": "3"}])
    aws.call("cloudwatch", "UntagResource", ResourceARN=ARN, TagKeys=["b"])
    tags = aws.call("cloudwatch", "ListTagsForResource", ResourceARN=ARN)
    assert tags == {"Tags": [{"Key": "a", "Value": "3"}]}
    many = [{"Key": f"k{n}", "Value": ""} for n in range(50)]
    assert refused(aws, "TagResource", ResourceARN=ARN, Tags=many)[0] == "ValidationException"
    assert refused(aws, "TagResource", ResourceARN=ARN, Tags=[{"Key": "aws:x", "Value": ""}])[0] == (
        "ValidationException"
    )


@pytest.mark.parametrize(
    ("base", "change"),
    [
        (ONE, {"MetricName": None}),
        (ONE, {"Metrics": SEVERAL["Metrics"]}),
        (ONE, {"Namespace": None}),
        (ONE, {"Period": None}),
        (ONE, {"Period": 45}),
        (ONE, {"Statistic": None}),
        (ONE, {"ExtendedStatistic": "p90"}),
        (ONE, {"EvaluationPeriods": None}),
        (ONE, {"ComparisonOperator": None}),
        (ONE, {"Threshold": None}),
        (ONE, {"DatapointsToAlarm": 4}),
        (ONE, {"TreatMissingData": "maybe"}),
        (ONE, {"EvaluateLowSampleCountPercentile": "maybe"}),
        (ONE, {"EvaluationInterval": 60}),
        (ONE, {"ThresholdMetricId": "x"}),
        (ONE, {"ComparisonOperator": "GreaterThanUpperThreshold"}),
        (SEVERAL, {"Statistic": "Sum"}),
        (SEVERAL, {"Metrics": [{"Id": "a"}]}),
        (SEVERAL, {"Metrics": [{"Id": "a", "Expression": "1"}, {"Id": "a", "Expression": "2"}]}),
        (SEVERAL, {"Metrics": [{"Id": "a", "Expression": "1"}, {"Id": "b", "Expression": "2"}]}),
        (SEVERAL, {"Metrics": [{"Id": "a", "MetricStat": {**STAT, "Period": 7}}]}),
    ],
)
def test_settings_that_do_not_go_together(aws: Aws, base: dict[str, Any], change: dict[str, Any]) -> None:
    params = {name: value for name, value in {**base, **change}.items() if value is not None}
    assert refused(aws, "PutMetricAlarm", AlarmName="slow", **params)[0] == "ValidationException"
    put(aws, **base)


def test_what_is_not_there_yet_says_so(aws: Aws) -> None:
    criteria = {"EvaluationCriteria": {"PromQLCriteria": {"Query": "up"}}, "EvaluationInterval": 60}
    assert refused(aws, "PutMetricAlarm", AlarmName="slow", **criteria)[0] == "NotImplemented"
    put(aws, **ONE)
    state = {"AlarmName": "slow", "StateValue": "OK", "StateReason": "r", "StateReasonData": "{"}
    assert refused(aws, "SetAlarmState", **state)[0] == "InvalidFormatFault"
