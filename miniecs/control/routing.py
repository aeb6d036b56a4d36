"""The data plane's routing table, derived from what the store holds: nothing but this function makes one.

Not acted on by the data plane, and so not in the table: zones (every target is in reach), slow start,
anomaly mitigation, rule transforms, HTTP/2, TLS, preserve_host_header (the Host header is never changed)
and desync_mitigation_mode (the strictest always holds).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from miniecs.model import arns, routing
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.load_balancing_attributes import effective
from miniecs.model.network import LoadBalancerAddress

T = TypeVar("T")

_PREFIX, _SUFFIX = "routing.http.response.", ".header_value"


class View(Protocol):
    """What is needed of a store."""

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]: ...

    def all(self, kind: type[T]) -> Iterator[T]: ...


def routing_table(view: View, *, version: int = 0, time_scale: float = 1.0) -> routing.RoutingTable:
    """The whole table."""
    dial = _DialAddresses(view)
    balancers = sorted(view.all(LoadBalancer), key=lambda balancer: (balancer.created_at, balancer.arn))
    addresses = {each.load_balancer_arn: (each.address,) for each in view.all(LoadBalancerAddress)}
    routed = tuple(_load_balancer(view, each, addresses.get(each.arn, ())) for each in balancers)
    used = {
        member.arn: None
        for balancer in routed
        for listener in balancer.listeners
        for rule in listener.rules
        if isinstance(rule.action, routing.Forward)
        for member in rule.action.groups
    }
    groups = (group for group in view.all(TargetGroup) if group.arn in used)
    made = tuple(_group(view, group, dial) for group in sorted(groups, key=lambda group: group.arn))
    return routing.RoutingTable(version, routed, made, time_scale)


def routed_group(view: View, group: TargetGroup) -> routing.RoutedGroup:
    """One target group as it stands in the table."""
    return _group(view, group, _DialAddresses(view))


def dial_address(view: View, target: Target, group: TargetGroup) -> str:
    """Where this machine reaches a target; NOWHERE when nobody knows."""
    return _DialAddresses(view).of(target, group.target_type) or routing.NOWHERE


def _load_balancer(
    view: View, balancer: LoadBalancer, addresses: tuple[str, ...]
) -> routing.RoutedLoadBalancer:
    attributes = effective(balancer)
    listeners = view.find(Listener, "load_balancer", balancer.arn)
    made = tuple(
        _listener(view, each)
        for each in sorted(listeners, key=lambda listener: (listener.port or 0, listener.arn))
        if each.port is not None
    )
    routed = routing.RoutedLoadBalancer(
        balancer.arn,
        balancer.name,
        balancer.dns_name,
        type=balancer.type,
        addresses=addresses,
        listeners=made,
    )
    if balancer.type != "application":
        return routed
    return replace(
        routed,
        idle_timeout=int(attributes["idle_timeout.timeout_seconds"]),
        client_keep_alive=int(attributes["client_keep_alive.seconds"]),
        xff_mode=attributes["routing.http.xff_header_processing.mode"],
        xff_client_port=attributes["routing.http.xff_client_port.enabled"] == "true",
        drop_invalid_headers=attributes["routing.http.drop_invalid_header_fields.enabled"] == "true",
    )


def _listener(view: View, listener: Listener) -> routing.RoutedListener:
    attributes = effective(listener)
    rules = [
        routing.RoutedRule(rule.arn, tuple(map(_condition, rule.conditions)), _action(rule.actions))
        for rule in sorted(view.find(Rule, "listener", listener.arn), key=lambda rule: rule.priority)
    ]
    default = routing.RoutedRule(listener.default_rule_arn, (), _action(listener.default_actions))
    headers = (
        (key[len(_PREFIX) : -len(_SUFFIX)].replace("_", "-").title(), value)
        for key, value in attributes.items()
        if key.startswith(_PREFIX) and key.endswith(_SUFFIX) and value
    )
    return routing.RoutedListener(
        listener.arn,
        listener.port or 0,
        listener.protocol or "HTTP",
        (*rules, default),
        server_header=attributes.get("routing.http.response.server.enabled", "true") == "true",
        response_headers=tuple(headers),
        idle_timeout=int(attributes.get("tcp.idle_timeout.seconds", "350")),
    )


def _action(actions: Iterable[Mapping[str, Any]]) -> routing.Action:
    """The one action that ends a rule; what the API lets in has exactly one."""
    action = tuple(actions)[-1]
    if action["Type"] == "forward":
        config = action["ForwardConfig"]
        sticky = config.get("TargetGroupStickinessConfig", {})
        return routing.Forward(
            tuple(
                routing.WeightedGroup(member["TargetGroupArn"], member.get("Weight", 1))
                for member in config["TargetGroups"]
            ),
            sticky["DurationSeconds"] if sticky.get("Enabled") else None,
        )
    if action["Type"] == "redirect":
        config = action["RedirectConfig"]
        return routing.Redirect(
            int(config["StatusCode"].removeprefix("HTTP_")),
            config["Protocol"],
            config["Host"],
            config["Port"],
            config["Path"],
            config["Query"],
        )
    config = action["FixedResponseConfig"]
    return routing.FixedResponse(
        int(config["StatusCode"]), config.get("ContentType", "text/plain"), config.get("MessageBody", "")
    )


_CONFIGS = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}


def _condition(condition: Mapping[str, Any]) -> routing.Condition:
    field = condition["Field"]
    config = condition[_CONFIGS[field]]
    values = tuple(config.get("Values", ()))
    if field == "query-string":
        pairs = tuple((pair.get("Key"), pair["Value"]) for pair in values)
        return routing.Condition(field, pairs=pairs)
    return routing.Condition(
        field, values, tuple(config.get("RegexValues", ())), config.get("HttpHeaderName", "")
    )


class _DialAddresses:
    """Where a target's id is reached: an instance by its private address, anything else is an address."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._by_name: dict[str, str] | None = None

    def of(self, target: Target, target_type: str) -> str | None:
        if target_type == "ip":
            return target.id
        if target_type != "instance":
            return None
        for instance in self._view.find(ContainerInstance, "machine", target.id):
            if instance.private_ip is not None:
                return instance.private_ip
        if self._by_name is None:
            self._by_name = {
                arns.name_of(instance.arn): instance.private_ip
                for instance in self._view.all(ContainerInstance)
                if instance.private_ip is not None and instance.ec2_instance_id is None
            }
        return self._by_name.get(target.id)


