"""Network interfaces of tasks: which subnet, which address, and what says that it is free.

An interface is a function of its task's attachment id and of the addresses in use, so that planning it
twice gives the same one. The search begins somewhere in the subnet, not at its start: an address that was
just given back is not taken again at once, while a load balancer may still have it in its table.
Source: ECS developer guide, "Task networking"; the five addresses that EC2 keeps of each subnet: Amazon VPC
user guide, "Subnet CIDR blocks".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from hashlib import sha256
from ipaddress import IPv4Network
from typing import Any, Protocol, TypeVar

from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.network import Subnet, Vpc, network_key
from miniecs.model.scope import Scope
from miniecs.model.task import NetworkInterface, Task

T = TypeVar("T")

_KEPT_FIRST, _KEPT_LAST = 4, 1  # of a subnet's addresses, by EC2


class View(Protocol):
    """What these functions need of a store."""

    def get(self, kind: type[T], key: str) -> T | None: ...

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]: ...


def subnets_of(view: View, scope: Scope, configuration: Mapping[str, Any] | None) -> list[Subnet]:
    """The subnets that a network configuration names, in its order."""
    named = (configuration or {}).get("awsvpcConfiguration", {}).get("subnets", ())
    found = (view.get(Subnet, network_key(scope, id)) for id in dict.fromkeys(named))
    return [subnet for subnet in found if subnet is not None]


class Chooser:
    """Chooses subnets for the tasks of one launch. ``beside``: tasks that these are to be spread with."""

    def __init__(self, subnets: Sequence[Subnet], beside: Iterable[Task] = ()) -> None:
        self._subnets = subnets
        self._used = Counter(
            task.network_interface.subnet_id for task in beside if task.network_interface is not None
        )

    @property
    def is_needed(self) -> bool:
        """Whether the tasks get interfaces at all: most do not."""
        return bool(self._subnets)

    def hosts(self, instances: Iterable[ContainerInstance]) -> frozenset[str]:
        """ARNs of the instances to which an interface in one of the subnets can be attached."""
        zones = {subnet.zone for subnet in self._subnets}
        return frozenset(i.arn for i in instances if i.availability_zone in zones)

    def choose(self, zone: str | None) -> Subnet | None:
        """The subnet with the fewest of them, in a zone where one is given; None when there is none."""
        fitting = [subnet for subnet in self._subnets if zone is None or subnet.zone == zone]
        if not fitting:
            return None
        chosen = min(fitting, key=lambda subnet: self._used[subnet.id])
        self._used[chosen.id] += 1
        return chosen


def wanted(subnet: Subnet, attachment_id: str) -> NetworkInterface:
    """The interface of a task that was just launched: no more than where it is to be."""
    return NetworkInterface("", attachment_id, subnet.id, mac_address="", private_ipv4="")


def provided(view: View, task: Task) -> NetworkInterface | None:
    """The task's interface with its address; None when its subnet has none left."""
    interface = task.network_interface
    assert interface is not None, f"{task.arn} has no network interface"
    scope = arns.scope_of(task.arn)
    key = network_key(scope, interface.subnet_id)
    subnet = view.get(Subnet, key)
    vpc = view.get(Vpc, network_key(scope, subnet.vpc_id)) if subnet is not None else None
    if subnet is None or vpc is None:
        raise RuntimeError(f"{task.arn} outlived its subnet {interface.subnet_id}")
    digest = sha256(interface.attachment_id.encode())
    used = {
        other.network_interface.private_ipv4
        for other in view.find(Task, "subnet", key)
        if other.network_interface is not None
    }
    address = _free_address(IPv4Network(subnet.cidr), used, int.from_bytes(digest.digest()[:8]))
    if address is None:
        return None
    return replace(
        interface,
        id=f"eni-{digest.hexdigest()[:17]}",
        mac_address=_mac(address),
        private_ipv4=address,
        status="ATTACHING",
        cidr=subnet.cidr,
        vpc_id=vpc.id,
        vpc_cidr=vpc.cidr,
    )


def _free_address(network: IPv4Network, used: set[str], start: int) -> str | None:
    count = network.num_addresses - _KEPT_FIRST - _KEPT_LAST
    for place in range(count):
        address = str(network[_KEPT_FIRST + (start + place) % count])
        if address not in used:
            return address
    return None


def _mac(address: str) -> str:
    """Locally administered, and as unique as the address."""
    return "02:ec:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def no_address(subnet_id: str) -> str:
    """What a task is STOPPED with when its subnet is full (the words of EC2 after ECS's own)."""
    return (
        f"Unexpected EC2 error while attempting to Create Network Interface in subnet '{subnet_id}': "
        "InsufficientFreeAddressesInSubnet"
    )
