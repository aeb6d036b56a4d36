"""The capacity page: every capacity provider with its group, its reservation, and who waits for it."""

from __future__ import annotations

from typing import Any

from miniecs.config import Timing
from miniecs.control import capacity
from miniecs.control.capacity_words import explain_provider
from miniecs.control.managed_scaling import Seen, see
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.autoscaling import GroupInstance
from miniecs.model.cluster import CapacityProvider
from miniecs_api.pages.names import NotFound


def page(view: View, *, now: float, timing: Timing, name: str | None = None) -> dict[str, Any]:
    """All capacity providers of Auto Scaling groups, or the one of a name. Raises NotFound."""
    found = [
        provider
        for provider in view.all(CapacityProvider)
        if provider.status != "INACTIVE" and name in (None, provider.name, provider.arn)
    ]
    if name is not None and not found:
        raise NotFound(f"There is no capacity provider {name}.")
    return {"capacityProviders": [_provider(view, each, now, timing) for each in found]}


def _provider(view: View, provider: CapacityProvider, now: float, timing: Timing) -> dict[str, Any]:
    cluster = capacity.cluster_of(view, provider)
    seen = see(view, provider, cluster.arn, timing=timing) if cluster is not None else None
    return {
        "name": provider.name,
        "arn": provider.arn,
        "account": provider.scope.account,
        "region": provider.scope.region,
        "cluster": cluster.name if cluster is not None else None,
        "managedScaling": bool(capacity.managed_scaling(provider)),
        "target": seen.target if seen is not None else None,
        "group": _group(view, seen),
        "waiting": len(seen.waiting) if seen is not None else 0,
        "needed": seen.reservation.needed if seen is not None else 0,
        "running": seen.reservation.running if seen is not None else 0,
        "reservation": seen.reservation.percent if seen is not None else None,
        "lines": explain_provider(view, provider, now=now, timing=timing),
    }


def _group(view: View, seen: Seen | None) -> dict[str, Any] | None:
    """The emulated Auto Scaling group; None for one that miniecs does not know."""
    if seen is None or seen.group is None:
        return None
    group = seen.group
    return {
        "arn": group.arn,
        "name": group.name,
        "instanceType": group.instance_type,
        "min": group.min_size,
        "max": group.max_size,
        "desired": group.desired_capacity,
        "because": group.because or None,
        "instances": [
            _member(view, member, capacity.registration(view, group, member.instance_id))
            for member in capacity.members(view, group)
        ],
    }


def _member(view: View, member: GroupInstance, instance: Any) -> dict[str, Any]:
    return {
        "ec2InstanceId": member.instance_id,
        "containerInstance": arns.name_of(instance.arn) if instance is not None else None,
        "zone": member.zone,
        "state": member.lifecycle_state,
        "launchedAt": member.launched_at,
        "because": member.because or None,
    }
