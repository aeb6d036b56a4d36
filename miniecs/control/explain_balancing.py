"""Which targets get requests and why the others do not: of a load balancer, a target group or a service.

Told from the same routed group that the data plane is given, so that it cannot say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator

from miniecs.config import Timing
from miniecs.control.load_balancing import groups_of, load_balancer_arns_of
from miniecs.control.routing import routed_group
from miniecs.control.target_words import asks, interval, why
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.load_balancing import Listener, LoadBalancer, Target, TargetGroup
from miniecs.model.routing import RoutedGroup
from miniecs.model.service import Service
from miniecs.model.task import Task

_DIGITS = 8  # of a task's id


def balancing(view: View, service: Service) -> Iterator[str]:
    """A sentence for each target group in which the service's tasks are registered."""
    for balancer in service.revision.load_balancers:
        if balancer.target_group_arn is None:
            continue
        group = view.get(TargetGroup, balancer.target_group_arn)
        if group is None:
            gone = arns.group_name_of(balancer.target_group_arn)
            yield (
                f"Its target group {gone} was deleted, so no task can become healthy: the service still names"
                " it."
            )
        else:
            yield _flow(view, group)


def explain_load_balancer(
    view: View, balancer: LoadBalancer, *, now: float, timing: Timing
) -> Iterator[str]:
    """What it is, its target groups and their targets."""
    yield f"Load balancer {balancer.name} ({balancer.type}) is {balancer.state}: {balancer.dns_name}."
    if not view.find(Listener, "load_balancer", balancer.arn):
        yield "It has no listener, so it takes no requests. `aws elbv2 create-listener` makes one."
    for group_arn in groups_of(view, balancer.arn):
        group = view.get(TargetGroup, group_arn)
        if group is not None:
            yield from explain_target_group(view, group, now=now, timing=timing)


def explain_target_group(view: View, group: TargetGroup, *, now: float, timing: Timing) -> Iterator[str]:
    """How many of its targets get requests, then each of them."""
    yield _flow(view, group)
    check = group.health_check
    if check.enabled:
        yield (
            f"  Its health check is {asks(check)} {interval(check, timing)}:"
            f" {check.unhealthy_threshold} failures in a row make a target unhealthy,"
            f" {check.healthy_threshold} passes an unhealthy one healthy."
        )
    routed = routed_group(view, group)
    used = bool(load_balancer_arns_of(view, group.arn))
    receiving = {(each.id, each.port) for each in routed.receiving} if used else set()
    targets = view.find(Target, "target_group", group.arn)
    for target in sorted(targets, key=lambda each: (each.id, each.port)):
        gets = "gets requests" if (target.id, target.port) in receiving else "gets none"
        reason = why(view, target, now=now, timing=timing)
        told = f"is {target.state}{f': {reason}' if reason else ''}"
        if target.state == "draining":
            told = reason
        yield f"  Target {target.id}:{target.port}{_of(view, target)} {gets}, it {told}."


def _flow(view: View, group: TargetGroup) -> str:
    """How the requests to a target group flow, in one sentence."""
    found = (view.get(LoadBalancer, arn) for arn in load_balancer_arns_of(view, group.arn))
    users = [each for each in found if each is not None]
    if not users:
        return f"No listener or rule forwards to target group {group.name}: its targets get no requests."
    start, of = f"Load balancer {', '.join(each.name for each in users)}", f"target group {group.name}"
    routed = routed_group(view, group)
    if not routed.receiving:
        does = "answers 503 to requests for" if users[0].type == "application" else "refuses connections to"
        return f"{start} {does} {of}, which has {_none(routed)}."
    receiving, healthy = len(routed.receiving), len(routed.healthy)
    if not routed.fails_open:
        draining = sum(each.state == "draining" for each in routed.targets)
        told = f"{start} sends requests to {receiving} of {_targets(len(routed.targets) - draining)} in {of}"
        return f"{told}; {draining} {'drains' if draining == 1 else 'drain'}." if draining else f"{told}."
    few = f"only {healthy} {_be(healthy)} healthy" if healthy else "none is healthy"
    all_of_them = f"all {receiving} targets" if receiving > 1 else "the only target"
    return f"{start} sends requests to {all_of_them} in {of}, as {few} (it fails open)."


def _none(routed: RoutedGroup) -> str:
    if not routed.targets:
        return "no targets"
    states = sorted({each.state for each in routed.targets})
    return f"only {' and '.join(states)} targets"


def _of(view: View, target: Target) -> str:
    if target.task_arn is None:
        return ""
    task = view.get(Task, target.task_arn)
    of = f", {arns.name_of(task.task_definition_arn)}" if task is not None else ""
    return f" (task {arns.name_of(target.task_arn)[:_DIGITS]}{of})"


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _targets(count: int) -> str:
    return f"{count} target" if count == 1 else f"{count} targets"
