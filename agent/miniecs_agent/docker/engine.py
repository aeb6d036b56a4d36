"""One Docker engine, played as several container instances: networks, leavings, its coming and going.

What becomes of containers is ``docker_instance``'s; here an event finds its instance, and a listing puts
right what was missed. The engine's labels are the only memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from miniecs.clock import Clock
from miniecs_agent.docker import names
from miniecs_agent.docker.config import Place
from miniecs_agent.docker.connection import CALLS_AT_ONCE, Connection
from miniecs_agent.docker.errors import Refused, TimedOut
from miniecs_agent.docker.events import Event, read_inspection
from miniecs_agent.docker.gateways import Gateways
from miniecs_agent.docker.images import Images
from miniecs_agent.docker.instance import DockerInstance
from miniecs_agent.docker.pauses import Pauses
from miniecs_agent.docker.protocol import DockerApi, Json
from miniecs_agent.docker.vpc_networks import VpcNetworks
from miniecs_agent.engine import EngineEvent
from miniecs_agent.host_engine import (
    EngineError,
    EngineFacts,
    InstanceSettings,
    Owner,
    PullProgress,
)

__all__ = ["CALLS_AT_ONCE", "DockerHost"]

log = logging.getLogger("miniecs.agent")

class DockerHost:
    """``HostEngine`` for an engine that speaks Docker's API."""

    def __init__(self, api: DockerApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._owner = Owner("")
        self._facts: EngineFacts | None = None
        self._instances: dict[str, DockerInstance] = {}
        self._missed: dict[str, list[Event]] = {}  # of instances that are being opened

    async def start(
        self, owner: Owner, changed: Callable[[bool], None], progress: Callable[[PullProgress], None]
    ) -> None:
        self._owner = owner
        self._connection = Connection(self._api, self._on_event, self._compare, changed)
        self._images = Images(self._connection, progress, self._clock)
        self._facts = await self._connection.open()
        self._gateways = Gateways(owner, self._connection)
        self._vpcs = VpcNetworks(owner, self._connection, self._facts)

    async def close(self) -> None:
        if self._facts is not None:
            for instance in self._instances.values():
                instance.close()
            await self._connection.close()

    @property
    def facts(self) -> EngineFacts:
        assert self._facts is not None, "the engine was not started"
        return self._facts

    @property
    def connected(self) -> bool:
        return self._facts is not None and self._connection.connected

    # Instances

    async def instances(self) -> Sequence[str]:
        ours = {names.OWNER: self._owner.id}
        found = await asyncio.gather(
            *(self._ask(partial(listing, ours)) for listing in (self._api.containers, self._api.volumes)),
            self._ask(partial(self._api.networks, ours)),
        )
        return names.instances_of(thing.get("Labels") or {} for things in found for thing in things)

    async def open(
        self, settings: InstanceSettings, listener: Callable[[EngineEvent], None]
    ) -> DockerInstance:
        id = settings.instance_id
        address = await self._network(id)
        place = Place(
            self._owner,
            id,
            names.network_name(self._owner, id),
            settings.timing,
            settings.allow_privileged,
            self.facts.cpus,
        )
        self._missed[id] = []
        try:
            instance = DockerInstance(
                place,
                settings,
                address,
                listener,
                self._connection,
                self._images,
                partial(self._restore_network, id, address),
                Pauses(id, self._connection, self._vpcs),
            )
            listed = await self._ask(partial(self._api.containers, self._labels(id)))
            pauses, others = _parted(listed)
            await asyncio.gather(*(self._adopt(instance, str(each["Id"])) for each in others))
            for task_arn, runtime_id in pauses.items():
                instance.adopt_pause(task_arn, runtime_id)
            self._instances[id] = instance
            for event in self._missed[id]:
                instance.on_event(event)
        finally:
            del self._missed[id]
        return instance

    async def _adopt(self, instance: DockerInstance, runtime_id: str) -> None:
        try:
            seen = read_inspection(await self._connection.ask(partial(self._api.inspect, runtime_id)))
            image = await self._images.find(seen.image_id)
        except Refused as refused:
            if refused.status != 404:  # removed since it was listed
                raise EngineError(refused.message) from refused
            return
        instance.adopt(seen, image.digest if image is not None else None)

    async def remove(self, instance_id: str) -> None:
        instance = self._instances.pop(instance_id, None)
        if instance is not None:
            instance.close()
        ours = self._labels(instance_id)
        containers = await self._ask(partial(self._api.containers, ours))
        await self._remove(self._api.remove, _values(containers, "Id"))
        volumes = await self._ask(partial(self._api.volumes, ours))
        await self._remove(self._api.remove_volume, _values(volumes, "Name"))
        networks = await self._ask(partial(self._api.networks, ours))
        await self._remove(self._api.remove_network, _values(networks, "Id"))
        try:
            await self._vpcs.remove_unused()
        except (Refused, TimedOut) as problem:
            raise EngineError(f"a VPC's network was not removed: {problem}") from problem

    async def _remove(self, remove: Callable[[str], None], ids: Iterable[str]) -> None:
        """Those that are gone already are as good as removed. Raises EngineError."""

        async def one(id: str) -> None:
            try:
                await self._connection.ask(partial(remove, id))
            except Refused as refused:
                if refused.status != 404 and "already in progress" not in refused.message:
                    raise EngineError(refused.message) from refused

        await asyncio.gather(*map(one, ids))

    def _labels(self, instance_id: str) -> Mapping[str, str | None]:
        return {names.OWNER: self._owner.id, names.INSTANCE: instance_id}

    async def _ask(self, call: Callable[[], Any]) -> Any:
        """Raises EngineError."""
        try:
            return await self._connection.ask(call)
        except (Refused, TimedOut) as problem:
            raise _failure(problem) from problem

    # Networks

    async def _network(self, instance_id: str) -> str:
        """The instance's address: its network's gateway."""
        labels = names.owner_labels(self._owner, instance_id)
        try:
            return await self._gateways.address(instance_id, labels)
        except (Refused, TimedOut) as problem:
            raise _failure(problem) from problem

    async def _restore_network(self, instance_id: str, address: str) -> None:
        """Raises Refused."""
        labels = names.owner_labels(self._owner, instance_id)
        await self._gateways.restore(instance_id, labels, address)

    async def load_balancers(self, arns: Sequence[str]) -> Mapping[str, str]:
        found = await self._ask(partial(self._api.networks, self._balancers()))
        gone = [n["Id"] for n in found if (n.get("Labels") or {}).get(names.LOAD_BALANCER) not in arns]
        await self._remove(self._api.remove_network, gone)
        addresses = {}
        for arn in arns:
            labels = names.load_balancer_labels(self._owner, arn)
            try:
                addresses[arn] = await self._gateways.address(names.load_balancer_id(arn), labels)
            except (Refused, TimedOut) as problem:
                raise _failure(problem) from problem
        return addresses

    def _balancers(self) -> Mapping[str, str | None]:
        return {names.OWNER: self._owner.id, names.LOAD_BALANCER: None}

    # Events

    def _on_event(self, event: Event) -> None:
        if event.action == "image":
            self._images.forget()
            return
        instance = self._instances.get(event.instance)
        if instance is not None:
            instance.on_event(event)
        elif event.instance in self._missed:
            self._missed[event.instance].append(event)

    async def _compare(self) -> None:
        """The engine was gone: what became of the containers? Raises EngineGone when it goes again."""
        self._images.forget()
        instances = list(self._instances.values())
        live = [(instance, id) for instance in instances for id in instance.live()]
        found = await asyncio.gather(*(self._inspect(id) for _, id in live))
        for (instance, id), inspected in zip(live, found, strict=True):
            if inspected is None:
                instance.vanished(id)
            else:
                instance.found(read_inspection(inspected))

    async def _inspect(self, runtime_id: str) -> Json | None:
        try:
            return await self._connection.once(partial(self._api.inspect, runtime_id))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise


def _failure(problem: Refused | TimedOut) -> EngineError:
    if isinstance(problem, Refused):
        return EngineError(problem.message)
    return EngineError(f"the engine does not answer in time: {problem}")


def _parted(listed: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], list[Mapping[str, Any]]]:
    """By task, the ids of the containers that hold an interface; and the others."""
    pauses: dict[str, str] = {}
    others = []
    for each in listed:
        task_arn = (each.get("Labels") or {}).get(names.PAUSE)
        if task_arn is None:
            others.append(each)
        else:
            pauses[task_arn] = str(each["Id"])
    return pauses, others


def _values(things: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return [str(thing[name]) for thing in things]
