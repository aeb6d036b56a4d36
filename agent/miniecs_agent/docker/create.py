"""Making a container: its volumes, its host ports, and what stands in the way of it.

A container that a create left behind when it was cut off is found by its name and taken; an image or a
network that was removed under us is had again; a dynamic port that something else holds is replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import ContainerSpec, TaskSpec
from miniecs_agent.core.state import Action
from miniecs_agent.docker import names
from miniecs_agent.docker.config import (
    Place,
    create_body,
    expected_volumes,
    has_tty,
    publishes_dynamic_ports,
    task_volumes,
    volumes,
)
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.containers import Container, Containers
from miniecs_agent.docker.errors import (
    Failure,
    Refused,
    TimedOut,
    failure_of,
    image_missing,
    network_missing,
    port_taken,
)
from miniecs_agent.docker.events import read_inspection
from miniecs_agent.docker.images import Images
from miniecs_agent.docker.pauses import Pauses

log = logging.getLogger("miniecs.agent")

_NO_VOLUME = "CannotCreateVolumeError"
MOST_MOVES = 5  # of a container whose dynamic ports turn out to be taken


@dataclass(slots=True)
class _TaskVolumes:
    """Volumes that were made for a task; two of its containers may want the same one at once."""

    made: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Creator:
    """Makes the containers of one instance. ``restore_network`` makes the network again if it is gone."""

    def __init__(
        self,
        place: Place,
        containers: Containers,
        connection: Connection,
        images: Images,
        restore_network: Callable[[], Awaitable[None]],
        pauses: Pauses,
    ) -> None:
        self._place = place
        self._containers = containers
        self._connection = connection
        self._api = connection.api
        self._images = images
        self._restore_network = restore_network
        self._pauses = pauses
        self._volumes: dict[str, _TaskVolumes] = {}

    async def make(self, task: TaskSpec, spec: ContainerSpec, moves: int = 0) -> Container | Failure:
        """A new container with host ports that are free as far as we know, or the one that there is."""
        key = (task.arn, spec.name)
        ports = self._containers.ports
        bindings = ports.choose(key, spec.ports, task.network_mode)
        try:
            made = await self._make(task, spec, bindings)
        except (Refused, TimedOut) as problem:
            made = failure_of(Action.CREATE, problem)
        ports.release(key, bindings)
        if isinstance(made, Container):
            made.moves = moves
            self._containers.put(made)
        return made

    async def _make(
        self, task: TaskSpec, spec: ContainerSpec, bindings: tuple[NetworkBinding, ...]
    ) -> Container | Failure:
        """Raises Refused and TimedOut."""
        place = self._place
        if task.network_mode == "awsvpc":
            joined = await self._pauses.ensure(task)
            if isinstance(joined, Failure):
                return joined
            place = place._replace(network=joined)
        body = create_body(task, spec, place, bindings)
        if isinstance(body, Failure):
            return body
        problem = await self._make_volumes(task, spec)
        if problem is not None:
            return problem
        name = names.container_name(task, spec.name)
        try:
            id = await self._create(name, body, task, spec)
        except Refused as refused:
            if refused.status == 409:
                found = await self._find(name, task, spec)
                if found is not None:
                    return found
                raise
            if not image_missing(refused):
                raise
            self._images.forget()  # it was removed since it was found
            await self._images.get(spec.image, (task.arn, spec.name))
            id = await self._create(name, body, task, spec)
        image = self._images.known(spec.image)
        container = Container(task, spec, id, bindings, tty=has_tty(spec))
        if image is not None:
            container.digest, container.stop_signal = image.digest, image.stop_signal
        return container

    async def _create(self, name: str, body: dict[str, Any], task: TaskSpec, spec: ContainerSpec) -> str:
        """By the image's id where that is what was told or asked for: its tag may be moved at any moment."""
        image = self._images.known(spec.image)
        if image is not None and (image.is_local or task.document.get("resolvesImages")):
            body = {**body, "Image": image.id}
        return await self._connection.ask(partial(self._api.create, name, body))

    async def _find(self, name: str, task: TaskSpec, spec: ContainerSpec) -> Container | None:
        """What a create that was cut off has left, if it is ours."""
        try:
            seen = read_inspection(await self._connection.ask(partial(self._api.inspect, name)))
        except Refused:
            return None
        if (seen.labels.get(names.TASK_ARN), seen.labels.get(names.OWNER)) != (
            task.arn,
            self._place.owner.id,
        ):
            return None
        image = await self._images.find(seen.image_id)
        return self._containers.recognised(seen, task, spec, image.digest if image is not None else None)

    async def start(self, runtime_id: str) -> None:
        """Once; what comes of it when nobody answers is the caller's to find out. Raises EngineGone, too."""
        try:
            await self._connection.once(partial(self._api.start, runtime_id))
        except Refused as refused:
            if not network_missing(refused):
                raise
            await self._restore_network()
            await self._connection.once(partial(self._api.start, runtime_id))

    def may_move(self, container: Container, problem: Refused | TimedOut) -> bool:
        """Whether other host ports would help a container that cannot be started."""
        return (
            isinstance(problem, Refused)
            and port_taken(problem.message)
            and container.task.network_mode == "bridge"
            and container.moves < MOST_MOVES
            and not container.died_at  # what ran keeps its file system
            and publishes_dynamic_ports(container.spec)
        )

    async def move(self, container: Container) -> Container | Failure:
        """Make it again on other ports: who holds the old ones is not ours."""
        log.info("%s of %s: a dynamic port is taken, trying others", container.spec.name, container.task.arn)
        try:
            await self._connection.ask(partial(self._api.remove, container.runtime_id))
        except (Refused, TimedOut) as problem:
            return failure_of(Action.START, problem)
        self._containers.drop(container)
        return await self.make(container.task, container.spec, container.moves + 1)

    async def remove_volumes(self, task: TaskSpec) -> None:
        """Those that end with the task."""
        self._volumes.pop(task.arn, None)
        for name in task_volumes(task):
            try:
                await self._connection.ask(partial(self._api.remove_volume, name))
            except (Refused, TimedOut) as problem:
                if not (isinstance(problem, Refused) and problem.status == 404):
                    log.warning("volume %s was not removed: %s", name, problem)

    async def _make_volumes(self, task: TaskSpec, spec: ContainerSpec) -> Failure | None:
        for name in expected_volumes(task, spec):
            try:
                there = await self._connection.ask(partial(self._api.has_volume, name))
            except (Refused, TimedOut) as problem:
                return failure_of(Action.CREATE, problem)._replace(name=_NO_VOLUME)
            if not there:  # the ECS agent's words
                words = f"volume '{name}' does not exist and autoprovision is set to false"
                return Failure(_NO_VOLUME, f"initialize volume: volume detection failed, {words}")
        wanted = volumes(task, spec, self._place)
        if not wanted:
            return None
        of_task = self._volumes.setdefault(task.arn, _TaskVolumes())
        async with of_task.lock:
            for volume in wanted:
                if volume.name in of_task.made:
                    continue
                try:
                    await self._connection.ask(partial(self._api.create_volume, volume))
                except (Refused, TimedOut) as problem:
                    return failure_of(Action.CREATE, problem)._replace(name=_NO_VOLUME)
                of_task.made.add(volume.name)
        return None
