"""Clusters: Create, Describe, List, Update, UpdateSettings, PutCapacityProviders, Delete."""

from __future__ import annotations

import re
from typing import Any

from miniecs.model import arns
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import STATUS_ORDER, Task
from miniecs.model.task_set import TaskSet
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.ecs.account_settings import effective_value
from miniecs_api.ecs.capacity_strategy import FARGATE_PROVIDERS, active_capacity_provider, to_strategy
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.render_cluster import EVERYTHING, ON_CREATE, render_cluster
from miniecs_api.ecs.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAX_DESCRIBED = 100
_MAX_PROVIDERS = 20
_INSIGHTS = ("enhanced", "enabled", "disabled")
_NOT_ACTED_ON = "is stored and answered, but miniecs does not act on it; see docs/differences.md."


@operation
def create_cluster(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A name that an ACTIVE cluster has gives that cluster, unchanged; an INACTIVE one is made anew."""
    name = params.get("clusterName") or resolve.DEFAULT_CLUSTER
    if not _NAME.fullmatch(name):
        raise _invalid(
            "Cluster name must have up to 255 letters (uppercase and lowercase), numbers, underscores, and "
            "hyphens."
        )
    arn = arns.cluster(ctx.scope, name)
    known = ctx.tx.get(Cluster, arn)
    if known is None or known.status == "INACTIVE":
        providers, strategy = _capacity(ctx, params, arn)
        known = Cluster(
            arn,
            name,
            created_at=ctx.now,
            settings=_settings(ctx, params.get("settings", ()), ()),
            configuration=_configuration(ctx, params),
            service_connect_namespace=_namespace(ctx, params),
            capacity_providers=providers,
            default_capacity_provider_strategy=strategy,
            tags=to_tags(params.get("tags")),
        )
        ctx.tx.put(known)
    return {"cluster": render_cluster(ctx.tx, known, ON_CREATE)}


@read_operation
def describe_clusters(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    wanted = params.get("clusters") or [resolve.DEFAULT_CLUSTER]
    if len(wanted) > _MAX_DESCRIBED:
        raise _invalid(f"Clusters can have at most {_MAX_DESCRIBED} items.")
    clusters, failures = [], []
    for reference in dict.fromkeys(wanted):
        cluster = resolve.find_cluster(ctx, reference)
        if cluster is None:
            failures.append({"arn": resolve.cluster_arn(ctx, reference), "reason": "MISSING"})
        else:
            clusters.append(render_cluster(ctx.tx, cluster, params.get("include", ())))
    return {"clusters": clusters, "failures": failures}


@read_operation
def list_clusters(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    found = ctx.tx.find(Cluster, "scope", ctx.scope)
    return ecs_page(
        sorted(cluster.arn for cluster in found if cluster.status != "INACTIVE"), params, "clusterArns"
    )


@operation
def update_cluster(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """What is not given stays; a given configuration replaces the whole one."""
    cluster = resolve.cluster(ctx, params)
    changes: dict[str, Any] = {}
    if "settings" in params:
        changes["settings"] = _settings(ctx, params["settings"], cluster.settings)
    if "configuration" in params:
        changes["configuration"] = _configuration(ctx, params)
    if "serviceConnectDefaults" in params:
        changes["service_connect_namespace"] = _namespace(ctx, params)
    return _updated(ctx, replace(cluster, **changes))


@operation
def update_cluster_settings(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    return _updated(ctx, replace(cluster, settings=_settings(ctx, params["settings"], cluster.settings)))


@operation
def put_cluster_capacity_providers(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replaces both lists. A provider that an ACTIVE service uses cannot be taken away."""
    cluster = resolve.cluster(ctx, params)
    providers, strategy = _capacity(ctx, params, cluster.arn)
    _refuse_in_use(ctx, cluster, set(cluster.capacity_providers) - set(providers))
    return _updated(
        ctx,
        replace(cluster, capacity_providers=providers, default_capacity_provider_strategy=strategy),
    )


def _refuse_in_use(ctx: Context, cluster: Cluster, removed: set[str]) -> None:
    """A provider that a service's strategy names, or that a task was launched by, stays."""
    if not removed:
        return
    users = [
        (service.name, item.capacity_provider)
        for service in ctx.tx.find(Service, "cluster", cluster.arn)
        if service.status != "INACTIVE"
        for item in service.revision.capacity_provider_strategy
    ]
    users += [
        (task_set.id, item.capacity_provider)
        for service in ctx.tx.find(Service, "cluster", cluster.arn)
        for task_set in ctx.tx.find(TaskSet, "service", service.arn)
        for item in task_set.deployment.revision.capacity_provider_strategy
    ]
    users += [
        (arns.name_of(task.arn), task.capacity_provider_name or "")
        for task in ctx.tx.find(Task, "cluster", cluster.arn)
        if not task.is_stopped
    ]
    for user, provider in users:
        if provider in removed:
            raise AwsError(
                "ResourceInUseException",
                "The specified capacity provider is in use and cannot be removed.",
                hint=f"{user} uses {provider}.",
            )


@operation
def delete_cluster(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The cluster stays describable as INACTIVE; its name can be used again."""
    cluster = resolve.cluster(ctx, params)
    _refuse_full(ctx, cluster)
    gone = replace(cluster, status="INACTIVE", inactive_at=ctx.now)
    ctx.tx.put(gone)
    return {"cluster": render_cluster(ctx.tx, gone, ON_CREATE)}


def _refuse_full(ctx: Context, cluster: Cluster) -> None:
    if ctx.tx.count(Service, "active", cluster.arn):
        raise AwsError(
            "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
        )
    live = [status for status in STATUS_ORDER if status != "STOPPED"]
    if any(ctx.tx.count(Task, "cluster", (cluster.arn, status)) for status in live):
        raise AwsError(
            "ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active."
        )
    if ctx.tx.count(ContainerInstance, "registered", cluster.arn):
        raise AwsError(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    # Only providers of managed instances belong to a cluster; others are merely associated with it.
    for provider in ctx.tx.find(CapacityProvider, "scope", ctx.scope):
        if provider.cluster_name == cluster.name and provider.status != "INACTIVE":
            raise AwsError(
                "ClusterContainsCapacityProviderException",
                "The Cluster cannot be deleted while Capacity Providers are active.",
            )


def _updated(ctx: Context, cluster: Cluster) -> dict[str, Any]:
    ctx.tx.put(cluster)
    return {"cluster": render_cluster(ctx.tx, cluster, EVERYTHING - {"STATISTICS"})}


def _settings(
    ctx: Context, given: list[dict[str, str]] | tuple[()], before: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """containerInsights is the only setting; unset it is what the account says."""
    values = dict(before) or {"containerInsights": effective_value(ctx, "containerInsights")}
    for setting in given:
        name, value = setting.get("name"), setting.get("value")
        if name != "containerInsights":
            raise _invalid("Setting name must be containerInsights.")
        if value not in _INSIGHTS:
            raise _invalid(f"Setting containerInsights must be one of [{', '.join(_INSIGHTS)}].")
        if value != "disabled":
            ctx.hint(f"containerInsights {_NOT_ACTED_ON}")
        values[name] = value
    return tuple(values.items())


def _configuration(ctx: Context, params: dict[str, Any]) -> dict[str, Any] | None:
    given: dict[str, Any] = params.get("configuration") or {}
    command = given.get("executeCommandConfiguration")
    if command is not None:
        override = command.get("logging", "DEFAULT") == "OVERRIDE"
        if override != bool(command.get("logConfiguration")):
            raise _invalid(
                "logConfiguration must be specified when logging is OVERRIDE, and not otherwise."
            )
        given = {**given, "executeCommandConfiguration": {"logging": "DEFAULT", **command}}
    for name in given:
        ctx.hint(f"configuration.{name} {_NOT_ACTED_ON}")
    return given or None


def _namespace(ctx: Context, params: dict[str, Any]) -> str | None:
    """An empty namespace takes the default away."""
    given = params.get("serviceConnectDefaults")
    if given is None or not given["namespace"]:
        return None
    ctx.hint(f"serviceConnectDefaults {_NOT_ACTED_ON}")
    namespace: str = given["namespace"]
    return namespace


def _capacity(ctx: Context, params: dict[str, Any], arn: str) -> tuple[tuple[str, ...], Any]:
    """Checked capacity providers (by name, each once) and default strategy."""
    given = params.get("capacityProviders", ())
    names = tuple(dict.fromkeys(active_capacity_provider(ctx, name).name for name in given))
    if len(names) > _MAX_PROVIDERS:
        raise _invalid(f"A cluster can have at most {_MAX_PROVIDERS} capacity providers.")
    own = [name for name in names if name not in FARGATE_PROVIDERS]
    if own:
        _refuse_associated(ctx, own, arn)
    return names, to_strategy(ctx, params.get("defaultCapacityProviderStrategy", ()), names)


def _refuse_associated(ctx: Context, names: list[str], arn: str) -> None:
    """A provider of an Auto Scaling group serves one cluster (API reference, "CreateCluster")."""
    for other in ctx.tx.find(Cluster, "scope", ctx.scope):
        if other.arn == arn or other.status == "INACTIVE":
            continue
        for name in names:
            if name in other.capacity_providers:
                raise _invalid(
                    f"The specified capacity provider '{name}' is already associated with cluster "
                    f"{other.name}. A capacity provider can be associated with one cluster only."
                )


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
