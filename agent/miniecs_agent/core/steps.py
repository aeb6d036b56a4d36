"""The next step of a task on its host: a pure function of what is known, what is wanted, and ``now``.

A container advances one step at a time, and a step backwards is a bug. Whoever calls takes
each step (which marks the container as busy) and asks again until the answer is ``Wait``.
"""

from __future__ import annotations

from typing import NamedTuple

from miniecs.config import Timing
from miniecs_agent.core.dependencies import Never, Waiting, may_stop, verdict
from miniecs_agent.core.state import (
    CREATE,
    CREATED,
    PULL,
    PULLED,
    REMOVE,
    RUNNING,
    START,
    STOP,
    STOPPED,
    Action,
    ContainerState,
    TaskState,
)

DEPENDENCY_EXIT_CODE = 143  # what the ECS agent reports for a container that a dependency kept from starting


class Step(NamedTuple):
    """Ask the engine. ``timeout``: seconds from SIGTERM to SIGKILL, for a stop."""

    action: Action
    container: ContainerState
    timeout: float = 0.0


class GiveUp(NamedTuple):
    """The container will never run: it is STOPPED as it is, with a reason if something failed."""

    container: ContainerState
    reason: str = ""
    exit_code: int | None = None


class Wait(NamedTuple):
    """Nothing to do until something happens, or until then."""

    until: float | None


NOTHING = Wait(None)


def next_step(task: TaskState, timing: Timing, now: float) -> Step | GiveUp | Wait:
    """The first thing to do for any container of the task."""
    if task.known == "STOPPED":
        return _cleaning_step(task, now)
    decide = _stopping_step if task.stopping else _starting_step
    until: float | None = None
    for container in task.containers:
        if container.known is STOPPED:
            continue
        step = decide(task, container, timing, now)
        if type(step) is not Wait:
            return step
        if step.until is not None and (until is None or step.until < until):
            until = step.until
    return Wait(until) if until is not None else NOTHING


def _starting_step(
    task: TaskState, container: ContainerState, timing: Timing, now: float
) -> Step | GiveUp | Wait:
    if container.doing is not None:
        return NOTHING
    if container.retry_at is not None and now < container.retry_at:
        return Wait(container.retry_at)
    if task.incomplete and (container.known < RUNNING or container.restarting):
        return NOTHING
    known = container.known
    if known is RUNNING:
        return Step(START, container) if container.restarting else NOTHING
    if known is CREATED:
        return Step(START, container)
    if known is PULLED:
        return Step(CREATE, container)
    if container.spec.depends_on:
        order = verdict(task, container, timing, now)
        if isinstance(order, Waiting):
            return Wait(order.until)
        if isinstance(order, Never):
            reason = f"CannotStartContainerError: {order.reason}"
            return GiveUp(container, reason, DEPENDENCY_EXIT_CODE)
    return Step(PULL, container)


def _stopping_step(
    task: TaskState, container: ContainerState, timing: Timing, now: float
) -> Step | GiveUp | Wait:
    if container.doing is PULL:
        return GiveUp(container)  # nobody waits for the image any more; the pull may end when it likes
    if container.doing is not None:
        return NOTHING
    if container.known < RUNNING or container.restarting:
        return GiveUp(container)
    if container.retry_at is not None and now < container.retry_at:
        return Wait(container.retry_at)
    if not may_stop(task, container):
        return NOTHING
    own = container.spec.stop_timeout
    return Step(STOP, container, timing.stop_timeout if own is None else timing.wait(own))


def _cleaning_step(task: TaskState, now: float) -> Step | Wait:
    """A container is kept until its STOPPED was answered, and then as long as the agent is told to."""
    if task.forget_at is None:
        return NOTHING
    if now < task.forget_at:
        return Wait(task.forget_at)
    until: float | None = None
    for container in task.containers:
        if container.runtime_id is None or container.removed or container.doing is not None:
            continue
        if container.retry_at is not None and now < container.retry_at:
            until = container.retry_at if until is None else min(until, container.retry_at)
            continue
        return Step(REMOVE, container)
    return Wait(until)
