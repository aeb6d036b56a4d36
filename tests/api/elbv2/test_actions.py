"""Actions of rules and listeners: what is echoed and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb

CERT = "arn:aws:acm:us-east-1:000000000000:certificate/11111111-1111-1111-1111-111111111111"


def echoed(elb: Elb, *actions: dict[str, Any]) -> list[dict[str, Any]]:
    """The default actions of a new HTTP listener that is given these."""
    made = elb(
        "CreateListener",
        LoadBalancerArn=elb.load_balancer(),
        Protocol="HTTP",
        Port=80,
        DefaultActions=list(actions),
    )
    return list(made["Listeners"][0]["DefaultActions"])


def refused(elb: Elb, *actions: dict[str, Any], **params: Any) -> tuple[str, str]:
    given = {"Protocol": "HTTP", "Port": 80, "DefaultActions": list(actions)} | params
    return elb.refusal("CreateListener", LoadBalancerArn=elb.load_balancer(), **given)


def test_forward_config_of_one_group_is_echoed_in_both_forms(elb: Elb) -> None:
    group = elb.target_group()
    action = {"Type": "forward", "Order": 3, "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group}]}}
    expected = {
        "Type": "forward",
        "Order": 3,
        "TargetGroupArn": group,
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": False},
        },
    }
    assert echoed(elb, action) == [expected]
    assert echoed(elb, expected) == [expected]


def test_forward_to_several_by_weight(elb: Elb) -> None:
    blue, green = elb.target_group("blue"), elb.target_group("green")
    config = {
        "TargetGroups": [{"TargetGroupArn": blue, "Weight": 999}, {"TargetGroupArn": green, "Weight": 0}],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60},
    }
    action = {"Type": "forward", "ForwardConfig": config}
    assert echoed(elb, action) == [action]
    used_by = {
        g["TargetGroupName"]: len(g["LoadBalancerArns"]) for g in elb("DescribeTargetGroups")["TargetGroups"]
    }
    assert used_by == {"blue": 1, "green": 1}


def test_redirect_is_echoed_with_what_stays(elb: Elb) -> None:
    action = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
    }
    assert echoed(elb, action) == [
        {
            "Type": "redirect",
            "RedirectConfig": {
                "Protocol": "HTTPS",
                "Host": "#{host}",
                "Port": "443",
                "Path": "/#{path}",
                "Query": "#{query}",
                "StatusCode": "HTTP_301",
            },
        }
    ]


def test_fixed_response(elb: Elb) -> None:
    config = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "closed"}
    action = {"Type": "fixed-response", "FixedResponseConfig": config}
    assert echoed(elb, action) == [action]
    bare = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    assert refused(elb, bare)[0] == "DuplicateListener"
    assert echoed_at(elb, 81, bare) == [bare]


def echoed_at(elb: Elb, port: int, action: dict[str, Any]) -> list[dict[str, Any]]:
    arn = elb.listener(elb.load_balancer(), Port=port, DefaultActions=[action])
    return list(elb("DescribeListeners", ListenerArns=[arn])["Listeners"][0]["DefaultActions"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "A target group ARN must be specified for actions of type 'forward'"),
        ({"TargetGroups": []}, "A target group ARN must be specified for actions of type 'forward'"),
        (
            {"TargetGroups": [{"TargetGroupArn": "$blue", "Weight": 1000}]},
            "Target group weight '1000' must be between '0' and '999' inclusive",
        ),
        (
            {"TargetGroups": [{"TargetGroupArn": "$blue"}, {"TargetGroupArn": "$blue"}]},
            "A target group cannot be specified more than once in a forward action",
        ),
        (
            {"TargetGroups": [{"TargetGroupArn": f"$tg{n}"} for n in range(6)]},
            "The maximum number of target groups in a forward action is '5'",
        ),
        (
            {
                "TargetGroups": [{"TargetGroupArn": "$blue"}],
                "TargetGroupStickinessConfig": {"Enabled": True},
            },
            "A duration must be specified when target group stickiness is enabled",
        ),
        (
            {
                "TargetGroups": [{"TargetGroupArn": "$blue"}],
                "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 604801},
            },
            "Target group stickiness duration '604801' must be between '1' and '604800' inclusive",
        ),
    ],
)
def test_forward_refused(elb: Elb, config: dict[str, Any], message: str) -> None:
    for member in config.get("TargetGroups", ()):
        member["TargetGroupArn"] = elb.target_group(member["TargetGroupArn"].removeprefix("$"))
    assert refused(elb, {"Type": "forward", "ForwardConfig": config}) == ("ValidationError", message)


def test_forward_forms_must_agree(elb: Elb) -> None:
    blue, green = elb.target_group("blue"), elb.target_group("green")
    action = {
        "Type": "forward",
        "TargetGroupArn": blue,
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": green}]},
    }
    assert refused(elb, action) == (
        "InvalidLoadBalancerAction",
        "If you specify both TargetGroupArn and ForwardConfig, ForwardConfig must name that target group "
        "only",
    )


def test_groups_that_cannot_be_forwarded_to(elb: Elb) -> None:
    missing = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/none/0123456789abcdef"
    assert refused(elb, elb.action(missing)) == (
        "TargetGroupNotFound",
        f"Target groups '{missing}' not found",
    )
    assert refused(elb, elb.action("blue")) == (
        "ValidationError",
        "'blue' is not a valid target group ARN",
    )
    tcp = elb.target_group("tcp", Protocol="TCP")
    assert refused(elb, elb.action(tcp)) == (
        "IncompatibleProtocols",
        f"The listener and the following target groups have incompatible protocols: {tcp}",
    )
    grpc = elb.target_group("grpc", ProtocolVersion="GRPC")
    assert refused(elb, elb.action(grpc)) == (
        "InvalidLoadBalancerAction",
        "Listener protocol 'HTTP' is not supported with a target group with the protocol-version 'GRPC'",
    )
    elb.listener(
        elb.load_balancer(), grpc, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": CERT}]
    )


def test_one_load_balancer_a_group(elb: Elb) -> None:
    group, other = elb.target_group(), elb.load_balancer("other")
    rule = elb.rule(elb.listener(other), 1, group)
    refusal = (
        "TargetGroupAssociationLimit",
        f"The following target groups cannot be associated with more than one load balancer: {group}",
    )
    assert refused(elb, elb.action(group)) == refusal
    elb.listener(other, group, Port=81)
    elb("DeleteRule", RuleArn=rule)
    assert refused(elb, elb.action(group)) == refusal
    elb("DeleteLoadBalancer", LoadBalancerArn=other)
    elb.listener(elb.load_balancer(), group)


def test_at_most_a_hundred_groups_a_load_balancer(elb: Elb) -> None:
    listener = elb.listener(elb.load_balancer())
    groups = [elb.target_group(f"tg{n}") for n in range(101)]
    for n in range(20):
        five = [{"TargetGroupArn": group} for group in groups[5 * n : 5 * n + 5]]
        elb.rule(listener, n + 1, Actions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": five}}])
    params = {
        "Conditions": [{"Field": "path-pattern", "Values": ["/"]}],
        "Actions": [elb.action(groups[100])],
    }
    assert elb.refusal("CreateRule", ListenerArn=listener, Priority=21, **params) == (
        "TooManyUniqueTargetGroupsPerLoadBalancer",
        "You have reached the maximum number of unique target groups that you can associate with a load "
        "balancer of type 'application': [100]",
    )
    elb.rule(listener, 21, groups[0])


LOOP = "The redirect configuration is not valid because it creates a loop."
PATH = (
    "The Path parameter must be a valid path, should start with a '/', and may contain up to one of each of "
    "these placeholders: '#{path}', '#{host}', '#{port}'."
)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, LOOP),
        ({"Query": "x=1"}, LOOP),
        ({"Protocol": "HTTP", "Port": "80"}, LOOP),
        ({"Path": "new"}, PATH),
        ({"Path": "/#{path}/#{path}"}, PATH),
        ({"Path": "/#{query}"}, PATH),
        ({"Port": "0"}, "The Port parameter must be an integer between 1 and 65535, or '#{port}'"),
        ({"Port": "http"}, "The Port parameter must be an integer between 1 and 65535, or '#{port}'"),
        (
            {"Host": "a b"},
            "The Host parameter must be a valid hostname and may contain up to one placeholder '#{host}'",
        ),
        (
            {"Path": "/x", "Query": "?a=1"},
            "The Query parameter must be a valid query, should not start with a '?', and may contain up to "
            "one of each of these placeholders: '#{query}', '#{path}', '#{host}', '#{port}', '#{protocol}'.",
        ),
    ],
)
def test_redirect_refused(elb: Elb, config: dict[str, Any], message: str) -> None:
    action = {"Type": "redirect", "RedirectConfig": config | {"StatusCode": "HTTP_302"}}
    assert refused(elb, action) == ("InvalidLoadBalancerAction", message)


def test_https_is_not_redirected_to_http(elb: Elb) -> None:
    action = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTP", "Port": "80", "StatusCode": "HTTP_301"},
    }
    secure = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": CERT}]}
    assert refused(elb, action, **secure) == (
        "InvalidLoadBalancerAction",
        "You cannot redirect HTTPS to HTTP",
    )


@pytest.mark.parametrize(
    ("actions", "code", "message"),
    [
        (
            [{"Type": "redirect"}],
            "ValidationError",
            "A RedirectConfig must be specified for actions of type 'redirect'",
        ),
        (
            [
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {"StatusCode": "200"},
                    "RedirectConfig": {"StatusCode": "HTTP_301"},
                }
            ],
            "ValidationError",
            "RedirectConfig cannot be specified for actions of type 'fixed-response'",
        ),
        (
            [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "a/b"}}],
            "InvalidLoadBalancerAction",
            "The ContentType must be one of:'text/html', 'application/json', 'application/javascript', "
            "'text/css', 'text/plain'",
        ),
        (
            [
                {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}, "Order": n}
                for n in (1, 2)
            ],
            "InvalidLoadBalancerAction",
            "You must specify exactly one action of type forward, redirect or fixed-response",
        ),
        (
            [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}] * 6,
            "TooManyActions",
            "The maximum number of actions is '5'",
        ),
        (
            [{"Type": "authenticate-cognito", "Order": 1}],
            "NotImplemented",
            "miniecs does not support actions of type 'authenticate-cognito', and would not act on it.",
        ),
    ],
)
def test_refused(elb: Elb, actions: list[dict[str, Any]], code: str, message: str) -> None:
    assert refused(elb, *actions) == (code, message)


def test_network_load_balancers_only_forward(elb: Elb) -> None:
    balancer = elb.load_balancer("tcp", Type="network")
    params = {"Protocol": "TCP", "Port": 80, "DefaultActions": [elb.action()]}
    assert elb.refusal("CreateListener", LoadBalancerArn=balancer, **params) == (
        "InvalidLoadBalancerAction",
        "The action type 'fixed-response' is not valid with network load balancer",
    )
