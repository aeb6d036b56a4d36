"""Targets: registering, draining, health, and following the use of their group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.config import Timing
from miniecs.model.load_balancing import Target
from miniecs.model.network import default_vpc_id
from miniecs_api.context import ApiSettings

if TYPE_CHECKING:
    from tests.api.conftest import Aws
    from tests.api.elbv2.conftest import Elb

NOT_IN_USE = "Target.NotInUse"
STARTING = "Elb.RegistrationInProgress"


def judge(elb: Elb, id: str, state: str) -> None:
    """What control.health does when probes come in."""
    with elb.aws.store.transaction() as tx:
        for target in list(tx.all(Target)):
            if target.id == id:
                tx.put(replace(target, state=state, reason=None, description=None))


def stored(elb: Elb) -> list[Target]:
    return sorted(elb.aws.store.all(Target), key=lambda target: target.key)


def test_registered_in_a_group_that_is_used(elb: Elb) -> None:
    group = elb.target_group()
    elb.listener(elb.load_balancer(), group)
    targets = [
        {"Id": "10.0.0.1"},
        {"Id": "10.0.0.1", "Port": 8080},
        {"Id": "10.9.0.1", "AvailabilityZone": "all"},
    ]
    assert elb("RegisterTargets", TargetGroupArn=group, Targets=targets) == {}
    health = {
        "State": "initial",
        "Reason": STARTING,
        "Description": "Target registration is in progress",
    }
    assert elb("DescribeTargetHealth", TargetGroupArn=group) == {
        "TargetHealthDescriptions": [
            {
                "Target": {"Id": "10.0.0.1", "Port": 80, "AvailabilityZone": None},
                "HealthCheckPort": "80",
                "TargetHealth": health,
            },
            {
                "Target": {"Id": "10.0.0.1", "Port": 8080, "AvailabilityZone": None},
                "HealthCheckPort": "8080",
                "TargetHealth": health,
            },
            {
                "Target": {"Id": "10.9.0.1", "Port": 80, "AvailabilityZone": "all"},
                "HealthCheckPort": "80",
                "TargetHealth": health,
            },
        ]
    }
    assert stored(elb)[0] == Target(
        target_group_arn=group,
        id="10.0.0.1",
        port=80,
        state="initial",
        reason=STARTING,
        description="Target registration is in progress",
        registered_at=1_700_000_000.0,
    )


def test_targets_follow_the_use_of_their_group(elb: Elb) -> None:
    group, balancer = elb.target_group(), elb.load_balancer()
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    unused = [("10.0.0.1", 80, "unused", NOT_IN_USE)]
    initial = [("10.0.0.1", 80, "initial", STARTING)]
    assert elb.health(group) == unused
    listener = elb.listener(balancer, group)
    assert elb.health(group) == initial
    elb("ModifyListener", ListenerArn=listener, DefaultActions=[elb.action()])
    assert elb.health(group) == unused
    rule = elb.rule(listener, 1, group)
    assert elb.health(group) == initial
    elb("ModifyRule", RuleArn=rule, Actions=[elb.action()])
    assert elb.health(group) == unused
    elb("ModifyRule", RuleArn=rule, Actions=[elb.action(group)])
    judge(elb, "10.0.0.1", "healthy")
    other = elb.rule(listener, 2, group)
    assert elb.health(group) == [("10.0.0.1", 80, "healthy", None)]
    elb("DeleteRule", RuleArn=rule)
    assert elb.health(group) == [("10.0.0.1", 80, "healthy", None)]
    elb("DeleteRule", RuleArn=other)
    assert elb.health(group) == unused
    elb.rule(listener, 3, group)
    elb("DeleteListener", ListenerArn=listener)
    assert elb.health(group) == unused


def test_what_is_registered_stays_as_it_is(elb: Elb) -> None:
    group = elb.target_group()
    elb.listener(elb.load_balancer(), group)
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    judge(elb, "10.0.0.1", "healthy")
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1", "Port": 80}])
    assert elb.health(group) == [("10.0.0.1", 80, "healthy", None)]


def test_what_may_get_traffic_drains_and_the_rest_goes_at_once(elb: Elb) -> None:
    unused = elb.target_group("unused")
    elb("RegisterTargets", TargetGroupArn=unused, Targets=[{"Id": "10.0.0.1"}])
    elb("DeregisterTargets", TargetGroupArn=unused, Targets=[{"Id": "10.0.0.1"}])
    assert elb.health(unused) == []
    group = elb.target_group()
    elb.listener(elb.load_balancer(), group)
    ids = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": id} for id in ids])
    judge(elb, "10.0.0.1", "healthy")
    judge(elb, "10.0.0.2", "unhealthy")
    elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": id} for id in [*ids, "10.0.0.9"]])
    draining = ("draining", "Target.DeregistrationInProgress")
    assert elb.health(group) == [(id, 80, *draining) for id in ids]
    assert [target.draining_until for target in stored(elb)] == [1_700_000_300.0] * 3
    elb.aws.clock.time += 100
    elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    assert stored(elb)[0].draining_until == 1_700_000_300.0
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    again = stored(elb)[0]
    assert (again.state, again.draining_until, again.registered_at) == ("initial", None, 1_700_000_100.0)


@pytest.mark.parametrize(("delay", "until"), [("30", 1_700_000_003.0), ("0", None)])
def test_the_delay_is_the_group_s_and_scaled(
    make_aws: Callable[..., Aws], delay: str, until: float | None
) -> None:
    aws = make_aws(settings=ApiSettings(timing=Timing().scaled(10)))
    group = aws.elbv2(
        "CreateTargetGroup", Name="a", Protocol="HTTP", Port=80, VpcId="vpc-1", TargetType="ip"
    )["TargetGroups"][0]["TargetGroupArn"]
    attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": delay}]
    aws.elbv2("ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=attributes)
    aws.elbv2("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    with aws.store.transaction() as tx:
        (target,) = tx.all(Target)
        tx.put(replace(target, state="healthy", reason=None))
    aws.elbv2("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    assert [target.draining_until for target in aws.store.all(Target)] == ([until] if until else [])


def test_without_a_port_all_of_an_id_are_meant(elb: Elb) -> None:
    group = elb.target_group()
    targets = [{"Id": "10.0.0.1", "Port": port} for port in (80, 81, 82)]
    elb("RegisterTargets", TargetGroupArn=group, Targets=targets)
    elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1", "Port": 81}])
    named = elb.health(group, Targets=[{"Id": "10.0.0.1"}])
    assert [port for _, port, _, _ in named] == [80, 82]
    elb("DeregisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    assert elb.health(group) == []


def test_health_of_what_is_not_registered(elb: Elb) -> None:
    group = elb.target_group(HealthCheckPort="9000")
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    asked = [{"Id": "10.0.0.1"}, {"Id": "10.0.0.2", "Port": 81}]
    shown = elb("DescribeTargetHealth", TargetGroupArn=group, Targets=asked)["TargetHealthDescriptions"]
    assert [h["HealthCheckPort"] for h in shown] == ["9000", "9000"]
    assert shown[1] == {
        "Target": {"Id": "10.0.0.2", "Port": 81, "AvailabilityZone": None},
        "HealthCheckPort": "9000",
        "TargetHealth": {
            "State": "unused",
            "Reason": "Target.NotRegistered",
            "Description": "Target is not registered to the target group",
        },
    }


def test_include(elb: Elb) -> None:
    group = elb.target_group()
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    anomalies = {"AnomalyDetection": {"Result": "normal", "MitigationInEffect": "no"}}
    override = {
        "AdministrativeOverride": {
            "State": "no_override",
            "Reason": "AdministrativeOverride.NoOverride",
            "Description": "No override is currently active on target",
        }
    }
    (plain,) = elb("DescribeTargetHealth", TargetGroupArn=group)["TargetHealthDescriptions"]
    for include, more in ((["AnomalyDetection"], anomalies), (["All"], anomalies | override)):
        (shown,) = elb("DescribeTargetHealth", TargetGroupArn=group, Include=include)[
            "TargetHealthDescriptions"
        ]
        assert shown == plain | more


@pytest.mark.parametrize(
    ("group", "target", "message"),
    [
        ({"TargetType": "instance"}, {"Id": "10.0.0.1"}, "Instance ID '10.0.0.1' is not valid"),
        ({"TargetType": "instance"}, {"Id": "i-12345"}, "Instance ID 'i-12345' is not valid"),
        (
            {"TargetType": "instance"},
            {"Id": "i-0123456789abcdef0", "AvailabilityZone": "us-east-1a"},
            "An Availability Zone cannot be specified for targets of target type 'instance'",
        ),
        (
            {},
            {"Id": "i-0123456789abcdef0"},
            "The IP address 'i-0123456789abcdef0' is not a valid IPv4 address",
        ),
        ({}, {"Id": "fd00::1"}, "The IP address 'fd00::1' is not a valid IPv4 address"),
        (
            {"IpAddressType": "ipv6"},
            {"Id": "10.0.0.1"},
            "The IP address '10.0.0.1' is not a valid IPv6 address",
        ),
        (
            {},
            {"Id": "8.8.8.8"},
            "The IP address '8.8.8.8' is not a private address; publicly routable IP addresses, loopback and "
            "link-local addresses cannot be targets",
        ),
        ({}, {"Id": "10.0.0.1", "AvailabilityZone": "here"}, "Availability Zone 'here' is not valid"),
        ({"TargetType": "alb", "Protocol": "TCP"}, {"Id": "web"}, "'web' is not a valid load balancer ARN"),
    ],
)
def test_refused(elb: Elb, group: dict[str, Any], target: dict[str, Any], message: str) -> None:
    arn = elb.target_group(**group)
    targets = [target]
    assert elb.refusal("RegisterTargets", TargetGroupArn=arn, Targets=targets) == ("ValidationError", message)


def test_nothing_is_registered_when_one_is_refused(elb: Elb) -> None:
    group = elb.target_group()
    elb.refusal("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}, {"Id": "x"}])
    assert elb.health(group) == []


def test_at_most_a_thousand(elb: Elb) -> None:
    group = elb.target_group()
    targets = [{"Id": f"10.0.{n // 250}.{n % 250}"} for n in range(1000)]
    elb("RegisterTargets", TargetGroupArn=group, Targets=targets)
    assert elb.refusal("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.1.0.0"}]) == (
        "TooManyTargets",
        "The maximum number of targets in the target group is '1000'",
    )
    elb("RegisterTargets", TargetGroupArn=group, Targets=targets[:1])


def test_ipv6_has_one_spelling(elb: Elb) -> None:
    group = elb.target_group(IpAddressType="ipv6")
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "FD00:0:0::1"}])
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "fd00::1"}])
    assert elb.health(group, Targets=[{"Id": "fd00:0::1"}]) == [("fd00::1", 80, "unused", NOT_IN_USE)]
    assert len(elb.health(group)) == 1


def test_a_load_balancer_as_a_target(elb: Elb) -> None:
    front = elb.load_balancer("front", Type="network")
    web = elb.load_balancer()
    group = elb.target_group("albs", Protocol="TCP", TargetType="alb")
    refused = elb.refusal("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": web}])
    assert refused == (
        "InvalidTarget",
        f"The load balancer '{web}' does not exist or has no listener on port '80'",
    )
    elb.listener(web)
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": web}])
    elb.listener(front, group, Protocol="TCP")
    assert elb.health(group) == [(web, 80, "initial", STARTING)]
    other = elb.load_balancer("other")
    elb.listener(other)
    assert (
        elb.refusal("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": other}])[0] == "TooManyTargets"
    )
    assert elb.refusal("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": web, "Port": 81}]) == (
        "ValidationError",
        "The port of a target of target type 'alb' must be the target group's, '80'",
    )


def test_strict_knows_the_registered_container_instances(elb: Elb, make_aws: Callable[..., Aws]) -> None:
    elb.aws = make_aws(settings=ApiSettings(strict=True))
    wanted = {"Name": "blue", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-real"}
    assert elb.refusal("CreateTargetGroup", **wanted) == (
        "ValidationError",
        "The VPC ID 'vpc-real' is not found",
    )
    elb.container_instance("i-00000000000000001")
    group = elb.target_group(TargetType="instance", VpcId=default_vpc_id(elb.aws.scope))
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "i-00000000000000001"}])
    assert elb.refusal("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "i-00000000000000002"}]) == (
        "InvalidTarget",
        "The following targets are not in a running state and cannot be registered: 'i-00000000000000002'",
    )
