"""Which change wakes whom: one rule a line."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from miniecs.control.plan import Key
from miniecs.control.wakes import Wakes
from miniecs.model import arns

from .cases import SCOPE, FakeView, completed, deployment, instance, service, stopping, target, task

WEB = Key("service", arns.service(SCOPE, "default", "web"))
A = task("a")
TASK = Key("task", A.arn)


def woken(before: Any, after: Any, *things: Any) -> list[Key]:
    return [key for key, _ in taken(before, after, *things)]


def taken(before: Any, after: Any, *things: Any) -> list[tuple[Key, bool]]:
    wakes = Wakes(FakeView(*things))
    wakes.restart()
    wakes.take()
    change = SimpleNamespace(kind=type(after or before), before=before, after=after)
    wakes.note(SimpleNamespace(changes=[change]))
    return wakes.take()


def test_tasks() -> None:
    assert woken(None, task("a", status="PENDING")) == [WEB]
    assert woken(task("a", status="PENDING"), A) == [WEB]
    assert woken(A, replace(A, connectivity="CONNECTED")) == []
    assert woken(A, replace(A, health_status="UNHEALTHY")) == [WEB]
    assert woken(A, stopping("a", status="RUNNING")) == [WEB, TASK]
    assert woken(None, task("a", status="PROVISIONING", service_arn=None)) == [TASK]
    assert woken(stopping("a"), stopping("a", status="STOPPED")) == [WEB, TASK]
    assert woken(stopping("a", status="STOPPED"), None) == []


def test_a_stopped_task_is_capacity_for_whoever_is_blocked() -> None:
    blocked = replace(service(1, deployment(1, blocked_until=5.0)), arn="arn:blocked")
    ended = stopping("a", status="STOPPED", service_arn=None)
    assert taken(stopping("a", service_arn=None), ended, blocked) == [
        (TASK, False),
        (Key("service", "arn:blocked"), True),
    ]
    assert taken(None, instance(1), blocked) == [(Key("service", "arn:blocked"), True)]
    assert taken(instance(1), replace(instance(1), agent_connected=False), blocked) == [
        (Key("service", "arn:blocked"), True)
    ]
    assert taken(instance(1), replace(instance(1), agent_hash="x"), blocked) == []


def test_the_last_other_task_of_a_draining_instance_wakes_daemons() -> None:
    daemon = replace(service(1, completed(1, 1), scheduling_strategy="DAEMON"), arn="arn:daemon")
    ended = stopping("a", status="STOPPED", service_arn=None)
    before = stopping("a", service_arn=None)
    draining = instance(1, status="DRAINING")
    assert woken(before, ended, daemon, draining) == [TASK, Key("service", "arn:daemon")]
    assert woken(before, ended, daemon, instance(1)) == [TASK]
    assert woken(None, instance(2), daemon) == [Key("service", "arn:daemon")]


def test_instances() -> None:
    gone = instance(1, status="INACTIVE")
    assert woken(instance(1), gone, gone, A) == [Key("instance", gone.arn), TASK, WEB]
    draining = instance(1, status="DRAINING")
    assert woken(instance(1), draining, draining, A) == [WEB]


def test_services() -> None:
    of = service(1, deployment(1, blocked_until=5.0))
    assert taken(None, of) == [(WEB, False)]
    assert taken(of, replace(of, desired_count=2), of) == [(WEB, True)]
    assert taken(of, replace(of, steady=True), of) == [(WEB, False)]
    assert taken(of, None, of) == []


def test_targets() -> None:
    healthy = target(A)
    key = Key("target", healthy.key)
    assert woken(healthy, replace(healthy, successes=9), A) == []
    assert woken(healthy, replace(healthy, state="unhealthy"), A) == [WEB]
    assert woken(healthy, replace(healthy, state="draining"), A) == [key, WEB]
    unwanted = stopping("a", status="DEACTIVATING")
    assert woken(healthy, None, unwanted) == [TASK, WEB]
    assert woken(replace(healthy, task_arn=None), None) == []


def test_a_restart_touches_everything_and_tries_blocked_placements() -> None:
    wakes = Wakes(FakeView(service(1), A, instance(1), target(A, state="draining")))
    wakes.restart()
    assert wakes.take() == [
        (WEB, True),
        (TASK, False),
        (Key("target", target(A).key), False),
        (Key("instance", instance(1).arn), False),
    ]
