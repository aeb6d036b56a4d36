"""Capacity providers: Create, Describe, Update, Delete.

FARGATE and FARGATE_SPOT exist in every account without being made, and cannot be changed.
"""

from __future__ import annotations

import re
from typing import Any

from miniecs.model import arns
from miniecs.model.autoscaling import AutoScalingGroup
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.frozen import replace
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.ecs.capacity_strategy import (
    FARGATE_PROVIDERS,
    active_capacity_provider,
    find_capacity_provider,
)
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.tagging import render_tags, to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

_NAME = re.compile(r"(?!(aws|ecs|fargate))[A-Za-z0-9_-]{1,255}", re.IGNORECASE)
_GROUP_NAME = re.compile(r"[^:/\s]{1,255}")
_GROUP_RESOURCE = re.compile(r"autoScalingGroup:[0-9A-Za-z-]+:autoScalingGroupName/.{1,255}")
_MAX_DESCRIBED = 100
_SCALING_DEFAULTS = {
    "status": "ENABLED",
    "targetCapacity": 100,
    "minimumScalingStepSize": 1,
    "maximumScalingStepSize": 10000,
    "instanceWarmupPeriod": 300,
}
_HINT = (
    "miniecs has no such Auto Scaling group, so nothing starts or ends its machines; "
    "`miniecs up --autoscale` makes a group. See docs/differences.md."
)
_MANAGED_HINT = "miniecs starts and ends no managed instances; see docs/differences.md."


