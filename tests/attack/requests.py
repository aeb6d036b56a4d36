"""Requests made from botocore's models: right in shape, and about things that really exist.

A request of random names is refused at the first look-up and tests nothing behind it. So what earlier answers
named is remembered by kind, and members that want a cluster, a task or a rule are given one that lives;
``TEMPLATES`` are whole requests that work, for what no random choice would put together.
"""

from __future__ import annotations

import copy
import json
import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape

from .templates import DOCUMENT, EXPRESSIONS, TEMPLATES

_PER_KIND = 24  # of each kind so many are remembered: old ones make room, so that loops stay small
_DEPTH = 7


@cache
def model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def operation_model(service: str, operation: str) -> OperationModel:
    return model(service).operation_model(operation)


class Living:
    """What earlier answers named, by kind: the resource types of ARNs, and paging tokens."""

    def __init__(self) -> None:
        self._arns: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_PER_KIND))
        self._tokens: deque[str] = deque(["none"], maxlen=_PER_KIND)

    def remember(self, answer: Any) -> None:
        match answer:
            case dict():
                for key, value in answer.items():
                    if key in ("nextToken", "NextMarker") and isinstance(value, str):
                        self._tokens.append(value)
                    self.remember(value)
            case list():
                for value in answer:
                    self.remember(value)
            case str() if answer.startswith("arn:aws:"):
                parts = answer.split(":", 5)
                if parts[2] in ("ecs", "elasticloadbalancing") and len(parts) == 6:
                    known = self._arns[parts[5].split("/")[0]]
                    if answer not in known:
                        known.append(answer)

    def arn(self, rng: random.Random, *kinds: str) -> str:
        """One of these kinds, or of those whose names begin so ("targetgroup/web"); else nobody's."""
        known = [
            arn
            for kind in kinds
            for arn in self._arns[kind.partition("/")[0]]
            if arn.split(":", 5)[5].startswith(kind)
        ]
        return (
            rng.choice(known) if known else f"arn:aws:ecs:us-east-1:000000000000:{kinds[0]}/nobody/{'0' * 32}"
        )

    def token(self, rng: random.Random) -> str:
        """Where an earlier page of some list ended."""
        return rng.choice(self._tokens)

    def name(self, rng: random.Random, *kinds: str) -> str:
        """An ARN as often as the short name, the forms that a caller may choose from."""
        arn = self.arn(rng, *kinds)
        if rng.random() < 0.5:
            return arn
        resource = arn.split(":", 5)[-1]
        return resource.rsplit("/", 1)[-1]


Make = Callable[[random.Random, Living], Any]


def _any_arn(rng: random.Random, living: Living) -> str:
    kinds = [
        "cluster", "service", "task", "task-definition", "container-instance", "capacity-provider",
        "loadbalancer", "targetgroup", "listener", "listener-rule",
    ]  # fmt: skip
    return living.arn(rng, rng.choice(kinds))


def _name(prefix: str) -> Make:
    return lambda rng, living: f"{prefix}{rng.randrange(6)}"


def _of(*kinds: str) -> Make:
    return lambda rng, living: living.name(rng, *kinds)


def _arn(*kinds: str) -> Make:
    return lambda rng, living: living.arn(rng, *kinds)


def _one(*values: Any) -> Make:
    return lambda rng, living: rng.choice(values)


def _number(low: int, high: int) -> Make:
    return lambda rng, living: rng.randint(low, high)


# By member name in lower case (of a list's elements: the list's); all others are made from their shape alone.
BY_NAME: dict[str, Make] = {
    "cluster": lambda rng, living: "default" if rng.random() < 0.7 else living.name(rng, "cluster"),
    "clusters": _of("cluster"),
    "clustername": _name("c"),
    "service": _of("service"),
    "services": _of("service"),
    "servicename": _name("s"),
    "family": _name("f"),
    "familyprefix": _name("f"),
    "taskdefinition": _of("task-definition"),
    "taskdefinitions": _of("task-definition"),
    "task": _of("task"),
    "taskset": _arn("task-set"),
    "tasksets": _arn("task-set"),
    "primarytaskset": _arn("task-set"),
    "tasks": _of("task"),
    "containerinstance": _of("container-instance"),
    "containerinstances": _of("container-instance"),
    "containerinstancearn": _arn("container-instance"),
    "capacityprovider": _of("capacity-provider"),
    "capacityproviders": lambda rng, living: rng.choice(
        ["FARGATE", "FARGATE_SPOT", living.name(rng, "capacity-provider")]
    ),
    "resourcearn": _any_arn,
    "resourcearns": _any_arn,
    "targetid": _of("container-instance"),
    "loadbalancerarn": _arn("loadbalancer"),
    "loadbalancerarns": _arn("loadbalancer"),
    "targetgrouparn": _arn("targetgroup"),
    "targetgrouparns": _arn("targetgroup"),
    "listenerarn": _arn("listener"),
    "listenerarns": _arn("listener"),
    "rulearn": _arn("listener-rule"),
    "rulearns": _arn("listener-rule"),
    "nexttoken": lambda rng, living: living.token(rng),
    "marker": lambda rng, living: living.token(rng),
    "image": _one("busybox:latest", "httpd:2.4"),
    "containername": _name("n"),
    "cpu": _one("256", "512", "1024", 64, 128),
    "memory": _one("512", "1024", 64, 128),
    "desiredcount": _number(0, 6),
    "count": _number(1, 4),
    "weight": _number(0, 10),
    "base": _number(0, 5),
    "priority": _number(1, 50),
    "containerport": _one(80, 8080),
    "hostport": _one(0, 8080, 80),
    "port": _one(80, 443, 8080),
    "maximumpercent": _one(100, 150, 200),
    "minimumhealthypercent": _one(0, 50, 100),
    "maxresults": _number(1, 20),
    "pagesize": _number(1, 20),
    "expression": _one(*EXPRESSIONS),
    "filter": _one(*EXPRESSIONS),
    "field": _one("cpu", "memory", "instanceId", "attribute:ecs.availability-zone", "host"),
    "group": _name("g"),
    "startedby": _name("by"),
    "subnets": _name("subnet-"),
    "securitygroups": _name("sg-"),
    "rolearn": _one("arn:aws:iam::000000000000:role/r"),
    "taskrolearn": _one("arn:aws:iam::000000000000:role/r"),
    "executionrolearn": _one("arn:aws:iam::000000000000:role/x"),
    "status": _one("ACTIVE", "INACTIVE", "DRAINING", "RUNNING", "STOPPED"),
    "instanceidentitydocument": lambda rng, living: json.dumps(
        {**DOCUMENT, "instanceId": f"i-0123456789abcde{rng.randrange(4)}"}
    ),
    "vpcid": _one("vpc-1", "vpc-2"),
    "pathpattern": _one("/a/*", "/b"),
    "values": _one("/a/*", "example.com", "GET", "10.0.0.0/8"),
    "key": _one("idle_timeout.timeout_seconds", "deregistration_delay.timeout_seconds", "a", "b"),
    "clienttoken": _name("token"),
}


