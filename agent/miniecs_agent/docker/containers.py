"""The containers of one instance, as last heard of from the engine, and the host ports that they hold.

Records without behaviour of their own: ``docker_instance`` says what becomes of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import ContainerSpec, InvalidTask, TaskSpec, read_task
from miniecs_agent.docker import names
from miniecs_agent.docker.errors import OUT_OF_MEMORY
from miniecs_agent.docker.events import Seen, bindings_from
from miniecs_agent.docker.images import digest_in
from miniecs_agent.engine import EngineContainer
from miniecs_agent.host_ports import HostPorts, host_ports

Key = tuple[str, str]  # task ARN and container name


@dataclass(slots=True, eq=False)
class Container:
    """One container. ``run`` counts starts; times are of the engine's clock."""

    task: TaskSpec
    spec: ContainerSpec
    runtime_id: str
    bindings: tuple[NetworkBinding, ...] = ()
    state: str = "created"  # created starting running exited gone
    run: int = 0
    exit_code: int | None = None
    started_at: float | None = None  # of one that was there before this agent
    died_at: float = 0.0
    health: str = "UNKNOWN"
    digest: str | None = None
    stop_signal: str = ""
    tty: bool = False
    out_of_memory: bool = False
    stopping: bool = False
    killed: bool = False  # by us
    moves: int = 0  # to other host ports
    given_up: bool = False  # its start was not answered in time, and may come true yet
    deadline: asyncio.TimerHandle | None = None

    @property
    def key(self) -> Key:
        return self.task.arn, self.spec.name

    def disarm(self) -> None:
        """It need not be killed any more."""
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None


class Containers:
    """By task and name, and by the engine's id."""

    def __init__(self, address: str, dynamic_ports: tuple[int, int]) -> None:
        self.address = address
        self.ports: HostPorts[Container | Key] = HostPorts(address, dynamic_ports)
        self._by_key: dict[Key, Container] = {}
        self._by_id: dict[str, Container] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(self._by_key.values())

    def get(self, key: Key) -> Container | None:
        return self._by_key.get(key)

    def of_id(self, runtime_id: str) -> Container | None:
        return self._by_id.get(runtime_id)

    def has_any_of(self, task_arn: str) -> bool:
        return any(arn == task_arn for arn, _ in self._by_key)

    def put(self, container: Container) -> None:
        self._by_key[container.key] = container
        self._by_id[container.runtime_id] = container
        if container.state != "exited" or (container.spec.restart is not None and self._are_free(container)):
            self.hold(container)

    def drop(self, container: Container) -> None:
        self.lose(container)
        if self._by_key.get(container.key) is container:
            del self._by_key[container.key]

    def lose(self, container: Container) -> None:
        """The engine has it no more; who asked for it is still to be answered."""
        container.disarm()
        self.release(container)
        self._by_id.pop(container.runtime_id, None)

    def _are_free(self, container: Container) -> bool:
        """Whether what it had published is nobody else's by now."""
        return not any(
            self.ports.owner(binding.protocol, number)
            for binding in container.bindings
            for number in host_ports(binding)
        )

    def hold(self, container: Container) -> None:
        for binding in container.bindings:
            self.ports.hold(container, binding)

    def release(self, container: Container) -> None:
        self.ports.release(container, container.bindings)

    def adopted(self, seen: Seen, digest: str | None) -> Container | None:
        """What an agent before this one has made; None when its labels do not say what it is."""
        name = seen.labels.get(names.CONTAINER_NAME, "")
        try:
            task = read_task(names.document_of(seen.labels) or {})
        except InvalidTask:
            return None
        spec = next((each for each in task.containers if each.name == name), None)
        return self.recognised(seen, task, spec, digest) if spec is not None else None

    def recognised(self, seen: Seen, task: TaskSpec, spec: ContainerSpec, digest: str | None) -> Container:
        return Container(
            task,
            spec,
            seen.runtime_id,
            bindings_from(spec.ports, seen.port_bindings, self.address, task.network_mode),
            state=seen.state,
            run=1 if seen.started_at else 0,
            exit_code=seen.exit_code,
            started_at=seen.started_at or None,
            died_at=seen.finished_at,
            health=seen.health if spec.has_health_check else "UNKNOWN",
            digest=digest_in(spec.image) or digest,
            stop_signal=seen.stop_signal,
            tty=seen.tty,
            out_of_memory=seen.out_of_memory,
        )


def listed(container: Container) -> EngineContainer:
    """As the core is told of it."""
    has_ended = container.state == "exited"
    return EngineContainer(
        task_arn=container.task.arn,
        name=container.spec.name,
        runtime_id=container.runtime_id,
        state="created" if container.state == "starting" else container.state,
        exit_code=container.exit_code,
        started_at=container.started_at,
        bindings=container.bindings,
        health=container.health,
        digest=container.digest,
        document=container.task.document,
        ended_at=(container.died_at or None) if has_ended else None,
        reason=OUT_OF_MEMORY if has_ended and container.out_of_memory else "",
    )
