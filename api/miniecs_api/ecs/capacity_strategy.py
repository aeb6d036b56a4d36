"""Capacity provider strategies as clusters, services and tasks are given them, and as they are shown.

Apart from the rules for them, which `miniecs place` asks as well.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from miniecs.control.provider_rules import why_not
from miniecs.model import arns, fargate
from miniecs.model.cluster import CapacityProvider, CapacityProviderStrategyItem
from miniecs_api.context import Context
from miniecs_api.wire.errors import AwsError

FARGATE_PROVIDERS = fargate.PROVIDERS


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
    refused = why_not(strategy, associated)
    if refused is not None:
        raise _invalid(refused)
    return strategy


def render_strategy(strategy: Iterable[CapacityProviderStrategyItem]) -> list[dict[str, Any]]:
    return [
        {"capacityProvider": item.capacity_provider, "weight": item.weight, "base": item.base}
        for item in strategy
    ]


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
