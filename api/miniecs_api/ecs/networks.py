"""The subnets that tasks are to run in: found, or adopted with a zone and addresses of their own.

moto answers EC2's calls in a process of its own, so no subnet is looked up: any id is as good as another, and
a course's commands run as they stand. ``--strict`` refuses what no container instance stands in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from ipaddress import IPv4Network
from itertools import chain
from string import ascii_lowercase
from typing import Any

from miniecs.model import fargate
from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import LoadBalancer
from miniecs.model.network import EngineNetworks, Subnet, Vpc, subnet_key
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.elbv2.network import default_vpc_id, describe_subnet
from miniecs_api.wire.errors import AwsError

_MAX_SUBNETS = 16
_MAX_SECURITY_GROUPS = 5
# AWS makes ids of 8 or 17 hex digits; placeholders of courses ("subnet-private-a") are let through.
_ID = re.compile(r"(subnet|sg)-[0-9A-Za-z][0-9A-Za-z-]{0,62}")
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
    _check_security_groups(ctx, groups)
    for id in dict.fromkeys(subnets):
        _adopted(ctx, id)
    if public:
        ctx.hint("assignPublicIp is kept and shown; a task is reached at its private address.")
    return {"awsvpcConfiguration": {"assignPublicIp": "DISABLED", **configuration}}


def _invalid(message: str, hint: str | None = None) -> AwsError:
    return AwsError("InvalidParameterException", message, hint=hint)


def _check_security_groups(ctx: Context, ids: Iterable[str]) -> None:
    for id in ids:
        if not id.startswith("sg-") or not _ID.fullmatch(id) or ctx.settings.strict:
            raise _invalid(
                f"Error retrieving security group information for [{id}]: The security group '{id}' does not "
                "exist (ErrorCode: InvalidGroup.NotFound)"
            )
    if ids:
        ctx.hint("Security groups are kept and shown; miniecs filters no traffic.")


def _adopted(ctx: Context, id: str) -> None:
    """Have the subnet, whoever made it."""
    if ctx.tx.get(Subnet, subnet_key(ctx.scope, id)) is not None:
        return
    known = describe_subnet(ctx, id)
    if not id.startswith("subnet-") or not _ID.fullmatch(id) or (known is None and ctx.settings.strict):
        raise _invalid(
            f"Error retrieving subnet information for [{id}]: The subnet ID '{id}' does not exist "
            "(ErrorCode: InvalidSubnetID.NotFound)"
        )
    vpc = _vpc(ctx)
    others = ctx.tx.find(Subnet, "scope", ctx.scope)
    zone = known.zone if known is not None else _zone(ctx, id, others)
    taken = {subnet.cidr for subnet in others}
    blocks = (str(block) for block in IPv4Network(vpc.cidr).subnets(new_prefix=_SUBNET_PREFIX))
    cidr = next((block for block in blocks if block not in taken), None)
    if cidr is None:
        raise _invalid(
            f"Error retrieving subnet information for [{id}]: the VPC has no addresses for another subnet",
            f"miniecs has room for {len(taken)} subnets an account and region. Use one of them, or reset.",
        )
    ctx.tx.put(Subnet(ctx.scope, id, vpc.id, zone, cidr))
    if known is None:
        ctx.hint(f"Nobody made {id}: it is taken for a subnet of the default VPC, {cidr} in {zone}.")


def _vpc(ctx: Context) -> Vpc:
    """The account's VPC in this region, with a range that is free where its tasks will run."""
    found = ctx.tx.get(Vpc, str(ctx.scope))
    if found is not None:
        return found
    taken = [IPv4Network(cidr) for each in ctx.tx.all(EngineNetworks) for cidr in each.taken]
    taken += [IPv4Network(vpc.cidr) for vpc in ctx.tx.all(Vpc)]
    start = int.from_bytes(sha256(f"{ctx.settings.owner} {ctx.scope}".encode()).digest()[:4])
    for place in range(len(_VPCS)):
        block = _VPCS[(start + place) % len(_VPCS)]
        if not any(block.overlaps(other) for other in taken):
            vpc = Vpc(ctx.scope, default_vpc_id(ctx.scope), str(block))
            ctx.tx.put(vpc)
            return vpc
    raise _invalid("No VPC can be made: every range of 10.64.0.0/10 is in use on this machine.")


def _zone(ctx: Context, id: str, others: Iterable[Subnet]) -> str:
    """A load balancer's zone for it; else the zone with the fewest subnets, those with instances first."""
    for balancer in ctx.tx.find(LoadBalancer, "scope", ctx.scope):
        for subnet in balancer.subnets:
            if subnet.subnet_id == id:
                return subnet.zone
    used = Counter(subnet.zone for subnet in others)
    with_instances = sorted(set(_zones_of_instances(ctx)))
    every = dict.fromkeys(
        chain(with_instances, (f"{ctx.scope.region}{letter}" for letter in ascii_lowercase))
    )
    return min(every, key=lambda zone: used[zone])


def _zones_of_instances(ctx: Context) -> Iterator[str]:
    for cluster in ctx.tx.find(Cluster, "scope", ctx.scope):
        for instance in ctx.tx.find(ContainerInstance, "cluster", cluster.arn):
            if instance.status != "INACTIVE" and instance.availability_zone is not None:
                yield instance.availability_zone
