"""The shell: what is due is done, what is stale is planned again, and a step always ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.control.plan import NOTHING, AdvanceTask, Key, Plan
from miniecs.model import arns
from miniecs.model.cluster import Cluster, IdempotencyRecord
from miniecs.model.task import Task

from .cases import CLUSTER, SCOPE, completed, definition, service, stopping, task
from .lab import WEB, Lab


def idle_lab() -> Lab:
    lab = Lab(definition(1), instances=1)
    lab.settle()
    return lab


def test_an_idle_reconciler_wants_nothing() -> None:
    lab = idle_lab()
    assert not lab.reconciler.has_work(lab.now)
    assert lab.reconciler.step(lab.now) is None
    lab.put(service(0, completed(1, 0)))
    assert lab.reconciler.has_work(lab.now)


def test_a_stale_plan_is_made_again() -> None:
    lab = idle_lab()
    pending = stopping("a", status="PENDING", service_arn=None)
    lab.put(pending)
    real = lab.reconciler.plan
    stale = [True]

    def plan(key: Key, now: float, *, retry: bool = False) -> Plan:
        if key.loop == "task" and stale:
            stale.clear()
            return Plan((AdvanceTask(pending, lab.store.version(Task, pending.arn) - 1, "STOPPING", "x"),))
        return real(key, now, retry=retry)

    lab.reconciler.plan = plan  # type: ignore[method-assign]
    wake = lab.reconciler.step(lab.now)
    assert wake is not None
    assert wake > lab.now
    assert [t.last_status for t in lab.tasks()] == ["PENDING"]
    lab.settle()
    assert [t.last_status for t in lab.tasks()] == ["STOPPING"]


def test_a_wake_that_is_not_later_does_not_spin() -> None:
    lab = idle_lab()
    asked = []

    def plan(key: Key, now: float, *, retry: bool = False) -> Plan:
        asked.append(now)
        return Plan((), wake_at=now)

    lab.reconciler.plan = plan  # type: ignore[method-assign]
    lab.put(stopping("a", service_arn=None))
    wake = lab.reconciler.step(lab.now)
    assert len(asked) == 1
    assert wake is not None
    assert wake > lab.now


def test_a_service_rests_between_plans() -> None:
    lab = idle_lab()
    lab.deploy(replace(service(1), deployments=()))
    planned: list[float] = []
    real = lab.reconciler.plan

    def plan(key: Key, now: float, *, retry: bool = False) -> Plan:
        if key.id == WEB:
            planned.append(now)
        return real(key, now, retry=retry)

    lab.reconciler.plan = plan  # type: ignore[method-assign]
    start = lab.now
    for n in range(20):
        lab.put(replace(lab.service, health_check_grace_period=n))
        lab.run(0.01)
    assert planned[0] == start
    assert all(later - earlier >= 0.049 for earlier, later in zip(planned, planned[1:], strict=False))
    assert len(planned) <= 5


def test_a_loop_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no control loop is called nonsense"):
        idle_lab().reconciler.plan(Key("nonsense", "x"), 0.0)


def test_what_lingers_goes_when_its_time_has_come() -> None:
    lab = idle_lab()
    lab.put(
        replace(
            CLUSTER, arn=arns.cluster(SCOPE, "old"), name="old", status="INACTIVE", inactive_at=lab.now
        ),
        IdempotencyRecord(SCOPE, "RunTask", "t", "d", (), lab.now + 100),
    )
    lab.run(99)
    assert len(list(lab.store.all(IdempotencyRecord))) == 1
    lab.run(2)
    assert list(lab.store.all(IdempotencyRecord)) == []
    lab.run(3498)
    assert [cluster.name for cluster in lab.store.all(Cluster)] == ["default", "old"]
    lab.run(2)
    assert [cluster.name for cluster in lab.store.all(Cluster)] == ["default"]
    assert lab.reconciler.step(lab.now) is None


def test_after_a_wipe_everything_is_looked_at_anew() -> None:
    lab = idle_lab()
    lab.deploy(replace(service(1), deployments=()))
    lab.settle()
    lab.store.wipe()
    lab.fleets.rebuild()
    lab.reconciler.queue_everything()
    assert not lab.reconciler.has_work(lab.now)
    assert lab.reconciler.step(lab.now) is None
    assert lab.reconciler.plan(Key("task", task("a").arn), lab.now) == NOTHING
