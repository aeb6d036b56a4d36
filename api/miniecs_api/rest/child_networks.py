"""In the child: moto's networks begun with miniecs's own ids, added to, and told of.

moto draws its ids at random. Here the default VPC, its subnets and its group get the ids that
miniecs.model.network gives them, so that both sides know them before either has asked the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any
from unittest import mock

from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone

from miniecs.model import network
from miniecs.model.scope import Scope

_DEFAULT_CIDR = "172.31.0.0/16"  # Source: Amazon VPC user guide, "Default VPC components"
_ADOPTED_PREFIX = 24  # of a subnet that EC2 was never asked for

_moto_default_vpc = EC2Backend.create_default_vpc


def begin_with_our_ids() -> None:
    """Have every account's default VPC made with the ids that the store has for it. Call it once."""
    setattr(EC2Backend, "create_default_vpc", _default_vpc)  # noqa: B010 - mypy knows no other way


def tell(account: str, region: str, adopted: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Add what was adopted and is not here yet. Whether anything was added, and all networks there are."""
    ec2 = ec2_backends[account][region]
    added = [_add_subnet(ec2, **subnet) for subnet in adopted["subnets"]]
    added += [_add_group(ec2, **group) for group in adopted["groups"]]
    return any(added), _everything(ec2)


def _default_vpc(ec2: EC2Backend) -> Any:
    if hasattr(ec2, "default_vpc"):
        return _moto_default_vpc(ec2)  # CreateDefaultVpc, after the first one was deleted
    scope = Scope(ec2.account_id, ec2.region_name)
    with (
        _ids("vpcs.random_vpc_id", network.default_vpc_id(scope)),
        _ids("security_groups.random_security_group_id", network.default_group_id(scope)),
    ):
        vpc = ec2.create_vpc(_DEFAULT_CIDR, is_default=True)
    for zone in network.zones(scope.region):
        _ensure_zone(scope.region, zone)
        with _ids("subnets.random_subnet_id", network.default_subnet_id(scope, zone)):
            ec2.create_default_subnet(zone)
    return vpc


def _add_subnet(ec2: EC2Backend, id: str, vpc: str, zone: str) -> bool:
    if vpc not in ec2.vpcs or any(id in subnets for subnets in ec2.subnets.values()):
        return False
    cidr = _free_block(ec2, vpc)
    if cidr is None:
        return False
    _ensure_zone(ec2.region_name, zone)
    with _ids("subnets.random_subnet_id", id):
        ec2.create_subnet(vpc, cidr, availability_zone=zone)
    return True


def _add_group(ec2: EC2Backend, id: str, vpc: str) -> bool:
    if vpc not in ec2.vpcs or any(id in groups for groups in ec2.groups.values()):
        return False
    with _ids("security_groups.random_security_group_id", id):
        ec2.create_security_group(id, "Named by a call, made by nobody", vpc_id=vpc)
    return True


def _free_block(ec2: EC2Backend, vpc: str) -> str | None:
    """The last one of the VPC that no subnet has: whoever makes subnets begins with the first ones."""
    used = [IPv4Network(s.cidr_block) for s in ec2.describe_subnets(filters={"vpc-id": vpc}) if s.cidr_block]
    whole = IPv4Network(ec2.vpcs[vpc].cidr_block, strict=False)
    blocks = list(whole.subnets(new_prefix=max(_ADOPTED_PREFIX, whole.prefixlen)))
    free = (block for block in reversed(blocks) if not any(block.overlaps(other) for other in used))
    return next((str(block) for block in free), None)


def _ensure_zone(region: str, name: str) -> None:
    """moto refuses subnets in zones that it does not know."""
    zones = RegionsAndZonesBackend.zones.setdefault(region, [])
    if not any(zone.name == name for zone in zones):
        zones.append(Zone(name, region, f"{region}-az{len(zones) + 1}"))


def _everything(ec2: EC2Backend) -> dict[str, Any]:
    subnets = [subnet for by_id in ec2.subnets.values() for subnet in by_id.values()]
    groups = [group for by_id in ec2.groups.values() for group in by_id.values()]
    return {
        "vpcs": [{"id": id} for id in ec2.vpcs],
        "subnets": [{"id": s.id, "vpc": s.vpc_id, "zone": s.availability_zone} for s in subnets],
        "groups": [{"id": g.id, "vpc": g.vpc_id, "name": g.name} for g in groups],
    }


@contextmanager
def _ids(drawn_by: str, id: str) -> Iterator[None]:
    """What moto makes meanwhile gets this id; calls to moto come one at a time."""
    with mock.patch(f"moto.ec2.models.{drawn_by}", return_value=id):
        yield
