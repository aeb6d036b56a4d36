"""What `up --autoscale MIN:MAX` makes: an emulated Auto Scaling group, and the provider that scales it.

Every step is taken again where it is missing, so that a server that was killed between two of them goes on.
"""

from __future__ import annotations

import logging

from miniecs.config import ServerSettings, group_sizes
from miniecs.ids import Ids
from miniecs.model import arns, network
from miniecs.model.autoscaling import AutoScalingGroup
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.frozen import replace
from miniecs.model.scope import Scope
from miniecs.store import Store
from miniecs_api.operations import Operations
from miniecs_api.wire.errors import AwsError

log = logging.getLogger("miniecs.server")

NAME = "autoscale"
_WARM_UP = 15  # seconds; a machine that is emulated is up in a few, and the next step out waits for that long


def provide_group(
    store: Store, operations: Operations, settings: ServerSettings, scope: Scope, ids: Ids, now: float
) -> None:
    """The group of these sizes for the cluster of `up`, its capacity provider, and the default strategy."""
    cluster_arn = arns.cluster(scope, settings.cluster)
    cluster = store.get(Cluster, cluster_arn)
    if not settings.autoscale or cluster is None or cluster.status == "INACTIVE":
        return
    group = _group(store, settings, scope, cluster_arn, ids, now)
    others = [p for p in store.find(CapacityProvider, "scope", scope) if _has(p, group) and p.name != NAME]
    if others:
        return  # a user has given the group to another provider
    own = store.get(CapacityProvider, arns.capacity_provider(scope, NAME))
    try:
        if own is None or own.status == "INACTIVE":
            _create_provider(operations, scope, group)
        if NAME not in cluster.capacity_providers:
            _associate(operations, scope, cluster)
    except AwsError as problem:  # what a user made of the same name
        log.error("nothing scales the Auto Scaling group of --autoscale: %s", problem.message)


def _group(
    store: Store, settings: ServerSettings, scope: Scope, cluster_arn: str, ids: Ids, now: float
) -> AutoScalingGroup:
    least, most = group_sizes(settings.autoscale)
    known = next((g for g in store.find(AutoScalingGroup, "cluster", cluster_arn) if g.name == NAME), None)
    group = known or AutoScalingGroup(
        arn=arns.auto_scaling_group(scope, NAME, ids.uuid()),
        name=NAME,
        cluster_arn=cluster_arn,
        instance_type=settings.instance_type,
        zones=tuple(network.zone_names(settings.region)[: settings.zones]),
        min_size=least,
        max_size=most,
        desired_capacity=least,
        created_at=now,
    )
    desired = min(max(group.desired_capacity, least), most)
    sized = replace(
        group,
        min_size=least,
        max_size=most,
        desired_capacity=desired,
        instance_type=settings.instance_type,  # of the instances that it launches from now on
    )
    if sized != known:
        with store.transaction() as tx:
            tx.put(sized)
    return sized


def _has(provider: CapacityProvider, group: AutoScalingGroup) -> bool:
    named = (provider.auto_scaling_group_provider or {}).get("autoScalingGroupArn")
    return provider.status != "INACTIVE" and named in (group.arn, group.name)


def _create_provider(operations: Operations, scope: Scope, group: AutoScalingGroup) -> None:
    provider = {
        "autoScalingGroupArn": group.arn,
        "managedScaling": {"status": "ENABLED", "targetCapacity": 100, "instanceWarmupPeriod": _WARM_UP},
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "ENABLED",
    }
    params = {"name": NAME, "autoScalingGroupProvider": provider}
    operations.call("ecs", "CreateCapacityProvider", params, scope)


def _associate(operations: Operations, scope: Scope, cluster: Cluster) -> None:
    """As one more of the cluster's providers; as its default only where it has no other."""
    default = [
        {"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}
        for item in cluster.default_capacity_provider_strategy
    ]
    params = {
        "cluster": cluster.arn,
        "capacityProviders": [*cluster.capacity_providers, NAME],
        "defaultCapacityProviderStrategy": default or [{"capacityProvider": NAME, "weight": 1}],
    }
    operations.call("ecs", "PutClusterCapacityProviders", params, scope)
