"""Capacity provider strategies: the rules that clusters, services and tasks share for them.

At most 20 items, one base above 0, some weight above 0, and Fargate never beside Auto Scaling
groups (API reference, "CapacityProviderStrategyItem"; developer guide, "Capacity providers").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from miniecs.model import arns, fargate
from miniecs.model.cluster import CapacityProvider, CapacityProviderStrategyItem
from miniecs_api.context import Context
from miniecs_api.wire.errors import AwsError

FARGATE_PROVIDERS = fargate.PROVIDERS
_MAX_ITEMS = 20


def find_capacity_provider(ctx: Context, name_or_arn: str) -> CapacityProvider | None:
    """A capacity provider of the caller's in any status; FARGATE and FARGATE_SPOT are always there."""
    name = name_or_arn
    if name_or_arn.startswith("arn:"):
        parsed = arns.parse(name_or_arn)
        if parsed is None or parsed.service != "ecs" or parsed.scope != ctx.scope:
            return None
        if parsed.type != "capacity-provider":
            return None
        name = arns.name_of(name_or_arn)
    arn = arns.capacity_provider(ctx.scope, name)
    if name in FARGATE_PROVIDERS:
        return CapacityProvider(arn, name, ctx.scope, type=name)
    return ctx.tx.get(CapacityProvider, arn)


def active_capacity_provider(ctx: Context, name_or_arn: str) -> CapacityProvider:
    found = find_capacity_provider(ctx, name_or_arn)
    if found is None or found.status == "INACTIVE":
        raise _invalid(
            f"The specified capacity provider '{name_or_arn}' was not found. Specify a valid name or ARN and "
            "try again."
        )
    return found


def to_strategy(
    ctx: Context, items: Iterable[dict[str, Any]], associated: Collection[str]
) -> tuple[CapacityProviderStrategyItem, ...]:
    """A checked strategy, its providers by name; ``associated``: the names of the cluster's own."""
    strategy = tuple(
        CapacityProviderStrategyItem(
            active_capacity_provider(ctx, item["capacityProvider"]).name,
            item.get("weight", 0),
            item.get("base", 0),
        )
        for item in items
    )
    _check(strategy, associated)
    return strategy


def render_strategy(strategy: Iterable[CapacityProviderStrategyItem]) -> list[dict[str, Any]]:
    return [
        {"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}
        for item in strategy
    ]


def _check(strategy: tuple[CapacityProviderStrategyItem, ...], associated: Collection[str]) -> None:
    names = [item.capacity_provider for item in strategy]
    if len(strategy) > _MAX_ITEMS:
        raise _invalid(
            f"The specified capacity provider strategy cannot contain more than {_MAX_ITEMS} capacity "
            "providers."
        )
    if not set(names) <= set(associated):
        raise _invalid(
            "The specified capacity provider strategy cannot contain a capacity provider that is not "
            "associated with the cluster. Associate the capacity provider with the cluster or specify a "
            "valid capacity provider and try again."
        )
    if len(set(names)) < len(names):
        raise _invalid(
            "The specified capacity provider strategy cannot contain the same capacity provider twice."
        )
    if len({name in FARGATE_PROVIDERS for name in names}) > 1:
        raise _invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling "
            "groups and Fargate providers. Specify one or the other and try again."
        )
    if sum(item.base > 0 for item in strategy) > 1:
        raise _invalid(
            "The specified capacity provider strategy cannot contain more than one capacity provider with a "
            "base value greater than 0."
        )
    if len(strategy) > 1 and not any(item.weight for item in strategy):
        raise _invalid(
            "The specified capacity provider strategy must contain at least one capacity provider with a "
            "weight greater than 0."
        )


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
