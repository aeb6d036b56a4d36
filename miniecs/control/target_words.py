"""Why a target is in its state, in words for people; AWS has a code and a fixed description for each.

Made from the stored target alone, so that `explain`, `miniecs lb` and `miniecs deployments` say the same.
"""

from __future__ import annotations

import re

from miniecs.config import Timing
from miniecs.control.routing import dial_address
from miniecs.control.view import View
from miniecs.model.load_balancing import HealthCheck, Target, TargetGroup
from miniecs.model.routing import NOWHERE

_CODE = re.compile(r"\[(\d+)\]")
_HTTP = ("HTTP", "HTTPS")


def why(view: View, target: Target, *, now: float, timing: Timing) -> str:
    """Without a capital and a full stop; '' for a healthy target of which there is nothing to say."""
    group = view.get(TargetGroup, target.target_group_arn)
    if group is None:
        return "its target group was deleted"
    match target.state:
        case "draining":
            return f"drains for {left(target, now):.0f} s more"
        case "unused":
            return f"no listener or rule forwards to target group {group.name}"
        case "unavailable":
            return f"target group {group.name} makes no health checks"
        case "initial":
            return _initial(target, group.health_check, timing)
        case "unhealthy":
            return _unhealthy(view, target, group)
    if target.failures:
        return f"{_failed(target.failures)}; {group.health_check.unhealthy_threshold} make it unhealthy"
    return ""


def left(target: Target, now: float) -> float:
    """Seconds for which it drains yet."""
    return max(0.0, (target.draining_until or now) - now)


def asks(check: HealthCheck) -> str:
    """What a health check does: ``GET /healthz``, ``TCP connection``."""
    if check.grpc or check.protocol in _HTTP:
        where = "" if check.port == "traffic-port" else f" at port {check.port}"
        return f"{'gRPC call' if check.grpc else 'GET'} {check.path or '/'}{where}"
    return f"{check.protocol} connection"


def interval(check: HealthCheck, timing: Timing) -> str:
    """``every 10 s``, at the time scale."""
    return f"every {timing.wait(check.interval):.3g} s"


def _initial(target: Target, check: HealthCheck, timing: Timing) -> str:
    asked = f"{asks(check)} {interval(check, timing)}"
    if target.failures:
        failed = f"{_failed(target.failures)}, {check.unhealthy_threshold} make it unhealthy"
        return f"has yet to pass a health check ({asked}): {failed}"
    return f"waits for its first health check ({asked})"


def _unhealthy(view: View, target: Target, group: TargetGroup) -> str:
    check = group.health_check
    if dial_address(view, target, group) == NOWHERE:
        return f"nobody knows an address of {target.id}: it is no container instance here"
    answer = _answer(target, check)
    if target.successes:
        missing = check.healthy_threshold - target.successes
        return f"{answer}; since then {_passed(target.successes)}, {missing} to go"
    return f"{answer}, {_failed(target.failures or check.unhealthy_threshold)}"


def _answer(target: Target, check: HealthCheck) -> str:
    code = _CODE.search(target.description or "")
    if code is not None:
        return f"{code[1]} from {check.path or '/'}"
    if target.reason == "Target.Timeout":
        return f"no answer in time to {asks(check)}"
    return f"{asks(check)} is refused or cut off"


def _failed(count: int) -> str:
    return "1 check failed" if count == 1 else f"{count} checks in a row failed"


def _passed(count: int) -> str:
    return "1 check passed" if count == 1 else f"{count} checks in a row passed"
