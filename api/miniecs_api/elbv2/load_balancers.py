"""Load balancers: making, finding, moving between subnets, deleting.

A load balancer is active as soon as it exists; only CreateLoadBalancer's answer says provisioning,
as AWS's does, so that scripts which wait for active run as they stand (docs/differences.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.control.load_balancing import attribute, groups_of
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Listener, LoadBalancer, Target, TargetGroup
from miniecs_api.context import Context
from miniecs_api.elbv2 import find, names, network, render, use
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, load_balancer_not_found, misconfigured, unsupported
from miniecs_api.elbv2.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

_ARN_KINDS = {"application": "app", "network": "net"}
# us-east-1's; no Route 53 zone knows our DNS names, in whatever region.
_HOSTED_ZONES = {"application": "Z35SXDOTRQ7X7K", "network": "Z26RNL4JYFTOTI"}
_DESCRIBE_AT_ONCE = 20


@operation
def create_load_balancer(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a load balancer; the same name with the same settings answers with the one that exists."""
    names.check_load_balancer(params["Name"])
    type = params.get("Type") or "application"
    _refuse_unsupported(type, params)
    subnets, vpc_id = network.place(ctx, params, type)
    address_type = params.get("IpAddressType") or "ipv4"
    _check_address_type(type, address_type)
    wanted = LoadBalancer(
        arn="",
        name=params["Name"],
        type=type,
        scheme=params.get("Scheme") or "internet-facing",
        state="active",
        canonical_hosted_zone_id=_HOSTED_ZONES[type],
        vpc_id=vpc_id,
        subnets=subnets,
        security_groups=_security_groups(ctx, params, type, vpc_id),
        ip_address_type=address_type,
        created_at=ctx.now,
        tags=to_tags(params.get("Tags")),
    )
    existing = ctx.tx.find(LoadBalancer, "name", (ctx.scope, wanted.name))
    if existing:
        return {"LoadBalancers": [render.load_balancer(_same(existing[0], wanted))]}
    others = ctx.tx.find(LoadBalancer, "scope", ctx.scope)
    if sum(other.type == type for other in others) >= limit("{type}-load-balancers", type):
        raise AwsError(
            "TooManyLoadBalancers", f"The maximum number of {type} load balancers has been reached"
        )
    made = _named(ctx, wanted)
    ctx.tx.put(made)
    if ctx.settings.carries_traffic:
        ctx.hint(f"`miniecs lb {made.name}` shows where it can be reached, once it has a listener.")
    else:
        ctx.hint("Containers are simulated: nothing listens at the DNS name.")
    return {"LoadBalancers": [render.load_balancer(made, state="provisioning")]}


