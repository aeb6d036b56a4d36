"""The checks of a deploymentConfiguration, with ECS's messages where they are known.

What an UpdateService does not name stays as it is, member by member.
"""

from __future__ import annotations

from typing import Any

from miniecs.model import arns
from miniecs.model.alarm import MetricAlarm
from miniecs.model.service import (
    CircuitBreaker,
    DeploymentAlarms,
    DeploymentConfiguration,
    EarlySuccess,
    FailureThreshold,
)
from miniecs_api.context import Context
from miniecs_api.ecs.launch_params import invalid


def deployment_configuration(
    ctx: Context,
    params: dict[str, Any],
    scheduling_strategy: str,
    current: DeploymentConfiguration | None = None,
) -> DeploymentConfiguration:
    """What is given, else what was, else ECS's defaults."""
    daemon = scheduling_strategy == "DAEMON"
    base = current or DeploymentConfiguration(100 if daemon else 200, 0 if daemon else 100)
    given = params.get("deploymentConfiguration", {})
    maximum = given.get("maximumPercent", base.maximum_percent)
    minimum = given.get("minimumHealthyPercent", base.minimum_healthy_percent)
    if daemon and maximum > 100:
        raise invalid(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent on a "
            "deployment configuration. Change the maximumPercent value to 100, and try again"
        )
    if maximum < 100:
        raise invalid("maximumPercent must be greater than or equal to 100.")
    if not 0 <= minimum <= 100:
        raise invalid("minimumHealthyPercent must be between 0 and 100.")
    breaker, alarms, early = base.circuit_breaker, base.alarms, base.early_success
    if "deploymentCircuitBreaker" in given:
        breaker = _circuit_breaker(given["deploymentCircuitBreaker"], breaker or CircuitBreaker())
    if "alarms" in given:
        alarms = _alarms(ctx, given["alarms"])
    if "earlySuccessCriteria" in given:
        early = _early_success(given["earlySuccessCriteria"])
    if early is not None and early.healthy_percent < minimum:
        raise invalid(
            "earlySuccessCriteria.healthyPercent must be greater than or equal to minimumHealthyPercent."
        )
    return DeploymentConfiguration(maximum, minimum, breaker, alarms, early_success=early)


def _circuit_breaker(given: dict[str, Any], current: CircuitBreaker) -> CircuitBreaker:
    threshold = current.threshold
    if "thresholdConfiguration" in given:
        threshold = _threshold(given["thresholdConfiguration"])
    return CircuitBreaker(
        given["enable"],
        given["rollback"],
        given.get("resetOnHealthyTask", current.reset_on_healthy_task),
        threshold,
    )


def _threshold(given: dict[str, Any]) -> FailureThreshold:
    threshold = FailureThreshold(given["type"], given["value"])
    if threshold.value < 1:
        raise invalid("thresholdConfiguration.value must be greater than or equal to 1.")
    if threshold.type == "BOUNDED_PERCENT" and threshold.value > 100:
        raise invalid("thresholdConfiguration.value must be at most 100 for the type BOUNDED_PERCENT.")
    return threshold


def _alarms(ctx: Context, given: dict[str, Any]) -> DeploymentAlarms:
    """The alarms of an enabled option must exist: a wrong name would never end a deployment."""
    names = tuple(dict.fromkeys(given["alarmNames"]))
    if given["enable"] and not names:
        raise invalid("alarmNames cannot be empty when deployment alarms are enabled.")
    if given["enable"]:
        missing = [name for name in names if ctx.tx.get(MetricAlarm, arns.alarm(ctx.scope, name)) is None]
        if missing:
            hint = f"aws cloudwatch put-metric-alarm --alarm-name {missing[0]} … makes it."
            raise invalid(f"The CloudWatch alarms do not exist: {', '.join(missing)}.", hint)
    return DeploymentAlarms(names, given["enable"], given["rollback"])


def _early_success(given: dict[str, Any]) -> EarlySuccess | None:
    if not given["enable"]:
        return None
    for name in ("healthyPercent", "sourceServiceRevisionCleanup"):
        if name not in given:
            raise invalid(f"earlySuccessCriteria.{name} must be specified when early success is enabled.")
    return EarlySuccess(given["healthyPercent"], given["sourceServiceRevisionCleanup"])
