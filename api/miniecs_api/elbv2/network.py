"""Subnets, zones, VPCs and security groups, as far as a load balancer needs to know them.

An id that nobody made is as good as another: it is echoed, and it stands in a zone of its own, so that the
commands of a course run as they stand. ``--strict`` refuses such ids, as AWS does. A container instance
says where it stands, so its subnet, zone and VPC are known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from miniecs.model import network
from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import LoadBalancerSubnet
from miniecs.model.scope import Scope
from miniecs_api.context import Context
from miniecs_api.elbv2.refusals import invalid, misconfigured, unsupported
from miniecs_api.wire.errors import AwsError

# AWS makes ids of 8 or 17 hex digits; placeholders of courses ("subnet-private-a") are let through.
_ID = re.compile(r"(subnet|sg|vpc)-[0-9A-Za-z][0-9A-Za-z-]{0,62}")


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet that somebody made."""

    id: str
    zone: str
    vpc_id: str


def describe_subnet(ctx: Context, id: str) -> Subnet | None:
    """What is known of a subnet; None when nobody made it, and no task was to run in it."""
    adopted = ctx.tx.get(network.Subnet, network.subnet_key(ctx.scope, id))
    if adopted is not None:
        return Subnet(id, adopted.zone, adopted.vpc_id)
    for instance in _container_instances(ctx):
        if instance.attribute("ecs.subnet-id") == id:
            return Subnet(
                id,
                instance.availability_zone or f"{ctx.scope.region}a",
                instance.attribute("ecs.vpc-id") or default_vpc_id(ctx.scope),
            )
    return None


def default_vpc_id(scope: Scope) -> str:
    """The VPC of subnets that nobody made: one an account and region, always the same."""
    return "vpc-" + hashlib.sha256(str(scope).encode()).hexdigest()[:17]


def place(
    ctx: Context, params: Mapping[str, Any], type: str, before: Iterable[LoadBalancerSubnet] = ()
) -> tuple[tuple[LoadBalancerSubnet, ...], str]:
    """The subnets that Subnets or SubnetMappings name, each with its zone, and their VPC.

    before: what the load balancer had; a subnet that nobody made keeps its zone.
    """
    mappings = _mappings(params, type)
    known = {m["SubnetId"]: _known(ctx, m["SubnetId"]) for m in mappings}
    zones = _zones(ctx, known, {s.subnet_id: s.zone for s in before})
    vpcs = list(dict.fromkeys(subnet.vpc_id for subnet in known.values() if subnet is not None))
    if len(vpcs) > 1:
        raise misconfigured("All subnets must belong to the same VPC")
    placed = tuple(
        LoadBalancerSubnet(
            m["SubnetId"], zones[m["SubnetId"]], m.get("AllocationId"), m.get("PrivateIPv4Address")
        )
        for m in mappings
    )
    distinct = {subnet.zone for subnet in placed}
    if type == "application" and len(distinct) < 2:
        raise invalid("At least two subnets in two different Availability Zones must be specified")
    if len(distinct) < len(placed):
        raise misconfigured(
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        )
    if any(m.get("AllocationId") or m.get("PrivateIPv4Address") for m in mappings):
        ctx.hint("The load balancer's addresses are kept and shown; miniecs does not hold them.")
    return placed, vpcs[0] if vpcs else default_vpc_id(ctx.scope)


def security_groups(ctx: Context, ids: Iterable[str]) -> tuple[str, ...]:
    """The groups, each once. Raises InvalidSecurityGroup for what cannot be an id."""
    chosen = tuple(dict.fromkeys(ids))
    for id in chosen:
        if not _is_id("sg", id):
            raise AwsError("InvalidSecurityGroup", f"Security group '{id}' is not valid")
    if chosen and ctx.settings.strict:
        raise misconfigured("One or more security groups are invalid")
    if chosen:
        ctx.hint("Security groups are kept and shown; miniecs filters no traffic.")
    return chosen


def check_vpc(ctx: Context, id: str) -> None:
    """Raises ValidationError for what cannot be a VPC's id, and under --strict for one nobody made."""
    made = not ctx.settings.strict or any(
        instance.attribute("ecs.vpc-id") == id for instance in _container_instances(ctx)
    )
    if not _is_id("vpc", id) or not made:
        raise invalid(f"The VPC ID '{id}' is not found")


def _container_instances(ctx: Context) -> Iterator[ContainerInstance]:
    for cluster in ctx.tx.find(Cluster, "scope", ctx.scope):
        yield from ctx.tx.find(ContainerInstance, "cluster", cluster.arn)


def _mappings(params: Mapping[str, Any], type: str) -> list[dict[str, Any]]:
    names = params.get("Subnets") or []
    mappings = params.get("SubnetMappings") or []
    if names and mappings:
        raise invalid("You must specify either subnets or subnet mappings, but not both")
    if not names and not mappings:
        if type == "application":
            raise invalid("At least two subnets in two different Availability Zones must be specified")
        raise invalid("At least one subnet must be specified")
    for mapping in mappings:
        if not mapping.get("SubnetId"):
            raise invalid("A subnet ID must be specified in each subnet mapping")
        for member in ("IPv6Address", "SourceNatIpv6Prefix"):
            if mapping.get(member):
                raise unsupported(f"{member} of a subnet mapping")
        if type == "application" and (mapping.get("AllocationId") or mapping.get("PrivateIPv4Address")):
            raise misconfigured("You cannot specify IP addresses for load balancers with type 'application'")
    return mappings or [{"SubnetId": name} for name in names]


def _known(ctx: Context, id: str) -> Subnet | None:
    if not _is_id("subnet", id):
        raise AwsError("SubnetNotFound", f"The subnet ID '{id}' is not valid")
    found = describe_subnet(ctx, id)
    if found is None and ctx.settings.strict:
        raise AwsError("SubnetNotFound", f"The subnet ID '{id}' does not exist")
    return found


def _zones(ctx: Context, known: Mapping[str, Subnet | None], before: Mapping[str, str]) -> dict[str, str]:
    zones = {id: subnet.zone for id, subnet in known.items() if subnet is not None}
    for id in known:
        if id not in zones and id in before and before[id] not in zones.values():
            zones[id] = before[id]
    free = [
        zone for letter in ascii_lowercase if (zone := f"{ctx.scope.region}{letter}") not in zones.values()
    ]
    for id in known:
        if id not in zones:
            # With more subnets than letters two share a zone, which is refused as in AWS.
            zones[id] = free.pop(0) if free else f"{ctx.scope.region}z"
    return zones


def _is_id(prefix: str, id: str) -> bool:
    return id.startswith(f"{prefix}-") and _ID.fullmatch(id) is not None
