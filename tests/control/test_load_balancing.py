"""Who uses a target group, and which attribute values hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from miniecs.control import load_balancing
from miniecs.model import arns
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, TargetGroup
from miniecs.model.load_balancing_attributes import attributes_of, effective
from miniecs.model.scope import Scope
from miniecs.store.memory import MemoryStore

HERE, ELSEWHERE = Scope("000000000000", "us-east-1"), Scope("000000000000", "eu-west-1")
BALANCER = arns.load_balancer(HERE, "app", "web", "a" * 16)
OTHER = arns.load_balancer(HERE, "app", "other", "b" * 16)


def group(name: str, scope: Scope = HERE) -> str:
    return arns.target_group(scope, name, name.encode().hex()[:16])


BLUE, GREEN, IDLE = (group(name) for name in ("blue", "green", "idle"))


def forward(*groups: str) -> tuple[dict[str, Any], ...]:
    return ({"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": g} for g in groups]}},)


FIXED = ({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}},)


def listener(balancer: str, id: str, actions: tuple[dict[str, Any], ...]) -> Listener:
    return Listener(arns.listener(balancer, id), balancer, 80, "HTTP", actions)


def rule(of: Listener, id: str, actions: tuple[dict[str, Any], ...]) -> Rule:
    return Rule(arns.listener_rule(of.arn, id), of.arn, int(id), (), actions)


def store_of(things: Iterable[object]) -> MemoryStore:
    store = MemoryStore()
    with store.transaction() as tx:
        for thing in things:
            tx.put(thing)
    return store


FIRST = listener(BALANCER, "1", forward(BLUE))
SECOND = listener(BALANCER, "2", FIXED)
THIRD = listener(OTHER, "3", FIXED)
STORE = store_of([FIRST, SECOND, THIRD, rule(SECOND, "5", forward(BLUE, GREEN)), rule(SECOND, "6", FIXED)])


def test_listeners_using() -> None:
    assert load_balancing.listeners_using(STORE, BLUE) == [FIRST, SECOND]
    assert load_balancing.listeners_using(STORE, GREEN) == [SECOND]
    assert load_balancing.listeners_using(STORE, IDLE) == []


def test_load_balancers_of() -> None:
    assert load_balancing.load_balancer_arns_of(STORE, BLUE) == (BALANCER,)
    assert load_balancing.load_balancer_arns_of(STORE, IDLE) == ()
    assert load_balancing.in_use(STORE, GREEN) and not load_balancing.in_use(STORE, IDLE)
    assert load_balancing.users(STORE, HERE) == {BLUE: (BALANCER,), GREEN: (BALANCER,)}
    assert load_balancing.users(STORE, ELSEWHERE) == {}
    assert load_balancing.groups_of(STORE, BALANCER) == (BLUE, GREEN)
    assert load_balancing.groups_of(STORE, OTHER) == ()


def test_attributes() -> None:
    plain = TargetGroup(BLUE, "blue")
    assert load_balancing.deregistration_delay(plain) == 300.0
    short = TargetGroup(BLUE, "blue", attributes=(("deregistration_delay.timeout_seconds", "7"),))
    assert load_balancing.deregistration_delay(short) == 7.0
    balancer = LoadBalancer(BALANCER, "web")
    assert load_balancing.attribute(balancer, "idle_timeout.timeout_seconds") == "60"
    assert load_balancing.attribute(FIRST, "routing.http.response.server.enabled") == "true"
    with pytest.raises(KeyError):
        load_balancing.attribute(balancer, "tcp.idle_timeout.seconds")


@pytest.mark.parametrize(
    "thing",
    [
        LoadBalancer(BALANCER, "web"),
        LoadBalancer(BALANCER, "web", type="network", scheme="internal"),
        *(
            TargetGroup(BLUE, "blue", protocol=protocol, target_type=type)
            for protocol in ("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP")
            for type in ("instance", "ip")
        ),
        *(
            Listener("l", BALANCER, 80, protocol, ())
            for protocol in ("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP")
        ),
    ],
)
def test_every_default_is_an_allowed_value_and_every_key_is_there_once(
    thing: LoadBalancer | TargetGroup | Listener,
) -> None:
    known = attributes_of(thing)
    assert all(attribute.allows(attribute.default) for attribute in known)
    assert list(effective(thing)) == [attribute.key for attribute in known]
