"""Target groups: defaults by protocol, health checks, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb

MISSING = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/none/0123456789abcdef"
NEEDED: dict[str, Any] = {"Name": "blue", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1"}


def test_defaults_of_http(elb: Elb) -> None:
    made = elb("CreateTargetGroup", **NEEDED)["TargetGroups"][0]
    id = made["TargetGroupArn"].rpartition("/")[2]
    assert len(id) == 16
    expected = {
        "TargetGroupArn": f"arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/blue/{id}",
        "TargetGroupName": "blue",
        "Protocol": "HTTP",
        "Port": 80,
        "VpcId": "vpc-1",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "LoadBalancerArns": [],
        "TargetType": "instance",
        "ProtocolVersion": "HTTP1",
        "IpAddressType": "ipv4",
        "Matcher": {"HttpCode": "200"},
    }
    assert made == expected
    assert elb("DescribeTargetGroups") == {"TargetGroups": [expected], "NextMarker": None}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {"Protocol": "HTTPS", "Port": 443},
            {"HealthCheckProtocol": "HTTP", "HealthCheckTimeoutSeconds": 5, "Matcher": {"HttpCode": "200"}},
        ),
        (
            {"ProtocolVersion": "GRPC"},
            {"HealthCheckPath": "/AWS.ALB/healthcheck", "Matcher": {"GrpcCode": "12"}},
        ),
        (
            {"Protocol": "TCP"},
            {
                "HealthCheckProtocol": "TCP",
                "HealthCheckTimeoutSeconds": 10,
                "HealthyThresholdCount": 5,
                "UnhealthyThresholdCount": 2,
                "HealthCheckPath": None,
                "ProtocolVersion": None,
                "Matcher": None,
            },
        ),
        ({"Protocol": "TLS"}, {"HealthCheckProtocol": "TCP", "Matcher": None}),
        ({"Protocol": "UDP"}, {"HealthCheckProtocol": "TCP", "Matcher": None}),
        (
            {"Protocol": "TCP_UDP", "HealthCheckProtocol": "HTTP"},
            {
                "HealthCheckProtocol": "HTTP",
                "HealthCheckTimeoutSeconds": 6,
                "HealthCheckPath": "/",
                "Matcher": {"HttpCode": "200-399"},
            },
        ),
        (
            {"Protocol": "TCP", "TargetType": "alb"},
            {"HealthCheckProtocol": "HTTP", "HealthCheckPath": "/", "Matcher": {"HttpCode": "200-399"}},
        ),
        (
            {
                "HealthCheckPath": "/up?x=1",
                "HealthCheckPort": "8080",
                "HealthCheckIntervalSeconds": 5,
                "HealthCheckTimeoutSeconds": 2,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 10,
                "Matcher": {"HttpCode": "200-204,302"},
            },
            {
                "HealthCheckPath": "/up?x=1",
                "HealthCheckPort": "8080",
                "HealthCheckIntervalSeconds": 5,
                "HealthCheckTimeoutSeconds": 2,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 10,
                "Matcher": {"HttpCode": "200-204,302"},
            },
        ),
    ],
)
def test_health_checks(elb: Elb, params: dict[str, Any], expected: dict[str, Any]) -> None:
    made = elb("CreateTargetGroup", **(NEEDED | params))["TargetGroups"][0]
    assert {member: made.get(member) for member in expected} == expected


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        ({"Name": ""}, "A target group name must be specified"),
        ({"Name": "a" * 33}, f"Target group name '{'a' * 33}' cannot be longer than '32' characters"),
        (
            {"Name": "a.b"},
            "Target group name 'a.b' can only contain characters that are alphanumeric characters "
            "or hyphens(-)",
        ),
        ({"Name": "a-"}, "Target group name 'a-' cannot begin or end with '-'"),
        ({"Protocol": None}, "A protocol must be specified"),
        ({"Port": None}, "A port must be specified"),
        ({"VpcId": None}, "A VPC ID must be specified"),
        ({"VpcId": "my-vpc"}, "The VPC ID 'my-vpc' is not found"),
        (
            {"Protocol": "TCP", "ProtocolVersion": "HTTP1"},
            "Protocol version is not supported for target groups with the TCP protocol",
        ),
        ({"ProtocolVersion": "HTTP3"}, "Protocol version 'HTTP3' must be one of 'HTTP1, HTTP2, GRPC'"),
        ({"HealthCheckProtocol": "TCP"}, "Health check protocol 'TCP' must be one of 'HTTPS, HTTP'"),
        (
            {"Protocol": "TCP", "HealthCheckProtocol": "UDP"},
            "Health check protocol 'UDP' must be one of 'HTTPS, HTTP, TCP'",
        ),
        (
            {"Protocol": "TCP", "HealthCheckPath": "/"},
            "Health check paths are not supported for health checks with the TCP protocol",
        ),
        (
            {"Protocol": "TCP", "Matcher": {"HttpCode": "200"}},
            "Custom health check matchers are not supported for health check protocol 'TCP' with target "
            "group protocol 'TCP'",
        ),
        (
            {"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 10},
            "Health check interval must be greater than the timeout.",
        ),
        ({"HealthCheckIntervalSeconds": 5}, "Health check interval must be greater than the timeout."),
        (
            {"HealthCheckPort": "0"},
            "Health check port '0' must be 'traffic-port' or in the range '1-65535'",
        ),
        (
            {"HealthCheckPort": "8" * 5000},
            f"Health check port '{'8' * 5000}' must be 'traffic-port' or in the range '1-65535'",
        ),
        (
            {"Matcher": {"HttpCode": "2" * 5000}},
            f"Health check matcher HttpCode '{'2' * 5000}' must be within '200-499'",
        ),
        ({"HealthCheckPath": "up"}, "Health check path 'up' must begin with '/' and contain no spaces"),
        (
            {"HealthCheckEnabled": False},
            "Health check enabled must be true for target groups with target type 'instance', 'ip' or 'alb'",
        ),
        ({"Matcher": {"HttpCode": "500"}}, "Health check matcher HttpCode '500' must be within '200-499'"),
        ({"Matcher": {"HttpCode": "200-"}}, "Health check matcher HttpCode '200-' must be within '200-499'"),
        (
            {"Matcher": {"HttpCode": "300-200"}},
            "Health check matcher HttpCode '300-200' must be within '200-499'",
        ),
        (
            {"ProtocolVersion": "GRPC", "Matcher": {"GrpcCode": "100"}},
            "Health check matcher GrpcCode '100' must be within '0-99'",
        ),
        (
            {"Matcher": {"GrpcCode": "0"}},
            "Matcher GrpcCode is not supported for target groups with the protocol version HTTP1 or HTTP2",
        ),
        (
            {"TargetType": "alb"},
            "Protocol 'HTTP' is not supported for target groups with target type 'alb'",
        ),
        ({"Tags": [{"Key": "aws:x"}]}, "Tag keys that start with 'aws:' are reserved for system use"),
    ],
)
def test_refused(elb: Elb, params: dict[str, Any], refusal: str) -> None:
    assert elb.refusal("CreateTargetGroup", **(NEEDED | params)) == ("ValidationError", refusal)


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"TargetType": "lambda"}, "target groups with target type 'lambda'"),
        ({"Protocol": "GENEVE"}, "target groups with the GENEVE protocol"),
        ({"TargetControlPort": 3000}, "TargetControlPort"),
    ],
)
def test_not_supported(elb: Elb, params: dict[str, Any], what: str) -> None:
    assert elb.refusal("CreateTargetGroup", **(NEEDED | params)) == (
        "NotImplemented",
        f"miniecs does not support {what}, and would not act on it.",
    )


def test_a_network_group_checked_by_http_takes_codes_up_to_599(elb: Elb) -> None:
    params = NEEDED | {"Protocol": "TCP", "HealthCheckProtocol": "HTTP", "Matcher": {"HttpCode": "200-599"}}
    assert elb("CreateTargetGroup", **params)["TargetGroups"][0]["Matcher"] == {"HttpCode": "200-599"}


def test_the_same_name(elb: Elb) -> None:
    first = elb("CreateTargetGroup", **NEEDED)
    assert elb("CreateTargetGroup", **NEEDED) == first
    for other in ({"Port": 81}, {"VpcId": "vpc-2"}, {"HealthCheckPath": "/x"}, {"Tags": [{"Key": "a"}]}):
        assert elb.refusal("CreateTargetGroup", **(NEEDED | other)) == (
            "DuplicateTargetGroupName",
            "A target group with the same name 'blue' exists, but with different settings",
        )


def test_modify(elb: Elb) -> None:
    made = elb("CreateTargetGroup", **NEEDED)["TargetGroups"][0]
    arn = made["TargetGroupArn"]
    changes = {"HealthCheckPath": "/up", "HealthCheckIntervalSeconds": 60, "Matcher": {"HttpCode": "204"}}
    changed = elb("ModifyTargetGroup", TargetGroupArn=arn, **changes)
    assert changed == {"TargetGroups": [made | changes]}
    assert elb("DescribeTargetGroups", TargetGroupArns=[arn])["TargetGroups"] == [made | changes]
    assert elb.refusal("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckTimeoutSeconds=60) == (
        "ValidationError",
        "Health check interval must be greater than the timeout.",
    )


def test_modify_to_another_protocol_brings_what_it_needs(elb: Elb) -> None:
    arn = elb.target_group(Protocol="TCP")
    changed = elb("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckProtocol="HTTP")["TargetGroups"][0]
    assert (changed["HealthCheckPath"], changed["Matcher"]) == ("/", {"HttpCode": "200-399"})
    back = elb("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckProtocol="TCP")["TargetGroups"][0]
    assert back["HealthCheckPath"] is None and "Matcher" not in back


def test_not_found(elb: Elb) -> None:
    refusal = ("TargetGroupNotFound", "One or more target groups not found")
    assert elb.refusal("ModifyTargetGroup", TargetGroupArn=MISSING) == refusal
    assert elb.refusal("DescribeTargetGroups", TargetGroupArns=[MISSING]) == refusal
    assert elb.refusal("DescribeTargetGroups", Names=["none"]) == refusal
    assert elb.refusal("ModifyTargetGroup", TargetGroupArn="blue") == (
        "ValidationError",
        "'blue' is not a valid target group ARN",
    )


def test_describe_by_load_balancer_names_and_pages(elb: Elb) -> None:
    groups = [elb.target_group(name) for name in ("one", "two", "three")]
    balancer = elb.load_balancer()
    listener = elb.listener(balancer, groups[1])
    elb.rule(listener, 1, groups[0])
    found = elb("DescribeTargetGroups", LoadBalancerArn=balancer)["TargetGroups"]
    assert [(g["TargetGroupArn"], g["LoadBalancerArns"]) for g in found] == [
        (groups[1], [balancer]),
        (groups[0], [balancer]),
    ]
    named = elb("DescribeTargetGroups", Names=["three", "one"])["TargetGroups"]
    assert [g["TargetGroupName"] for g in named] == ["three", "one"]
    first = elb("DescribeTargetGroups", PageSize=2)
    rest = elb("DescribeTargetGroups", PageSize=2, Marker=first["NextMarker"])
    pages = [[g["TargetGroupName"] for g in page["TargetGroups"]] for page in (first, rest)]
    assert pages == [["one", "two"], ["three"]]
    assert elb.refusal("DescribeTargetGroups", LoadBalancerArn=balancer, Names=["one"]) == (
        "ValidationError",
        "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same time",
    )


def test_delete(elb: Elb) -> None:
    group, balancer = elb.target_group(), elb.load_balancer()
    elb("RegisterTargets", TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])
    listener = elb.listener(balancer)
    rule = elb.rule(listener, 1, group)
    in_use = ("ResourceInUse", f"Target group '{group}' is currently in use by a listener or a rule")
    assert elb.refusal("DeleteTargetGroup", TargetGroupArn=group) == in_use
    elb("DeleteRule", RuleArn=rule)
    assert elb("DeleteTargetGroup", TargetGroupArn=group) == {}
    assert elb("DescribeTargetGroups")["TargetGroups"] == []
    assert elb("DeleteTargetGroup", TargetGroupArn=group) == {}
    again = elb.target_group()
    assert elb.health(again) == []
