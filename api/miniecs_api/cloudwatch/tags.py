"""TagResource, UntagResource and ListTagsForResource, on alarms: tools that make alarms read them back."""

from __future__ import annotations

from typing import Any

from miniecs.model.alarm import MetricAlarm
from miniecs.model.frozen import replace
from miniecs_api.cloudwatch.tagging import render_tags, to_tags
from miniecs_api.context import Context
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError


@operation
def tag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    alarm = _require(ctx, params)
    ctx.tx.put(replace(alarm, tags=to_tags(params["Tags"], alarm.tags)))
    return {}


@operation
def untag_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    alarm = _require(ctx, params)
    kept = tuple(tag for tag in alarm.tags if tag.key not in params["TagKeys"])
    ctx.tx.put(replace(alarm, tags=kept))
    return {}


@read_operation
def list_tags_for_resource(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": render_tags(_require(ctx, params).tags)}


def _require(ctx: Context, params: dict[str, Any]) -> MetricAlarm:
    alarm = ctx.tx.get(MetricAlarm, params["ResourceARN"])
    if alarm is None or alarm.scope != ctx.scope:
        hint = "Only metric alarms exist here; an alarm's ARN is in DescribeAlarms."
        raise AwsError("ResourceNotFoundException", "The resource was not found.", hint=hint)
    return alarm
