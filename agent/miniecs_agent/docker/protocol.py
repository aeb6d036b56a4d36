"""What is asked of a Docker Engine's API, call by call: the seam between our logic and the docker package.

Every method blocks and is called from a thread. All raise ``Refused`` (the engine said no), ``TimedOut`` (it
did not answer in time) and ``EngineGone`` (nobody answers). Dictionaries are the API's own objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from miniecs_agent.docker.config import VolumeRequest
from miniecs_agent.host_engine import EngineFacts, Output

Json = dict[str, Any]


class EventStream(Protocol):
    """Events as they come; ``close`` may be called from another thread, and ends it."""

    def __iter__(self) -> Iterator[Json]: ...

    def close(self) -> None: ...


class OutputStream(Protocol):
    """What a container or a command writes. ``read`` blocks; None at the end. ``close`` from any thread."""

    def read(self) -> Output | None: ...

    def close(self) -> None: ...


class CommandStream(OutputStream, Protocol):
    """A running command: what it writes, and its standard input."""

    exec_id: str

    def write(self, data: bytes) -> None: ...

    def end_input(self) -> None: ...


class DockerApi(Protocol):
    """One engine."""

    def connect(self) -> EngineFacts:
        """Find out what it is. Raises EngineError when it must not be used: too old, not allowed."""

    def ping(self) -> None:
        """Answered in a few seconds, or it counts as gone."""

    def time(self) -> str:
        """The engine's clock, for ``events``."""

    def events(self, since: str) -> EventStream: ...

    def inspect_image(self, image: str) -> Json: ...

    def pull(self, image: str) -> Iterator[Json]: ...

    def import_image(self, layer: bytes, reference: str, changes: Sequence[str]) -> None:
        """An image of one layer, a tar archive."""

    def create_volume(self, request: VolumeRequest) -> None: ...

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        """The new container's id."""

    def start(self, runtime_id: str) -> None: ...

    def kill(self, runtime_id: str, signal: str) -> None: ...

    def remove(self, runtime_id: str) -> None:
        """By force, with its anonymous volumes."""

    def inspect(self, runtime_id: str) -> Json: ...

    def containers(self, labels: Mapping[str, str | None]) -> Sequence[Json]: ...

    def volumes(self, labels: Mapping[str, str | None]) -> Sequence[Json]: ...

    def networks(self, labels: Mapping[str, str | None] | None = None) -> Sequence[Json]: ...

    def create_network(self, name: str, subnet: str, gateway: str, labels: Mapping[str, str]) -> None: ...

    def has_volume(self, name: str) -> bool: ...

    def remove_volume(self, name: str) -> None: ...

    def remove_network(self, network_id: str) -> None: ...

    def usage(self, runtime_id: str) -> Json: ...

    def logs(
        self, runtime_id: str, *, tty: bool, follow: bool, tail: int | None, timestamps: bool, since: int
    ) -> OutputStream: ...

    def execute(
        self, runtime_id: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> CommandStream: ...

    def resize(self, exec_id: str, rows: int, columns: int) -> None: ...

    def exec_result(self, exec_id: str) -> int | None:
        """The exit code; None while it runs."""

    def close(self) -> None:
        """Close idle connections; the next call opens new ones."""
