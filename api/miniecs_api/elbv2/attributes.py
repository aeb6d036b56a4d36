"""Attributes of load balancers, target groups and listeners: showing and setting them.

What there is, with defaults and allowed values, is ``miniecs.model.load_balancing_attributes``; here are
AWS's words for what is wrong, and the rules that join one attribute to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Listener, LoadBalancer, TargetGroup
from miniecs.model.load_balancing_attributes import (
    KNOWN_LISTENER_KEYS,
    KNOWN_LOAD_BALANCER_KEYS,
    KNOWN_TARGET_GROUP_KEYS,
    Attribute,
    attributes_of,
    effective,
)
from miniecs_api.context import Context
from miniecs_api.elbv2 import find
from miniecs_api.elbv2.refusals import invalid, misconfigured
from miniecs_api.operation import operation, read_operation

T = TypeVar("T", LoadBalancer, TargetGroup, Listener)

_RESERVED_COOKIES = ("AWSALB", "AWSALBAPP", "AWSALBTG")


@read_operation
def describe_load_balancer_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return _shown(find.load_balancer(ctx, params["LoadBalancerArn"]))


@operation
def modify_load_balancer_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Set attributes, all or none; answers with every attribute."""
    balancer = find.load_balancer(ctx, params["LoadBalancerArn"])
    changed = _changed(
        ctx,
        balancer,
        params["Attributes"],
        "Load balancer",
        KNOWN_LOAD_BALANCER_KEYS,
        f"is not supported on load balancers with type '{balancer.type}'",
    )
    values = effective(changed)
    for logs in ("access_logs", "connection_logs", "health_check_logs"):
        if values.get(f"{logs}.s3.enabled") == "true" and not values[f"{logs}.s3.bucket"]:
            raise misconfigured(f"'{logs}.s3.bucket' must be specified if '{logs}.s3.enabled' is true")
    ctx.tx.put(changed)
    return _shown(changed)


@read_operation
def describe_target_group_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return _shown(find.target_group(ctx, params["TargetGroupArn"]))


@operation
def modify_target_group_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Set attributes, all or none; answers with every attribute."""
    group = find.target_group(ctx, params["TargetGroupArn"])
    _check_stickiness_type(group, params["Attributes"])
    changed = _changed(
        ctx,
        group,
        params["Attributes"],
        "Target group",
        KNOWN_TARGET_GROUP_KEYS,
        f"is not supported for target groups with the {group.protocol} protocol",
    )
    _check_together(changed)
    ctx.tx.put(changed)
    return _shown(changed)


@read_operation
def describe_listener_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return _shown(find.listener(ctx, params["ListenerArn"]))


@operation
def modify_listener_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Set attributes, all or none; answers with every attribute."""
    listener = find.listener(ctx, params["ListenerArn"])
    changed = _changed(
        ctx,
        listener,
        params["Attributes"],
        "Listener",
        KNOWN_LISTENER_KEYS,
        f"is not supported on listeners with the {listener.protocol} protocol",
    )
    ctx.tx.put(changed)
    return _shown(changed)


def _shown(thing: LoadBalancer | TargetGroup | Listener) -> dict[str, Any]:
    return {"Attributes": [{"Key": key, "Value": value} for key, value in effective(thing).items()]}


def _changed(
    ctx: Context,
    thing: T,
    given: Sequence[Mapping[str, Any]],
    noun: str,
    known: frozenset[str],
    elsewhere: str,
) -> T:
    """thing with the given attributes set. elsewhere: what to say of one that belongs to another kind."""
    if not given:
        raise invalid("At least one attribute must be specified")
    attributes = {attribute.key: attribute for attribute in attributes_of(thing)}
    values = dict(thing.attributes)
    seen: set[str] = set()
    for pair in given:
        key, value = pair.get("Key"), pair.get("Value")
        if not key or value is None:
            raise invalid(f"{noun} attribute key and value must be specified")
        if key not in attributes:
            if key in known:
                raise misconfigured(f"{noun} attribute key '{key}' {elsewhere}")
            raise invalid(f"{noun} attribute key '{key}' is not recognized")
        if key in seen:
            raise invalid(f"{noun} attribute key '{key}' was specified more than once")
        seen.add(key)
        if not attributes[key].allows(value):
            raise invalid(_what_is_allowed(attributes[key], value))
        if attributes[key].inert and value != attributes[key].default:
            ctx.hint(f"{key} is kept and shown; nothing in miniecs acts on it.")
        values[key] = value
    return replace(thing, attributes=tuple(values.items()))


def _what_is_allowed(attribute: Attribute, value: str) -> str:
    words = ", ".join(attribute.words)
    if attribute.span is None:
        if not words:
            return f"'{attribute.key}' value cannot be longer than '{attribute.max_length}' characters"
        return f"'{attribute.key}' value '{value}' must be one of [{words}]"
    low, high = attribute.span
    between = f"must be between '{low}-{high}' inclusive"
    return f"'{attribute.key}' value '{value}' {between}" + (f" or one of [{words}]" if words else "")


def _check_stickiness_type(group: TargetGroup, given: Sequence[Mapping[str, Any]]) -> None:
    """AWS names a type of stickiness that belongs to another kind of load balancer as such."""
    for pair in given:
        type = pair.get("Value")
        others = {"lb_cookie", "app_cookie", "source_ip", "source_ip_dest_ip", "source_ip_dest_ip_proto"}
        ours = next(a for a in attributes_of(group) if a.key == "stickiness.type").words
        if pair.get("Key") == "stickiness.type" and type in others.difference(ours):
            raise misconfigured(
                f"Stickiness type '{type}' is not supported for target groups with the {group.protocol} "
                "protocol"
            )


def _check_together(group: TargetGroup) -> None:
    """What two attributes of a target group may not be at once."""
    values = effective(group)
    sticky = values["stickiness.enabled"] == "true"
    if sticky and group.protocol == "TLS":
        raise misconfigured("You cannot enable stickiness on target groups with the TLS protocol")
    if group.protocol not in ("HTTP", "HTTPS"):
        return
    cookie = values["stickiness.app_cookie.cookie_name"]
    if sticky and values["stickiness.type"] == "app_cookie" and not cookie:
        raise misconfigured(
            "You must set an application cookie name to enable stickiness of type 'app_cookie'"
        )
    if cookie.startswith(_RESERVED_COOKIES):
        raise invalid(f"Application cookie names that start with '{_RESERVED_COOKIES[0]}' are reserved")
    algorithm = values["load_balancing.algorithm.type"]
    if values["slow_start.duration_seconds"] != "0" and algorithm != "round_robin":
        raise misconfigured(f"Slow start is not supported with the load balancing algorithm '{algorithm}'")
    if values["load_balancing.algorithm.anomaly_mitigation"] == "on" and algorithm != "weighted_random":
        raise misconfigured("Anomaly mitigation requires the load balancing algorithm 'weighted_random'")
