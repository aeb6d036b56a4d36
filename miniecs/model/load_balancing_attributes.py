"""The attributes of load balancers, target groups and listeners: their names, defaults and allowed values.

Objects store only what was set; whoever needs a value (the API, target draining, the data plane)
takes it from here, so that a default is written down once.
Source: API reference of Elastic Load Balancing v2, LoadBalancerAttribute, TargetGroupAttribute and
ListenerAttribute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from miniecs.model.load_balancing import Listener, LoadBalancer, TargetGroup

BOOLEAN = ("true", "false")
_NUMBER = re.compile(r"[0-9]{1,9}")
_DAY = 86400
_WEEK = 604800


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. Neither words nor span: any text up to max_length.

    words: the values allowed besides those of span, an inclusive range of whole numbers.
    inert: kept and shown, but nothing in miniecs will ever act on it.
    """

    key: str
    default: str
    words: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    max_length: int = 1024
    inert: bool = False

    def allows(self, value: str) -> bool:
        if value in self.words:
            return True
        if self.span is not None:
            low, high = self.span
            return _NUMBER.fullmatch(value) is not None and low <= int(value) <= high
        return not self.words and len(value) <= self.max_length


def _flag(key: str, default: str = "false", *, inert: bool = False) -> Attribute:
    return Attribute(key, default, words=BOOLEAN, inert=inert)


def _seconds(key: str, default: int, low: int, high: int) -> Attribute:
    return Attribute(key, str(default), span=(low, high))


def _bucket_logs(kind: str) -> tuple[Attribute, ...]:
    return (
        _flag(f"{kind}.s3.enabled", inert=True),
        Attribute(f"{kind}.s3.bucket", "", inert=True),
        Attribute(f"{kind}.s3.prefix", "", inert=True),
    )


_ANY_LOAD_BALANCER = (
    *_bucket_logs("access_logs"),
    _flag("deletion_protection.enabled"),
    _flag("zonal_shift.config.enabled", inert=True),
)