@operation
def create_capacity_provider(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    name = params["name"]
    if not _NAME.fullmatch(name):
        raise _invalid(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including "
            "letters (upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed "
            'with "aws", "ecs", or "fargate". Specify a valid name and try again.'
        )
    arn = arns.capacity_provider(ctx.scope, name)
    known = ctx.tx.get(CapacityProvider, arn)
    if known is not None and known.status != "INACTIVE":
        raise _invalid(
            "The specified capacity provider already exists. To change the configuration of an existing "
            "capacity provider, update the capacity provider."
        )
    group, managed = params.get("autoScalingGroupProvider"), params.get("managedInstancesProvider")
    if (group is None) == (managed is None):
        raise _invalid(
            "Specify either an Auto Scaling group provider or a managed instances provider, and not both."
        )
    provider = CapacityProvider(
        arn,
        name,
        ctx.scope,
        type="EC2_AUTOSCALING" if managed is None else "MANAGED_INSTANCES",
        cluster_name=_cluster_name(ctx, params, managed=managed is not None),
        auto_scaling_group_provider=None if group is None else _new_group_provider(ctx, group),
        managed_instances_provider=None if managed is None else _managed_provider(managed),
        update_status="CREATE_COMPLETE",
        tags=to_tags(params.get("tags")),
    )
    _refuse_shared_group(ctx, provider)
    _hint(ctx, provider)
    ctx.tx.put(provider)
    return {"capacityProvider": _render(provider, tags=True)}


@read_operation
def describe_capacity_providers(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """All of the account's by default, the built-in ones included."""
    wanted = params.get("capacityProviders")
    if wanted is not None and len(wanted) > _MAX_DESCRIBED:
        raise _invalid(f"Up to {_MAX_DESCRIBED} capacity providers can be described in an action.")
    failures = []
    if wanted:
        found = []
        for reference in dict.fromkeys(wanted):
            provider = find_capacity_provider(ctx, reference)
            if provider is None:
                failures.append({"arn": _arn(ctx, reference), "reason": "MISSING"})
            else:
                found.append(provider)
    else:
        found = [active_capacity_provider(ctx, name) for name in FARGATE_PROVIDERS]
        found += sorted(ctx.tx.find(CapacityProvider, "scope", ctx.scope), key=lambda each: each.name)
    if params.get("cluster"):
        cluster = resolve.cluster(ctx, params)
        found = [p for p in found if p.name in cluster.capacity_providers or p.cluster_name == cluster.name]
    tags = "TAGS" in params.get("include", ())
    result = ecs_page(
        found, params, "capacityProviders", lambda provider: _render(provider, tags=tags), key=_key
    )
    return {**result, "failures": failures}


@operation
def update_capacity_provider(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """What is not given stays as it is."""
    provider = _changeable(ctx, params["name"], params, "updated")
    group, managed = params.get("autoScalingGroupProvider"), params.get("managedInstancesProvider")
    if provider.type == "EC2_AUTOSCALING":
        if group is None or managed is not None:
            raise _invalid("Specify the Auto Scaling group provider to update.")
        before = provider.auto_scaling_group_provider or {}
        updated = replace(
            provider, auto_scaling_group_provider=_checked_group_provider(_merge(dict(before), group))
        )
    else:
        if managed is None or group is not None:
            raise _invalid("Specify the managed instances provider to update.")
        before = provider.managed_instances_provider or {}
        updated = replace(
            provider, managed_instances_provider=_managed_provider(_merge(dict(before), managed))
        )
    updated = replace(updated, update_status="UPDATE_COMPLETE")
    _hint(ctx, updated)
    ctx.tx.put(updated)
    return {"capacityProvider": _render(updated, tags=True)}


@operation
def delete_capacity_provider(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """It stays describable as INACTIVE; its name can be used again."""
    provider = _changeable(ctx, params["capacityProvider"], params, "deleted")
    for cluster in ctx.tx.find(Cluster, "scope", ctx.scope):
        if cluster.status != "INACTIVE" and provider.name in cluster.capacity_providers:
            raise _invalid(
                "The specified capacity provider cannot be deleted because it is associated with cluster: "
                f"{cluster.name}. Remove the capacity provider from the cluster and try again."
            )
    gone = replace(provider, status="INACTIVE", update_status="DELETE_COMPLETE")
    ctx.tx.put(gone)
    return {"capacityProvider": _render(gone, tags=True)}


def _refuse_shared_group(ctx: Context, provider: CapacityProvider) -> None:
    """An Auto Scaling group has one capacity provider."""
    group = _group(provider)
    for other in ctx.tx.find(CapacityProvider, "scope", ctx.scope):
        if group and other.arn != provider.arn and other.status != "INACTIVE" and _group(other) == group:
            raise AwsError(
                "ClientException",
                "The specified Auto Scaling group ARN is already being used by another capacity provider. "
                "Specify a unique Auto Scaling group ARN and try again.",
                hint=f"{other.name} uses it.",
            )


def _hint(ctx: Context, provider: CapacityProvider) -> None:
    """Say so where nothing will scale the provider."""
    if provider.type == "MANAGED_INSTANCES":
        ctx.hint(_MANAGED_HINT)
    elif not any(_group(provider) in (group.arn, group.name) for group in ctx.tx.all(AutoScalingGroup)):
        ctx.hint(_HINT)


def _group(provider: CapacityProvider) -> str:
    """Its Auto Scaling group's ARN or name; '' without one."""
    named: str = (provider.auto_scaling_group_provider or {}).get("autoScalingGroupArn", "")
    return named


def _changeable(ctx: Context, reference: str, params: dict[str, Any], verb: str) -> CapacityProvider:
    """The provider meant, unless it is a built-in one or of another cluster than the one given."""
    provider = active_capacity_provider(ctx, reference)
    if provider.name in FARGATE_PROVIDERS:
        raise _invalid(f"The specified capacity provider is reserved and cannot be {verb}.")
    if params.get("cluster") or provider.type == "MANAGED_INSTANCES":
        _cluster_name(ctx, params, managed=provider.type == "MANAGED_INSTANCES")
        if resolve.cluster(ctx, params).name != provider.cluster_name:
            raise _invalid(
                f"The specified capacity provider '{reference}' was not found. Specify a valid name or ARN "
                "and try again."
            )
    return provider


def _cluster_name(ctx: Context, params: dict[str, Any], *, managed: bool) -> str | None:
    """Providers of managed instances belong to a cluster; others are associated with one later."""
    if bool(params.get("cluster")) != managed:
        raise _invalid(
            "The cluster of a managed instances provider must be specified."
            if managed
            else "The cluster can be specified for managed instances providers only."
        )
    return resolve.cluster(ctx, params).name if managed else None


def _new_group_provider(ctx: Context, given: dict[str, Any]) -> dict[str, Any]:
    group = given["autoScalingGroupArn"]
    if group.startswith("arn:"):
        parsed = arns.parse(group)
        valid = (
            parsed is not None
            and parsed.service == "autoscaling"
            and parsed.scope == ctx.scope
            and _GROUP_RESOURCE.fullmatch(parsed.resource) is not None
        )
    else:
        valid = _GROUP_NAME.fullmatch(group) is not None
    if not valid:
        raise _invalid(
            "The specified Auto Scaling group ARN is invalid. Specify a valid ARN in this account and Region "
            "and try again."
        )
    defaults = {
        "managedScaling": {"status": "DISABLED"},
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "ENABLED",
    }
    return _checked_group_provider(_merge(defaults, given))


def _merge(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """before with given's members; managedScaling is merged member by member, and is on once it is given."""
    merged = {**before, **given}
    scaling = given.get("managedScaling")
    if scaling is not None:
        earlier = before["managedScaling"]
        known = earlier if len(earlier) > 1 else {}
        merged["managedScaling"] = {**_SCALING_DEFAULTS, **known, **scaling}
    return merged


def _checked_group_provider(provider: dict[str, Any]) -> dict[str, Any]:
    scaling = provider["managedScaling"]
    least, most = scaling.get("minimumScalingStepSize", 1), scaling.get("maximumScalingStepSize", 10000)
    if least > most:
        raise _invalid(
            "The specified managed scaling configuration is invalid. The minimum scaling step size must not "
            "be greater than the maximum scaling step size."
        )
    if provider["managedTerminationProtection"] == "ENABLED" and scaling["status"] != "ENABLED":
        raise _invalid(
            "The managed termination protection setting for the capacity provider is invalid. To enable "
            "managed termination protection for a capacity provider, managed scaling must be enabled."
        )
    return provider


def _managed_provider(given: dict[str, Any]) -> dict[str, Any]:
    parsed = arns.parse(given["infrastructureRoleArn"])
    if parsed is None or parsed.service != "iam":
        raise _invalid("The specified infrastructure role ARN is invalid. Specify a valid ARN and try again.")
    template = given["instanceLaunchTemplate"]
    if not template.get("networkConfiguration", {}).get("subnets"):
        raise _invalid("subnets can not be empty.")
    return {"propagateTags": "NONE", **given}


def _render(provider: CapacityProvider, *, tags: bool) -> dict[str, Any]:
    return {
        "capacityProviderArn": provider.arn,
        "name": provider.name,
        "cluster": provider.cluster_name,
        "status": provider.status,
        "autoScalingGroupProvider": provider.auto_scaling_group_provider,
        "managedInstancesProvider": provider.managed_instances_provider,
        "updateStatus": provider.update_status,
        "updateStatusReason": provider.update_status_reason,
        "tags": render_tags(provider.tags) if tags else [],
        "type": provider.type,
    }


def _arn(ctx: Context, reference: str) -> str:
    return reference if reference.startswith("arn:") else arns.capacity_provider(ctx.scope, reference)


def _key(provider: CapacityProvider) -> str:
    return provider.arn


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
