"""The networks of VPCs on an engine: made when the first task needs one, gone with the last instance.

One network a VPC and not one a subnet: containers on different bridges cannot reach each other by address.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Network

from miniecs_agent.docker import names, pause_image
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.errors import Refused
from miniecs_agent.docker.networks import gateway
from miniecs_agent.host_engine import EngineFacts, Owner

log = logging.getLogger("miniecs.agent")


class VpcNetworks:
    """Of one owner. Every call raises Refused and TimedOut."""

    def __init__(self, owner: Owner, connection: Connection, facts: EngineFacts) -> None:
        self.owner = owner
        self.facts = facts
        self._connection = connection
        self._lock = asyncio.Lock()
        self._image = asyncio.Lock()

    async def ensure(self, vpc_id: str, cidr: str) -> str:
        """The name of the VPC's network, which is there now."""
        name = names.network_name(self.owner, vpc_id)
        api, ask = self._connection.api, self._connection.ask
        labels = names.vpc_labels(self.owner, vpc_id)
        async with self._lock:
            if not await ask(partial(api.networks, {names.OWNER: self.owner.id, names.VPC: vpc_id})):
                block = IPv4Network(cidr)
                await ask(partial(api.create_network, name, cidr, gateway(block), labels))
                log.info("the network of %s is %s", vpc_id, cidr)
        return name

    async def image(self) -> str:
        """The image that holds network namespaces, which is there now."""
        api, ask = self._connection.api, self._connection.ask
        reference = pause_image.reference(self.facts.architecture)
        async with self._image:
            try:
                await ask(partial(api.inspect_image, reference))
            except Refused as refused:
                if refused.status != 404:
                    raise
                try:
                    layer = pause_image.archive(self.facts.architecture)
                except KeyError:
                    words = f"there is no pause container for {self.facts.architecture} yet"
                    raise Refused(501, words) from None
                await ask(partial(api.import_image, layer, reference, pause_image.CHANGES))
        return reference

    async def remove_unused(self) -> None:
        """Remove those that no container is in."""
        api, ask = self._connection.api, self._connection.ask
        async with self._lock:
            for id in _ids(await ask(partial(api.networks, {names.OWNER: self.owner.id, names.VPC: None}))):
                try:
                    await ask(partial(api.remove_network, id))
                except Refused as refused:
                    if refused.status not in (403, 404):  # it is in use, or gone
                        raise


def _ids(networks: Iterable[dict[str, object]]) -> list[str]:
    return [str(network["Id"]) for network in networks]
