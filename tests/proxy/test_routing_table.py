"""The routing table as a function of the store, and its JSON form."""

from __future__ import annotations

import pytest

from miniecs.control.routing import routing_table
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import HealthCheck, Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.network import LoadBalancerAddress
from miniecs.model.routing import (
    NOWHERE,
    Condition,
    FixedResponse,
    Forward,
    Redirect,
    RoutedGroup,
    RoutedListener,
    RoutedLoadBalancer,
    RoutedRule,
    RoutedTarget,
    RoutingTable,
    Stickiness,
    WeightedGroup,
    from_json,
    to_json,
)
from miniecs.store import MemoryStore

ELB = "arn:aws:elasticloadbalancing:us-east-1:000000000000:"
LB = ELB + "loadbalancer/app/web/0123456789abcdef"
LISTENER = ELB + "listener/app/web/0123456789abcdef/1"
BLUE, GREEN, UNUSED = (ELB + f"targetgroup/{name}/1" for name in ("blue", "green", "unused"))
CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
INSTANCE = "arn:aws:ecs:us-east-1:000000000000:container-instance/default/"


def forward(*groups: tuple[str, int], sticky: int | None = None) -> dict[str, object]:
    config = {"Enabled": sticky is not None} | ({"DurationSeconds": sticky} if sticky else {})
    members = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]
    return {
        "Type": "forward",
        "ForwardConfig": {"TargetGroups": members, "TargetGroupStickinessConfig": config},
    }


THINGS = (
    LoadBalancer(
        LB,
        "web",
        dns_name="web-1.us-east-1.elb.localhost",
        attributes=(
            ("idle_timeout.timeout_seconds", "5"),
            ("routing.http.xff_header_processing.mode", "preserve"),
            ("routing.http.drop_invalid_header_fields.enabled", "true"),
        ),
    ),
    Listener(
        LISTENER,
        LB,
        80,
        "HTTP",
        (forward((BLUE, 3), (GREEN, 1), sticky=60),),
        default_rule_arn="rule/0",
        attributes=(
            ("routing.http.response.server.enabled", "false"),
            ("routing.http.response.x_frame_options.header_value", "DENY"),
        ),
    ),
    Rule(
        "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/web/1/1/2",
        LISTENER,
        20,
        (
            {"Field": "path-pattern", "Values": ["/a*"], "PathPatternConfig": {"Values": ["/a*"]}},
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "x"}]}},
        ),
        (
            {
                "Type": "fixed-response",
                "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/html", "MessageBody": "no"},
            },
        ),
    ),
    Rule(
        "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/web/1/1/1",
        LISTENER,
        10,
        (
            {
                "Field": "http-header",
                "HttpHeaderConfig": {"HttpHeaderName": "X", "Values": ["y"], "RegexValues": ["z+"]},
            },
        ),
        (
            {
                "Type": "redirect",
                "RedirectConfig": {
                    "Protocol": "HTTPS",
                    "Host": "#{host}",
                    "Port": "443",
                    "Path": "/#{path}",
                    "Query": "#{query}",
                    "StatusCode": "HTTP_302",
                },
            },
        ),
    ),
    TargetGroup(
        BLUE,
        "blue",
        attributes=(
            ("stickiness.enabled", "true"),
            ("stickiness.lb_cookie.duration_seconds", "7"),
            ("load_balancing.algorithm.type", "least_outstanding_requests"),
            ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "50"),
        ),
    ),
    TargetGroup(GREEN, "green", target_type="ip", health_check=HealthCheck(path="/up")),
    TargetGroup(UNUSED, "unused"),
    Target(BLUE, "i-1", 32768, "healthy"),
    Target(BLUE, "i-1", 32769, "draining"),
    Target(BLUE, "i-gone", 80, "unhealthy"),
    Target(BLUE, "0f", 80, "initial"),
    Target(GREEN, "10.0.9.9", 80, "healthy"),
    Target(UNUSED, "i-1", 80, "unused"),
    LoadBalancerAddress(LB, "10.0.1.254"),
    ContainerInstance(INSTANCE + "a", CLUSTER, ec2_instance_id="i-1", private_ip="10.0.1.1"),
    ContainerInstance(INSTANCE + "0f", CLUSTER, private_ip="10.0.1.2"),
)

EXPECTED = RoutingTable(
    7,
    (
        RoutedLoadBalancer(
            LB,
            "web",
            "web-1.us-east-1.elb.localhost",
            idle_timeout=5,
            xff_mode="preserve",
            drop_invalid_headers=True,
            addresses=("10.0.1.254",),
            listeners=(
                RoutedListener(
                    LISTENER,
                    80,
                    rules=(
                        RoutedRule(
                            THINGS[3].arn,
                            (Condition("http-header", ("y",), ("z+",), name="X"),),
                            Redirect(302, "HTTPS", "#{host}", "443"),
                        ),
                        RoutedRule(
                            THINGS[2].arn,
                            (
                                Condition("path-pattern", ("/a*",)),
                                Condition("query-string", pairs=((None, "x"),)),
                            ),
                            FixedResponse(404, "text/html", "no"),
                        ),
                        RoutedRule(
                            "rule/0", (), Forward((WeightedGroup(BLUE, 3), WeightedGroup(GREEN, 1)), 60)
                        ),
                    ),
                    server_header=False,
                    response_headers=(("X-Frame-Options", "DENY"),),
                ),
            ),
        ),
    ),
    (
        RoutedGroup(
            BLUE,
            "blue",
            algorithm="least_outstanding_requests",
            stickiness=Stickiness(seconds=7),
            minimum_healthy_percentage=50,
            targets=(
                RoutedTarget("0f", 80, "10.0.1.2", "initial"),
                RoutedTarget("i-1", 32768, "10.0.1.1", "healthy"),
                RoutedTarget("i-1", 32769, "10.0.1.1", "draining"),
                RoutedTarget("i-gone", 80, NOWHERE, "unhealthy"),
            ),
        ),
        RoutedGroup(
            GREEN,
            "green",
            health_check=HealthCheck(path="/up"),
            targets=(RoutedTarget("10.0.9.9", 80, "10.0.9.9", "healthy"),),
        ),
    ),
    20.0,
)


def test_the_whole_table() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        for thing in THINGS:
            tx.put(thing)
    made = routing_table(store, version=7, time_scale=20.0)
    assert made == EXPECTED


def test_nothing_makes_an_empty_table() -> None:
    assert routing_table(MemoryStore()) == RoutingTable()


def test_its_json_form_is_the_same_table() -> None:
    assert from_json(to_json(EXPECTED)) == EXPECTED


@pytest.mark.parametrize("body", [b"", b"{}x", b'{"version":"x"}', b'{"unknown":1}', b"[]"])
def test_what_is_no_table(body: bytes) -> None:
    with pytest.raises(ValueError):
        from_json(body)
