"""The load balancers page: where each listens, what its rules do, which targets they reach and how they are.

Beside what DescribeTargetHealth says stands what only the data plane knows: sockets, rates and latencies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.config import Timing
from miniecs.control.load_balancing import forwarded_to, groups_of
from miniecs.control.routing import routed_group
from miniecs.control.target_words import asks, left, why
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.routing import ListenerPlace
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.data_plane import DataPlane
from miniecs_api.pages import names, rule_words
from miniecs_api.traffic import Summary

_USUAL = {"http": "80", "https": "443"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Where a page takes from what it says."""

    view: View
    plane: DataPlane
    now: float
    timing: Timing


def page(
    view: View, data_plane: DataPlane, *, now: float, timing: Timing, name: str | None = None
) -> dict[str, Any]:
    """All load balancers, or the one of this name or ARN. Raises NotFound and Ambiguous."""
    chosen = _all(view) if name is None else [names.load_balancer(view, name)]
    asked = _Asked(view, data_plane, now, timing)
    return {
        "proxy": data_plane.connected,
        "timeScale": timing.time_scale,
        "loadBalancers": [_load_balancer(asked, each) for each in chosen],
    }


def overview(view: View, data_plane: DataPlane) -> list[dict[str, Any]]:
    """Each load balancer in a line: where it is reached, for which services, how many targets are healthy."""
    services: dict[str, list[str]] = {}
    for service in view.all(Service):
        if service.status != "INACTIVE":
            for entry in service.revision.load_balancers:
                services.setdefault(entry.target_group_arn or "", []).append(service.name)
    return [_line(view, data_plane, each, services) for each in _all(view)]


def _line(
    view: View, plane: DataPlane, balancer: LoadBalancer, services: Mapping[str, list[str]]
) -> dict[str, Any]:
    listeners = _listeners(view, balancer)
    groups = groups_of(view, balancer.arn)
    targets = [target for arn in groups for target in view.find(Target, "target_group", arn)]
    scope = arns.scope_of(balancer.arn)
    problems = (plane.place(listener.arn) for listener in listeners)
    return {
        "name": balancer.name,
        "arn": balancer.arn,
        "account": scope.account,
        "region": scope.region,
        "dnsName": balancer.dns_name,
        "urls": [url for each in listeners for url in _urls(plane, each, balancer)],
        "problems": [place.problem for place in problems if place is not None and place.problem],
        "services": list(dict.fromkeys(name for arn in groups for name in services.get(arn, ()))),
        "targets": {
            "registered": sum(target.state != "draining" for target in targets),
            "healthy": sum(target.state == "healthy" for target in targets),
        },
    }


def listening(view: View, plane: DataPlane, balancer: LoadBalancer) -> list[str]:
    """A sentence for each listener that the proxy has told of: where it is reached, or why it is not."""
    lines = []
    for listener in _listeners(view, balancer):
        name, place = f"Listener {listener.protocol}:{listener.port}", plane.place(listener.arn)
        urls = _urls(plane, listener, balancer)
        if urls:
            lines.append(f"{name} is reached at {' and '.join(urls)}.")
        if place is not None and place.problem:
            lines.append(f"{name} {'is not at its port' if urls else 'does not listen'}: {place.problem}.")
    return lines


def _all(view: View) -> list[LoadBalancer]:
    return sorted(view.all(LoadBalancer), key=lambda each: (each.created_at, each.arn))


def _listeners(view: View, balancer: LoadBalancer) -> list[Listener]:
    found = view.find(Listener, "load_balancer", balancer.arn)
    return sorted(found, key=lambda each: each.port or 0)


def _load_balancer(asked: _Asked, balancer: LoadBalancer) -> dict[str, Any]:
    scope = arns.scope_of(balancer.arn)
    groups = (asked.view.get(TargetGroup, arn) for arn in groups_of(asked.view, balancer.arn))
    return {
        "name": balancer.name,
        "arn": balancer.arn,
        "type": balancer.type,
        "account": scope.account,
        "region": scope.region,
        "dnsName": balancer.dns_name,
        "listeners": [_listener(asked, each, balancer) for each in _listeners(asked.view, balancer)],
        "targetGroups": [_group(asked, each) for each in groups if each is not None],
    }


