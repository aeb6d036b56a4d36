"""TagResource, UntagResource and ListTagsForResource, for every kind of resource that ECS tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.model import arns
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Tag
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import TaskSet
from miniecs_api.context import Context
from miniecs_api.ecs.capacity_strategy import FARGATE_PROVIDERS
from miniecs_api.ecs.tagging import merged, render_tags, to_tags, without
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

Taggable = CapacityProvider | Cluster | ContainerInstance | Service | Task | TaskDefinition | TaskSet

# The type in an ARN, its class, its name in messages, and how many parts the long form of the ARN has.
_TYPES: Mapping[str, tuple[type[Taggable], str, int]] = {
    "capacity-provider": (CapacityProvider, "capacity provider", 2),
    "cluster": (Cluster, "cluster", 2),
    "container-instance": (ContainerInstance, "container instance", 3),
    "service": (Service, "service", 3),
    "task": (Task, "task", 3),
    "task-definition": (TaskDefinition, "task definition", 2),
    "task-set": (TaskSet, "task set", 5),
}


@operation
def tag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    thing = _to_change(ctx, params["resourceArn"])
    _put(ctx, thing, merged(thing.tags, to_tags(params["tags"])))
    return {}


@operation
def untag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    thing = _to_change(ctx, params["resourceArn"])
    for key in params["tagKeys"]:
        if key.lower().startswith("aws:"):
            raise _invalid("Tag keys that start with 'aws:' are reserved for system use.")
    _put(ctx, thing, without(thing.tags, params["tagKeys"]))
    return {}


@read_operation
def list_tags_for_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return {"tags": render_tags(_tagged(ctx, params["resourceArn"], "InvalidParameterException").tags)}


def _put(ctx: Context, thing: Taggable, tags: tuple[Tag, ...]) -> None:
    if isinstance(thing, TaskDefinition):
        ctx.tx.put(thing.model_copy(update={"tags": tags}))
    else:
        ctx.tx.put(replace(thing, tags=tags))


def _to_change(ctx: Context, arn: str) -> Taggable:
    """The resource of an ARN, if its tags can change yet."""
    thing = _tagged(ctx, arn, "ResourceNotFoundException")
    if isinstance(thing, Task) and thing.is_stopped:
        raise _invalid("The specified task is stopped. Specify a running task and try again.")
    return thing


def _tagged(ctx: Context, arn: str, missing: str) -> Taggable:
    """The resource of an ARN; ``missing``: the code when there is none, which differs by operation."""
    parsed = arns.parse(arn)
    if parsed is None or parsed.service != "ecs":
        raise _invalid("The ARN provided is invalid.")
    known = _TYPES.get(parsed.type)
    if known is None:
        raise _invalid(f"The resource type '{parsed.type}' is not supported for tagging.")
    kind, name, length = known
    parts = parsed.resource.split("/")
    if len(parts) == 2 and length == 3:
        raise _invalid("Long arn format must be used for tagging operations")
    if len(parts) != length or not all(parts):
        raise _invalid("The ARN provided is invalid.")
    if kind is CapacityProvider and parts[1] in FARGATE_PROVIDERS:
        raise _invalid("The specified capacity provider is reserved and cannot be tagged.")
    thing = ctx.tx.get(kind, arn) if parsed.scope == ctx.scope else None
    if thing is None:
        if kind is Cluster:
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        raise AwsError(missing, f"The specified {name} was not found.")
    if kind in (Cluster, Service) and getattr(thing, "status", "") == "INACTIVE":
        raise _invalid(f"The specified {name} is inactive. Specify an active {name} and try again.")
    return thing


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
