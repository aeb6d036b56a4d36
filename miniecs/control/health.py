"""What a probe's result means for a target: Elastic Load Balancing's thresholds and reason codes.

The data plane probes and reports; only here is a target called healthy or unhealthy, so
that a simulated probe and a real one are judged alike.
Source: Elastic Load Balancing user guide, "Health checks for your target groups".
"""

from __future__ import annotations

from dataclasses import dataclass

from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Target, TargetGroup

_FAILED = ("Target.FailedHealthChecks", "Health checks failed")
_TIMEOUT = ("Target.Timeout", "Request timed out")


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe. code: the HTTP or gRPC status that was answered, None when there was no answer.

    detail: why there was none: timeout, refused, reset, protocol.
    """

    ok: bool
    code: int | None = None
    detail: str = ""


def judge(target: Target, group: TargetGroup, result: ProbeResult, *, now: float) -> Target:
    """The target after one more probe. Draining and unused targets are not probed: they stay."""
    if target.state in ("draining", "unused", "unavailable"):
        return target
    check = group.health_check
    if result.ok:
        seen = replace(target, successes=target.successes + 1, failures=0, checked_at=now)
        needed = check.healthy_threshold if target.state == "unhealthy" else 1
        return _healthy(seen) if seen.successes >= needed else seen
    seen = replace(target, successes=0, failures=target.failures + 1, checked_at=now)
    if target.state == "unhealthy" or seen.failures >= check.unhealthy_threshold:
        reason, description = _why(result)
        return replace(seen, state="unhealthy", reason=reason, description=description)
    if target.state == "initial":
        return replace(
            seen, reason="Elb.InitialHealthChecking", description="Initial health checks in progress"
        )
    return seen


def _healthy(target: Target) -> Target:
    return replace(target, state="healthy", reason=None, description=None, was_healthy=True)


def _why(result: ProbeResult) -> tuple[str, str]:
    """(reason code, description) of a failed probe."""
    if result.code is not None:
        return "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{result.code}]"
    return _TIMEOUT if result.detail == "timeout" else _FAILED
