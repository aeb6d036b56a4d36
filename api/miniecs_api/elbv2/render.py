"""Load balancing's objects as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniecs.model.load_balancing import Listener, LoadBalancer, LoadBalancerSubnet, Rule, TargetGroup
from miniecs.model.scope import Tag


def load_balancer(balancer: LoadBalancer, *, state: str | None = None) -> dict[str, Any]:
    """state: shown in place of the stored one."""
    shown: dict[str, Any] = {
        "LoadBalancerArn": balancer.arn,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneId": balancer.canonical_hosted_zone_id,
        "CreatedTime": balancer.created_at,
        "LoadBalancerName": balancer.name,
        "Scheme": balancer.scheme,
        "VpcId": balancer.vpc_id,
        "State": {"Code": state or balancer.state, "Reason": balancer.state_reason},
        "Type": balancer.type,
        "AvailabilityZones": zones(balancer.subnets),
        "IpAddressType": balancer.ip_address_type,
    }
    if balancer.security_groups or balancer.type == "application":
        shown["SecurityGroups"] = list(balancer.security_groups)
    return shown


def zones(subnets: Sequence[LoadBalancerSubnet]) -> list[dict[str, Any]]:
    """AvailabilityZones, in order of the zones' names."""
    return [
        {"ZoneName": s.zone, "SubnetId": s.subnet_id, "LoadBalancerAddresses": _addresses(s)}
        for s in sorted(subnets, key=lambda s: s.zone)
    ]


def _addresses(subnet: LoadBalancerSubnet) -> list[dict[str, str]]:
    shown: dict[str, str] = {}
    if subnet.allocation_id is not None:
        shown["AllocationId"] = subnet.allocation_id
    if subnet.private_ipv4_address is not None:
        shown["PrivateIPv4Address"] = subnet.private_ipv4_address
    return [shown] if shown else []


def target_group(group: TargetGroup, load_balancer_arns: Sequence[str]) -> dict[str, Any]:
    check = group.health_check
    shown: dict[str, Any] = {
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.port,
        "VpcId": group.vpc_id,
        "HealthCheckProtocol": check.protocol,
        "HealthCheckPort": check.port,
        "HealthCheckEnabled": check.enabled,
        "HealthCheckIntervalSeconds": check.interval,
        "HealthCheckTimeoutSeconds": check.timeout,
        "HealthyThresholdCount": check.healthy_threshold,
        "UnhealthyThresholdCount": check.unhealthy_threshold,
        "HealthCheckPath": check.path,
        "LoadBalancerArns": list(load_balancer_arns),
        "TargetType": group.target_type,
        "ProtocolVersion": group.protocol_version,
        "IpAddressType": group.ip_address_type,
    }
    if check.matcher is not None:
        shown["Matcher"] = {"GrpcCode" if check.grpc else "HttpCode": check.matcher}
    return shown


def listener(shown: Listener) -> dict[str, Any]:
    out: dict[str, Any] = {
        "ListenerArn": shown.arn,
        "LoadBalancerArn": shown.load_balancer_arn,
        "Port": shown.port,
        "Protocol": shown.protocol,
        "DefaultActions": [dict(action) for action in shown.default_actions],
        "SslPolicy": shown.ssl_policy,
        "MutualAuthentication": shown.mutual_authentication,
    }
    if shown.certificates:
        out["Certificates"] = [{"CertificateArn": shown.certificates[0]}]
    if shown.alpn_policy:
        out["AlpnPolicy"] = list(shown.alpn_policy)
    return out


def rule(shown: Rule) -> dict[str, Any]:
    return {
        "RuleArn": shown.arn,
        "Priority": str(shown.priority),
        "Conditions": [dict(condition) for condition in shown.conditions],
        "Actions": [dict(action) for action in shown.actions],
        "IsDefault": False,
        "Transforms": [dict(transform) for transform in shown.transforms],
    }


def default_rule(of: Listener) -> dict[str, Any]:
    return {
        "RuleArn": of.default_rule_arn,
        "Priority": "default",
        "Conditions": [],
        "Actions": [dict(action) for action in of.default_actions],
        "IsDefault": True,
        "Transforms": [],
    }


def tags(shown: Sequence[Tag]) -> list[dict[str, str]]:
    return [{"Key": tag.key, "Value": tag.value} for tag in shown]
