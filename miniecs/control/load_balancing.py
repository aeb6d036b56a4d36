"""Which listeners and rules forward to a target group, and which of its attributes hold.

A target group does not say who uses it: that is derived from listeners and rules, which alone
are written. Looking through all of a scope's is a thousand dictionary reads, quicker than it is
to keep an index in step.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from miniecs.model import arns
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, TargetGroup
from miniecs.model.load_balancing_attributes import effective
from miniecs.model.scope import Scope

T = TypeVar("T")


class View(Protocol):
    """What these functions need of a store."""

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]: ...


def attribute(thing: LoadBalancer | TargetGroup | Listener, name: str) -> str:
    """The value that holds for a known attribute: what was set, else its default. KeyError for others."""
    return effective(thing)[name]


def deregistration_delay(group: TargetGroup) -> float:
    """Seconds (before any time scale) that a deregistered target of the group stays draining."""
    return float(attribute(group, "deregistration_delay.timeout_seconds"))


def forwarded_to(actions: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The target groups of forward actions, each once, in order. Actions as they are stored."""
    found: dict[str, None] = {}
    for action in actions:
        for member in action.get("ForwardConfig", {}).get("TargetGroups", ()):
            found[member["TargetGroupArn"]] = None
    return tuple(found)


def listeners_using(view: View, target_group_arn: str) -> list[Listener]:
    """Listeners whose default rule or any other rule forwards to the group, oldest first."""
    scope = arns.scope_of(target_group_arn)
    by_rule = {
        rule.listener_arn
        for rule in view.find(Rule, "scope", scope)
        if target_group_arn in forwarded_to(rule.actions)
    }
    return [
        listener
        for listener in view.find(Listener, "scope", scope)
        if listener.arn in by_rule or target_group_arn in forwarded_to(listener.default_actions)
    ]


def load_balancer_arns_of(view: View, target_group_arn: str) -> tuple[str, ...]:
    """The load balancers that send to the group: none or one, as Elastic Load Balancing allows no more."""
    return tuple(dict.fromkeys(used.load_balancer_arn for used in listeners_using(view, target_group_arn)))


def in_use(view: View, target_group_arn: str) -> bool:
    """True when any listener or rule forwards to the group."""
    return bool(listeners_using(view, target_group_arn))


def users(view: View, scope: Scope) -> dict[str, tuple[str, ...]]:
    """Target group -> its load balancers, for all that are used: for whoever looks at many groups at once."""
    found: dict[str, dict[str, None]] = {}
    for group_arn, load_balancer_arn in _edges(view, scope):
        found.setdefault(group_arn, {})[load_balancer_arn] = None
    return {group_arn: tuple(load_balancers) for group_arn, load_balancers in found.items()}


def groups_of(view: View, load_balancer_arn: str) -> tuple[str, ...]:
    """The target groups that the listeners and rules of a load balancer forward to, each once."""
    found: dict[str, None] = {}
    for listener in view.find(Listener, "load_balancer", load_balancer_arn):
        found.update(dict.fromkeys(forwarded_to(listener.default_actions)))
        for rule in view.find(Rule, "listener", listener.arn):
            found.update(dict.fromkeys(forwarded_to(rule.actions)))
    return tuple(found)


def _edges(view: View, scope: Scope) -> Iterator[tuple[str, str]]:
    load_balancers: dict[str, str] = {}
    for listener in view.find(Listener, "scope", scope):
        load_balancers[listener.arn] = listener.load_balancer_arn
        for group_arn in forwarded_to(listener.default_actions):
            yield group_arn, listener.load_balancer_arn
    for rule in view.find(Rule, "scope", scope):
        for group_arn in forwarded_to(rule.actions):
            yield group_arn, load_balancers[rule.listener_arn]
