"""From what callers write (a short name or an ARN) to the object that is meant, or ECS's error."""

from __future__ import annotations

from typing import Any

from miniecs.model import arns
from miniecs.model.cluster import Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.context import Context
from miniecs_api.wire.errors import AwsError

DEFAULT_CLUSTER = "default"


def cluster_arn(ctx: Context, name_or_arn: str | None) -> str:
    """The ARN that a cluster parameter stands for; an absent one means ``default``."""
    text = name_or_arn or DEFAULT_CLUSTER
    return text if text.startswith("arn:") else arns.cluster(ctx.scope, text)


def find_cluster(ctx: Context, name_or_arn: str | None) -> Cluster | None:
    """The caller's cluster in any status, None when there is none (or it is somebody else's)."""
    arn = cluster_arn(ctx, name_or_arn)
    found = ctx.tx.get(Cluster, arn)
    if found is None or (arn == name_or_arn and arns.scope_of(arn) != ctx.scope):
        return None
    return found


def cluster(ctx: Context, params: dict[str, Any]) -> Cluster:
    """The ACTIVE cluster named by params["cluster"]. Raises ClusterNotFoundException."""
    found = find_cluster(ctx, params.get("cluster"))
    if found is None:
        raise AwsError("ClusterNotFoundException", "Cluster not found.")
    if found.status == "INACTIVE":
        raise AwsError("ClusterNotFoundException", "The referenced cluster was inactive.")
    return found


def find_service(ctx: Context, of: Cluster, name_or_arn: str) -> Service | None:
    """A service of this cluster in any status; the old short ARN form (service/NAME) is understood."""
    parsed = arns.parse(name_or_arn)
    if parsed is None:
        return ctx.tx.get(Service, arns.service(ctx.scope, of.name, name_or_arn))
    if parsed.service != "ecs" or parsed.scope != ctx.scope or parsed.type != "service":
        return None
    parts = parsed.resource.split("/")
    if len(parts) == 3 and parts[1] != of.name:
        return None
    return ctx.tx.get(Service, arns.service(ctx.scope, of.name, parts[-1]))


def active_service(ctx: Context, of: Cluster, name_or_arn: str) -> Service:
    """The ACTIVE service that is named. Raises ServiceNotFoundException or ServiceNotActiveException."""
    service = find_service(ctx, of, name_or_arn)
    if service is None:
        raise AwsError("ServiceNotFoundException", "Service not found.")
    if service.status != "ACTIVE":
        raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.")
    return service


def find_task(ctx: Context, of: Cluster, id_or_arn: str) -> Task | None:
    """A task of this cluster, stopped ones included as long as they are kept."""
    found = ctx.tx.get(Task, id_or_arn)
    if found is not None and found.cluster_arn == of.arn:
        return found  # the whole ARN, which is what agents write in their many reports
    return ctx.tx.get(Task, arns.task(ctx.scope, of.name, _id(ctx, id_or_arn, "task", of)))


def find_instance(ctx: Context, of: Cluster, id_or_arn: str) -> ContainerInstance | None:
    """A container instance of this cluster in any status."""
    id = _id(ctx, id_or_arn, "container-instance", of)
    return ctx.tx.get(ContainerInstance, arns.container_instance(ctx.scope, of.name, id))


def _id(ctx: Context, text: str, type: str, of: Cluster) -> str:
    """The id in an id or ARN (long or old short form); '' for an ARN of something else."""
    parsed = arns.parse(text)
    if parsed is None:
        return text
    parts = parsed.resource.split("/")
    if parsed.service != "ecs" or parsed.scope != ctx.scope or parts[0] != type:
        return ""
    if len(parts) == 3 and parts[1] != of.name:
        return ""
    return parts[-1]
