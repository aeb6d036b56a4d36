"""Elastic Load Balancing v2, as far as ECS's users need it: application and network load balancers.

What is missing (gateway load balancers, trust stores, capacity reservations, Lambda targets) says that it is.
"""

from miniecs_api.elbv2 import (
    attributes,
    certificates,
    listeners,
    load_balancers,
    quotas,
    rules,
    ssl_policies,
    tags,
    target_groups,
    targets,
)

MODULES = (
    attributes,
    certificates,
    listeners,
    load_balancers,
    quotas,
    rules,
    ssl_policies,
    tags,
    target_groups,
    targets,
)
