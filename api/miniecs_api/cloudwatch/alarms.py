"""Metric alarms: told by PutMetricAlarm, set off by SetAlarmState, and heard by ECS's deployments."""

from __future__ import annotations

import json
from typing import Any

from miniecs.control import alarms as deployment_alarms
from miniecs.model import arns
from miniecs.model.alarm import ALARM, OK, MetricAlarm
from miniecs.model.cluster import Cluster
from miniecs.model.frozen import replace
from miniecs.model.service import Service
from miniecs_api.cloudwatch import alarm_params
from miniecs_api.cloudwatch.alarm_params import invalid
from miniecs_api.cloudwatch.tagging import to_tags
from miniecs_api.context import Context
from miniecs_api.operation import operation, read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

_PAGE = 50
_NOT_EVALUATED = (
    "Metrics are not evaluated yet: the alarm keeps its state until SetAlarmState changes it, and its actions"
    " are not run (docs/differences.md, Other AWS services)."
)
_ACTIONS = {OK: "OKActions", ALARM: "AlarmActions"}


@operation
def put_metric_alarm(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make an alarm, or give one another configuration; its state and its tags stay."""
    settings = alarm_params.settings(params)
    name = params["AlarmName"]
    alarm = ctx.tx.get(MetricAlarm, arns.alarm(ctx.scope, name))
    if alarm is None:
        alarm = MetricAlarm(
            arn=arns.alarm(ctx.scope, name),
            name=name,
            scope=ctx.scope,
            settings=settings,
            state_updated_at=ctx.now,
            state_changed_at=ctx.now,
            tags=to_tags(params.get("Tags", ())),
        )
    ctx.tx.put(replace(alarm, settings=settings, configured_at=ctx.now))
    ctx.hint(_NOT_EVALUATED)
    return {}


@operation
def set_alarm_state(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Set an alarm's state. There is no metric that would set it back."""
    alarm = _require(ctx, params["AlarmName"])
    data = params.get("StateReasonData")
    if data is not None:
        try:
            json.loads(data)
        except ValueError as error:
            text = "Data was not syntactically valid JSON."
            raise AwsError("InvalidFormatFault", text, hint=f"StateReasonData: {error}.") from error
    state = params["StateValue"]
    changes = state != alarm.state
    ctx.tx.put(
        replace(
            alarm,
            state=state,
            state_reason=params["StateReason"],
            state_reason_data=data,
            state_updated_at=ctx.now,
            state_changed_at=ctx.now if changes else alarm.state_changed_at,
        )
    )
    if changes and alarm.settings.get(_ACTIONS.get(state, "InsufficientDataActions")):
        ctx.hint("The alarm's actions are not run (docs/differences.md, Other AWS services).")
    return {}


@operation
def delete_alarms(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete those that there are; it is an error only when there is none of them."""
    found = [alarm for name in dict.fromkeys(params["AlarmNames"]) if (alarm := _find(ctx, name))]
    if params["AlarmNames"] and not found:
        raise _not_found(params["AlarmNames"][0])
    for alarm in found:
        ctx.tx.delete(MetricAlarm, alarm.arn)
    for name, services in _listeners(ctx, {alarm.name for alarm in found}).items():
        ctx.hint(f"Deployments of {', '.join(services)} go on without the alarm {name!r}.")
    return {}


def _listeners(ctx: Context, names: set[str]) -> dict[str, list[str]]:
    """By name of an alarm, the services whose deployments it is to end."""
    found: dict[str, list[str]] = {}
    for cluster in ctx.tx.find(Cluster, "scope", ctx.scope):
        for service in ctx.tx.find(Service, "cluster", cluster.arn):
            if service.status == "INACTIVE":
                continue
            for name in names.intersection(deployment_alarms.of_service(service)):
                found.setdefault(name, []).append(f"{cluster.name}/{service.name}")
    return {name: sorted(services) for name, services in sorted(found.items())}


@read_operation
def describe_alarms(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Metric alarms by name, prefix, state or action. There are no composite and no log alarms."""
    names, prefix = params.get("AlarmNames"), params.get("AlarmNamePrefix")
    if names and prefix:
        raise invalid("AlarmNamePrefix and AlarmNames cannot be used together.")
    listed = sorted(
        (alarm for alarm in ctx.tx.find(MetricAlarm, "scope", ctx.scope) if _is_wanted(alarm, params)),
        key=lambda alarm: alarm.name,
    )
    shown, token = page(
        listed,
        params,
        default=_PAGE,
        key=lambda alarm: alarm.name,
        limit="MaxRecords",
        token="NextToken",
        error="InvalidNextToken",
    )
    return {"MetricAlarms": [_render(alarm) for alarm in shown], "CompositeAlarms": [], "NextToken": token}


def _is_wanted(alarm: MetricAlarm, params: dict[str, Any]) -> bool:
    types = params.get("AlarmTypes")
    if types and "MetricAlarm" not in types:
        return False
    if params.get("ChildrenOfAlarmName") or params.get("ParentsOfAlarmName"):
        return False  # composite alarms have children and are parents, and there is none
    names, state, action = params.get("AlarmNames"), params.get("StateValue"), params.get("ActionPrefix")
    return (
        (not names or alarm.name in names)
        and alarm.name.startswith(params.get("AlarmNamePrefix") or "")
        and (state is None or alarm.state == state)
        and (action is None or any(each.startswith(action) for each in _actions(alarm)))
    )


def _actions(alarm: MetricAlarm) -> list[str]:
    lists = ("OKActions", "AlarmActions", "InsufficientDataActions")
    return [action for name in lists for action in alarm.settings.get(name, ())]


def _render(alarm: MetricAlarm) -> dict[str, Any]:
    return {
        **alarm_params.DEFAULTS,
        **alarm.settings,
        "AlarmName": alarm.name,
        "AlarmArn": alarm.arn,
        "AlarmConfigurationUpdatedTimestamp": alarm.configured_at,
        "StateValue": alarm.state,
        "StateReason": alarm.state_reason,
        "StateReasonData": alarm.state_reason_data,
        "StateUpdatedTimestamp": alarm.state_updated_at,
        "StateTransitionedTimestamp": alarm.state_changed_at,
    }


def _find(ctx: Context, name: str) -> MetricAlarm | None:
    return ctx.tx.get(MetricAlarm, arns.alarm(ctx.scope, name))


def _require(ctx: Context, name: str) -> MetricAlarm:
    alarm = _find(ctx, name)
    if alarm is None:
        raise _not_found(name)
    return alarm


def _not_found(name: str) -> AwsError:
    hint = f"There is no alarm named {name!r} in this account and region; PutMetricAlarm makes it."
    return AwsError("ResourceNotFound", "Unknown alarm.", hint=hint)
