"""From what a person types (an id or its first digits, a name, an ARN) to the object that is meant.

People copy eight digits from `miniecs ps`; AWS's API wants a cluster and a whole id. Every account and region
is searched, because a name that exists but stays unfound explains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import LoadBalancer, TargetGroup
from miniecs.model.service import Service
from miniecs.model.task import Task

Named = Service | Task | ContainerInstance | Cluster
B = TypeVar("B", LoadBalancer, TargetGroup, CapacityProvider)

_DIGITS = re.compile(r"^[0-9a-f]{8,}$")
_KINDS: tuple[tuple[type[Named], str], ...] = (
    (Service, "service"),
    (Task, "task"),
    (ContainerInstance, "container instance"),
    (Cluster, "cluster"),
)


class NotFound(LookupError):
    """Nothing has the name; the message says what to do."""


class Ambiguous(LookupError):
    """Several things have the name; the message lists them."""


def kind_of(thing: Named) -> str:
    """ECS's word for it, e.g. ``container instance``."""
    return next(word for kind, word in _KINDS if isinstance(thing, kind))


def find(
    view: View,
    name: str,
    *,
    kinds: Iterable[type[Named]] = (),
    cluster: str | None = None,
    others: Iterable[str] = (),
) -> Named:
    """The one object of these kinds (all, when none is given) with the name, in the cluster if one is given.

    Live objects come before deleted ones of the same name. Raises NotFound and Ambiguous. others: what the
    caller looks for besides, to be named where nothing is found.
    """
    wanted = tuple(kinds) or tuple(kind for kind, _ in _KINDS)
    found = [thing for kind in wanted for thing in _named(view, kind, name)]
    if cluster is not None:
        found = [thing for thing in found if in_cluster(thing, cluster)]
    found = [thing for thing in found if _is_live(thing)] or found
    if len(found) == 1:
        return found[0]
    *words, last = (*(word for kind, word in _KINDS if kind in wanted), *others)
    listed = f"{', '.join(words)} or {last}" if words else last
    where = "" if cluster is None else f" in cluster {cluster!r}"
    if not found:
        raise NotFound(f"There is no {listed} {name!r}{where}. {_advice(name)}")
    listed = ", ".join(thing.arn for thing in found[:5]) + (" …" if len(found) > 5 else "")
    raise Ambiguous(f"{name!r} can be {len(found)} things: {listed}. Give more digits or the ARN.")


def load_balancer(view: View, name: str) -> LoadBalancer:
    """The one with the name, ARN or DNS name. Raises NotFound and Ambiguous."""
    found = _balancers(view, name)
    if not found:
        there = ", ".join(sorted(each.name for each in view.all(LoadBalancer))) or "none"
        raise NotFound(f"There is no load balancer {name!r}; there are: {there}.")
    return _only(found, name)


def balancing(view: View, name: str) -> LoadBalancer | TargetGroup | None:
    """The load balancer of the name, ARN or DNS name, else the target group; None. Raises Ambiguous."""
    balancers = _balancers(view, name)
    if balancers:
        return _only(balancers, name)
    groups = [each for each in view.all(TargetGroup) if name in (each.name, each.arn)]
    return _only(groups, name) if groups else None


def capacity_provider(view: View, name: str) -> CapacityProvider | None:
    """The one with the name or ARN that is not deleted; None. Raises Ambiguous."""
    found = [
        each
        for each in view.all(CapacityProvider)
        if name in (each.name, each.arn) and each.status != "INACTIVE"
    ]
    return _only(found, name) if found else None


def _balancers(view: View, name: str) -> list[LoadBalancer]:
    return [each for each in view.all(LoadBalancer) if name in (each.name, each.arn, each.dns_name)]


def _only(found: list[B], name: str) -> B:
    if len(found) > 1:
        listed = ", ".join(each.arn for each in found)
        raise Ambiguous(f"{name!r} can be {len(found)} things: {listed}. Give the ARN.")
    return found[0]


def in_cluster(thing: Named, cluster: str) -> bool:
    """Whether it belongs to the cluster of this name or ARN."""
    arn = thing.arn if isinstance(thing, Cluster) else thing.cluster_arn
    return cluster in (arn, arns.name_of(arn))


def _named(view: View, kind: type[Named], name: str) -> Iterator[Named]:
    if name.startswith("arn:"):
        thing = view.get(kind, name)
        if thing is not None:
            yield thing
        return
    id_part = _DIGITS.match(name) is not None
    for thing in view.all(kind):
        own = arns.name_of(thing.arn)
        if (
            own == name
            or (id_part and isinstance(thing, (Task, ContainerInstance)) and own.startswith(name))
            or (isinstance(thing, ContainerInstance) and thing.ec2_instance_id == name)
        ):
            yield thing


def _is_live(thing: Named) -> bool:
    match thing:
        case Task():
            return not thing.is_stopped
        case Service():
            return thing.status == "ACTIVE"  # a DRAINING one was deleted
    return thing.status != "INACTIVE"


def _advice(name: str) -> str:
    if re.match(r"^[0-9a-f]{1,7}$", name):
        return "Give at least 8 digits of an id; `miniecs ps --all` lists them."
    return "`miniecs status` lists clusters and services, `miniecs ps --all` tasks and instances."
