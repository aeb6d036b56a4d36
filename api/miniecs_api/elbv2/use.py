"""What follows in a target group when a listener or rule begins or ceases to forward to it.

Within the same transaction, so that DescribeTargetHealth is right at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from miniecs.apply import write_target
from miniecs.control.load_balancing import in_use
from miniecs.control.registration import followed_use
from miniecs.model.load_balancing import Listener, Rule, Target
from miniecs_api.context import Context


def follow(ctx: Context, target_group_arns: Iterable[str]) -> None:
    """Move the groups' targets from unused to initial or back, after listeners or rules were written."""
    for arn in dict.fromkeys(target_group_arns):
        used = in_use(ctx.tx, arn)
        for target in ctx.tx.find(Target, "target_group", arn):
            after = followed_use(target, in_use=used, now=ctx.now)
            if after is not target:
                write_target(ctx.tx, target, after, now=ctx.now)


def remove_listener(ctx: Context, listener: Listener) -> None:
    """Delete a listener with its rules; the caller follows the use of its target groups."""
    for rule in ctx.tx.find(Rule, "listener", listener.arn):
        ctx.tx.delete(Rule, rule.arn)
    ctx.tx.delete(Listener, listener.arn)
