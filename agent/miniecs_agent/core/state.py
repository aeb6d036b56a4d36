"""What an agent knows of its tasks: known and desired status of each, and what is yet to be reported.

Plain mutable records without behaviour: ``steps`` and ``dependencies`` read them, only the
agent's core writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import ContainerSpec, TaskSpec


class Known(IntEnum):
    """How far a container is, in the order in which it gets there; it never goes back."""

    NONE = 0
    PULLED = 1
    CREATED = 2
    RUNNING = 3
    STOPPED = 4


class Action(StrEnum):
    """What an engine can be asked to do with one container."""

    PULL = "pull"
    CREATE = "create"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"
    RELEASE = "release"  # the task's network interface: it has stopped. Nothing is answered


# By themselves, because until Python 3.12 to look a member up in its enum takes longer than all that is done
# with it, and the agent's core asks some sixty times for each task.
NONE, PULLED, CREATED, RUNNING, STOPPED = Known
PULL, CREATE, START, STOP, REMOVE, RELEASE = Action


@dataclass(slots=True, eq=False)
class ContainerState:
    """One container as last seen. ``doing`` is the engine call under way; there is at most one."""

    spec: ContainerSpec
    known: Known = Known.NONE
    doing: Action | None = None
    attempts: int = 0  # of the call that failed last
    retry_at: float | None = None
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str = ""
    bindings: tuple[NetworkBinding, ...] = ()
    digest: str | None = None
    health: str = "UNKNOWN"
    health_since: float = 0.0
    started_at: float | None = None  # last start; restarts count anew
    restarting: bool = False
    restarts: int = 0
    removed: bool = False


@dataclass(slots=True, eq=False)
class TaskState:
    """One task as last seen. ``known`` is what the control plane is told: PENDING RUNNING STOPPED."""

    spec: TaskSpec
    containers: tuple[ContainerState, ...]
    incomplete: bool = False  # found with containers that are yet to start: none does before it is wanted
    stopping: bool = False  # desired status: False RUNNING, True STOPPED. It never goes back
    known: str = "PENDING"
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    changes: tuple[dict[str, Any], ...] = ()  # container changes not yet reported
    flush_at: float | None = None  # when changes are reported though the task's status is the same
    reported: str = "PENDING"  # the last status that the control plane answered; it starts there
    in_flight: str | None = None  # status of the report under way
    unanswered: tuple[dict[str, Any], ...] = ()  # its container changes
    report_failures: int = 0
    report_at: float | None = None  # no report before this: the control plane did not answer
    forget_at: float | None = None  # containers are removed then
    wake_at: float | None = None  # when it asked to be looked at again

    def container(self, name: str) -> ContainerState | None:
        for container in self.containers:
            if container.spec.name == name:
                return container
        return None
