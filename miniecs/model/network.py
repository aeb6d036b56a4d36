"""Virtual private clouds, their subnets and their security groups.

Each account has a default VPC in each region, with a subnet in every zone. Their ids follow from account and
region, so that whoever needs one can tell it without asking. The others were made by EC2 calls, or were
adopted: named by a call though nobody had made them (docs/decisions/0010-one-truth-about-networks.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from string import ascii_lowercase

from miniecs.model.scope import Scope

# The letters of a region's zones; all others have a, b and c. (AWS gives each account two or three of some.)
_ZONES = {
    "ap-northeast-1": "acd",
    "ap-northeast-2": "abcd",
    "ca-central-1": "abd",
    "cn-north-1": "ab",
    "us-east-1": "abcdef",
    "us-west-1": "ab",
    "us-west-2": "abcd",
}


@dataclass(frozen=True, slots=True)
class DefaultNetworks:
    """That the default VPC of an account and region was written down: what is missing since was deleted."""

    scope: Scope

    @property
    def key(self) -> str:
        return str(self.scope)


@dataclass(frozen=True, slots=True)
class Vpc:
    """A VPC of an account and region."""

    scope: Scope
    id: str  # vpc-…
    cidr: str = ""  # what its tasks get addresses of, so that they can be dialled; '' until one runs there

    @property
    def key(self) -> str:
        return network_key(self.scope, self.id)


@dataclass(frozen=True, slots=True)
class Subnet:
    """A part of a VPC, in one zone."""

    scope: Scope
    id: str  # subnet-…
    vpc_id: str
    zone: str
    cidr: str = ""  # its part of the VPC's; '' until a task is to run there
    made: bool = False  # by AWS or by an EC2 call; else it was adopted

    @property
    def key(self) -> str:
        return network_key(self.scope, self.id)


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """A security group of a VPC. It filters nothing."""

    scope: Scope
    id: str  # sg-…
    vpc_id: str
    name: str
    made: bool = False  # by AWS or by an EC2 call; else it was adopted

    @property
    def key(self) -> str:
        return network_key(self.scope, self.id)


def network_key(scope: Scope, id: str) -> str:
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


def zones(region: str) -> tuple[str, ...]:
    """The region's zones: us-east-1a, us-east-1b …"""
    return tuple(f"{region}{letter}" for letter in _ZONES.get(region, "abc"))


def zone_names(region: str) -> tuple[str, ...]:
    """The region's zones, and after them names for as many more as a cluster may ask for."""
    real = zones(region)
    return real + tuple(name for letter in ascii_lowercase if (name := f"{region}{letter}") not in real)


def default_vpc_id(scope: Scope) -> str:
    return "vpc-" + _digits(str(scope))


def default_subnet_id(scope: Scope, zone: str) -> str:
    """Of the default VPC's subnet in the zone."""
    return "subnet-" + _digits(f"{scope} subnet {zone}")


def default_group_id(scope: Scope) -> str:
    """Of the default VPC's default security group."""
    return "sg-" + _digits(f"{scope} default group")


def _digits(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:17]


def private_dns_name(address: str, region: str) -> str:
    """Source: Amazon VPC user guide, "DNS hostnames"."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{domain}"
