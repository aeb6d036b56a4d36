"""The published ports of one container instance: each is held by one container at a time.

Dynamic ports are handed out in turn, so that one just freed is not taken again at once: a
load balancer may still have it in its table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import Port

FIRST_DYNAMIC_PORT, LAST_DYNAMIC_PORT = 32768, 60999  # ip_local_port_range, as on Linux

Owner = TypeVar("Owner")


class Taken(NamedTuple):
    """This port is held already."""

    port: int


class HostPorts(Generic[Owner]):
    """Who holds which (protocol, port). ``dynamic``: the first and last port for host port 0."""

    def __init__(
        self, address: str, dynamic: tuple[int, int] = (FIRST_DYNAMIC_PORT, LAST_DYNAMIC_PORT)
    ) -> None:
        self._address = address
        self._first, self._last = dynamic
        self._owners: dict[tuple[str, int], Owner] = {}
        self._next = self._first

    def owner(self, protocol: str, port: int) -> Owner | None:
        return self._owners.get((protocol, port))

    def publish(self, owner: Owner, ports: Sequence[Port], mode: str) -> tuple[NetworkBinding, ...] | Taken:
        """Take all of a container's ports, or none. Only bridge and host tasks publish any."""
        bindings: list[NetworkBinding] = []
        for binding in self._bindings(ports, mode):
            taken = next((n for n in host_ports(binding) if (binding.protocol, n) in self._owners), None)
            if taken is not None:
                self.release(owner, bindings)
                return Taken(taken)
            bindings.append(binding)
            self.hold(owner, binding)
        return tuple(bindings)

    def choose(self, owner: Owner, ports: Sequence[Port], mode: str) -> tuple[NetworkBinding, ...]:
        """Take free dynamic ports, and the static ones as they are: where an engine judges those."""
        bindings: list[NetworkBinding] = []
        for binding in self._bindings(ports, mode):
            bindings.append(binding)
            self.hold(owner, binding)
        return tuple(bindings)

    def hold(self, owner: Owner, binding: NetworkBinding) -> None:
        for number in host_ports(binding):
            self._owners[binding.protocol, number] = owner

    def release(self, owner: Owner, bindings: Sequence[NetworkBinding]) -> None:
        for binding in bindings:
            for number in host_ports(binding):
                if self._owners.get((binding.protocol, number)) is owner:
                    del self._owners[binding.protocol, number]

    def _bindings(self, ports: Sequence[Port], mode: str) -> Iterator[NetworkBinding]:
        """One after the other: the caller holds each before the next is chosen."""
        if mode in ("bridge", "host"):
            for port in ports:
                yield self._binding(port, mode)

    def _binding(self, port: Port, mode: str) -> NetworkBinding:
        if port.container_port_range is None:
            number = port.host_port or (port.container_port if mode == "host" else 0)
            number = number or self._free(port.protocol, 1)
            return NetworkBinding(self._address, port.protocol, port.container_port, number)
        low, high = map(int, port.container_port_range.split("-"))
        first = low if mode == "host" else self._free(port.protocol, high - low + 1)
        published = f"{first}-{first + high - low}"
        return NetworkBinding(
            self._address, port.protocol, None, None, port.container_port_range, published
        )

    def _free(self, protocol: str, count: int) -> int:
        """The first of ``count`` neighbouring free dynamic ports, going round the range."""
        for _ in range(self._first, self._last):
            first = self._next
            if first + count - 1 > self._last:
                first = self._first
            self._next = first + count
            if all((protocol, port) not in self._owners for port in range(first, first + count)):
                break
        return first


def host_ports(binding: NetworkBinding) -> Sequence[int]:
    if binding.host_port_range is not None:
        low, high = map(int, binding.host_port_range.split("-"))
        return range(low, high + 1)
    return (binding.host_port,) if binding.host_port is not None else ()
