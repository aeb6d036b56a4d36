"""Tasks that wait in PROVISIONING for instances: tried when capacity appears, and stopped in the end.

Under managed scaling a task that fits nowhere is no failure: it waits, and its waiting makes the provider's
group larger. Source: ECS developer guide, "Managed scaling"; AWS's "Deep dive on Amazon ECS cluster auto
scaling".
"""

from __future__ import annotations

from miniecs.config import Timing
from miniecs.control import capacity
from miniecs.control.plan import NOTHING, PlaceWaiting, Plan, SetScaling
from miniecs.control.view import View
from miniecs.model.autoscaling import ManagedScaling
from miniecs.model.cluster import CapacityProvider
from miniecs.model.frozen import replace
from miniecs.model.task import Task


def plan(view: View, arn: str, *, now: float, timing: Timing, retry: bool = False) -> Plan:
    """One capacity provider. retry: capacity appeared, so its waiting tasks are tried before their time."""
    provider = view.get(CapacityProvider, arn)
    cluster = capacity.cluster_of(view, provider) if provider is not None else None
    if provider is None or cluster is None:
        return NOTHING
    waiting = capacity.waiting(view, cluster.arn, provider.name)
    if not waiting:
        return NOTHING
    known = view.get(ManagedScaling, arn)
    state = known or ManagedScaling(arn)
    give_up_at = waiting[0].created_at + timing.provisioning_timeout
    if not retry and now < state.blocked_until and now < give_up_at:
        return Plan(wake_at=min(state.blocked_until, give_up_at))
    because = "capacity appeared" if retry else "it is tried again"
    tasks = tuple((task, view.version(Task, task.arn)) for task in waiting)
    blocked_until = now + timing.placement_retry
    return Plan(
        (
            PlaceWaiting(cluster.arn, provider.name, tasks, now - timing.provisioning_timeout, because),
            SetScaling(
                view.version(ManagedScaling, arn) if known else 0,
                replace(state, blocked_until=blocked_until),
                "its waiting tasks were tried",
            ),
        ),
        wake_at=blocked_until,
    )
