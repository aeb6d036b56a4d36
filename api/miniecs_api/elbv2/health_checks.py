"""How a target group checks its targets: defaults by protocol, and what may be asked for.

Source: API reference, CreateTargetGroup; user guides, "Health checks for your target groups".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from miniecs.model.frozen import replace
from miniecs.model.load_balancing import HealthCheck
from miniecs_api.elbv2.refusals import invalid

_HTTP = ("HTTP", "HTTPS")
_CHECK_PROTOCOLS = ("HTTPS", "HTTP", "TCP")
_CODES = re.compile(r"[0-9]{1,3}(?:-[0-9]{1,3})?(?:,[0-9]{1,3}(?:-[0-9]{1,3})?)*")
_PORT = re.compile(r"[0-9]{1,5}")
_PATH = re.compile(r"/[!-~]*")  # printable, no spaces
_GRPC_PATH = "/AWS.ALB/healthcheck"

_MEMBERS = {
    "HealthCheckPort": "port",
    "HealthCheckPath": "path",
    "HealthCheckIntervalSeconds": "interval",
    "HealthCheckTimeoutSeconds": "timeout",
    "HealthyThresholdCount": "healthy_threshold",
    "UnhealthyThresholdCount": "unhealthy_threshold",
}


def default(protocol: str, version: str | None, target_type: str, checked_by: str | None) -> HealthCheck:
    """The health check of a new target group; checked_by: HealthCheckProtocol where it is given."""
    if protocol in _HTTP:
        grpc = version == "GRPC"
        return HealthCheck(
            protocol=checked_by or "HTTP",
            path=_GRPC_PATH if grpc else "/",
            matcher="12" if grpc else "200",
            grpc=grpc,
        )
    checked_by = checked_by or ("HTTP" if target_type == "alb" else "TCP")
    if checked_by in _HTTP:
        return HealthCheck(protocol=checked_by, timeout=6 if checked_by == "HTTP" else 10, matcher="200-399")
    return HealthCheck(protocol=checked_by, path=None, timeout=10, matcher=None)


def changed(check: HealthCheck, params: Mapping[str, Any], protocol: str) -> HealthCheck:
    """check with the HealthCheck… members of CreateTargetGroup or ModifyTargetGroup put in.

    protocol: the target group's own. Raises ValidationError.
    """
    wanted = _checked_by(check, params.get("HealthCheckProtocol"), protocol)
    if params.get("HealthCheckEnabled") is False:
        raise invalid(
            "Health check enabled must be true for target groups with target type 'instance', 'ip' or 'alb'"
        )
    given = {field: params[member] for member, field in _MEMBERS.items() if params.get(member) is not None}
    if "path" in given and wanted.protocol not in _HTTP:
        raise invalid(
            f"Health check paths are not supported for health checks with the {wanted.protocol} protocol"
        )
    wanted = _matched(replace(wanted, **given), params.get("Matcher"), protocol)
    _check(wanted)
    return wanted


def _checked_by(check: HealthCheck, wanted: str | None, protocol: str) -> HealthCheck:
    """The check by another protocol, with what it needs and without what it does not know."""
    if wanted is None:
        wanted = check.protocol
    allowed = _HTTP[::-1] if protocol in _HTTP else _CHECK_PROTOCOLS
    if wanted not in allowed:
        raise invalid(f"Health check protocol '{wanted}' must be one of '{', '.join(allowed)}'")
    if wanted in _HTTP and check.protocol not in _HTTP:
        return replace(check, protocol=wanted, path="/", matcher="200-399")
    if wanted not in _HTTP:
        return replace(check, protocol=wanted, path=None, matcher=None)
    return replace(check, protocol=wanted)


def _matched(check: HealthCheck, matcher: Mapping[str, Any] | None, protocol: str) -> HealthCheck:
    if not matcher:
        return check
    if check.protocol not in _HTTP:
        raise invalid(
            f"Custom health check matchers are not supported for health check protocol '{check.protocol}' "
            f"with target group protocol '{protocol}'"
        )
    member, other = ("GrpcCode", "HttpCode") if check.grpc else ("HttpCode", "GrpcCode")
    if matcher.get(other) is not None:
        version = "GRPC" if check.grpc else "HTTP1 or HTTP2"
        raise invalid(
            f"Matcher {other} is not supported for target groups with the protocol version {version}"
        )
    codes = matcher.get(member)
    if codes is None:
        return check
    low, high = (0, 99) if check.grpc else (200, 499) if protocol in _HTTP else (200, 599)
    if not _codes_within(codes, low, high):
        raise invalid(f"Health check matcher {member} '{codes}' must be within '{low}-{high}'")
    return replace(check, matcher=codes)


def _codes_within(codes: str, low: int, high: int) -> bool:
    """True for "200", "200,202" and "200-299" whose codes are all in the range and whose ranges rise."""
    if not _CODES.fullmatch(codes):
        return False
    for part in codes.split(","):
        first, _, last = part.partition("-")
        if not low <= int(first) <= int(last or first) <= high:
            return False
    return True


def _check(check: HealthCheck) -> None:
    port = check.port
    if port != "traffic-port" and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65535):
        raise invalid(f"Health check port '{port}' must be 'traffic-port' or in the range '1-65535'")
    if check.path is not None and not _PATH.fullmatch(check.path):
        raise invalid(f"Health check path '{check.path}' must begin with '/' and contain no spaces")
    if check.interval <= check.timeout:
        raise invalid("Health check interval must be greater than the timeout.")
