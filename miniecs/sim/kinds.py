"""The sorts of services that a random cluster has: together they use what a service can ask for.

Each run has some of them, so that what one needs meets what another needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from miniecs.sim import grouped

GOOD_IMAGE = "httpd:2.4"
BAD_IMAGES = (
    "sim/exit-1-after-20",
    "sim/pull-fails",
    "sim/start-fails",
    "sim/oom-after-30",
    "sim/ignores-sigterm",
    "sim/never-healthy",
    "sim/unhealthy-after-30",
    "sim/answers-503",
)


@dataclass(frozen=True)
class Kind:
    """A sort of service: what its task definition and its CreateService have besides the usual."""

    name: str
    container: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict)
    network_mode: str = "bridge"
    size: dict[str, str] = field(default_factory=dict)  # of the task: Fargate needs one
    balanced: bool = False
    sidecar: bool = False
    alarm: str = ""  # ends its deployments


_HEALTH_CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
_IN_SUBNETS = {
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-11111111", "subnet-22222222"]}}
}
ALARM = {
    "MetricName": "Latency",
    "Namespace": "Sim",
    "Statistic": "Average",
    "Period": 30,
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
EXTERNAL = {"type": "EXTERNAL"}  # a deploymentController
_OF_ONE_TYPE = "attribute:ecs.instance-type == m5.large"
_DYNAMIC = [{"containerPort": 80, "hostPort": 0}]
KINDS = (
    Kind("plain"),
    Kind(
        "checked",
        {"healthCheck": _HEALTH_CHECK},
        {"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}},
    ),
    Kind(
        "balanced",
        {"portMappings": _DYNAMIC},
        {
            "healthCheckGracePeriodSeconds": 20,
            "deploymentConfiguration": {"minimumHealthyPercent": 75, "maximumPercent": 150},
        },
        balanced=True,
    ),
    Kind(
        "static",
        {"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
        {
            "placementStrategy": [{"type": "binpack", "field": "memory"}],
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
                "deploymentCircuitBreaker": {"enable": True, "rollback": False},
            },
        },
    ),
    Kind(
        "paired",
        {"stopTimeout": 5},
        {
            "placementConstraints": [{"type": "distinctInstance"}],
            "deploymentConfiguration": {"minimumHealthyPercent": 67, "maximumPercent": 134},
        },
        sidecar=True,
    ),
    Kind(
        "dense",
        {"memory": 5000},  # one on a host
        {
            "placementStrategy": [{"type": "binpack", "field": "memory"}],
            "placementConstraints": [{"type": "memberOf", "expression": _OF_ONE_TYPE}],
        },
    ),
    Kind(
        "breaking",
        {},
        {
            "deploymentConfiguration": {
                "minimumHealthyPercent": 50,
                "maximumPercent": 150,
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": True,
                    "resetOnHealthyTask": False,
                    "thresholdConfiguration": {"type": "COUNT", "value": 4},
                },
                "earlySuccessCriteria": {
                    "enable": True,
                    "healthyPercent": 75,
                    "sourceServiceRevisionCleanup": "DEFERRED",
                },
            },
        },
    ),
    Kind(
        "alarmed",
        {"healthCheck": _HEALTH_CHECK},
        {
            "deploymentConfiguration": {
                "minimumHealthyPercent": 0,
                "maximumPercent": 100,
                "alarms": {"alarmNames": ["too-slow"], "enable": True, "rollback": True},
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            },
        },
        alarm="too-slow",
    ),
    Kind(
        "daemon",
        {"cpu": 64, "memory": 32},  # it has to fit on each of its instances, however full of others' tasks
        {
            "schedulingStrategy": "DAEMON",
            "placementConstraints": [
                {"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1a"},
                {"type": "memberOf", "expression": _OF_ONE_TYPE},
            ],
        },
    ),
    Kind(
        "host-network",
        {"portMappings": [{"containerPort": 9090}]},
        {"placementConstraints": [{"type": "memberOf", "expression": _OF_ONE_TYPE}]},  # its port is scarce
        network_mode="host",
    ),
    Kind("awsvpc", {"portMappings": [{"containerPort": 80}]}, _IN_SUBNETS, network_mode="awsvpc"),
    Kind(
        "fargate",
        {"portMappings": [{"containerPort": 80}]},
        {**_IN_SUBNETS, "launchType": "FARGATE"},
        network_mode="awsvpc",
        size={"cpu": "512", "memory": "2048"},
    ),
)
PROVIDED = (
    Kind("provided", {"memory": 1500}, grouped.STRATEGY),
    Kind(
        "apart",
        {},
        {
            **grouped.STRATEGY,
            "placementConstraints": [{"type": "distinctInstance"}],
            "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150},
        },
    ),
)
