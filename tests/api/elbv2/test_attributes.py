"""Attributes: defaults of every kind, what may be set, and what AWS says to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb

CERT = "arn:aws:acm:us-east-1:000000000000:certificate/11111111-1111-1111-1111-111111111111"


def pairs(**values: str) -> list[dict[str, str]]:
    """Keys with __ for dots."""
    return [{"Key": key.replace("__", "."), "Value": value} for key, value in values.items()]


def shown(result: dict[str, Any]) -> dict[str, str]:
    return {pair["Key"]: pair["Value"] for pair in result["Attributes"]}


def test_defaults_of_an_application_load_balancer(elb: Elb) -> None:
    attributes = elb("DescribeLoadBalancerAttributes", LoadBalancerArn=elb.load_balancer())
    assert shown(attributes) == {
        "access_logs.s3.enabled": "false",
        "access_logs.s3.bucket": "",
        "access_logs.s3.prefix": "",
        "deletion_protection.enabled": "false",
        "zonal_shift.config.enabled": "false",
        "ipv6.deny_all_igw_traffic": "false",
        "idle_timeout.timeout_seconds": "60",
        "client_keep_alive.seconds": "3600",
        "load_balancing.cross_zone.enabled": "true",
        "routing.http2.enabled": "true",
        "routing.http.drop_invalid_header_fields.enabled": "false",
        "routing.http.preserve_host_header.enabled": "false",
        "routing.http.xff_client_port.enabled": "false",
        "routing.http.xff_header_processing.mode": "append",
        "routing.http.desync_mitigation_mode": "defensive",
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
        "waf.fail_open.enabled": "false",
        "connection_logs.s3.enabled": "false",
        "connection_logs.s3.bucket": "",
        "connection_logs.s3.prefix": "",
        "health_check_logs.s3.enabled": "false",
        "health_check_logs.s3.bucket": "",
        "health_check_logs.s3.prefix": "",
    }


def test_defaults_of_an_internal_network_load_balancer(elb: Elb) -> None:
    arn = elb.load_balancer(Type="network", Scheme="internal")
    assert shown(elb("DescribeLoadBalancerAttributes", LoadBalancerArn=arn)) == {
        "access_logs.s3.enabled": "false",
        "access_logs.s3.bucket": "",
        "access_logs.s3.prefix": "",
        "deletion_protection.enabled": "false",
        "zonal_shift.config.enabled": "false",
        "ipv6.deny_all_igw_traffic": "true",
        "load_balancing.cross_zone.enabled": "false",
        "dns_record.client_routing_policy": "any_availability_zone",
        "secondary_ips.auto_assigned.per_subnet": "0",
    }


def test_defaults_of_an_http_target_group(elb: Elb) -> None:
    assert shown(elb("DescribeTargetGroupAttributes", TargetGroupArn=elb.target_group())) == {
        "deregistration_delay.timeout_seconds": "300",
        "stickiness.enabled": "false",
        "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
        "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
        "stickiness.type": "lb_cookie",
        "stickiness.lb_cookie.duration_seconds": "86400",
        "stickiness.app_cookie.cookie_name": "",
        "stickiness.app_cookie.duration_seconds": "86400",
        "slow_start.duration_seconds": "0",
        "load_balancing.algorithm.type": "round_robin",
        "load_balancing.algorithm.anomaly_mitigation": "off",
    }


@pytest.mark.parametrize(
    ("protocol", "type", "preserve", "cut", "cut_unhealthy"),
    [
        ("TCP", "instance", "true", "false", "true"),
        ("TCP", "ip", "false", "false", "true"),
        ("UDP", "ip", "true", "true", "false"),
    ],
)
def test_defaults_of_network_target_groups(
    elb: Elb, protocol: str, type: str, preserve: str, cut: str, cut_unhealthy: str
) -> None:
    arn = elb.target_group(Protocol=protocol, TargetType=type)
    attributes = shown(elb("DescribeTargetGroupAttributes", TargetGroupArn=arn))
    assert attributes["stickiness.type"] == "source_ip"
    assert attributes["preserve_client_ip.enabled"] == preserve
    assert attributes["deregistration_delay.connection_termination.enabled"] == cut
    assert attributes["target_health_state.unhealthy.connection_termination.enabled"] == cut_unhealthy
    assert "slow_start.duration_seconds" not in attributes


def test_listener_attributes(elb: Elb) -> None:
    balancer = elb.load_balancer()
    http = shown(elb("DescribeListenerAttributes", ListenerArn=elb.listener(balancer)))
    assert len(http) == 11 and http["routing.http.response.server.enabled"] == "true"
    secure: dict[str, Any] = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": CERT}]}
    https = shown(elb("DescribeListenerAttributes", ListenerArn=elb.listener(balancer, **secure)))
    assert https["routing.http.request.x_amzn_tls_version.header_name"] == "X-Amzn-Tls-Version"
    assert http.items() < https.items()
    network = elb.load_balancer("tcp", Type="network")
    tcp = elb.listener(network, elb.target_group(Protocol="TCP"), Protocol="TCP")
    assert shown(elb("DescribeListenerAttributes", ListenerArn=tcp)) == {"tcp.idle_timeout.seconds": "350"}
    changed = elb(
        "ModifyListenerAttributes", ListenerArn=tcp, Attributes=pairs(tcp__idle_timeout__seconds="60")
    )
    assert shown(changed) == {"tcp.idle_timeout.seconds": "60"}
    assert elb.refusal(
        "ModifyListenerAttributes",
        ListenerArn=tcp,
        Attributes=pairs(routing__http__response__server__enabled="false"),
    ) == (
        "InvalidConfigurationRequest",
        "Listener attribute key 'routing.http.response.server.enabled' is not supported on listeners with "
        "the TCP protocol",
    )


def test_what_is_set_holds_and_the_rest_stays(elb: Elb) -> None:
    arn = elb.load_balancer()
    before = shown(elb("DescribeLoadBalancerAttributes", LoadBalancerArn=arn))
    changes = pairs(idle_timeout__timeout_seconds="4000", routing__http2__enabled="false")
    result = elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=changes)
    expected = before | {"idle_timeout.timeout_seconds": "4000", "routing.http2.enabled": "false"}
    assert shown(result) == expected
    elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=pairs(routing__http2__enabled="true"))
    assert shown(elb("DescribeLoadBalancerAttributes", LoadBalancerArn=arn)) == expected | {
        "routing.http2.enabled": "true"
    }
    assert elb.aws.hints == []


def test_what_nothing_acts_on_says_so(elb: Elb) -> None:
    logs = pairs(access_logs__s3__enabled="true", access_logs__s3__bucket="logs")
    elb("ModifyLoadBalancerAttributes", LoadBalancerArn=elb.load_balancer(), Attributes=logs)
    assert elb.aws.hints == [
        "access_logs.s3.enabled is kept and shown; nothing in miniecs acts on it.",
        "access_logs.s3.bucket is kept and shown; nothing in miniecs acts on it.",
    ]


@pytest.mark.parametrize(
    ("attributes", "code", "message"),
    [
        ([], "ValidationError", "At least one attribute must be specified"),
        (pairs(x="1"), "ValidationError", "Load balancer attribute key 'x' is not recognized"),
        (
            pairs(dns_record__client_routing_policy="any_availability_zone"),
            "InvalidConfigurationRequest",
            "Load balancer attribute key 'dns_record.client_routing_policy' is not supported on load "
            "balancers with type 'application'",
        ),
        (
            pairs(idle_timeout__timeout_seconds="0"),
            "ValidationError",
            "'idle_timeout.timeout_seconds' value '0' must be between '1-4000' inclusive",
        ),
        (
            pairs(idle_timeout__timeout_seconds="1.5"),
            "ValidationError",
            "'idle_timeout.timeout_seconds' value '1.5' must be between '1-4000' inclusive",
        ),
        (
            pairs(idle_timeout__timeout_seconds="1" * 5000),
            "ValidationError",
            f"'idle_timeout.timeout_seconds' value '{'1' * 5000}' must be between '1-4000' inclusive",
        ),
        (
            pairs(deletion_protection__enabled="True"),
            "ValidationError",
            "'deletion_protection.enabled' value 'True' must be one of [true, false]",
        ),
        (
            pairs(load_balancing__cross_zone__enabled="false"),
            "ValidationError",
            "'load_balancing.cross_zone.enabled' value 'false' must be one of [true]",
        ),
        (
            pairs(access_logs__s3__enabled="true"),
            "InvalidConfigurationRequest",
            "'access_logs.s3.bucket' must be specified if 'access_logs.s3.enabled' is true",
        ),
        (
            pairs(routing__http2__enabled="true") * 2,
            "ValidationError",
            "Load balancer attribute key 'routing.http2.enabled' was specified more than once",
        ),
        (
            [{"Key": "routing.http2.enabled"}],
            "ValidationError",
            "Load balancer attribute key and value must be specified",
        ),
    ],
)
def test_load_balancer_attributes_refused(
    elb: Elb, attributes: list[dict[str, str]], code: str, message: str
) -> None:
    arn = elb.load_balancer()
    refused = elb.refusal("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=attributes)
    assert refused == (code, message)


@pytest.mark.parametrize(
    ("protocol", "attributes", "code", "message"),
    [
        (
            "HTTP",
            pairs(deregistration_delay__timeout_seconds="3601"),
            "ValidationError",
            "'deregistration_delay.timeout_seconds' value '3601' must be between '0-3600' inclusive",
        ),
        (
            "HTTP",
            pairs(slow_start__duration_seconds="29"),
            "ValidationError",
            "'slow_start.duration_seconds' value '29' must be between '30-900' inclusive or one of [0]",
        ),
        ("HTTP", pairs(x="1"), "ValidationError", "Target group attribute key 'x' is not recognized"),
        (
            "HTTP",
            pairs(proxy_protocol_v2__enabled="true"),
            "InvalidConfigurationRequest",
            "Target group attribute key 'proxy_protocol_v2.enabled' is not supported for target groups with "
            "the HTTP protocol",
        ),
        (
            "HTTP",
            pairs(stickiness__type="source_ip"),
            "InvalidConfigurationRequest",
            "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol",
        ),
        (
            "TCP",
            pairs(stickiness__type="lb_cookie"),
            "InvalidConfigurationRequest",
            "Stickiness type 'lb_cookie' is not supported for target groups with the TCP protocol",
        ),
        (
            "HTTP",
            pairs(stickiness__type="none"),
            "ValidationError",
            "'stickiness.type' value 'none' must be one of [lb_cookie, app_cookie]",
        ),
        (
            "HTTP",
            pairs(stickiness__enabled="true", stickiness__type="app_cookie"),
            "InvalidConfigurationRequest",
            "You must set an application cookie name to enable stickiness of type 'app_cookie'",
        ),
        (
            "HTTP",
            pairs(stickiness__app_cookie__cookie_name="AWSALBAPP-1"),
            "ValidationError",
            "Application cookie names that start with 'AWSALB' are reserved",
        ),
        (
            "TLS",
            pairs(stickiness__enabled="true"),
            "InvalidConfigurationRequest",
            "You cannot enable stickiness on target groups with the TLS protocol",
        ),
        (
            "HTTP",
            pairs(slow_start__duration_seconds="30", load_balancing__algorithm__type="weighted_random"),
            "InvalidConfigurationRequest",
            "Slow start is not supported with the load balancing algorithm 'weighted_random'",
        ),
        (
            "HTTP",
            pairs(load_balancing__algorithm__anomaly_mitigation="on"),
            "InvalidConfigurationRequest",
            "Anomaly mitigation requires the load balancing algorithm 'weighted_random'",
        ),
    ],
)
def test_target_group_attributes_refused(
    elb: Elb, protocol: str, attributes: list[dict[str, str]], code: str, message: str
) -> None:
    arn = elb.target_group(Protocol=protocol)
    refused = elb.refusal("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=attributes)
    assert refused == (code, message)


def test_target_group_attributes_together(elb: Elb) -> None:
    arn = elb.target_group()
    changes = pairs(
        stickiness__enabled="true",
        stickiness__type="app_cookie",
        stickiness__app_cookie__cookie_name="SESSION",
        slow_start__duration_seconds="30",
        deregistration_delay__timeout_seconds="0",
    )
    result = shown(elb("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=changes))
    assert all(result[pair["Key"]] == pair["Value"] for pair in changes)
