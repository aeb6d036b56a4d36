"""From the ARNs that callers write to load balancers, target groups, listeners and rules, or AWS's error.

AWS tells two mistakes apart: text that cannot be an ARN of that kind in this region
("'…' is not a valid load balancer ARN") and an ARN of something that is not there.
"""

from __future__ import annotations

import re

from miniecs.model import arns
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, TargetGroup
from miniecs_api.context import Context
from miniecs_api.elbv2 import refusals

_NAME = r"[A-Za-z0-9-]+"
_ID = r"[A-Za-z0-9]+"
_KIND = r"(?:app|net|gwy)"
_RESOURCES = {
    "load balancer": re.compile(rf"loadbalancer/{_KIND}/{_NAME}/{_ID}"),
    "target group": re.compile(rf"targetgroup/{_NAME}/{_ID}"),
    "listener": re.compile(rf"listener/{_KIND}/{_NAME}/{_ID}/{_ID}"),
    "listener rule": re.compile(rf"listener-rule/{_KIND}/{_NAME}/{_ID}/{_ID}/{_ID}"),
}


def load_balancer(ctx: Context, arn: str) -> LoadBalancer:
    """Raises ValidationError or LoadBalancerNotFound."""
    found = ctx.tx.get(LoadBalancer, arn) if is_ours(ctx, "load balancer", arn) else None
    if found is None:
        raise refusals.load_balancer_not_found()
    return found


def target_group(ctx: Context, arn: str) -> TargetGroup:
    """Raises ValidationError or TargetGroupNotFound."""
    found = ctx.tx.get(TargetGroup, arn) if is_ours(ctx, "target group", arn) else None
    if found is None:
        raise refusals.target_group_not_found()
    return found


def listener(ctx: Context, arn: str) -> Listener:
    """Raises ValidationError or ListenerNotFound."""
    found = ctx.tx.get(Listener, arn) if is_ours(ctx, "listener", arn) else None
    if found is None:
        raise refusals.listener_not_found()
    return found


def rule(ctx: Context, arn: str) -> Rule | Listener:
    """A rule, or the listener whose default rule it is. Raises ValidationError or RuleNotFound."""
    if is_ours(ctx, "listener rule", arn):
        found = ctx.tx.get(Rule, arn)
        if found is not None:
            return found
        owner = ctx.tx.get(Listener, arn.replace(":listener-rule/", ":listener/").rpartition("/")[0])
        if owner is not None and owner.default_rule_arn == arn:
            return owner
    raise refusals.rule_not_found()


def is_ours(ctx: Context, kind: str, arn: str) -> bool:
    """False for another account's. Raises ValidationError unless it can be an ARN of that kind here."""
    parsed = arns.parse(arn)
    if (
        parsed is None
        or parsed.service != "elasticloadbalancing"
        or parsed.region != ctx.scope.region
        or not _RESOURCES[kind].fullmatch(parsed.resource)
    ):
        raise refusals.invalid(f"'{arn}' is not a valid {kind} ARN")
    return parsed.account == ctx.scope.account
