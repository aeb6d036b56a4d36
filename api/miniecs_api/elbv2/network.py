"""The subnets, zones, VPC and security groups of a load balancer, and the VPC of a target group.

They are looked up among those that are known; an id that nobody made is adopted, so that the commands of a
course run as they stand, and refused under ``--strict``, as AWS does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from miniecs.model.load_balancing import LoadBalancer, LoadBalancerSubnet, TargetGroup
from miniecs.model.network import Subnet
from miniecs_api import networks
from miniecs_api.context import Context
from miniecs_api.elbv2.refusals import invalid, misconfigured, unsupported
from miniecs_api.wire.errors import AwsError


def place(
    ctx: Context, params: Mapping[str, Any], type: str
) -> tuple[tuple[LoadBalancerSubnet, ...], str]:
    """The subnets that Subnets or SubnetMappings name, each with its zone, and their VPC."""
    mappings = _mappings(params, type)
    subnets = _subnets(ctx, [m["SubnetId"] for m in mappings])
    vpcs = list(dict.fromkeys(subnet.vpc_id for subnet in subnets.values()))
    if len(vpcs) > 1:
        raise misconfigured("All subnets must belong to the same VPC")
    placed = tuple(
        LoadBalancerSubnet(
            m["SubnetId"], subnets[m["SubnetId"]].zone, m.get("AllocationId"), m.get("PrivateIPv4Address")
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
    return placed, vpcs[0]


def security_groups(ctx: Context, ids: Iterable[str], vpc_id: str) -> tuple[str, ...]:
    """The groups, each once, all of the VPC."""
    chosen = tuple(dict.fromkeys(ids))
    for id in chosen:
        if not networks.is_id("sg", id):
            raise invalid(f"Security group '{id}' is not valid")
        group = networks.find_group(ctx, id)
        if group is None and not ctx.settings.strict:
            group = networks.adopt_group(ctx, id, vpc_id)
        if group is None:
            raise AwsError("InvalidSecurityGroup", _no_group(ctx, id))
        if group.vpc_id != vpc_id:
            raise misconfigured(
                "One or more security groups are invalid", f"{id} is in {group.vpc_id}, not in {vpc_id}."
            )
    if chosen:
        ctx.hint("Security groups are kept and shown; miniecs filters no traffic.")
    return chosen


def default_security_groups(ctx: Context, vpc_id: str) -> tuple[str, ...]:
    """What an application load balancer gets that is made without any."""
    group = networks.default_group(ctx, vpc_id)
    return (group.id,) if group is not None else ()


def check_vpc(ctx: Context, id: str) -> None:
    """Raises ValidationError for a VPC that nobody made, unless it can stand for the default VPC."""
    if networks.find_vpc(ctx, id) is not None:
        return
    default = networks.default_vpc(ctx)
    if ctx.settings.strict or default is None or not networks.is_id("vpc", id):
        raise invalid(f"The VPC ID '{id}' is not found")
    ctx.hint(f"Nobody made {id}: it is taken for the default VPC, {default.id}.")


def check_same_vpc(ctx: Context, balancer: LoadBalancer, group: TargetGroup) -> None:
    """Raises InvalidConfigurationRequest for a target group that the load balancer cannot reach."""
    if group.vpc_id is not None and not networks.same_vpc(ctx, balancer.vpc_id, group.vpc_id):
        raise misconfigured(
            f"Target group '{group.arn}' is in a different VPC than load balancer '{balancer.arn}'"
        )


def _no_group(ctx: Context, id: str) -> str:
    """EC2's answer, which ELB passes on with the words of its own client."""
    return (
        f"The security group '{id}' does not exist (Service: AmazonEC2; Status Code: 400; "
        f"Error Code: InvalidGroup.NotFound; Request ID: {ctx.request_id}; Proxy: null)"
    )


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


def _subnets(ctx: Context, ids: Iterable[str]) -> dict[str, Subnet]:
    """Those that are known, and the others adopted, each in a zone that no other of them is in."""
    found = {id: _known(ctx, id) for id in ids}
    for id, known in list(found.items()):
        if known is None:
            zones = {subnet.zone for subnet in found.values() if subnet is not None}
            found[id] = None if ctx.settings.strict else networks.adopt_subnet(ctx, id, zones)
        if found[id] is None:
            raise AwsError("SubnetNotFound", "InvalidSubnetID.NotFound", hint=f"There is no subnet {id}.")
    return {id: subnet for id, subnet in found.items() if subnet is not None}


def _known(ctx: Context, id: str) -> Subnet | None:
    if not networks.is_id("subnet", id):
        raise AwsError("SubnetNotFound", f"The subnet ID '{id}' is not valid")
    return networks.find_subnet(ctx, id)
