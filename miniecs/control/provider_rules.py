"""What a capacity provider strategy may be, in ECS's words where it is refused.

Clusters, services and tasks share these rules, and so does who only asks what would happen. At most 20 items,
one base above 0, some weight above 0, and Fargate never beside Auto Scaling groups (API reference,
"CapacityProviderStrategyItem"; developer guide, "Capacity providers").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from miniecs.model import fargate
from miniecs.model.cluster import CapacityProviderStrategyItem

MAX_ITEMS = 20
_STRATEGY = "The specified capacity provider strategy"


def why_not(
    strategy: Sequence[CapacityProviderStrategyItem], associated: Collection[str]
) -> str | None:
    """ECS's message; None for a strategy that is in order. associated: names of the cluster's providers."""
    names = [item.capacity_provider for item in strategy]
    if len(strategy) > MAX_ITEMS:
        return f"{_STRATEGY} cannot contain more than {MAX_ITEMS} capacity providers."
    if not set(names) <= set(associated):
        return (
            f"{_STRATEGY} cannot contain a capacity provider that is not associated with the cluster. "
            "Associate the capacity provider with the cluster or specify a valid capacity provider and try "
            "again."
        )
    if len(set(names)) < len(names):
        return f"{_STRATEGY} cannot contain the same capacity provider twice."
    if len({name in fargate.PROVIDERS for name in names}) > 1:
        return (
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling "
            "groups and Fargate providers. Specify one or the other and try again."
        )
    if sum(item.base > 0 for item in strategy) > 1:
        return f"{_STRATEGY} cannot contain more than one capacity provider with a base value greater than 0."
    if len(strategy) > 1 and not any(item.weight for item in strategy):
        return f"{_STRATEGY} must contain at least one capacity provider with a weight greater than 0."
    return None
