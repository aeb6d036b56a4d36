"""A whole engine, as the agent's process sees it: several emulated container instances on one.

``Engine`` is what the core of one instance talks to; this is what carries instances, tells when the engine
itself comes and goes, and answers what no container's life depends on: usage, logs, commands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from miniecs.config import Timing
from miniecs_agent.engine import Engine, EngineEvent


class EngineError(Exception):
    """The engine refused or failed; the text is its own words, with what to do about it."""


class EngineGone(EngineError):
    """Nobody answers. The engine may come back; what was asked is worth asking again then."""


class Owner(NamedTuple):
    """Whose containers, networks and volumes these are: a data folder. ``id`` is made at its first `up`."""

    id: str
    data_dir: str = ""


class EngineFacts(NamedTuple):
    """What an engine says of itself and its machine. memory: MiB.

    networks: the ranges of addresses that are in use there, as far as this machine can see.
    """

    id: str
    product: str  # Docker Podman
    version: str
    api_version: str
    cpus: int
    memory: int
    architecture: str  # as ECS names it: x86_64 arm64
    operating_system: str
    kernel: str
    networks: tuple[str, ...] = ()


class InstanceSettings(NamedTuple):
    """How one emulated container instance is played. dynamic_ports: first and last, for host port 0."""

    instance_id: str  # i-…
    timing: Timing = Timing()
    allow_privileged: bool = False
    dynamic_ports: tuple[int, int] = (32768, 60999)


class Usage(NamedTuple):
    """One reading of a running container. cpu: nanoseconds since its start, of all cores; else bytes."""

    cpu: int
    memory: int
    received: int
    sent: int
    read: int
    written: int


class PullProgress(NamedTuple):
    """How far an image is. total 0: not known yet."""

    task_arn: str
    container: str
    image: str
    status: str
    current: int
    total: int


class Output(NamedTuple):
    """Something that a container, or a command in it, wrote. stream: stdout stderr."""

    stream: str
    data: bytes


class Command(Protocol):
    """A command that runs in a container (docker exec)."""

    def output(self) -> AsyncIterator[Output]:
        """What it writes, until it ends. A reader that is slow slows the command down."""

    async def write(self, data: bytes) -> None:
        """To its standard input; nothing: end of input."""

    async def resize(self, rows: int, columns: int) -> None: ...

    async def exit_code(self) -> int:
        """After the output has ended."""

    async def close(self) -> None:
        """Let go of it; it may run on, as with docker exec."""


class InstanceEngine(Engine, Protocol):
    """One emulated container instance on an engine: its own network, address and ports."""

    @property
    def address(self) -> str:
        """The instance's private address: the gateway of its network, where its ports are published."""

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        """By (task ARN, container name), of what runs."""

    def logs(
        self,
        task_arn: str,
        container: str,
        *,
        follow: bool,
        tail: int | None,
        timestamps: bool,
        since: int = 0,
    ) -> AsyncIterator[Output]:
        """What a container wrote, running or not. Raises EngineError, also where nothing is kept.

        since: epoch seconds of the engine's clock; older lines are left out. timestamps: the engine's own,
        in front of each line.
        """

    async def execute(
        self, task_arn: str, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Command:
        """Run a command in a running container. Raises EngineError."""


class HostEngine(Protocol):
    """One engine. Everything is called, and every callback made, on the event loop that started it."""

    @property
    def facts(self) -> EngineFacts: ...

    @property
    def connected(self) -> bool:
        """Whether the engine answers. Calls that are made meanwhile wait until it does again."""

    async def start(
        self, owner: Owner, changed: Callable[[bool], None], progress: Callable[[PullProgress], None]
    ) -> None:
        """Connect, and follow its events from now on; ``changed`` hears when it goes and comes.

        Raises EngineGone, and EngineError for an engine that is too old or must not be used.
        """

    async def instances(self) -> Sequence[str]:
        """Ids of this owner's instances that the engine has anything of (network, containers, volumes)."""

    async def open(
        self, settings: InstanceSettings, listener: Callable[[EngineEvent], None]
    ) -> InstanceEngine:
        """Play an instance: its network is made, or found as it was left. Raises EngineError."""

    async def remove(self, instance_id: str) -> None:
        """Remove all of an instance: containers, task-scoped volumes, network. Raises EngineError."""

    async def load_balancers(self, arns: Sequence[str]) -> Mapping[str, str]:
        """Give each of these, and no other of this owner's, an address of this machine; by ARN.

        Containers on any of the engine's networks reach it. Raises EngineError.
        """

    async def close(self) -> None:
        """Let go of the engine; everything runs on."""
