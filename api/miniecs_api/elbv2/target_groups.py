"""Target groups: making, finding, changing their health checks, deleting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.apply import write_target
from miniecs.control.load_balancing import groups_of, in_use, load_balancer_arns_of, users
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs_api.context import Context
from miniecs_api.elbv2 import find, health_checks, names, network, render
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, target_group_not_found, unsupported
from miniecs_api.elbv2.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

_HTTP = ("HTTP", "HTTPS")
_PROTOCOLS = (*_HTTP, "TCP", "TLS", "UDP", "TCP_UDP")
_VERSIONS = ("HTTP1", "HTTP2", "GRPC")


@operation
def create_target_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a target group; the same name with the same settings answers with the one that exists."""
    wanted = _wanted(ctx, params)
    existing = ctx.tx.find(TargetGroup, "name", (ctx.scope, wanted.name))
    if existing:
        return _shown(ctx, _same(existing[0], wanted))
    if ctx.tx.count(TargetGroup, "scope", ctx.scope) >= limit("target-groups"):
        raise AwsError("TooManyTargetGroups", "The maximum number of target groups has been reached")
    made = replace(wanted, arn=arns.target_group(ctx.scope, wanted.name, ctx.ids.hex(16)))
    ctx.tx.put(made)
    return _shown(ctx, made)


@read_operation
def describe_target_groups(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The named ones in the order given, those of a load balancer, or all by age."""
    groups, marker = page(
        _chosen(ctx, params),
        params,
        default=400,
        key=lambda group: group.arn,
        limit="PageSize",
        token="Marker",
        error="ValidationError",
    )
    used_by = users(ctx.tx, ctx.scope)
    return {
        "TargetGroups": [render.target_group(group, used_by.get(group.arn, ())) for group in groups],
        "NextMarker": marker,
    }


@operation
def modify_target_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change the health check; targets keep their state until the next probes."""
    group = find.target_group(ctx, params["TargetGroupArn"])
    check = health_checks.changed(group.health_check, params, group.protocol or "")
    changed = replace(group, health_check=check)
    ctx.tx.put(changed)
    return _shown(ctx, changed)


@operation
def delete_target_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete it with its registrations, unless a listener or rule forwards to it."""
    arn = params["TargetGroupArn"]
    if not find.is_ours(ctx, "target group", arn) or ctx.tx.get(TargetGroup, arn) is None:
        return {}
    if in_use(ctx.tx, arn):
        raise AwsError("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
    for target in ctx.tx.find(Target, "target_group", arn):
        write_target(ctx.tx, target, None, now=ctx.now)
    ctx.tx.delete(TargetGroup, arn)
    return {}


def _wanted(ctx: Context, params: Mapping[str, Any]) -> TargetGroup:
    """The target group that CreateTargetGroup describes, yet without an ARN."""
    names.check_target_group(params["Name"])
    target_type = params.get("TargetType") or "instance"
    if target_type == "lambda":
        raise unsupported("target groups with target type 'lambda'")
    if params.get("TargetControlPort") is not None:
        raise unsupported("TargetControlPort")
    for member, called in (("Protocol", "protocol"), ("Port", "port"), ("VpcId", "VPC ID")):
        if not params.get(member):
            raise invalid(f"A {called} must be specified")
    protocol = params["Protocol"]
    if protocol not in _PROTOCOLS:
        raise unsupported(f"target groups with the {protocol} protocol")
    if target_type == "alb" and protocol != "TCP":
        raise invalid(f"Protocol '{protocol}' is not supported for target groups with target type 'alb'")
    network.check_vpc(ctx, params["VpcId"])
    address_type = params.get("IpAddressType") or "ipv4"
    if address_type == "ipv6" and target_type == "alb":
        raise invalid("IP address type 'ipv6' is not supported for target groups with target type 'alb'")
    version = _version(protocol, params.get("ProtocolVersion"))
    default = health_checks.default(protocol, version, target_type, params.get("HealthCheckProtocol"))
    return TargetGroup(
        arn="",
        name=params["Name"],
        target_type=target_type,
        protocol=protocol,
        protocol_version=version,
        port=params["Port"],
        vpc_id=params["VpcId"],
        ip_address_type=address_type,
        health_check=health_checks.changed(default, params, protocol),
        created_at=ctx.now,
        tags=to_tags(params.get("Tags"), duplicate="ValidationError"),
    )


def _version(protocol: str, given: str | None) -> str | None:
    if protocol not in _HTTP:
        if given is not None:
            raise invalid(f"Protocol version is not supported for target groups with the {protocol} protocol")
        return None
    version = given or "HTTP1"
    if version not in _VERSIONS:
        raise invalid(f"Protocol version '{version}' must be one of '{', '.join(_VERSIONS)}'")
    return version


def _same(existing: TargetGroup, wanted: TargetGroup) -> TargetGroup:
    """The existing one, when it is what is wanted. Raises DuplicateTargetGroupName."""
    as_wanted = replace(
        wanted, arn=existing.arn, created_at=existing.created_at, attributes=existing.attributes
    )
    if replace(existing, tags=()) != replace(as_wanted, tags=()) or set(existing.tags) != set(wanted.tags):
        raise AwsError(
            "DuplicateTargetGroupName",
            f"A target group with the same name '{wanted.name}' exists, but with different settings",
        )
    return existing


def _shown(ctx: Context, group: TargetGroup) -> dict[str, Any]:
    return {"TargetGroups": [render.target_group(group, load_balancer_arns_of(ctx.tx, group.arn))]}


def _chosen(ctx: Context, params: Mapping[str, Any]) -> list[TargetGroup]:
    balancer_arn = params.get("LoadBalancerArn")
    wanted_arns, wanted_names = params.get("TargetGroupArns") or [], params.get("Names") or []
    if sum(map(bool, (balancer_arn, wanted_arns, wanted_names))) > 1:
        raise invalid(
            "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same "
            "time"
        )
    if balancer_arn:
        balancer = find.load_balancer(ctx, balancer_arn)
        return [find.target_group(ctx, arn) for arn in groups_of(ctx.tx, balancer.arn)]
    if wanted_arns:
        return [find.target_group(ctx, arn) for arn in dict.fromkeys(wanted_arns)]
    if not wanted_names:
        return ctx.tx.find(TargetGroup, "scope", ctx.scope)
    found = [ctx.tx.find(TargetGroup, "name", (ctx.scope, name)) for name in dict.fromkeys(wanted_names)]
    if not all(found):
        raise target_group_not_found()
    return [groups[0] for groups in found]
