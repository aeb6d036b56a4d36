"""What is known of an account's networks in a region, and how an id that nobody made becomes known.

Operations look at the store's networks alone: the default VPC is written down when it is first needed, what
EC2 calls make is mirrored (miniecs_api.rest.networks), and the rest is adopted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain

from miniecs.model import network
from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.network import DefaultNetworks, SecurityGroup, Subnet, Vpc, network_key
from miniecs.model.scope import Scope
from miniecs.store import Transaction
from miniecs_api.context import Context

# AWS makes ids of 8 or 17 hex digits; placeholders of courses ("subnet-private-a") are let through.
_ID = re.compile(r"(subnet|sg|vpc)-[0-9A-Za-z][0-9A-Za-z-]{0,62}")


def is_id(prefix: str, id: str) -> bool:
    """Whether it could be one: only such ids are adopted."""
    return id.startswith(f"{prefix}-") and _ID.fullmatch(id) is not None


def begin(tx: Transaction, scope: Scope) -> None:
    """Write the default VPC down, with its subnets and its group. Once: what is deleted later stays so."""
    if tx.get(DefaultNetworks, str(scope)) is not None:
        return
    tx.put(DefaultNetworks(scope))
    vpc_id = network.default_vpc_id(scope)
    if tx.get(Vpc, network_key(scope, vpc_id)) is None:
        tx.put(Vpc(scope, vpc_id))
    for zone in network.zones(scope.region):
        tx.put(Subnet(scope, network.default_subnet_id(scope, zone), vpc_id, zone, made=True))
    tx.put(SecurityGroup(scope, network.default_group_id(scope), vpc_id, "default", made=True))


def find_subnet(ctx: Context, id: str) -> Subnet | None:
    begin(ctx.tx, ctx.scope)
    return ctx.tx.get(Subnet, network_key(ctx.scope, id))


def find_group(ctx: Context, id: str) -> SecurityGroup | None:
    begin(ctx.tx, ctx.scope)
    return ctx.tx.get(SecurityGroup, network_key(ctx.scope, id))


def find_vpc(ctx: Context, id: str) -> Vpc | None:
    begin(ctx.tx, ctx.scope)
    return ctx.tx.get(Vpc, network_key(ctx.scope, id))


def default_vpc(ctx: Context) -> Vpc | None:
    """None when somebody deleted it: then nothing can be adopted."""
    return find_vpc(ctx, network.default_vpc_id(ctx.scope))


def same_vpc(ctx: Context, one: str, other: str) -> bool:
    """Whether two ids name one VPC: any that nobody made stands for the default VPC."""
    return _meant(ctx, one) == _meant(ctx, other)


def _meant(ctx: Context, vpc_id: str) -> str:
    return vpc_id if find_vpc(ctx, vpc_id) is not None else network.default_vpc_id(ctx.scope)


def default_group(ctx: Context, vpc_id: str) -> SecurityGroup | None:
    """The group that AWS takes where a call names none."""
    groups = ctx.tx.find(SecurityGroup, "vpc", network_key(ctx.scope, vpc_id))
    return next((group for group in groups if group.name == "default"), None)


def adopt_subnet(ctx: Context, id: str, avoid: Collection[str] = ()) -> Subnet | None:
    """Take it for a subnet of the default VPC, in the zone with the fewest such, but none of ``avoid``.

    None where it cannot be: no such id is made by AWS, or the default VPC was deleted.
    """
    vpc = default_vpc(ctx)
    if vpc is None or not is_id("subnet", id):
        return None
    adopted = Subnet(ctx.scope, id, vpc.id, _zone(ctx, avoid))
    ctx.tx.put(adopted)
    ctx.hint(f"Nobody made {id}: it is taken for a subnet of the default VPC, in {adopted.zone}.")
    return adopted


def adopt_group(ctx: Context, id: str, vpc_id: str) -> SecurityGroup | None:
    """Take it for a security group of the VPC that it is used in; None where no such id is made by AWS."""
    if not is_id("sg", id) or find_vpc(ctx, vpc_id) is None:
        return None
    adopted = SecurityGroup(ctx.scope, id, vpc_id, name=id)
    ctx.tx.put(adopted)
    ctx.hint(f"Nobody made {id}: it is taken for a security group of {vpc_id}.")
    return adopted


def of_instance(ctx: Context, zone: str, subnet_id: str | None) -> Subnet | None:
    """The subnet that a container instance stands in: the one that it names, else its zone's default one.

    A subnet that nobody made is made by that. None when there is no default VPC.
    """
    if subnet_id is not None and (named := find_subnet(ctx, subnet_id)) is not None:
        return named
    vpc = default_vpc(ctx)
    if vpc is None:
        return None
    if subnet_id is None or not is_id("subnet", subnet_id):
        subnet_id = network.default_subnet_id(ctx.scope, zone)
        if (own := find_subnet(ctx, subnet_id)) is not None:
            return own
    stood_in = Subnet(ctx.scope, subnet_id, vpc.id, zone)
    ctx.tx.put(stood_in)
    return stood_in


def _zone(ctx: Context, avoid: Collection[str]) -> str:
    """Those with instances first, since tasks on instances run where these are."""
    used = Counter(subnet.zone for subnet in ctx.tx.find(Subnet, "scope", ctx.scope) if not subnet.made)
    zones = dict.fromkeys(chain(sorted(set(_zones_of_instances(ctx))), network.zones(ctx.scope.region)))
    left = [zone for zone in zones if zone not in avoid]
    return min(left or zones, key=lambda zone: used[zone])


def _zones_of_instances(ctx: Context) -> Iterator[str]:
    for cluster in ctx.tx.find(Cluster, "scope", ctx.scope):
        for instance in ctx.tx.find(ContainerInstance, "cluster", cluster.arn):
            if instance.status != "INACTIVE" and instance.availability_zone is not None:
                yield instance.availability_zone