def _listener(asked: _Asked, listener: Listener, balancer: LoadBalancer) -> dict[str, Any]:
    place = asked.plane.place(listener.arn)
    found = asked.view.find(Rule, "listener", listener.arn)
    rules = [
        _rule(rule.arn, str(rule.priority), rule.conditions, rule.actions)
        for rule in sorted(found, key=lambda rule: rule.priority)
    ]
    return {
        "arn": listener.arn,
        "port": listener.port,
        "protocol": listener.protocol,
        "addresses": list(place.addresses) if place is not None else [],
        "alias": place.alias if place is not None else "",
        "urls": _urls(asked.plane, listener, balancer),
        "containerUrls": _container_urls(asked.plane, listener),
        "problem": place.problem if place is not None else "",
        "rules": [*rules, _rule(listener.default_rule_arn, "default", (), listener.default_actions)],
        "traffic": _traffic(asked.plane.traffic.summary("listeners", listener.arn, now=asked.now)),
    }


def _urls(plane: DataPlane, listener: Listener, balancer: LoadBalancer) -> list[str]:
    """Its own address and its name, for whoever is on this machine; nothing while it listens nowhere."""
    place: ListenerPlace | None = plane.place(listener.arn)
    if place is None:
        return []
    scheme = (listener.protocol or "HTTP").lower()
    own = [_url(scheme, address) for address in place.addresses if _is_loopback(address)]
    if not place.alias or scheme not in _USUAL:
        return own
    return [*own, _url(scheme, f"{balancer.dns_name}:{place.alias.rpartition(':')[2]}")]


def _container_urls(plane: DataPlane, listener: Listener) -> list[str]:
    """Where containers reach it."""
    place, scheme = plane.place(listener.arn), (listener.protocol or "HTTP").lower()
    addresses = place.addresses if place is not None else ()
    return [_url(scheme, address) for address in addresses if not _is_loopback(address)]


def _is_loopback(address: str) -> bool:
    return address.startswith(("127.", "[::1]"))


def _url(scheme: str, address: str) -> str:
    if scheme not in _USUAL:
        return f"{scheme}://{address}"
    return f"{scheme}://{address.removesuffix(':' + _USUAL[scheme])}/"


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
        "when": rule_words.when(conditions),
        "then": rule_words.then(actions),
    }


def _group(asked: _Asked, group: TargetGroup) -> dict[str, Any]:
    found = asked.view.find(Target, "target_group", group.arn)
    targets = sorted(found, key=lambda each: (each.id, each.port))
    routed = routed_group(asked.view, group)
    receiving = {(each.id, each.port) for each in routed.receiving}
    check = group.health_check
    return {
        "name": group.name,
        "arn": group.arn,
        "type": group.target_type,
        "healthCheck": {
            "path": check.path,
            "protocol": check.protocol,
            "intervalSeconds": check.interval,
            "text": asks(check),
        },
        "failsOpen": routed.fails_open,
        "traffic": _traffic(asked.plane.traffic.summary("groups", group.arn, now=asked.now)),
        "targets": [_target(asked, each, (each.id, each.port) in receiving) for each in targets],
    }


def _target(asked: _Asked, target: Target, receives: bool) -> dict[str, Any]:
    task = asked.view.get(Task, target.task_arn) if target.task_arn else None
    return {
        "id": target.id,
        "port": target.port,
        "zone": target.availability_zone,
        "state": target.state,
        "reason": target.reason,
        "description": target.description,
        "why": why(asked.view, target, now=asked.now, timing=asked.timing),
        "receives": receives,
        "task": arns.name_of(target.task_arn) if target.task_arn else None,
        "definition": arns.name_of(task.task_definition_arn) if task is not None else None,
        "drainsForSeconds": left(target, asked.now) if target.state == "draining" else None,
        "traffic": _traffic(asked.plane.traffic.summary("targets", target.key, now=asked.now)),
    }


def _traffic(summary: Summary) -> dict[str, Any]:
    return {
        "requestsPerSecond": round(summary.rate, 2),
        "errors": _errors(summary.codes),
        "codes": dict(summary.codes),
        "connectionErrors": summary.connection_errors,
        "active": summary.active,
        "medianSeconds": summary.median,
        "p99Seconds": summary.p99,
        "overSeconds": summary.seconds,
    }


def _errors(codes: Mapping[str, int]) -> int:
    """Answers of the 500s, the targets' and the load balancer's own; others are the clients' doing."""
    return sum(count for code, count in codes.items() if code.rpartition("_")[2].startswith("5"))
