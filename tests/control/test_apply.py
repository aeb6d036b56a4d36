"""Writing: an event exactly when the version rises, nothing at all when a plan is stale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniecs.apply import Applier, service_message, write_instance, write_service, write_task
from miniecs.config import Timing
from miniecs.control import rollout
from miniecs.control.deployments import after_task
from miniecs.control.plan import AdvanceTask, Plan, Say, StopTask
from miniecs.ids import Ids
from miniecs.model.event import Event, EventKind
from miniecs.model.instance import Attribute
from miniecs.model.service import CircuitBreaker, DeploymentConfiguration, Service
from miniecs.model.task import Task
from miniecs.store import MemoryStore, Stale
from miniecs_scheduler import Decision, Request

from .cases import NOW, completed, deployment, instance, service, stopping, task


def events(store: MemoryStore, kind: EventKind) -> list[Event]:
    return [replace(event, seq=0) for event in store.events(kinds=(kind,))]


def no_place(cluster: str, request: Request) -> Decision:
    raise AssertionError("nothing was to be placed")


def apply(store: MemoryStore, plan: Plan) -> None:
    with store.transaction() as tx:
        Applier(tx, NOW, Ids(seed=1), Timing(), no_place).apply(plan)


def test_a_told_change_of_a_task_raises_its_version_once_and_is_an_event() -> None:
    store = MemoryStore()
    before = task("a", status="PENDING", service_arn=None)
    with store.transaction() as tx:
        write_task(tx, None, before, now=NOW, because="new")
        running = write_task(tx, before, replace(before, last_status="RUNNING"), now=NOW + 1, because="up")
        quiet = write_task(tx, running, replace(running, connectivity="CONNECTED"), now=NOW + 2)
    assert (before.version, running.version, quiet.version) == (1, 2, 2)
    assert store.get(Task, before.arn) == quiet
    assert events(store, EventKind.TASK) == [
        Event(EventKind.TASK, before.arn, NOW, because="new", state=before),
        Event(EventKind.TASK, before.arn, NOW + 1, because="up", state=running),
    ]


def test_a_told_change_of_an_instance_likewise() -> None:
    store = MemoryStore()
    before = instance(1)
    with store.transaction() as tx:
        write_instance(tx, None, before, now=NOW)
        tagged = write_instance(tx, before, replace(before, agent_update_status="PENDING"), now=NOW)
        more = write_instance(tx, tagged, replace(tagged, attributes=(Attribute("a"),)), now=NOW)
    assert (tagged.version, more.version) == (1, 2)
    assert [event.state for event in events(store, EventKind.CONTAINER_INSTANCE)] == [before, more]


def test_deployments_are_told_as_they_begin_complete_and_fail() -> None:
    store = MemoryStore()
    begun = rollout.begin(
        service(1), service(1).revision, now=NOW, ids=Ids(seed=1)
    ).service
    new = begun.primary
    failed = replace(new, rollout_state="FAILED", rollout_state_reason="no")
    with store.transaction() as tx:
        write_service(tx, service(1), begun, now=NOW)
        write_service(tx, begun, replace(begun, desired_count=2), now=NOW)
        write_service(tx, begun, replace(begun, deployments=(failed, *begun.deployments[1:])), now=NOW)
    assert [(e.name, e.level, e.id, e.reason) for e in events(store, EventKind.DEPLOYMENT)] == [
        ("SERVICE_DEPLOYMENT_IN_PROGRESS", "INFO", new.id, f"ECS deployment {new.id} in progress."),
        ("SERVICE_DEPLOYMENT_FAILED", "ERROR", new.id, "no"),
    ]


def test_service_messages_name_their_service() -> None:
    store = MemoryStore()
    of = service(1)
    with store.transaction() as tx:
        service_message(tx, of, "has reached a steady state.", now=NOW, ids=Ids(seed=1), because="so")
    (said,) = events(store, EventKind.SERVICE_MESSAGE)
    assert (said.resource, said.message, said.because, len(said.id)) == (
        of.arn,
        "(service web) has reached a steady state.",
        "so",
        36,
    )


def test_a_stale_plan_does_nothing() -> None:
    store = MemoryStore()
    first, second = task("a", service_arn=None), task("b", service_arn=None)
    with store.transaction() as tx:
        tx.put(first)
        tx.put(second)
    version = store.version(Task, first.arn)
    plan = Plan(
        (
            StopTask(first, version, "c", "r", "b"),
            AdvanceTask(second, version - 1, "STOPPED", "b"),
        )
    )
    with pytest.raises(Stale):
        apply(store, plan)
    assert list(store.all(Task)) == [first, second]
    assert events(store, EventKind.TASK) == []


def test_two_actions_on_one_task_build_on_each_other() -> None:
    store = MemoryStore()
    lost = task("a", service_arn=None)
    with store.transaction() as tx:
        tx.put(lost)
    version = store.version(Task, lost.arn)
    apply(
        store,
        Plan((StopTask(lost, version, "c", "r", "x"), AdvanceTask(lost, version, "STOPPED", "y"))),
    )
    ended = store.get(Task, lost.arn)
    assert ended is not None
    assert (ended.last_status, ended.desired_status, ended.stopped_reason, ended.version) == (
        "STOPPED",
        "STOPPED",
        "r",
        3,
    )


def test_a_sentence_with_a_name_is_a_service_action_too() -> None:
    store = MemoryStore()
    of = service(1)
    apply(store, Plan((Say(of, "text", "so", name="SERVICE_STEADY_STATE"),)))
    assert [e.message for e in events(store, EventKind.SERVICE_MESSAGE)] == ["(service web) text"]
    assert events(store, EventKind.SERVICE_ACTION) == [
        Event(EventKind.SERVICE_ACTION, of.arn, NOW, because="so", name="SERVICE_STEADY_STATE")
    ]


def failed_task(created_at: float) -> Task:
    return stopping(
        "x", status="STOPPED", started_at=None, stop_code="TaskFailedToStart", created_at=created_at
    )


def test_a_batch_of_failures_counts_each_task_and_one_launch() -> None:
    of = service(3, deployment(1, desired_count=3))
    for n in range(3):
        pending = task("x", status="PENDING", created_at=NOW - 10)
        of = after_task(of, pending, failed_task(NOW - 10), now=NOW + n)
    assert (of.primary.failed_tasks, of.primary.launch_failures, of.primary.last_failure_at) == (3, 1, NOW)
    of = after_task(of, task("x", status="PENDING"), failed_task(NOW + 5), now=NOW + 9)
    assert (of.primary.failed_tasks, of.primary.launch_failures) == (4, 2)
    of = after_task(of, task("x", status="PENDING"), task("x"), now=NOW + 10)
    assert (of.primary.failed_tasks, of.primary.launch_failures) == (4, 0)


def test_what_does_not_count_as_a_failed_launch() -> None:
    of = service(1, completed(1, 1))
    pending = task("x", status="PENDING")
    by_user = replace(failed_task(NOW), stop_code="UserInitiated")
    ran = replace(failed_task(NOW), started_at=NOW)
    for after in (by_user, ran, pending, replace(failed_task(NOW), deployment_id="ecs-svc/9")):
        assert after_task(of, pending, after, now=NOW) is of
    proven = after_task(of, pending, failed_task(NOW), now=NOW)
    assert (proven.primary.failed_tasks, proven.primary.launch_failures) == (0, 1)


def exited_task() -> Task:
    return replace(failed_task(NOW), started_at=NOW, stop_code="EssentialContainerExited")


def test_a_task_that_ran_and_exited_is_a_failed_one_until_another_was_healthy() -> None:
    """It delays no launch: only tasks that never ran do."""
    of = service(3, deployment(1, desired_count=3))
    for n in range(3):
        of = after_task(of, task("x"), exited_task(), now=NOW + n)
    assert (of.primary.failed_tasks, of.primary.launch_failures) == (3, 0)
    by_user = replace(exited_task(), stop_code="UserInitiated")
    assert after_task(of, task("x"), by_user, now=NOW) is of
    proven = replace(of, deployments=(replace(of.primary, proven=True),))
    assert after_task(proven, task("x"), exited_task(), now=NOW) is proven
    failed = replace(of, deployments=(replace(of.primary, rollout_state="FAILED"),))
    assert after_task(failed, task("x"), exited_task(), now=NOW) is failed


def test_with_a_count_that_is_never_reset_it_is_one_even_then() -> None:
    breaker = CircuitBreaker(enable=True, reset_on_healthy_task=False)
    of = service(3, deployment(1), config=DeploymentConfiguration(circuit_breaker=breaker))
    of = replace(of, deployments=(replace(of.primary, proven=True),))
    assert after_task(of, task("x"), exited_task(), now=NOW).primary.failed_tasks == 1


def test_the_counts_are_written_with_the_task() -> None:
    store = MemoryStore()
    of = service(1, deployment(1, desired_count=1))
    pending = task("x", status="PENDING")
    with store.transaction() as tx:
        tx.put(of)
        tx.put(pending)
        write_task(tx, pending, failed_task(NOW - 10), now=NOW)
    written = store.get(Service, of.arn)
    assert written is not None
    assert written.primary.failed_tasks == 1
