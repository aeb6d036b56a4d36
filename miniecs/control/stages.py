"""The stages that a deployment passes through until it is complete: a list for each strategy.

A stage is a name and a question, whether it is done; what a stage does, its service's loop does anyway.
A strategy that shifts traffic is a longer list of the same kind. The list is walked anew at every look,
so that a stage that is undone again, by a task that has failed, is waited for again.
Sources: ECS developer guide, "Early success criteria" and "How CloudWatch alarms detect failures".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from miniecs.model.service import DeploymentConfiguration

SCALE_UP, BAKE_TIME, CLEAN_UP = "SCALE_UP", "BAKE_TIME", "CLEAN_UP"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the stages' questions are answered from."""

    desired: int
    healthy: int  # tasks of the deployment that stay
    left: int  # all of its tasks that stay
    launching: bool
    older: bool  # an older deployment has tasks yet
    enough: int  # healthy tasks with which the scaling up is done
    baked: bool  # the bake time, if there is one, is over


_DONE: Mapping[str, Callable[[Facts], bool]] = {
    SCALE_UP: lambda facts: (
        facts.healthy == facts.left == facts.desired and not facts.launching
        if facts.enough == facts.desired
        else facts.healthy >= facts.enough
    ),
    BAKE_TIME: lambda facts: facts.baked,
    CLEAN_UP: lambda facts: not facts.older,
}

_ROLLING = (SCALE_UP, CLEAN_UP, BAKE_TIME)
_EARLY = {"BLOCKING": (SCALE_UP, BAKE_TIME, CLEAN_UP), "DEFERRED": (SCALE_UP, BAKE_TIME)}


def stages_of(configuration: DeploymentConfiguration, *, rolling_back: bool = False) -> tuple[str, ...]:
    """The stages of a deployment. A rollback is over when all of it is in place, and watches no alarms."""
    if rolling_back:
        return (SCALE_UP, CLEAN_UP)
    early = configuration.early_success
    return _ROLLING if early is None else _EARLY[early.cleanup]


def waiting(stages: tuple[str, ...], facts: Facts) -> str:
    """The stage that is not done; '' when all are."""
    return next((stage for stage in stages if not _DONE[stage](facts)), "")


def enough(configuration: DeploymentConfiguration, desired: int, *, rolling_back: bool = False) -> int:
    """Healthy tasks that the scaling up waits for: all, or the percentage that is told, rounded up."""
    early = configuration.early_success
    if early is None or rolling_back:
        return desired
    return max(min(1, desired), -(-desired * early.healthy_percent // 100))
