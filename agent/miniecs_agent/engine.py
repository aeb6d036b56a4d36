"""What an agent asks of the thing that runs containers, and what it hears back.

One protocol, so that Docker and the simulation are the same to the agent's core. A call is
begun and never waited for; its outcome, like everything that a container does by itself, is
an event. Engines may answer a call twice and must bear being asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import ContainerSpec, Document, TaskSpec
from miniecs_agent.core.state import Action


class EngineCall(NamedTuple):
    """Do this with one container. ``timeout``: seconds from SIGTERM to SIGKILL of a stop.

    RELEASE is about the task and not the container that it names.
    """

    action: Action
    task: TaskSpec
    container: ContainerSpec
    runtime_id: str | None = None
    timeout: float = 0.0


class Pulled(NamedTuple):
    """The image is there. ``digest``: its registry's, or its id where no registry knows it."""

    task_arn: str
    container: str
    digest: str | None = None


class Created(NamedTuple):
    task_arn: str
    container: str
    runtime_id: str


class Started(NamedTuple):
    """It runs; ``bindings`` are its ports as published."""

    task_arn: str
    container: str
    bindings: tuple[NetworkBinding, ...] = ()


class Exited(NamedTuple):
    """It ended, asked to or not. ``reason``: OutOfMemoryError and the like, in ECS's form."""

    task_arn: str
    container: str
    exit_code: int | None
    reason: str = ""


class HealthChanged(NamedTuple):
    """Its health check's verdict: HEALTHY or UNHEALTHY."""

    task_arn: str
    container: str
    status: str


class Removed(NamedTuple):
    task_arn: str
    container: str


class Failed(NamedTuple):
    """A call did not succeed. ``name`` is ECS's (CannotPullContainerError …), ``message`` the engine's words.

    Temporary: worth another try. Otherwise it is final, and the task's reason.
    """

    task_arn: str
    container: str
    action: Action
    name: str
    message: str
    temporary: bool = False


EngineEvent = Pulled | Created | Started | Exited | HealthChanged | Removed | Failed


class EngineContainer(NamedTuple):
    """A container that an engine has, by its labels: how an agent that starts anew finds its tasks.

    ``document`` is the ACS Task it was made for, where the engine keeps it. ``reported``: the
    control plane is known to have been told of this state. ``ended_at`` and ``reason``, of one that
    exited: when by the clock of started_at, where that is known, and why as in ``Exited``.
    """

    task_arn: str
    name: str
    runtime_id: str
    state: str  # created running exited
    exit_code: int | None = None
    started_at: float | None = None
    bindings: tuple[NetworkBinding, ...] = ()
    health: str = "UNKNOWN"
    digest: str | None = None
    document: Document | None = None
    reported: bool = False
    ended_at: float | None = None
    reason: str = ""


class Engine(Protocol):
    """Runs the containers of one container instance; tells events to the listener it was made with."""

    def perform(self, now: float, call: EngineCall) -> None:
        """Begin. Everything that comes of it is an event, even if it comes at once."""

    def containers(self) -> Sequence[EngineContainer]:
        """Every container of this instance, running or not, as of the engine's last listing."""
