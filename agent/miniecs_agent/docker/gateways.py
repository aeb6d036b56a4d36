"""Networks whose gateway is an address of this machine: a container instance's own, or a load balancer's.

A gateway is reached from the host and from every container on the engine, whatever network that is on, and
its ports are free for whoever it was made for. The engine's labels are the only memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

from miniecs_agent.docker import names
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.errors import Refused
from miniecs_agent.docker.networks import PREFIX, candidates, gateway, gateway_of, read_routes, subnets_of
from miniecs_agent.host_engine import EngineError, Owner

log = logging.getLogger("miniecs.agent")

_ROUTES = Path("/proc/net/route")
_SUBNET_ATTEMPTS = 20

Labels = Mapping[str, str]


class Gateways:
    """Of one owner. Every call raises Refused and TimedOut. id: what the network is named after."""

    def __init__(self, owner: Owner, connection: Connection) -> None:
        self._owner = owner
        self._connection = connection
        self._lock = asyncio.Lock()  # one subnet is chosen at a time

    async def address(self, id: str, labels: Labels) -> str:
        """Of the network with these labels, which is found again or made. Raises EngineError too."""
        ask, api = self._connection.ask, self._connection.api
        async with self._lock:
            for network in await ask(partial(api.networks, dict(labels))):
                address = gateway_of(network)
                if address is not None:
                    return address
            return await self._make(id, labels)

    async def restore(self, id: str, labels: Labels, address: str) -> None:
        """`docker network prune` takes what no container uses."""
        ask, api = self._connection.ask, self._connection.api
        async with self._lock:
            if not await ask(partial(api.networks, dict(labels))):
                subnet = IPv4Network((address, PREFIX), strict=False)
                log.warning("%s's network was removed from the engine: it is made again", id)
                await ask(partial(self._create, id, labels, subnet))

    async def _make(self, id: str, labels: Labels) -> str:
        ask, api = self._connection.ask, self._connection.api
        taken = subnets_of(await ask(api.networks))
        refusal = ""
        subnets = candidates(f"{self._owner.id} {id}", routes(), taken)
        for subnet, _ in zip(subnets, range(_SUBNET_ATTEMPTS), strict=False):
            try:
                await ask(partial(self._create, id, labels, subnet))
                return gateway(subnet)
            except Refused as refused:
                refusal = refused.message
                if "overlap" not in refusal.lower():  # anyone else may have taken it meanwhile
                    raise
        raise EngineError(f"no free subnet was found for {id}'s network. {refusal}".strip())

    def _create(self, id: str, labels: Labels, subnet: IPv4Network) -> None:
        name = names.network_name(self._owner, id)
        self._connection.api.create_network(name, str(subnet), gateway(subnet), dict(labels))


def routes() -> list[IPv4Network]:
    """This machine's: of no use for an engine elsewhere, and of no harm."""
    return read_routes(_ROUTES.read_text()) if _ROUTES.exists() else []
