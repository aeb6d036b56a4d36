"""Load balancers, listeners, rules, target groups and targets, as Elastic Load Balancing v2 names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from miniecs.model.scope import Tag


class LoadBalancerSubnet(NamedTuple):
    """Where a load balancer stands: one subnet of one zone. The addresses are a network load balancer's."""

    subnet_id: str
    zone: str
    allocation_id: str | None = None
    private_ipv4_address: str | None = None


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """An application or network load balancer."""

    arn: str
    name: str
    type: str = "application"  # application network gateway
    scheme: str = "internet-facing"  # internet-facing internal
    state: str = "provisioning"  # provisioning active active_impaired failed
    state_reason: str | None = None
    dns_name: str = ""
    canonical_hosted_zone_id: str = ""
    vpc_id: str = ""
    subnets: tuple[LoadBalancerSubnet, ...] = ()
    security_groups: tuple[str, ...] = ()
    ip_address_type: str = "ipv4"
    created_at: float = 0.0
    attributes: tuple[tuple[str, str], ...] = ()  # only what was set; defaults are the code's
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """One port of a load balancer, with its default rule. default_actions in the API's member names."""

    arn: str
    load_balancer_arn: str
    port: int | None
    protocol: str | None
    default_actions: tuple[Mapping[str, Any], ...]
    default_rule_arn: str = ""
    ssl_policy: str | None = None
    certificates: tuple[str, ...] = ()  # the first is the default one, the others are chosen by SNI
    alpn_policy: tuple[str, ...] = ()
    mutual_authentication: Mapping[str, Any] | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    created_at: float = 0.0
    tags: tuple[Tag, ...] = ()
    default_rule_tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A listener rule: all conditions must hold. priority 1-50000; the default rule is the listener."""

    arn: str
    listener_arn: str
    priority: int
    conditions: tuple[Mapping[str, Any], ...]
    actions: tuple[Mapping[str, Any], ...]
    transforms: tuple[Mapping[str, Any], ...] = ()
    created_at: float = 0.0
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a target group probes its targets. Seconds and counts; defaults of an HTTP target group."""

    enabled: bool = True
    protocol: str | None = "HTTP"
    port: str = "traffic-port"
    path: str | None = "/"
    interval: int = 30
    timeout: int = 5
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str | None = "200"  # HTTP codes, or gRPC codes where grpc is True
    grpc: bool = False


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Where a rule forwards to. Its load balancers are derived from the listeners that name it."""

    arn: str
    name: str
    target_type: str = "instance"  # instance ip lambda alb
    protocol: str | None = "HTTP"
    protocol_version: str | None = "HTTP1"
    port: int | None = 80
    vpc_id: str | None = None
    ip_address_type: str = "ipv4"
    health_check: HealthCheck = HealthCheck()
    created_at: float = 0.0
    attributes: tuple[tuple[str, str], ...] = ()  # only what was set; defaults are the code's
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """One registered target. state and reason are judged by ``control.health`` from probe results."""

    target_group_arn: str
    id: str  # instance id, IP address or a load balancer's ARN
    port: int
    state: str = "initial"  # initial healthy unhealthy unused draining unavailable
    reason: str | None = None  # e.g. Elb.RegistrationInProgress
    description: str | None = None
    availability_zone: str | None = None
    task_arn: str | None = None  # the task for which ECS registered it
    registered_at: float = 0.0
    draining_until: float | None = None
    successes: int = 0  # probes in a row
    failures: int = 0
    was_healthy: bool = False  # a new target needs one success, a recovering one the threshold
    checked_at: float | None = None

    @property
    def key(self) -> str:
        return f"{self.target_group_arn}|{self.id}|{self.port}"