def _group(view: View, group: TargetGroup, dial: _DialAddresses) -> routing.RoutedGroup:
    attributes = effective(group)
    targets = []
    for target in view.find(Target, "target_group", group.arn):
        address = dial.of(target, group.target_type) or routing.NOWHERE
        targets.append(routing.RoutedTarget(target.id, target.port, address, target.state))
    percentage = attributes["target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage"]
    return routing.RoutedGroup(
        group.arn,
        group.name,
        protocol=group.protocol or "HTTP",
        protocol_version=group.protocol_version or "HTTP1",
        algorithm=attributes.get("load_balancing.algorithm.type", "round_robin"),
        stickiness=_stickiness(attributes),
        minimum_healthy_count=int(
            attributes["target_group_health.unhealthy_state_routing.minimum_healthy_targets.count"]
        ),
        minimum_healthy_percentage=0 if percentage == "off" else int(percentage),
        health_check=group.health_check,
        targets=tuple(sorted(targets, key=lambda target: (target.id, target.port))),
    )


def _stickiness(attributes: Mapping[str, str]) -> routing.Stickiness | None:
    if attributes["stickiness.enabled"] != "true":
        return None
    type = attributes["stickiness.type"]
    return routing.Stickiness(
        type,
        int(attributes.get(f"stickiness.{type}.duration_seconds", "86400")),
        attributes.get("stickiness.app_cookie.cookie_name", ""),
    )
