"""What a rule does with a request: forward, redirect or fixed-response, checked and in the form AWS echoes.

Stored as echoed: every forward has its ForwardConfig, which is all that anyone need read.
Source: API reference, Action; user guide, "Rule action types".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from miniecs.control.load_balancing import forwarded_to, groups_of, load_balancer_arns_of
from miniecs.model.load_balancing import LoadBalancer, TargetGroup
from miniecs_api.context import Context
from miniecs_api.elbv2 import find, network
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, unsupported
from miniecs_api.wire.errors import AwsError

_CONFIGS = {
    "forward": "ForwardConfig",
    "redirect": "RedirectConfig",
    "fixed-response": "FixedResponseConfig",
}
_CONTENT_TYPES = ("text/html", "application/json", "application/javascript", "text/css", "text/plain")
_UNCHANGED = {
    "Protocol": "#{protocol}",
    "Host": "#{host}",
    "Port": "#{port}",
    "Path": "/#{path}",
    "Query": "#{query}",
}
_PLACEHOLDER = re.compile(r"#\{([^}]*)\}")
_PORT = re.compile(r"[0-9]{1,5}")
_HOST = re.compile(r"[A-Za-z0-9.-]+")
_GROUPS = {
    # listener protocol: the target groups' protocols that it can forward to
    "HTTP": ("HTTP", "HTTPS"),
    "HTTPS": ("HTTP", "HTTPS"),
    "TCP": ("TCP", "TCP_UDP"),
    "TLS": ("TCP", "TLS"),
    "UDP": ("UDP", "TCP_UDP"),
    "TCP_UDP": ("TCP_UDP",),
}
_MAX_ACTIONS = 5
_MAX_STICKY = 604800


@dataclass(frozen=True, slots=True)
class Place:
    """The listener that actions belong to. protocol and port as they will be."""

    balancer: LoadBalancer
    protocol: str
    port: int


def checked(ctx: Context, place: Place, actions: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The actions as they are stored. Raises InvalidLoadBalancerAction and the like."""
    if not actions:
        raise invalid("At least one action must be specified")
    if len(actions) > _MAX_ACTIONS:
        raise AwsError("TooManyActions", f"The maximum number of actions is '{_MAX_ACTIONS}'")
    for action in actions:
        if action["Type"] not in _CONFIGS:
            raise unsupported(f"actions of type '{action['Type']}'")
        _check_members(action)
    if len(actions) > 1:
        raise _wrong("You must specify exactly one action of type forward, redirect or fixed-response")
    stored = tuple(_one(place, action) for action in actions)
    check_groups(ctx, place, forwarded_to(stored))
    return stored


def check_groups(ctx: Context, place: Place, target_group_arns: Iterable[str]) -> None:
    """Raises unless each group exists, speaks what the listener can forward, and is no other balancer's."""
    arns = tuple(target_group_arns)
    incompatible, elsewhere = [], []
    for arn in arns:
        group = ctx.tx.get(TargetGroup, arn) if find.is_ours(ctx, "target group", arn) else None
        if group is None:
            raise AwsError("TargetGroupNotFound", f"Target groups '{arn}' not found")
        network.check_same_vpc(ctx, place.balancer, group)
        if group.protocol not in _GROUPS[place.protocol]:
            incompatible.append(arn)
        if place.protocol == "HTTP" and group.protocol_version in ("HTTP2", "GRPC"):
            raise _wrong(
                f"Listener protocol 'HTTP' is not supported with a target group with the protocol-version "
                f"'{group.protocol_version}'"
            )
        if any(other != place.balancer.arn for other in load_balancer_arns_of(ctx.tx, arn)):
            elsewhere.append(arn)
    if incompatible:
        raise AwsError(
            "IncompatibleProtocols",
            "The listener and the following target groups have incompatible protocols: "
            + ", ".join(incompatible),
        )
    if elsewhere:
        raise AwsError(
            "TargetGroupAssociationLimit",
            "The following target groups cannot be associated with more than one load balancer: "
            + ", ".join(elsewhere),
        )
    most = limit("target-groups-per-application-load-balancer")
    if len({*groups_of(ctx.tx, place.balancer.arn), *arns}) > most:
        raise AwsError(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "You have reached the maximum number of unique target groups that you can associate with a load "
            f"balancer of type '{place.balancer.type}': [{most}]",
        )


def _check_members(action: Mapping[str, Any]) -> None:
    """Only the configuration of its own type may be there; redirect and fixed-response must have theirs."""
    wanted = _CONFIGS[action["Type"]]
    if action["Type"] != "forward" and not action.get(wanted):
        raise invalid(f"A {wanted} must be specified for actions of type '{action['Type']}'")
    given = [member for member in (*_CONFIGS.values(), "TargetGroupArn") if action.get(member)]
    for member in given:
        if member != wanted and not (member == "TargetGroupArn" and action["Type"] == "forward"):
            raise invalid(f"{member} cannot be specified for actions of type '{action['Type']}'")


