"""Targets: registering, deregistering, and their health.

For a service's tasks control does the same with the same functions; here it is what a user asks for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from miniecs.apply import write_target
from miniecs.control.load_balancing import deregistration_delay, in_use
from miniecs.control.registration import deregistered, registered
from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Listener, LoadBalancer, Target, TargetGroup
from miniecs_api.context import Context
from miniecs_api.elbv2 import find
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, unsupported
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

_INSTANCE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ZONE = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d[a-z]")
# What CreateTargetGroup's TargetType "ip" may hold besides the VPC's own subnets: RFC 1918, RFC 6598.
_PRIVATE = tuple(
    ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_NOT_REGISTERED = {
    "State": "unused",
    "Reason": "Target.NotRegistered",
    "Description": "Target is not registered to the target group",
}
_NO_OVERRIDE = {
    "State": "no_override",
    "Reason": "AdministrativeOverride.NoOverride",
    "Description": "No override is currently active on target",
}


@operation
def register_targets(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Register targets; one that is there stays as it is, one that drains begins anew."""
    group = find.target_group(ctx, params["TargetGroupArn"])
    wanted = _some(params["Targets"])
    for target in wanted:
        _check(ctx, group, target)
    used = in_use(ctx.tx, group.arn)
    before = {target.key for target in ctx.tx.find(Target, "target_group", group.arn)}
    for target in wanted:
        new = registered(
            group.arn,
            _id(group, target["Id"]),
            _port(group, target),
            in_use=used,
            now=ctx.now,
            availability_zone=target.get("AvailabilityZone"),
        )
        before.add(new.key)
        if len(before) > _most(group):
            raise AwsError(
                "TooManyTargets", f"The maximum number of targets in the target group is '{_most(group)}'"
            )
        existing = ctx.tx.get(Target, new.key)
        if existing is None or existing.state == "draining":
            ctx.tx.put(new)
    return {}