_APPLICATION = (
    _seconds("idle_timeout.timeout_seconds", 60, 1, 4000),
    _seconds("client_keep_alive.seconds", 3600, 60, _WEEK),
    # An application load balancer always balances over zones; only target groups can turn it off.
    Attribute("load_balancing.cross_zone.enabled", "true", words=("true",)),
    _flag("routing.http2.enabled", "true"),
    _flag("routing.http.drop_invalid_header_fields.enabled"),
    _flag("routing.http.preserve_host_header.enabled"),
    _flag("routing.http.xff_client_port.enabled"),
    Attribute("routing.http.xff_header_processing.mode", "append", words=("append", "preserve", "remove")),
    Attribute(
        "routing.http.desync_mitigation_mode", "defensive", words=("monitor", "defensive", "strictest")
    ),
    _flag("routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
    _flag("waf.fail_open.enabled", inert=True),
    *_bucket_logs("connection_logs"),
    *_bucket_logs("health_check_logs"),
)

_NETWORK = (
    _flag("load_balancing.cross_zone.enabled"),
    Attribute(
        "dns_record.client_routing_policy",
        "any_availability_zone",
        words=(
            "any_availability_zone",
            "partial_availability_zone_affinity",
            "availability_zone_affinity",
        ),
        inert=True,
    ),
    Attribute("secondary_ips.auto_assigned.per_subnet", "0", span=(0, 7), inert=True),
)


def load_balancer_attributes(type: str, scheme: str) -> tuple[Attribute, ...]:
    """All attributes of an application or network load balancer."""
    internal = "true" if scheme == "internal" else "false"
    return (
        *_ANY_LOAD_BALANCER,
        _flag("ipv6.deny_all_igw_traffic", internal, inert=True),
        *(_APPLICATION if type == "application" else _NETWORK),
    )


_ANY_TARGET_GROUP = (
    _seconds("deregistration_delay.timeout_seconds", 300, 0, 3600),
    _flag("stickiness.enabled"),
    Attribute(
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        words=(*BOOLEAN, "use_load_balancer_configuration"),
    ),
    Attribute(
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "1",
        words=("off",),
        span=(1, 1000),
        inert=True,
    ),
    Attribute(
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "off",
        words=("off",),
        span=(1, 100),
        inert=True,
    ),
    Attribute(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", span=(1, 1000)
    ),
    Attribute(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "off",
        words=("off",),
        span=(1, 100),
    ),
)

_HTTP_TARGET_GROUP = (
    Attribute("stickiness.type", "lb_cookie", words=("lb_cookie", "app_cookie")),
    _seconds("stickiness.lb_cookie.duration_seconds", _DAY, 1, _WEEK),
    Attribute("stickiness.app_cookie.cookie_name", "", max_length=256),
    _seconds("stickiness.app_cookie.duration_seconds", _DAY, 1, _WEEK),
    Attribute("slow_start.duration_seconds", "0", words=("0",), span=(30, 900)),
    Attribute(
        "load_balancing.algorithm.type",
        "round_robin",
        words=("round_robin", "least_outstanding_requests", "weighted_random"),
    ),
    Attribute("load_balancing.algorithm.anomaly_mitigation", "off", words=("on", "off")),
)


def target_group_attributes(protocol: str | None, target_type: str) -> tuple[Attribute, ...]:
    """All attributes of a target group for an application (HTTP, HTTPS) or network load balancer."""
    if protocol in ("HTTP", "HTTPS"):
        return (*_ANY_TARGET_GROUP, *_HTTP_TARGET_GROUP)
    datagrams = protocol in ("UDP", "TCP_UDP")
    preserves = not (target_type == "ip" and not datagrams)
    return (
        *_ANY_TARGET_GROUP,
        Attribute("stickiness.type", "source_ip", words=("source_ip",)),
        _flag("deregistration_delay.connection_termination.enabled", "true" if datagrams else "false"),
        Attribute(
            "preserve_client_ip.enabled",
            "true" if preserves else "false",
            words=("true",) if datagrams else BOOLEAN,
        ),
        _flag("proxy_protocol_v2.enabled"),
        Attribute(
            "target_health_state.unhealthy.connection_termination.enabled",
            "false" if datagrams else "true",
            words=("false",) if datagrams else BOOLEAN,
        ),
        _seconds("target_health_state.unhealthy.draining_interval_seconds", 0, 0, 360000),
    )


_CLIENT_CERTIFICATE_HEADERS = tuple(
    Attribute(f"routing.http.request.{name}.header_name", header)
    for name, header in (
        ("x_amzn_mtls_clientcert_serial_number", "X-Amzn-Mtls-Clientcert-Serial-Number"),
        ("x_amzn_mtls_clientcert_issuer", "X-Amzn-Mtls-Clientcert-Issuer"),
        ("x_amzn_mtls_clientcert_subject", "X-Amzn-Mtls-Clientcert-Subject"),
        ("x_amzn_mtls_clientcert_validity", "X-Amzn-Mtls-Clientcert-Validity"),
        ("x_amzn_mtls_clientcert_leaf", "X-Amzn-Mtls-Clientcert-Leaf"),
        ("x_amzn_mtls_clientcert", "X-Amzn-Mtls-Clientcert"),
        ("x_amzn_tls_version", "X-Amzn-Tls-Version"),
        ("x_amzn_tls_cipher_suite", "X-Amzn-Tls-Cipher-Suite"),
    )
)

_RESPONSE_HEADERS = (
    _flag("routing.http.response.server.enabled", "true"),
    *(
        Attribute(f"routing.http.response.{name}.header_value", "")
        for name in (
            "strict_transport_security",
            "access_control_allow_origin",
            "access_control_allow_methods",
            "access_control_allow_headers",
            "access_control_allow_credentials",
            "access_control_expose_headers",
            "access_control_max_age",
            "content_security_policy",
            "x_content_type_options",
            "x_frame_options",
        )
    ),
)


def listener_attributes(protocol: str | None) -> tuple[Attribute, ...]:
    """All attributes of a listener; those about client certificates and TLS are an HTTPS listener's."""
    if protocol == "HTTPS":
        return (*_CLIENT_CERTIFICATE_HEADERS, *_RESPONSE_HEADERS)
    if protocol == "HTTP":
        return _RESPONSE_HEADERS
    return (_seconds("tcp.idle_timeout.seconds", 350, 60, 6000),)


def attributes_of(thing: LoadBalancer | TargetGroup | Listener) -> tuple[Attribute, ...]:
    """The attributes that this object has, in the order in which they are shown."""
    if isinstance(thing, LoadBalancer):
        return load_balancer_attributes(thing.type, thing.scheme)
    if isinstance(thing, TargetGroup):
        return target_group_attributes(thing.protocol, thing.target_type)
    return listener_attributes(thing.protocol)


def effective(thing: LoadBalancer | TargetGroup | Listener) -> dict[str, str]:
    """Every attribute with the value that holds: what was set, else the default."""
    return {a.key: a.default for a in attributes_of(thing)} | dict(thing.attributes)


# What another kind of load balancer, target group or listener has. Elastic Load Balancing tells a name that
# it knows but that does not fit from one that it does not know.
KNOWN_LOAD_BALANCER_KEYS = frozenset(
    a.key for type in ("application", "network") for a in load_balancer_attributes(type, "internet-facing")
)
KNOWN_TARGET_GROUP_KEYS = frozenset(
    a.key for protocol in ("HTTP", "TCP") for a in target_group_attributes(protocol, "ip")
) | {
    "lambda.multi_value_headers.enabled",
    "target_failover.on_deregistration",
    "target_failover.on_unhealthy",
    "send_tcp_reset.on_unhealthy.enabled",
    "send_tcp_reset.on_deregistration.enabled",
}
KNOWN_LISTENER_KEYS = frozenset(
    a.key for protocol in ("HTTPS", "TCP") for a in listener_attributes(protocol)
) | {"send_tcp_reset.on_idle_timeout.enabled"}
