"""Listener rules: making, finding, changing, ordering, deleting.

The default rule is the listener's own (its DefaultActions): it is shown with the others, and changed
with ModifyListener.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.control.load_balancing import forwarded_to
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Listener, Rule
from miniecs_api.context import Context
from miniecs_api.elbv2 import actions, conditions, find, render, transforms, use
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, unsupported
from miniecs_api.elbv2.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError


@operation
def create_rule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a rule at a free priority."""
    listener = find.listener(ctx, params["ListenerArn"])
    place = _place(ctx, listener)
    if place.balancer.type != "application":
        raise unsupported("rules of network load balancers")
    checked_conditions = conditions.checked(params["Conditions"])
    checked_actions = actions.checked(ctx, place, params["Actions"])
    siblings = ctx.tx.find(Rule, "listener", listener.arn)
    if any(other.priority == params["Priority"] for other in siblings):
        raise _in_use(params["Priority"])
    if _rules_of(ctx, listener.load_balancer_arn) >= limit("rules-per-application-load-balancer"):
        raise AwsError("TooManyRules", "The maximum number of rules has been reached")
    rule = Rule(
        arn=arns.listener_rule(listener.arn, ctx.ids.hex(16)),
        listener_arn=listener.arn,
        priority=params["Priority"],
        conditions=checked_conditions,
        actions=checked_actions,
        transforms=transforms.checked(params.get("Transforms")),
        created_at=ctx.now,
        tags=to_tags(params.get("Tags"), duplicate="ValidationError"),
    )
    ctx.tx.put(rule)
    use.follow(ctx, forwarded_to(rule.actions))
    return {"Rules": [render.rule(rule)]}


@read_operation
def describe_rules(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A listener's rules by priority, the default one last; or the named ones in the order given."""
    listener_arn, rule_arns = params.get("ListenerArn"), params.get("RuleArns") or []
    if not listener_arn and not rule_arns:
        raise invalid("You must specify either listener rule ARNs or a listener ARN")
    if listener_arn and rule_arns:
        raise invalid("Listener rule ARNs and a listener ARN cannot be specified at the same time")
    chosen: list[Rule | Listener]
    if listener_arn:
        listener = find.listener(ctx, listener_arn)
        chosen = [*_by_priority(ctx, listener), listener]
    else:
        chosen = [find.rule(ctx, arn) for arn in dict.fromkeys(rule_arns)]
    rules, marker = page(
        chosen,
        params,
        default=400,
        key=lambda rule: rule.arn,
        limit="PageSize",
        token="Marker",
        error="ValidationError",
    )
    return {"Rules": [_shown(rule) for rule in rules], "NextMarker": marker}


@operation
def modify_rule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replace the conditions, actions or transforms that are given."""
    before = _changeable(ctx, params["RuleArn"], "modified")
    given = [member for member in ("Conditions", "Actions", "Transforms") if params.get(member)]
    if not given and not params.get("ResetTransforms"):
        raise invalid("Either conditions or actions must be specified")
    if params.get("ResetTransforms") and params.get("Transforms"):
        raise invalid("Transforms and ResetTransforms cannot be specified at the same time")
    after = before
    if params.get("Conditions"):
        after = replace(after, conditions=conditions.checked(params["Conditions"]))
    if params.get("Actions"):
        listener = find.listener(ctx, before.listener_arn)
        after = replace(after, actions=actions.checked(ctx, _place(ctx, listener), params["Actions"]))
    if params.get("Transforms") or params.get("ResetTransforms"):
        after = replace(after, transforms=transforms.checked(params.get("Transforms")))
    ctx.tx.put(after)
    use.follow(ctx, [*forwarded_to(before.actions), *forwarded_to(after.actions)])
    return {"Rules": [render.rule(after)]}


@operation
def delete_rule(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    rule = _changeable(ctx, params["RuleArn"], "deleted")
    ctx.tx.delete(Rule, rule.arn)
    use.follow(ctx, forwarded_to(rule.actions))
    return {}


@operation
def set_rule_priorities(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Give rules of one listener new priorities, all at once, so that two can change places."""
    wanted = _priorities(params["RulePriorities"])
    rules = [_changeable(ctx, arn, "reordered") for arn in wanted]
    listeners = {rule.listener_arn for rule in rules}
    if len(listeners) > 1:
        raise invalid("All rules must belong to the same listener")
    taken = {
        rule.priority
        for listener_arn in listeners
        for rule in ctx.tx.find(Rule, "listener", listener_arn)
        if rule.arn not in wanted
    }
    for priority in wanted.values():
        if priority in taken:
            raise _in_use(priority)
    changed = [replace(rule, priority=wanted[rule.arn]) for rule in rules]
    for rule in changed:
        ctx.tx.put(rule)
    return {"Rules": [render.rule(rule) for rule in changed]}


def _priorities(pairs: list[Mapping[str, Any]]) -> dict[str, int]:
    """Rule ARN -> priority, each rule and each priority once."""
    if not pairs:
        raise invalid("At least one rule priority must be specified")
    wanted: dict[str, int] = {}
    seen: set[int] = set()
    for pair in pairs:
        arn, priority = pair.get("RuleArn"), pair.get("Priority")
        if not arn or priority is None:
            raise invalid("A rule ARN and a priority must be specified in each rule priority")
        if arn in wanted:
            raise invalid(f"Rule '{arn}' was provided multiple times")
        if priority in seen:
            raise invalid(f"Priority '{priority}' was provided multiple times")
        wanted[arn] = priority
        seen.add(priority)
    return wanted


def _changeable(ctx: Context, arn: str, verb: str) -> Rule:
    """The rule, unless it is a default rule."""
    found = find.rule(ctx, arn)
    if isinstance(found, Listener):
        raise AwsError("OperationNotPermitted", f"Default rule '{arn}' cannot be {verb}")
    return found


def _place(ctx: Context, listener: Listener) -> actions.Place:
    balancer = find.load_balancer(ctx, listener.load_balancer_arn)
    return actions.Place(balancer, listener.protocol or "", listener.port or 0)


def _rules_of(ctx: Context, load_balancer_arn: str) -> int:
    listeners = ctx.tx.find(Listener, "load_balancer", load_balancer_arn)
    return sum(ctx.tx.count(Rule, "listener", listener.arn) for listener in listeners)


def _by_priority(ctx: Context, listener: Listener) -> list[Rule]:
    return sorted(ctx.tx.find(Rule, "listener", listener.arn), key=lambda rule: rule.priority)


def _shown(rule: Rule | Listener) -> dict[str, Any]:
    return render.default_rule(rule) if isinstance(rule, Listener) else render.rule(rule)


def _in_use(priority: int) -> AwsError:
    return AwsError("PriorityInUse", f"Priority '{priority}' is currently in use")