@operation
def deregister_targets(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Begin to drain targets. Without a port, all of the id are meant; what is not there is no error."""
    group = find.target_group(ctx, params["TargetGroupArn"])
    delay = ctx.settings.timing.wait(deregistration_delay(group))
    for wanted in _some(params["Targets"]):
        _check_id(group, wanted["Id"])
        for target in _matching(ctx, group, wanted):
            after = deregistered(target, now=ctx.now, delay=delay)
            if after is not target:
                write_target(ctx.tx, target, after, now=ctx.now)
    return {}


@read_operation
def describe_target_health(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The health of all registered and draining targets, or of those named, registered or not."""
    group = find.target_group(ctx, params["TargetGroupArn"])
    include = set(params.get("Include") or ())
    if not params.get("Targets"):
        targets = ctx.tx.find(Target, "target_group", group.arn)
        return {"TargetHealthDescriptions": [_health(group, target, include) for target in targets]}
    shown = []
    for wanted in params["Targets"]:
        _check_id(group, wanted["Id"])
        found = _matching(ctx, group, wanted)
        shown += [_health(group, target, include) for target in found] or [_unknown(group, wanted)]
    return {"TargetHealthDescriptions": shown}


def _some(targets: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if not targets:
        raise invalid("At least one target must be specified")
    return targets


def _check(ctx: Context, group: TargetGroup, target: Mapping[str, Any]) -> None:
    if target.get("QuicServerId"):
        raise unsupported("QuicServerId")
    _check_id(group, target["Id"])
    zone = target.get("AvailabilityZone")
    if zone and group.target_type != "ip":
        raise invalid(
            f"An Availability Zone cannot be specified for targets of target type '{group.target_type}'"
        )
    if zone and zone != "all" and not _ZONE.fullmatch(zone):
        raise invalid(f"Availability Zone '{zone}' is not valid")
    if group.target_type == "instance" and ctx.settings.strict and not _is_instance(ctx, target["Id"]):
        raise AwsError(
            "InvalidTarget",
            f"The following targets are not in a running state and cannot be registered: '{target['Id']}'",
        )
    if group.target_type == "alb":
        _check_balancer(ctx, group, target)


def _check_id(group: TargetGroup, id: str) -> None:
    """Raises ValidationError unless the id has the form that the group's target type asks for."""
    if group.target_type == "instance":
        if not _INSTANCE.fullmatch(id):
            raise invalid(f"Instance ID '{id}' is not valid")
    elif group.target_type == "ip":
        _check_address(group, id)
    elif ":loadbalancer/app/" not in id:
        raise invalid(f"'{id}' is not a valid load balancer ARN")


def _check_address(group: TargetGroup, text: str) -> None:
    version = 6 if group.ip_address_type == "ipv6" else 4
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise invalid(f"The IP address '{text}' is not a valid IPv{version} address")
    if isinstance(address, ipaddress.IPv4Address) and not any(address in net for net in _PRIVATE):
        raise invalid(
            f"The IP address '{text}' is not a private address; publicly routable IP addresses, loopback and "
            "link-local addresses cannot be targets"
        )


def _check_balancer(ctx: Context, group: TargetGroup, target: Mapping[str, Any]) -> None:
    """An application load balancer can be a target at the group's port, where it must listen."""
    if target.get("Port") not in (None, group.port):
        raise invalid(f"The port of a target of target type 'alb' must be the target group's, '{group.port}'")
    ours = find.is_ours(ctx, "load balancer", target["Id"])
    balancer = ctx.tx.get(LoadBalancer, target["Id"]) if ours else None
    listeners = ctx.tx.find(Listener, "load_balancer", target["Id"])
    if balancer is None or all(listener.port != group.port for listener in listeners):
        raise AwsError(
            "InvalidTarget",
            f"The load balancer '{target['Id']}' does not exist or has no listener on port '{group.port}'",
        )


def _is_instance(ctx: Context, id: str) -> bool:
    return any(
        instance.ec2_instance_id == id
        for cluster in ctx.tx.find(Cluster, "scope", ctx.scope)
        for instance in ctx.tx.find(ContainerInstance, "cluster", cluster.arn)
    )


def _matching(ctx: Context, group: TargetGroup, wanted: Mapping[str, Any]) -> list[Target]:
    """The registered targets that an id, with or without a port, names."""
    if wanted.get("Port") is not None:
        target = ctx.tx.get(Target, f"{group.arn}|{_id(group, wanted['Id'])}|{wanted['Port']}")
        return [target] if target is not None else []
    id = _id(group, wanted["Id"])
    return [target for target in ctx.tx.find(Target, "target_group", group.arn) if target.id == id]


def _id(group: TargetGroup, id: str) -> str:
    """One spelling for each address: IPv6 has many."""
    return str(ipaddress.ip_address(id)) if group.target_type == "ip" else id


def _port(group: TargetGroup, target: Mapping[str, Any]) -> int:
    return int(target.get("Port") or group.port or 0)


def _most(group: TargetGroup) -> int:
    return 1 if group.target_type == "alb" else limit("targets-per-target-group")


def _health(group: TargetGroup, target: Target, include: set[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Target": {"Id": target.id, "Port": target.port, "AvailabilityZone": target.availability_zone},
        "HealthCheckPort": _check_port(group, target.port),
        "TargetHealth": {
            "State": target.state,
            "Reason": target.reason,
            "Description": target.description,
        },
    }
    if include & {"AnomalyDetection", "All"} and group.protocol in ("HTTP", "HTTPS"):
        shown["AnomalyDetection"] = {"Result": "normal", "MitigationInEffect": "no"}
    if "All" in include:
        shown["AdministrativeOverride"] = dict(_NO_OVERRIDE)
    return shown


def _unknown(group: TargetGroup, wanted: Mapping[str, Any]) -> dict[str, Any]:
    port = _port(group, wanted)
    return {
        "Target": {"Id": wanted["Id"], "Port": port, "AvailabilityZone": wanted.get("AvailabilityZone")},
        "HealthCheckPort": _check_port(group, port),
        "TargetHealth": dict(_NOT_REGISTERED),
    }


def _check_port(group: TargetGroup, port: int) -> str:
    check = group.health_check.port
    return str(port) if check == "traffic-port" else check
