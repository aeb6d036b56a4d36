"""The network configuration of a call: its subnets and groups looked up, and its subnets given addresses.

The addresses are not those of EC2's CIDR blocks: an address that is shown must be one that can be dialled
from this machine, so a VPC gets a range of 10.64.0.0/10 that is free on it when a task first runs there.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from ipaddress import IPv4Network
from typing import Any

from miniecs.model import fargate
from miniecs.model.frozen import replace
from miniecs.model.network import EngineNetworks, Subnet, Vpc, network_key
from miniecs.model.task_definition import TaskDefinition
from miniecs_api import networks
from miniecs_api.context import Context
from miniecs_api.wire.errors import AwsError

_MAX_SUBNETS = 16
_MAX_SECURITY_GROUPS = 5
# Of 10.64.0.0/10, which Docker's own pools leave alone and home routers rarely use.
_VPCS = tuple(IPv4Network("10.64.0.0/10").subnets(new_prefix=16))
_SUBNET_PREFIX = 21  # 32 subnets of 2,043 addresses


def network_configuration(
    ctx: Context, params: dict[str, Any], definition: TaskDefinition, launch_type: str
) -> dict[str, Any] | None:
    """The call's network configuration, which goes with awsvpc and with nothing else."""
    given: dict[str, Any] | None = params.get("networkConfiguration")
    if definition.network_mode != "awsvpc":
        if given:
            raise _invalid(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )
        return None
    if not given or "awsvpcConfiguration" not in given:
        raise _invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    configuration = given["awsvpcConfiguration"]
    subnets = configuration.get("subnets")
    if not subnets:
        raise _invalid("subnets can not be empty.")
    if len(subnets) > _MAX_SUBNETS:
        raise _invalid(f"subnets can have at most {_MAX_SUBNETS} items.")
    groups = configuration.get("securityGroups", [])
    if len(groups) > _MAX_SECURITY_GROUPS:
        raise _invalid(f"securityGroups can have at most {_MAX_SECURITY_GROUPS} items.")
    public = configuration.get("assignPublicIp", "DISABLED") == "ENABLED"
    if public and launch_type != fargate.LAUNCH_TYPE:
        raise _invalid("Assign public IP is not supported for this launch type.")
    vpc = _vpc(ctx, _subnets(ctx, subnets))
    _check_security_groups(ctx, groups, vpc)
    for id in dict.fromkeys(subnets):
        _give_addresses(ctx, vpc, id)
    if public:
        ctx.hint("assignPublicIp is kept and shown; a task is reached at its private address.")
    return {"awsvpcConfiguration": {"assignPublicIp": "DISABLED", **configuration}}


def _invalid(message: str, hint: str | None = None) -> AwsError:
    return AwsError("InvalidParameterException", message, hint=hint)


def _subnets(ctx: Context, ids: Iterable[str]) -> list[Subnet]:
    """Those that are known, and the others adopted."""
    wanted = dict.fromkeys(ids)
    found = {id: networks.find_subnet(ctx, id) for id in wanted}
    for id, known in found.items():
        if known is not None:
            continue
        if not ctx.settings.strict:
            found[id] = networks.adopt_subnet(ctx, id, {s.zone for s in found.values() if s is not None})
        if found[id] is None:
            raise _invalid(
                f"Error retrieving subnet information for [{id}]: The subnet ID '{id}' does not exist "
                "(ErrorCode: InvalidSubnetID.NotFound)"
            )
    return [subnet for subnet in found.values() if subnet is not None]


def _check_security_groups(ctx: Context, ids: Iterable[str], vpc: Vpc) -> None:
    for id in ids:
        group = networks.find_group(ctx, id)
        if group is None and not ctx.settings.strict:
            group = networks.adopt_group(ctx, id, vpc.id)
        if group is None:
            raise _invalid(
                f"Error retrieving security group information for [{id}]: The security group '{id}' does not "
                "exist (ErrorCode: InvalidGroup.NotFound)"
            )
        if group.vpc_id != vpc.id:
            raise _invalid(
                f"Security group {id} does not appear to belong to the same VPC as the input subnets.",
                f"{id} is in {group.vpc_id}, the subnets are in {vpc.id}.",
            )
    if ids:
        ctx.hint("Security groups are kept and shown; miniecs filters no traffic.")


def _vpc(ctx: Context, subnets: Iterable[Subnet]) -> Vpc:
    """The one VPC of the subnets, with a range of addresses."""
    where = {subnet.id: subnet.vpc_id for subnet in subnets}
    ids = list(dict.fromkeys(where.values()))
    if len(ids) > 1:
        places = ", ".join(f"{subnet} is in {vpc}" for subnet, vpc in where.items())
        raise _invalid("All specified subnets must be from the same VPC.", f"{places}.")
    vpc = networks.find_vpc(ctx, ids[0])
    if vpc is None:
        raise RuntimeError(f"the subnets {sorted(where)} outlived {ids[0]}")
    return vpc if vpc.cidr else _with_range(ctx, vpc)


def _with_range(ctx: Context, vpc: Vpc) -> Vpc:
    """The VPC with a range that is free where its tasks will run."""
    taken = [IPv4Network(cidr) for each in ctx.tx.all(EngineNetworks) for cidr in each.taken]
    taken += [IPv4Network(other.cidr) for other in ctx.tx.all(Vpc) if other.cidr]
    start = int.from_bytes(sha256(f"{ctx.settings.owner} {ctx.scope}".encode()).digest()[:4])
    for place in range(len(_VPCS)):
        block = _VPCS[(start + place) % len(_VPCS)]
        if not any(block.overlaps(other) for other in taken):
            ranged = replace(vpc, cidr=str(block))
            ctx.tx.put(ranged)
            return ranged
    raise _invalid("No VPC can be made: every range of 10.64.0.0/10 is in use on this machine.")


def _give_addresses(ctx: Context, vpc: Vpc, id: str) -> None:
    """A part of the VPC's range, if the subnet has none yet."""
    subnet = networks.find_subnet(ctx, id)
    if subnet is None or subnet.cidr:
        return
    others = ctx.tx.find(Subnet, "vpc", network_key(ctx.scope, vpc.id))
    taken = {other.cidr for other in others if other.cidr}
    blocks = (str(block) for block in IPv4Network(vpc.cidr).subnets(new_prefix=_SUBNET_PREFIX))
    cidr = next((block for block in blocks if block not in taken), None)
    if cidr is None:
        raise _invalid(
            f"Error retrieving subnet information for [{id}]: the VPC has no addresses for another subnet",
            f"miniecs has addresses for {len(taken)} subnets of a VPC. Use one of those that tasks ran in.",
        )
    ctx.tx.put(replace(subnet, cidr=cidr))
