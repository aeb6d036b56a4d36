"""The account's limits, as a fresh AWS account has them: what DescribeAccountLimits says is what holds.

Source: "Quotas" in the user guides of Application, Network and Gateway Load Balancers.
"""

from __future__ import annotations

from typing import Any

from miniecs_api.context import Context
from miniecs_api.operation import read_operation
from miniecs_api.paging import page

LIMITS: dict[str, int] = {
    "application-load-balancers": 50,
    "listeners-per-application-load-balancer": 50,
    "rules-per-application-load-balancer": 100,
    "certificates-per-application-load-balancer": 25,
    "targets-per-application-load-balancer": 1000,
    "target-groups-per-application-load-balancer": 100,
    "target-groups-per-action-on-application-load-balancer": 5,
    "condition-values-per-alb-rule": 5,
    "condition-wildcards-per-alb-rule": 5,
    "network-load-balancers": 50,
    "listeners-per-network-load-balancer": 50,
    "certificates-per-network-load-balancer": 25,
    "targets-per-network-load-balancer": 3000,
    "targets-per-availability-zone-per-network-load-balancer": 500,
    "target-groups-per-action-on-network-load-balancer": 5,
    "target-groups": 3000,
    "targets-per-target-group": 1000,
}


def limit(name: str, type: str = "application") -> int:
    """A limit by name; {type} in the name stands for the load balancer's type."""
    return LIMITS[name.format(type=type)]


@read_operation
def describe_account_limits(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """All limits, in one page unless PageSize says otherwise."""
    names, marker = page(
        list(LIMITS), params, default=400, limit="PageSize", token="Marker", error="ValidationError"
    )
    return {"Limits": [{"Name": n, "Max": str(LIMITS[n])} for n in names], "NextMarker": marker}