def value(
    shape: Shape, rng: random.Random, living: Living, name: str = "", depth: int = 0
) -> Any:  # a JSON value
    """A value that keeps to the shape, and where the member's name tells what is meant, means it."""
    match shape.type_name:
        case "structure":
            required = set(shape.required_members)
            chance = 0.5 if len(shape.members) < 6 else 0.2
            return {
                member: value(part, rng, living, member, depth + 1)
                for member, part in shape.members.items()
                if member in required or (depth < _DEPTH and rng.random() < chance)
            }
        case "list":
            least = int(shape.metadata.get("min", 0))
            most = min(int(shape.metadata.get("max", 3)), 3)
            length = rng.randint(min(max(least, 1), most), most)
            return [value(shape.member, rng, living, name, depth + 1) for _ in range(length)]
        case "map":
            return {
                value(shape.key, rng, living, "", depth + 1): value(shape.value, rng, living, "", depth + 1)
                for _ in range(rng.randint(0, 2))
            }
    known = BY_NAME.get(name.lower())
    if known is not None:
        made = known(rng, living)
        if shape.type_name == "string":
            return str(made)
        if isinstance(made, int):
            return made
    return _scalar(shape, rng)


def _scalar(shape: Shape, rng: random.Random) -> Any:
    match shape.type_name:
        case "string":
            if shape.enum:
                return rng.choice(shape.enum)
            least = int(shape.metadata.get("min", 0))
            return rng.choice(["a", "b-1", "name", "10", "true", "enabled"]).ljust(least, "x")
        case "integer" | "long":
            low = int(shape.metadata.get("min", 0))
            return rng.randint(low, min(int(shape.metadata.get("max", low + 100)), low + 100))
        case "float" | "double":
            return round(rng.random() * 100, 2)
        case "boolean":
            return rng.random() < 0.5
        case "timestamp":
            return 1_700_000_000 + rng.randrange(1000)
        case "blob":
            return "AAAA"
    raise AssertionError(f"no value for {shape.type_name}")


def filled(template: Any, rng: random.Random, living: Living) -> Any:
    """The template with something that lives in place of what stands in <>."""
    match template:
        case dict():
            return {key: filled(part, rng, living) for key, part in template.items()}
        case list():
            return [filled(part, rng, living) for part in template]
        case str() if template.startswith("<?"):
            return f"{template[2:-1]}{rng.randrange(6)}"
        case str() if template.startswith("<"):
            return living.arn(rng, template[1:-1])
    return copy.copy(template)


_DESTROYERS = ("Delete", "Deregister")


def choose(operations: Sequence[tuple[str, str]], rng: random.Random) -> tuple[str, str]:
    """An operation: half of the time one that has templates; those that destroy not as often as the rest."""
    while True:
        service, operation = rng.choice(operations) if rng.random() < 0.5 else rng.choice(TEMPLATES)[:2]
        if not operation.startswith(_DESTROYERS) or rng.random() < 0.4:
            return service, operation


def make(service: str, operation: str, rng: random.Random, living: Living) -> dict[str, Any]:
    """The parameters of one request: by a template for some of those that have one, else by shape."""
    known = [params for s, o, params in TEMPLATES if (s, o) == (service, operation)]
    if known and rng.random() < 0.7:
        params: dict[str, Any] = filled(rng.choice(known), rng, living)
        return params
    shape = operation_model(service, operation).input_shape
    return {} if shape is None else dict(value(shape, rng, living))
