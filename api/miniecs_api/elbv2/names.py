"""What load balancers and target groups may be called.

Source: API reference, Name of CreateLoadBalancer and CreateTargetGroup.
"""

from __future__ import annotations

import re

from miniecs_api.elbv2.refusals import invalid

_LONGEST = 32
_CHARACTERS = re.compile(r"[A-Za-z0-9-]+")


def check_load_balancer(name: str) -> None:
    """Raises ValidationError."""
    if not name:
        raise invalid("A load balancer name must be specified")
    if len(name) > _LONGEST:
        raise invalid(f"The load balancer name '{name}' cannot be longer than '{_LONGEST}' characters")
    if not _CHARACTERS.fullmatch(name):
        raise invalid(
            f"The load balancer name '{name}' can only contain characters that are alphanumeric characters "
            "and hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise invalid(f"The load balancer name '{name}' cannot begin or end with a hyphen(-)")
    if name.startswith("internal-"):
        raise invalid(f"The load balancer name '{name}' cannot begin with 'internal-'")


def check_target_group(name: str) -> None:
    """Raises ValidationError."""
    if not name:
        raise invalid("A target group name must be specified")
    if len(name) > _LONGEST:
        raise invalid(f"Target group name '{name}' cannot be longer than '{_LONGEST}' characters")
    if not _CHARACTERS.fullmatch(name):
        raise invalid(
            f"Target group name '{name}' can only contain characters that are alphanumeric characters "
            "or hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise invalid(f"Target group name '{name}' cannot begin or end with '-'")
