"""The checks of what PutMetricAlarm is given, beyond what the API's model says.

The rules are CloudWatch's API reference; where it gives no message, the message is miniecs's own.
"""

from __future__ import annotations

from typing import Any

from miniecs_api.wire.errors import AwsError

DEFAULTS: dict[str, Any] = {
    "ActionsEnabled": True,
    "OKActions": [],
    "AlarmActions": [],
    "InsufficientDataActions": [],
}
_NOT_SETTINGS = frozenset({"AlarmName", "Tags"})
_OF_ONE_METRIC = ("Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
_BANDS = frozenset(
    {"LessThanLowerOrGreaterThanUpperThreshold", "LessThanLowerThreshold", "GreaterThanUpperThreshold"}
)
_SHORT_PERIODS = (10, 20, 30)


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def settings(params: dict[str, Any]) -> dict[str, Any]:
    """What the alarm is to keep, checked."""
    if params.get("EvaluationCriteria"):
        raise AwsError("NotImplemented", "Alarms on PromQL queries are not implemented by miniecs yet.", 501)
    single, several = params.get("MetricName"), params.get("Metrics")
    if bool(single) == bool(several):
        raise invalid("Exactly one of MetricName and Metrics must be specified.")
    if single:
        _check_one(params)
    else:
        _check_several(params)
    if "EvaluationInterval" in params:
        raise invalid("EvaluationInterval cannot be specified with MetricName or Metrics.")
    _check_evaluation(params)
    return {name: value for name, value in params.items() if name not in _NOT_SETTINGS}


def _check_one(params: dict[str, Any]) -> None:
    for name in ("Namespace", "Period"):
        if not params.get(name):
            raise invalid(f"{name} must be specified for an alarm on a single metric.")
    if bool(params.get("Statistic")) == bool(params.get("ExtendedStatistic")):
        raise invalid("Exactly one of Statistic and ExtendedStatistic must be specified.")
    _check_period(params["Period"])


def _check_several(params: dict[str, Any]) -> None:
    for name in _OF_ONE_METRIC:
        if params.get(name):
            raise invalid(f"{name} cannot be specified together with Metrics.")
    queries = params["Metrics"]
    ids = [query["Id"] for query in queries]
    if len(set(ids)) != len(ids):
        raise invalid("The Ids of Metrics must be unique.")
    for query in queries:
        if bool(query.get("MetricStat")) == bool(query.get("Expression")):
            raise invalid(f"Metric {query['Id']} must have exactly one of MetricStat and Expression.")
        if query.get("MetricStat"):
            _check_period(query["MetricStat"]["Period"])
    returned = [query for query in queries if query.get("ReturnData", True)]
    if len(returned) != 1 and not params.get("ThresholdMetricId"):
        raise invalid("Exactly one element of Metrics must return data.")


def _check_period(period: int) -> None:
    if period not in _SHORT_PERIODS and period % 60:
        raise invalid("Period must be 10, 20, 30 or a multiple of 60.")


def _check_evaluation(params: dict[str, Any]) -> None:
    for name in ("EvaluationPeriods", "ComparisonOperator"):
        if not params.get(name):
            raise invalid(f"{name} must be specified.")
    band = params["ComparisonOperator"] in _BANDS
    if band != bool(params.get("ThresholdMetricId")):
        raise invalid("ThresholdMetricId goes with the comparison operators of anomaly detection only.")
    if band == ("Threshold" in params):
        raise invalid("Exactly one of Threshold and ThresholdMetricId must be specified.")
    if params.get("DatapointsToAlarm", 0) > params["EvaluationPeriods"]:
        raise invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    if params.get("TreatMissingData", "missing") not in ("breaching", "notBreaching", "ignore", "missing"):
        raise invalid("TreatMissingData must be one of breaching, notBreaching, ignore and missing.")
    if params.get("EvaluateLowSampleCountPercentile", "evaluate") not in ("evaluate", "ignore"):
        raise invalid("EvaluateLowSampleCountPercentile must be one of evaluate and ignore.")
