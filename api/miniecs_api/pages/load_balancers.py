"""The load balancers page: where each listens, what its rules do, which targets they reach and how they are.

Beside what DescribeTargetHealth says stands what only the data plane knows: sockets, rates and latencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.control.load_balancing import forwarded_to, groups_of
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.task import Task
from miniecs_api.data_plane import DataPlane
from miniecs_api.pages.names import Ambiguous, NotFound
from miniecs_api.traffic import Summary


def page(view: View, data_plane: DataPlane, *, now: float, name: str | None = None) -> dict[str, Any]:
    """All load balancers, or the one of this name or ARN. Raises NotFound and Ambiguous."""
    every = sorted(view.all(LoadBalancer), key=lambda each: (each.created_at, each.arn))
    chosen = every if name is None else [_named(every, name)]
    return {
        "proxy": data_plane.connected,
        "loadBalancers": [_load_balancer(view, data_plane, each, now) for each in chosen],
    }


def _named(every: list[LoadBalancer], name: str) -> LoadBalancer:
    found = [each for each in every if name in (each.name, each.arn, each.dns_name)]
    if not found:
        there = ", ".join(each.name for each in every) or "none"
        raise NotFound(f"There is no load balancer {name!r}; there are: {there}.")
    if len(found) > 1:
        listed = ", ".join(each.arn for each in found)
        raise Ambiguous(f"{name!r} can be {len(found)} load balancers: {listed}. Give the ARN.")
    return found[0]


def _load_balancer(view: View, plane: DataPlane, balancer: LoadBalancer, now: float) -> dict[str, Any]:
    scope = arns.scope_of(balancer.arn)
    listeners = view.find(Listener, "load_balancer", balancer.arn)
    groups = (view.get(TargetGroup, arn) for arn in groups_of(view, balancer.arn))
    return {
        "name": balancer.name,
        "arn": balancer.arn,
        "type": balancer.type,
        "account": scope.account,
        "region": scope.region,
        "dnsName": balancer.dns_name,
        "listeners": [
            _listener(view, plane, each, now) for each in sorted(listeners, key=lambda each: each.port or 0)
        ],
        "targetGroups": [_group(view, plane, each, now) for each in groups if each is not None],
    }


def _listener(view: View, plane: DataPlane, listener: Listener, now: float) -> dict[str, Any]:
    place = plane.place(listener.arn)
    rules = sorted(view.find(Rule, "listener", listener.arn), key=lambda rule: rule.priority)
    return {
        "arn": listener.arn,
        "port": listener.port,
        "protocol": listener.protocol,
        "addresses": list(place.addresses) if place is not None else [],
        "alias": place.alias if place is not None else "",
        "problem": place.problem if place is not None else "",
        "rules": [
            *(_rule(rule.arn, str(rule.priority), rule.conditions, rule.actions) for rule in rules),
            _rule(listener.default_rule_arn, "default", (), listener.default_actions),
        ],
        "traffic": _traffic(plane.traffic.summary("listeners", listener.arn, now=now)),
    }


def _rule(
    arn: str,
    priority: str,
    conditions: tuple[Mapping[str, Any], ...],
    actions: tuple[Mapping[str, Any], ...],
) -> dict[str, Any]:
    return {
        "arn": arn,
        "priority": priority,
        "conditions": list(conditions),
        "action": actions[-1]["Type"],
        "targetGroups": list(forwarded_to(actions)),
    }


def _group(view: View, plane: DataPlane, group: TargetGroup, now: float) -> dict[str, Any]:
    targets = view.find(Target, "target_group", group.arn)
    check = group.health_check
    return {
        "name": group.name,
        "arn": group.arn,
        "type": group.target_type,
        "healthCheck": {"path": check.path, "protocol": check.protocol, "intervalSeconds": check.interval},
        "traffic": _traffic(plane.traffic.summary("groups", group.arn, now=now)),
        "targets": [
            _target(view, plane, each, now) for each in sorted(targets, key=lambda each: (each.id, each.port))
        ],
    }


def _target(view: View, plane: DataPlane, target: Target, now: float) -> dict[str, Any]:
    task = view.get(Task, target.task_arn) if target.task_arn else None
    until = target.draining_until
    return {
        "id": target.id,
        "port": target.port,
        "zone": target.availability_zone,
        "state": target.state,
        "reason": target.reason,
        "description": target.description,
        "task": arns.name_of(target.task_arn) if target.task_arn else None,
        "definition": arns.name_of(task.task_definition_arn) if task is not None else None,
        "drainsForSeconds": max(0.0, until - now) if target.state == "draining" and until else None,
        "traffic": _traffic(plane.traffic.summary("targets", target.key, now=now)),
    }


def _traffic(summary: Summary) -> dict[str, Any]:
    return {
        "requestsPerSecond": round(summary.rate, 2),
        "codes": dict(summary.codes),
        "connectionErrors": summary.connection_errors,
        "active": summary.active,
        "medianSeconds": summary.median,
        "p99Seconds": summary.p99,
        "overSeconds": summary.seconds,
    }
