"""Virtual private clouds and their subnets, as far as tasks get addresses from them.

Only those that a task was ever to run in: an id that nobody made is adopted at its first use, with a zone
and a block of addresses that stay its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from miniecs.model.scope import Scope


@dataclass(frozen=True, slots=True)
class Vpc:
    """The one VPC of an account and region. Engines carry its addresses, so that they can be dialled."""

    scope: Scope
    id: str  # vpc-…
    cidr: str

    @property
    def key(self) -> str:
        return str(self.scope)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A part of the VPC, in one zone."""

    scope: Scope
    id: str  # subnet-…
    vpc_id: str
    zone: str
    cidr: str

    @property
    def key(self) -> str:
        return subnet_key(self.scope, self.id)


def subnet_key(scope: Scope, id: str) -> str:
    return f"{scope}/{id}"


@dataclass(frozen=True, slots=True)
class EngineNetworks:
    """The address ranges that are in use where an engine is, as its agent found them: no VPC gets one."""

    host: str
    taken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadBalancerAddress:
    """Where containers reach a load balancer: the gateway of a network that is its alone, on this machine."""

    load_balancer_arn: str
    address: str


def private_dns_name(address: str, region: str) -> str:
    """Source: Amazon VPC user guide, "DNS hostnames"."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{domain}"