def _one(place: Place, action: Mapping[str, Any]) -> dict[str, Any]:
    type = action["Type"]
    if type != "forward" and place.balancer.type == "network":
        raise _wrong(f"The action type '{type}' is not valid with network load balancer")
    stored: dict[str, Any] = {"Type": type}
    if type == "forward":
        stored |= _forward(action)
    elif type == "redirect":
        stored["RedirectConfig"] = _redirect(place, action["RedirectConfig"])
    else:
        stored["FixedResponseConfig"] = _fixed_response(action["FixedResponseConfig"])
    if action.get("Order") is not None:
        stored["Order"] = action["Order"]
    return stored


def _forward(action: Mapping[str, Any]) -> dict[str, Any]:
    single = action.get("TargetGroupArn")
    config = action.get("ForwardConfig") or {}
    members = config.get("TargetGroups") or ([{"TargetGroupArn": single}] if single else [])
    if not members or not all(member.get("TargetGroupArn") for member in members):
        raise invalid("A target group ARN must be specified for actions of type 'forward'")
    names = [member["TargetGroupArn"] for member in members]
    if single and names != [single]:
        raise _wrong(
            "If you specify both TargetGroupArn and ForwardConfig, ForwardConfig must name that target group "
            "only"
        )
    most = limit("target-groups-per-action-on-application-load-balancer")
    if len(names) > most:
        raise invalid(f"The maximum number of target groups in a forward action is '{most}'")
    if len(set(names)) < len(names):
        raise invalid("A target group cannot be specified more than once in a forward action")
    groups = [{"TargetGroupArn": m["TargetGroupArn"], "Weight": _weight(m.get("Weight"))} for m in members]
    stored: dict[str, Any] = {"TargetGroupArn": names[0]} if len(names) == 1 else {}
    stored["ForwardConfig"] = {
        "TargetGroups": groups,
        "TargetGroupStickinessConfig": _stickiness(config.get("TargetGroupStickinessConfig") or {}),
    }
    return stored


def _weight(given: int | None) -> int:
    if given is None:
        return 1
    if not 0 <= given <= 999:
        raise invalid(f"Target group weight '{given}' must be between '0' and '999' inclusive")
    return given


def _stickiness(config: Mapping[str, Any]) -> dict[str, Any]:
    enabled, duration = bool(config.get("Enabled")), config.get("DurationSeconds")
    if enabled and duration is None:
        raise invalid("A duration must be specified when target group stickiness is enabled")
    if duration is not None and not 1 <= duration <= _MAX_STICKY:
        raise invalid(
            f"Target group stickiness duration '{duration}' must be between '1' and '{_MAX_STICKY}' inclusive"
        )
    return {"Enabled": enabled} | ({"DurationSeconds": duration} if duration is not None else {})


def _redirect(place: Place, config: Mapping[str, Any]) -> dict[str, Any]:
    stored = {part: config.get(part, unchanged) for part, unchanged in _UNCHANGED.items()}
    if place.protocol == "HTTPS" and stored["Protocol"] == "HTTP":
        raise _wrong("You cannot redirect HTTPS to HTTP")
    port = stored["Port"]
    if port != "#{port}" and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        raise _wrong("The Port parameter must be an integer between 1 and 65535, or '#{port}'")
    if not (_HOST.fullmatch(_PLACEHOLDER.sub("x", stored["Host"])) and _uses(stored["Host"], "host")):
        raise _wrong(
            "The Host parameter must be a valid hostname and may contain up to one placeholder '#{host}'"
        )
    if not (stored["Path"].startswith("/") and _uses(stored["Path"], "path", "host", "port")):
        raise _wrong(
            "The Path parameter must be a valid path, should start with a '/', and may contain up to one of "
            "each of these placeholders: '#{path}', '#{host}', '#{port}'."
        )
    if stored["Query"].startswith("?") or not _uses(stored["Query"], *(p.lower() for p in _UNCHANGED)):
        raise _wrong(
            "The Query parameter must be a valid query, should not start with a '?', and may contain up to "
            "one of each of these placeholders: '#{query}', '#{path}', '#{host}', '#{port}', '#{protocol}'."
        )
    if (
        stored["Protocol"] in ("#{protocol}", place.protocol)
        and port in ("#{port}", str(place.port))
        and stored["Host"] == _UNCHANGED["Host"]
        and stored["Path"] == _UNCHANGED["Path"]
    ):
        raise _wrong("The redirect configuration is not valid because it creates a loop.")
    return stored | {"StatusCode": config["StatusCode"]}


def _uses(text: str, *allowed: str) -> bool:
    """True when the text's placeholders are among those allowed, each at most once."""
    used = _PLACEHOLDER.findall(text)
    return set(used) <= set(allowed) and len(set(used)) == len(used)


def _fixed_response(config: Mapping[str, Any]) -> dict[str, Any]:
    content_type = config.get("ContentType")
    if content_type and content_type not in _CONTENT_TYPES:
        listed = ", ".join(f"'{known}'" for known in _CONTENT_TYPES)
        raise _wrong(f"The ContentType must be one of:{listed}")
    return {m: config[m] for m in ("MessageBody", "StatusCode", "ContentType") if config.get(m) is not None}


def _wrong(message: str) -> AwsError:
    return AwsError("InvalidLoadBalancerAction", message)
