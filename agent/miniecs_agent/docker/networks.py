"""Which subnet an emulated container instance gets: one that collides with nothing this machine can reach.

Where the search starts follows from the owner and the instance, so that the same instance finds the same
address again where it can, and two data folders rarely want the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import Any

PREFIX = 23  # 509 containers an instance
# First the default VPC's, as on EC2 and in the simulation; Docker's own pools reach it last. Then corners of
# the private ranges that home routers, company networks and Kubernetes rarely use.
_RANGES = tuple(map(IPv4Network, ("172.31.0.0/16", "10.211.0.0/16", "172.29.0.0/16", "192.168.192.0/18")))


def candidates(
    seed: str, routes: Sequence[IPv4Network], taken: Sequence[IPv4Network]
) -> Iterator[IPv4Network]:
    """Free subnets, best first. ``routes``: the host's; ``taken``: subnets of the engine's networks.

    A range that the host has a route into, other than the engine's own, is somebody's network: it comes last.
    """
    foreign = [route for route in routes if not any(route.subnet_of(subnet) for subnet in taken)]
    start = int.from_bytes(sha256(seed.encode()).digest()[:4])
    ranges = sorted(_RANGES, key=lambda each: any(each.overlaps(route) for route in foreign))
    for each in ranges:
        subnets = list(each.subnets(new_prefix=PREFIX))
        for place in range(len(subnets)):
            subnet = subnets[(start + place) % len(subnets)]
            if not any(subnet.overlaps(other) for other in (*foreign, *taken)):
                yield subnet


def gateway(subnet: IPv4Network) -> str:
    return str(subnet.network_address + 1)


def read_routes(text: str) -> list[IPv4Network]:
    """/proc/net/route: destination and mask are hex, least significant byte first. No default route."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        destination, mask = int(fields[1], 16), int(fields[7], 16)
        if mask:
            routes.append(IPv4Network((_address(destination), str(_address(mask))), strict=False))
    return routes


def subnets_of(networks: Iterable[Mapping[str, Any]]) -> list[IPv4Network]:
    """The IPv4 subnets of the engine's networks, from its list of them."""
    found = []
    for network in networks:
        for pool in (network.get("IPAM") or {}).get("Config") or ():
            subnet = pool.get("Subnet", "")
            if subnet and ":" not in subnet:
                found.append(IPv4Network(subnet, strict=False))
    return found


def gateway_of(network: Mapping[str, Any]) -> str | None:
    """The gateway that one of the engine's networks was made with."""
    pools = (network.get("IPAM") or {}).get("Config") or ()
    return next((str(pool["Gateway"]).partition("/")[0] for pool in pools if pool.get("Gateway")), None)


def _address(number: int) -> IPv4Address:
    return IPv4Address(number.to_bytes(4, "little"))
