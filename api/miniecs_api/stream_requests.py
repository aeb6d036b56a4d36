"""What a user asks of containers (their logs, a command in one), and which agent can answer, or why none."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Container, Task
from miniecs_api.pages import names

_MOST_CELLS = 10_000  # of a terminal's side
_MOST_ARGUMENTS = 4096


class Refused(Exception):
    """Nothing can be asked; the message says why and what to do. lost: later it may be possible."""

    def __init__(self, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.lost = lost


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Logs(_Part):
    """since: epoch seconds by container; ``tail`` is for the others."""

    follow: bool = False
    tail: Annotated[int, Field(ge=0)] | None = None
    timestamps: bool = False
    since: dict[str, int] = Field(default_factory=dict)

    def of(self, container: str) -> dict[str, Any]:
        """As the agent is asked for one container's."""
        since = self.since.get(container)
        tail = None if since is not None else self.tail
        return {"follow": self.follow, "tail": tail, "timestamps": self.timestamps, "since": since or 0}


class Exec(_Part):
    command: Annotated[list[str], Field(min_length=1, max_length=_MOST_ARGUMENTS)]
    tty: bool = False
    stdin: bool = False
    rows: Annotated[int, Field(ge=0, le=_MOST_CELLS)] = 0
    columns: Annotated[int, Field(ge=0, le=_MOST_CELLS)] = 0


class Request(_Part):
    """The first message of a user. containers: names; none means the only one, or for logs all."""

    type: Literal["open"]
    task: str
    cluster: str | None = None
    containers: list[str] | None = None
    kind: Literal["logs", "exec"]
    logs: Logs | None = None
    exec: Exec | None = None

    @model_validator(mode="after")
    def _has_its_kind(self) -> Request:
        if (self.logs if self.kind == "logs" else self.exec) is None:
            raise ValueError(f"kind {self.kind} wants a member {self.kind}")
        return self


class Target(NamedTuple):
    """Whose agent is to be asked for which containers."""

    task: Task
    instance_arn: str
    containers: tuple[Container, ...]


def read(text: str) -> Request:
    """Raises Refused."""
    try:
        return Request.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"The request is not understood: {where or 'it'}: {first['msg']}.") from problem


def target(view: View, request: Request) -> Target:
    """Raises Refused."""
    try:
        task = names.find(view, request.task, kinds=(Task,), cluster=request.cluster)
    except LookupError as problem:
        raise Refused(str(problem)) from problem
    assert isinstance(task, Task)
    containers = _containers(task, request)
    if request.kind == "exec" and containers[0].last_status == "STOPPED":
        raise Refused(f"{_name(task, containers[0])} is STOPPED: commands run in running containers only.")
    if task.container_instance_arn is None:
        if task.is_stopped:
            raise Refused(f"{_short(task)} was never placed on a container instance: {task.stopped_reason}")
        raise Refused(f"{_short(task)} is not placed on a container instance yet.", lost=True)
    instance = view.get(ContainerInstance, task.container_instance_arn)
    if instance is None or instance.status == "INACTIVE":
        gone = arns.name_of(task.container_instance_arn)[:8]
        raise Refused(f"{_short(task)} was on container instance {gone}, which is gone with its containers.")
    if instance.has_amazons_agent:
        raise Refused(_by_hand(task, instance, containers, request))
    return Target(task, task.container_instance_arn, containers)


def has_begun(container: Container) -> bool:
    """Whether its engine has made it, so that there is something to ask for."""
    return container.runtime_id is not None


def never_ran(task: Task, name: str) -> str | None:
    """Why a container will not begin any more; None while it may."""
    container = next((c for c in task.containers if c.name == name), None)
    if container is None:
        return f"{_short(task)} has no container {name!r} any more."
    if container.last_status == "STOPPED" or task.is_stopped:
        return f"{_name(task, container)} never ran: {container.reason or task.stopped_reason}"
    return None


def _containers(task: Task, request: Request) -> tuple[Container, ...]:
    there = {container.name: container for container in task.containers}
    if request.containers is not None:
        unknown = [name for name in request.containers if name not in there]
        if unknown or not request.containers:
            wanted = repr(unknown[0]) if unknown else "of no name"
            raise Refused(f"{_short(task)} has no container {wanted}. It has {', '.join(there)}.")
        chosen = tuple(there[name] for name in dict.fromkeys(request.containers))
    else:
        chosen = tuple(there.values())
    if request.kind == "exec" and len(chosen) != 1:
        raise Refused(f"{_short(task)} has several containers: name one with -c. It has {', '.join(there)}.")
    return chosen


def _by_hand(
    task: Task, instance: ContainerInstance, containers: tuple[Container, ...], request: Request
) -> str:
    """What to do where an ECS agent runs the task: it was never made to be asked."""
    do, command = ["docker", "logs"], []
    if request.exec is not None and request.kind == "exec":
        do, command = ["docker", "exec", "-it"], request.exec.command
    made = [(c.name, [*do, c.runtime_id[:12], *command]) for c in containers if c.runtime_id is not None]
    shown = ", ".join(f"`{shlex.join(words)}` ({name})" for name, words in made)
    return (
        f"{_short(task)} is run by Amazon's own ECS agent {instance.agent_version}, which does not answer "
        f"this: only miniecs's agent does. On its machine: {shown or 'nothing of it has started yet'}."
    )


def _short(task: Task) -> str:
    return f"Task {arns.name_of(task.arn)[:8]}"


def _name(task: Task, container: Container) -> str:
    return f"Container {container.name} of task {arns.name_of(task.arn)[:8]}"
