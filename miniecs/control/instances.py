"""What lingers: INACTIVE container instances and clusters, and remembered client tokens, until they go.

ECS keeps INACTIVE resources describable for an unpublished time; ours is one setting.
"""

from __future__ import annotations

from miniecs.config import Timing
from miniecs.control.plan import NOTHING, Forget, Plan
from miniecs.control.view import View
from miniecs.model.cluster import Cluster, IdempotencyRecord
from miniecs.model.instance import ContainerInstance


def plan(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    """A container instance's loop; what a DRAINING one means is its services' business."""
    instance = view.get(ContainerInstance, arn)
    if instance is None or instance.status != "INACTIVE":
        return NOTHING
    return _forget(view, ContainerInstance, arn, instance.deregistered_at, now=now, timing=timing)


def plan_cluster(view: View, arn: str, *, now: float, timing: Timing) -> Plan:
    cluster = view.get(Cluster, arn)
    if cluster is None or cluster.status != "INACTIVE":
        return NOTHING
    return _forget(view, Cluster, arn, cluster.inactive_at, now=now, timing=timing)


def plan_token(view: View, key: str, *, now: float) -> Plan:
    """A remembered clientToken goes when it expires."""
    record = view.get(IdempotencyRecord, key)
    if record is None:
        return NOTHING
    if now < record.expires_at:
        return Plan(wake_at=record.expires_at)
    version = view.version(IdempotencyRecord, key)
    return Plan((Forget(IdempotencyRecord, key, version, "its client token has expired"),))


def _forget(
    view: View, kind: type, key: str, since: float | None, *, now: float, timing: Timing
) -> Plan:
    gone_at = (since or 0.0) + timing.inactive_retention
    if now < gone_at:
        return Plan(wake_at=gone_at)
    because = f"it has been INACTIVE for {timing.inactive_retention:g} s"
    return Plan((Forget(kind, key, view.version(kind, key), because),))
