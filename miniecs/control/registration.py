"""Targets entering and leaving a target group: the states that registering itself decides.

What the probes of a registered target mean is judged in ``control.health``.
Sources: Elastic Load Balancing user guide, "Target health status" and "Deregistration delay".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from miniecs.config import Timing
from miniecs.control.load_balancing import deregistration_delay
from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Target, TargetGroup

T = TypeVar("T")


class View(Protocol):
    """What is needed of a store."""

    def all(self, kind: type[T]) -> Iterator[T]: ...

    def version(self, kind: type, key: str) -> int: ...


_IN_PROGRESS = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
_NOT_IN_USE = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
)
_DRAINING = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")


def registered(
    target_group_arn: str,
    id: str,
    port: int,
    *,
    in_use: bool,
    now: float,
    availability_zone: str | None = None,
    task_arn: str | None = None,
) -> Target:
    """A target as it is right after RegisterTargets; in_use: a listener or rule forwards to its group."""
    state, reason, description = _IN_PROGRESS if in_use else _NOT_IN_USE
    return Target(
        target_group_arn=target_group_arn,
        id=id,
        port=port,
        state=state,
        reason=reason,
        description=description,
        availability_zone=availability_zone,
        task_arn=task_arn,
        registered_at=now,
    )


def deregistered(target: Target, *, now: float, delay: float) -> Target | None:
    """The target draining for delay seconds, or None when it is gone at once.

    Nothing is in flight to a target that never got traffic, so only those drain that could have: an initial
    one too, since it gets some while no target of its group is healthy. One that drains keeps its time.
    """
    if target.state == "draining":
        return target
    if delay <= 0 or target.state == "unused":
        return None
    state, reason, description = _DRAINING
    return replace(target, state=state, reason=reason, description=description, draining_until=now + delay)


def unheard_of(view: View, served: int) -> list[Target]:
    """Draining targets that a data plane with the table of this version still sends requests to."""
    return [
        target
        for target in view.all(Target)
        if target.state == "draining" and view.version(Target, target.key) > served
    ]


def drains_anew(target: Target, group: TargetGroup, *, now: float, timing: Timing) -> Target:
    """A draining target whose requests end only from now on: its data plane had not heard of it."""
    return replace(target, draining_until=now + timing.wait(deregistration_delay(group)))


def followed_use(target: Target, *, in_use: bool, now: float) -> Target:
    """The target after its group came into use or went out of it; the same object when nothing changes."""
    if target.state == "draining" or in_use is (target.reason != "Target.NotInUse"):
        return target
    return registered(
        target.target_group_arn,
        target.id,
        target.port,
        in_use=in_use,
        now=now,
        availability_zone=target.availability_zone,
        task_arn=target.task_arn,
    )
