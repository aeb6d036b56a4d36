"""CloudWatch metric alarms: what PutMetricAlarm was told, and the state that somebody set.

Of our own store, because a deployment ends when its alarm goes off: the loop must see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.model.scope import Scope, Tag

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
_DEFAULT_PERIOD = 60


@dataclass(frozen=True, slots=True)
class MetricAlarm:
    """``settings`` are PutMetricAlarm's parameters in the API's member names, AlarmName and Tags apart."""

    arn: str
    name: str
    scope: Scope
    settings: Mapping[str, Any]
    state: str = INSUFFICIENT_DATA
    state_reason: str = "Unchecked: Initial alarm creation"
    state_reason_data: str | None = None
    configured_at: float = 0.0
    state_updated_at: float = 0.0
    state_changed_at: float = 0.0
    tags: tuple[Tag, ...] = ()

    @property
    def seconds_to_notice(self) -> float:
        """How long what it watches for must last until it goes off."""
        metrics = [m["MetricStat"]["Period"] for m in self.settings.get("Metrics", ()) if "MetricStat" in m]
        metrics += [m["Period"] for m in self.settings.get("Metrics", ()) if "Period" in m]
        period = self.settings.get("Period") or max(metrics, default=_DEFAULT_PERIOD)
        return float(period) * int(self.settings.get("EvaluationPeriods") or 1)
