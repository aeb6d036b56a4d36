"""AddTags, RemoveTags and DescribeTags, on every kind of resource that load balancing has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, TargetGroup
from miniecs.model.scope import Tag
from miniecs_api.context import Context
from miniecs_api.elbv2 import find, render
from miniecs_api.elbv2.refusals import invalid, unsupported
from miniecs_api.elbv2.tagging import merged, to_tags
from miniecs_api.operation import operation, read_operation

Resource = LoadBalancer | TargetGroup | Listener | Rule
_DESCRIBE_AT_ONCE = 20
_FINDERS: tuple[tuple[str, Callable[[Context, str], Resource]], ...] = (
    (":loadbalancer/", find.load_balancer),
    (":targetgroup/", find.target_group),
    (":listener/", find.listener),
    (":listener-rule/", find.rule),
)


@operation
def add_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add tags to each resource; a key that it has takes the new value."""
    given = to_tags(params["Tags"])
    for arn in _some(params["ResourceArns"]):
        resource = _find(ctx, arn)
        ctx.tx.put(_tagged(resource, arn, merged(_tags(resource, arn), given)))
    return {}


@operation
def remove_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Remove the keys from each resource; a key that it has not is no error."""
    keys = set(params["TagKeys"])
    if not keys:
        raise invalid("At least one tag key must be specified")
    for arn in _some(params["ResourceArns"]):
        resource = _find(ctx, arn)
        kept = tuple(tag for tag in _tags(resource, arn) if tag.key not in keys)
        ctx.tx.put(_tagged(resource, arn, kept))
    return {}


@read_operation
def describe_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The tags of up to 20 resources, in the order given."""
    wanted = _some(params["ResourceArns"])
    if len(wanted) > _DESCRIBE_AT_ONCE:
        raise invalid(f"Up to {_DESCRIBE_AT_ONCE} resources can be described in one call")
    shown = [
        {"ResourceArn": arn, "Tags": render.tags(_tags(_find(ctx, arn), arn))}
        for arn in dict.fromkeys(wanted)
    ]
    return {"TagDescriptions": shown}


def _find(ctx: Context, arn: str) -> Resource:
    if ":truststore/" in arn:
        raise unsupported("trust stores")
    for part, finder in _FINDERS:
        if part in arn:
            return finder(ctx, arn)
    raise invalid(f"'{arn}' is not a valid resource ARN")


def _tags(resource: Resource, arn: str) -> tuple[Tag, ...]:
    """A listener answers for its default rule too, which has tags of its own."""
    if isinstance(resource, Listener) and arn == resource.default_rule_arn:
        return resource.default_rule_tags
    return resource.tags


def _tagged(resource: Resource, arn: str, tags: tuple[Tag, ...]) -> Resource:
    if isinstance(resource, Listener) and arn == resource.default_rule_arn:
        return replace(resource, default_rule_tags=tags)
    return replace(resource, tags=tags)


def _some(arns: Sequence[str]) -> Sequence[str]:
    if not arns:
        raise invalid("At least one resource ARN must be specified")
    return arns
