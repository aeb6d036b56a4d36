"""The errors that more than one operation of Elastic Load Balancing raises, with AWS's words.

Literal texts come from errors that users of AWS have published; where none is known the text is ours,
in the same manner.
"""

from __future__ import annotations

from miniecs_api.wire.errors import AwsError


def invalid(message: str) -> AwsError:
    """What the service itself finds wrong with a value."""
    return AwsError("ValidationError", message)


def misconfigured(message: str, hint: str | None = None) -> AwsError:
    """Settings that are each valid and do not go together."""
    return AwsError("InvalidConfigurationRequest", message, hint=hint)


def unsupported(what: str) -> AwsError:
    """A feature of AWS that nothing in miniecs acts on (docs/differences.md)."""
    return AwsError(
        "NotImplemented", f"miniecs does not support {what}, and would not act on it.", status=501
    )


def load_balancer_not_found() -> AwsError:
    return AwsError("LoadBalancerNotFound", "One or more load balancers not found")


def target_group_not_found() -> AwsError:
    return AwsError("TargetGroupNotFound", "One or more target groups not found")


def listener_not_found() -> AwsError:
    return AwsError("ListenerNotFound", "One or more listeners not found")


def rule_not_found() -> AwsError:
    return AwsError("RuleNotFound", "One or more rules not found")
