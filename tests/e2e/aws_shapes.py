"""What several stories ask of ECS, in the words of boto3."""

from __future__ import annotations

from typing import Any

ALARM: dict[str, Any] = {
    "MetricName": "Latency",
    "Namespace": "Shop",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
"""PutMetricAlarm's parameters, without a name."""


def register(ecs: Any, family: str, **container: Any) -> str:
    """A task definition of one container; its ARN."""
    definition = {"name": "app", "image": "httpd:2.4", "cpu": 64, "memory": 64, **container}
    answer = ecs.register_task_definition(family=family, containerDefinitions=[definition])
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def make_group(elb: Any, name: str, port: int, *, interval: int = 5, draining: int = 20) -> str:
    """A target group of instances behind a listener of the load balancer ``front``; its ARN."""
    group = elb.create_target_group(
        Name=name,
        Protocol="HTTP",
        Port=80,
        VpcId="vpc-0a1b2c3d4e5f60718",
        TargetType="instance",
        HealthCheckIntervalSeconds=interval,
        HealthCheckTimeoutSeconds=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(draining)}
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])
    balancer = elb.describe_load_balancers(Names=["front"])["LoadBalancers"][0]["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=forward)
    return str(group)


def service(ecs: Any, name: str, cluster: str = "default") -> dict[str, Any]:
    """The service as DescribeServices shows it."""
    (found,) = ecs.describe_services(cluster=cluster, services=[name])["services"]
    assert isinstance(found, dict)
    return found


def events(ecs: Any, name: str, cluster: str = "default") -> list[str]:
    """The service's events, oldest first."""
    return [event["message"] for event in reversed(service(ecs, name, cluster)["events"])]


def steady(ecs: Any, name: str, count: int, cluster: str = "default") -> bool:
    """Whether one completed deployment runs so many tasks, and nothing else of the service is left."""
    shown = service(ecs, name, cluster)
    return (
        [d["rolloutState"] for d in shown["deployments"]] == ["COMPLETED"]
        and (shown["runningCount"], shown["pendingCount"]) == (count, 0)
    )


def tasks(
    ecs: Any, cluster: str = "default", status: str = "RUNNING", **filters: Any
) -> list[dict[str, Any]]:
    """Described tasks that ListTasks gives for the filters, by desired status."""
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, desiredStatus=status, **filters)
    arns = [arn for page in pages for arn in page["taskArns"]]
    if not arns:
        return []
    found: list[dict[str, Any]] = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]
    return found


def task(ecs: Any, arn: str, cluster: str = "default") -> dict[str, Any]:
    (found,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    assert isinstance(found, dict)
    return found


def id_of(arn: str) -> str:
    return arn.rsplit("/", 1)[1]
