"""Capacity providers: the shares of a strategy, and who belongs to whom among clusters, providers and groups.

Source: ECS API reference, "CapacityProviderStrategyItem": the base first, then weights as ratios. For every
task on a provider of weight 1, one of weight 4 gets four.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance
from miniecs.model.cluster import CapacityProvider, CapacityProviderStrategyItem, Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task

MOST_PROVISIONING = 500
"""Tasks of one cluster that may wait for capacity (ECS developer guide, "Managed scaling")."""


def shares(
    strategy: Sequence[CapacityProviderStrategyItem], count: int, running: Mapping[str, int]
) -> dict[str, int]:
    """How many of count new tasks each provider gets; providers that get none are left out.

    running: tasks by provider that the base and the weights are counted over. Equal claims go to the first.
    """
    has = Counter({item.capacity_provider: running.get(item.capacity_provider, 0) for item in strategy})
    given: Counter[str] = Counter()
    for _ in range(count):
        chosen = _next(strategy, has)
        if chosen is None:
            break
        has[chosen] += 1
        given[chosen] += 1
    return dict(given)


def _next(strategy: Sequence[CapacityProviderStrategyItem], has: Mapping[str, int]) -> str | None:
    for item in strategy:
        if has[item.capacity_provider] < item.base:
            return item.capacity_provider
    if len(strategy) == 1:
        return strategy[0].capacity_provider  # even of weight 0, the default, which matters among several
    weighted = [item for item in strategy if item.weight]
    if not weighted:
        return None
    least = min(weighted, key=lambda item: (has[item.capacity_provider] - item.base + 1) / item.weight)
    return least.capacity_provider


def managed_scaling(provider: CapacityProvider) -> Mapping[str, int | str]:
    """Its settings; {} where managed scaling is off."""
    settings: Mapping[str, int | str] = (provider.auto_scaling_group_provider or {}).get("managedScaling", {})
    return settings if settings.get("status") == "ENABLED" else {}


def named(view: View, cluster_arn: str, name: str) -> CapacityProvider | None:
    """A cluster's provider, unless it was deleted."""
    found = view.get(CapacityProvider, arns.capacity_provider(arns.scope_of(cluster_arn), name))
    return None if found is None or found.status == "INACTIVE" else found


def cluster_of(view: View, provider: CapacityProvider) -> Cluster | None:
    """The cluster that the provider is associated with: one at most."""
    for cluster in view.find(Cluster, "scope", provider.scope):
        if provider.name in cluster.capacity_providers and cluster.status != "INACTIVE":
            return cluster
    return None


def group_of(view: View, provider: CapacityProvider, cluster_arn: str) -> AutoScalingGroup | None:
    """The emulated group behind a provider; None for a group that miniecs knows nothing of."""
    text = (provider.auto_scaling_group_provider or {}).get("autoScalingGroupArn", "")
    for group in view.find(AutoScalingGroup, "cluster", cluster_arn):
        if text in (group.arn, group.name):
            return group
    return None


def provider_of(view: View, group: AutoScalingGroup) -> CapacityProvider | None:
    """The provider of the group's cluster that names the group."""
    cluster = view.get(Cluster, group.cluster_arn)
    for name in cluster.capacity_providers if cluster is not None else ():
        provider = named(view, group.cluster_arn, name)
        if provider is not None and group_of(view, provider, group.cluster_arn) is group:
            return provider
    return None


def hosts(view: View, cluster_arn: str, provider_name: str) -> list[ContainerInstance]:
    """The provider's container instances, in any status but INACTIVE."""
    return [
        instance
        for instance in view.find(ContainerInstance, "cluster", cluster_arn)
        if instance.capacity_provider_name == provider_name and instance.status != "INACTIVE"
    ]


def waiting(view: View, cluster_arn: str, provider_name: str) -> list[Task]:
    """Tasks in PROVISIONING that wait for the provider's instances, the oldest first."""
    tasks = view.find(Task, "waiting", (cluster_arn, provider_name))
    return sorted((task for task in tasks if task.wanted), key=lambda task: task.created_at)


def room_to_wait(view: View, cluster: Cluster) -> int:
    """How many more tasks of the cluster may wait for capacity."""
    wait = sum(view.count(Task, "waiting", (cluster.arn, name)) for name in cluster.capacity_providers)
    return max(0, MOST_PROVISIONING - wait)


def members(view: View, group: AutoScalingGroup) -> list[GroupInstance]:
    return view.find(GroupInstance, "group", group.arn)


def registration(view: View, group: AutoScalingGroup, instance_id: str) -> ContainerInstance | None:
    """The container instance that a group's instance is registered as."""
    for instance in view.find(ContainerInstance, "machine", instance_id):
        if instance.cluster_arn == group.cluster_arn:
            return instance
    return None


def is_idle(view: View, instance: ContainerInstance | None) -> bool:
    """Whether no task but daemons' is on an instance."""
    return instance is None or not any(_counts(view, view.find(Task, "instance", instance.arn)))


def _counts(view: View, tasks: Iterable[Task]) -> Iterator[Task]:
    for task in tasks:
        service = view.get(Service, task.service_arn) if task.service_arn is not None else None
        if service is None or service.scheduling_strategy != "DAEMON":
            yield task