@read_operation
def describe_load_balancers(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The named ones in the order given, or all by age."""
    balancers, marker = page(
        _chosen(ctx, params),
        params,
        default=400,
        key=lambda balancer: balancer.arn,
        limit="PageSize",
        token="Marker",
        error="ValidationError",
    )
    return {"LoadBalancers": [render.load_balancer(b) for b in balancers], "NextMarker": marker}


@operation
def delete_load_balancer(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete it with its listeners and rules. One that is not there is deleted already."""
    arn = params["LoadBalancerArn"]
    balancer = ctx.tx.get(LoadBalancer, arn) if find.is_ours(ctx, "load balancer", arn) else None
    if balancer is None:
        return {}
    if attribute(balancer, "deletion_protection.enabled") == "true":
        raise AwsError(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    _refuse_while_a_target(ctx, arn)
    groups = groups_of(ctx.tx, arn)
    for listener in ctx.tx.find(Listener, "load_balancer", arn):
        use.remove_listener(ctx, listener)
    ctx.tx.delete(LoadBalancer, arn)
    use.follow(ctx, groups)
    return {}


@operation
def set_subnets(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replace the subnets; one that stays keeps its zone."""
    balancer = find.load_balancer(ctx, params["LoadBalancerArn"])
    if params.get("EnablePrefixForIpv6SourceNat"):
        raise unsupported("EnablePrefixForIpv6SourceNat")
    address_type = params.get("IpAddressType") or balancer.ip_address_type
    _check_address_type(balancer.type, address_type)
    subnets, vpc_id = network.place(ctx, params, balancer.type)
    ctx.tx.put(replace(balancer, subnets=subnets, vpc_id=vpc_id, ip_address_type=address_type))
    return {"AvailabilityZones": render.zones(subnets), "IpAddressType": address_type}


@operation
def set_security_groups(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replace the security groups; a network load balancer that was made without any takes none."""
    balancer = find.load_balancer(ctx, params["LoadBalancerArn"])
    if params.get("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"):
        raise unsupported("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic")
    groups = network.security_groups(ctx, params["SecurityGroups"], balancer.vpc_id)
    if balancer.type == "network" and bool(balancer.security_groups) is not bool(groups):
        raise misconfigured(
            "You cannot add security groups to a network load balancer that was created without any, "
            "nor remove all of them from another"
        )
    if not groups and balancer.type == "application":
        raise invalid("At least one security group must be specified")
    ctx.tx.put(replace(balancer, security_groups=groups))
    return {"SecurityGroupIds": list(groups)}


@operation
def set_ip_address_type(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    balancer = find.load_balancer(ctx, params["LoadBalancerArn"])
    _check_address_type(balancer.type, params["IpAddressType"])
    ctx.tx.put(replace(balancer, ip_address_type=params["IpAddressType"]))
    return {"IpAddressType": params["IpAddressType"]}


def _security_groups(ctx: Context, params: Mapping[str, Any], type: str, vpc_id: str) -> tuple[str, ...]:
    given = params.get("SecurityGroups") or ()
    if not given and type == "application":
        return network.default_security_groups(ctx, vpc_id)
    return network.security_groups(ctx, given, vpc_id)


def _refuse_unsupported(type: str, params: Mapping[str, Any]) -> None:
    if type not in _ARN_KINDS:
        raise unsupported(f"load balancers of type '{type}'")
    for member in ("CustomerOwnedIpv4Pool", "EnablePrefixForIpv6SourceNat", "IpamPools"):
        if params.get(member):
            raise unsupported(member)


def _check_address_type(type: str, address_type: str) -> None:
    if address_type == "dualstack-without-public-ipv4" and type != "application":
        raise misconfigured(
            f"The specified IP address type is not supported on load balancers with type '{type}'"
        )


def _same(existing: LoadBalancer, wanted: LoadBalancer) -> LoadBalancer:
    """The existing one, when it is what is wanted. Raises DuplicateLoadBalancerName."""
    if _settings(existing) != _settings(wanted):
        raise AwsError(
            "DuplicateLoadBalancerName",
            f"A load balancer with the same name '{wanted.name}' exists, but with different settings",
        )
    return existing


def _settings(balancer: LoadBalancer) -> tuple[object, ...]:
    return (
        balancer.type,
        balancer.scheme,
        {(s.subnet_id, s.allocation_id, s.private_ipv4_address) for s in balancer.subnets},
        set(balancer.security_groups),
        balancer.ip_address_type,
        set(balancer.tags),
    )


def _named(ctx: Context, wanted: LoadBalancer) -> LoadBalancer:
    """With its ARN and DNS name; AWS forms the latter from a number, or for network ones from the id."""
    id = ctx.ids.hex(16)
    label = ctx.ids.digits(10) if wanted.type == "application" else id
    return replace(
        wanted,
        arn=arns.load_balancer(ctx.scope, _ARN_KINDS[wanted.type], wanted.name, id),
        dns_name=f"{wanted.name}-{label}.{ctx.scope.region}.elb.localhost",
    )


def _chosen(ctx: Context, params: Mapping[str, Any]) -> list[LoadBalancer]:
    wanted_arns, wanted_names = params.get("LoadBalancerArns") or [], params.get("Names") or []
    if wanted_arns and wanted_names:
        raise invalid("Load balancer names and load balancer ARNs cannot be specified at the same time")
    if len(wanted_arns) > _DESCRIBE_AT_ONCE or len(wanted_names) > _DESCRIBE_AT_ONCE:
        raise invalid(f"Up to {_DESCRIBE_AT_ONCE} load balancers can be described in one call")
    if wanted_arns:
        return [find.load_balancer(ctx, arn) for arn in dict.fromkeys(wanted_arns)]
    if not wanted_names:
        return ctx.tx.find(LoadBalancer, "scope", ctx.scope)
    found = {name: ctx.tx.find(LoadBalancer, "name", (ctx.scope, name)) for name in wanted_names}
    missing = [name for name, balancers in found.items() if not balancers]
    if missing:
        raise AwsError(load_balancer_not_found().code, f"Load balancers '[{', '.join(missing)}]' not found")
    return [balancers[0] for balancers in found.values()]


def _refuse_while_a_target(ctx: Context, arn: str) -> None:
    for group in ctx.tx.find(TargetGroup, "scope", ctx.scope):
        if group.target_type == "alb" and any(
            target.id == arn for target in ctx.tx.find(Target, "target_group", group.arn)
        ):
            raise AwsError(
                "ResourceInUse",
                f"Load balancer '{arn}' cannot be deleted because it is a target of '{group.arn}'",
            )
