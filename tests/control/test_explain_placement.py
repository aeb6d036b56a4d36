"""Kept decisions: of every launch, found from the task and the service, bounded, there after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from miniecs.apply import keep_decision, keep_failure
from miniecs.control import messages
from miniecs.control.explain import explain_service, explain_task
from miniecs.control.explain_placement import decision_of, decisions, document, last_placement
from miniecs.fleets import Fleets
from miniecs.model import arns
from miniecs.model.cluster import CapacityProvider, CapacityProviderStrategyItem
from miniecs.model.event import EventKind
from miniecs.model.service import Revision
from miniecs.store import MemoryStore
from miniecs.store.outbox import DECISIONS
from miniecs.store.sqlite import SqliteStore
from miniecs_scheduler import Request, Resources, decide

from .cases import CLUSTER, NOW, SCOPE, TIMING, definition, instance, service, task
from .lab import WEB, Lab

HEADLINE = "Placement of 3 tasks of service:web, each with 128 CPU units, 128 MiB."


def a_lab(desired: int = 3, **fields: Any) -> Lab:
    lab = Lab(definition(1), definition(2), **fields)
    lab.deploy(service(desired), Revision(arns.task_definition(SCOPE, "web", 1)))
    lab.settle()
    return lab


def test_a_batch_is_kept_once_and_explains_the_service_and_each_task() -> None:
    lab = a_lab()
    (kept,) = decisions(lab.store, WEB)
    assert (kept.message, kept.because) == (
        "3 tasks placed; 3 container instances considered",
        "0 of 3 tasks are in order; maximumPercent 200 allows 6 at once and 0 are there: starts 3",
    )
    lines = explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert f"{lab.now - kept.at:.0f} s ago: {HEADLINE}" in lines
    shown = document(kept)
    assert (shown["tasks"], shown["placed"], shown["considered"], shown["hosts"]) == (3, 3, 3, 3)
    for each in lab.tasks():
        assert decision_of(lab.store, each) == kept
        assert HEADLINE in explain_task(lab.store, each, now=lab.now, timing=lab.timing)


def test_each_task_is_explained_by_the_decision_that_placed_it() -> None:
    lab = a_lab(1)
    (first,) = lab.tasks()
    lab.start_pending()
    lab.run(50)
    lab.put(service(1))
    lab.deploy(lab.service, Revision(arns.task_definition(SCOPE, "web", 2)))
    lab.settle()
    (second,) = [each for each in lab.tasks() if each.arn != first.arn]
    kept = decisions(lab.store, WEB)
    assert [decision_of(lab.store, each) for each in (first, second)] == kept
    assert len(kept) == 2


def test_what_found_no_host_is_kept_with_what_would_help() -> None:
    lab = a_lab(2, instances=1, memory=200)
    (kept,) = decisions(lab.store, WEB)
    shown = document(kept)
    assert (shown["tasks"], shown["placed"], shown["unplaced"]["tasks"]) == (2, 1, 1)
    assert shown["unplaced"]["suggestion"] == "56 MiB short on the best host, ci1"
    lines = explain_service(lab.store, lab.service, now=lab.now, timing=lab.timing)
    assert any(line.startswith("  1 task not placed; of 1 container instances") for line in lines)
    assert lines[-1] == "  What would help: 56 MiB short on the best host, ci1."


def request(memory: int, count: int = 2) -> Request:
    return Request(Resources(128, memory), count, "family:web")


def with_hosts(store: MemoryStore | SqliteStore) -> Fleets:
    fleets = Fleets(store)
    with store.transaction() as tx:
        for thing in (CLUSTER, definition(1), instance(1), instance(2)):
            tx.put(thing)
    return fleets


def run_tasks(store: MemoryStore | SqliteStore, fleets: Fleets, at: float, *names: str) -> None:
    """As RunTask does, each on an instance of its own."""
    with store.transaction() as tx:
        made = [
            task(name, created_at=at, on=n, service_arn=None, deployment_id=None)
            for n, name in enumerate(names, 1)
        ]
        for each in made:
            tx.put(each)
        decision = decide(fleets.of(CLUSTER.arn), request(128, len(names)))
        keep_decision(tx, made[0].arn, decision, now=at, because="RunTask was called")


def test_tasks_that_were_run_together_share_a_decision() -> None:
    store = MemoryStore()
    fleets = with_hosts(store)
    run_tasks(store, fleets, NOW, "a", "b")
    run_tasks(store, fleets, NOW + 1, "c")
    a, b = (task(name, created_at=NOW, service_arn=None) for name in "ab")
    c = task("c", created_at=NOW + 1, service_arn=None)
    assert decision_of(store, a) == decision_of(store, b) == decisions(store, a.arn)[0]
    assert decision_of(store, c) == decisions(store, c.arn)[0]
    assert decision_of(store, task("d", created_at=NOW + 2, service_arn=None)) is None


def test_a_failure_that_repeats_is_kept_once_and_all_are_bounded() -> None:
    store = MemoryStore()
    fleets = with_hosts(store)

    def fail(memory: int) -> None:
        with store.transaction() as tx:
            decision = decide(fleets.of(CLUSTER.arn), request(memory))
            keep_failure(tx, CLUSTER.arn, decision, now=NOW)

    for _ in range(3):
        fail(9000)
    assert len(decisions(store, CLUSTER.arn)) == 1
    for memory in range(9001, 9001 + 2 * DECISIONS):
        fail(memory)
    assert len(decisions(store, CLUSTER.arn)) == DECISIONS
    first, *_, last = last_placement(store, CLUSTER.arn, now=NOW + 5)
    asked = f"2 tasks of family:web, each with 128 CPU units, {memory} MiB"
    assert first == f"5 s ago: Placement of {asked}: none placed."
    assert last.startswith("  What would help: 4944 MiB short on the best host, ci")


def test_decisions_survive_a_restart(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "miniecs.db")
    run_tasks(store, with_hosts(store), NOW, "a")
    asked = task("a", created_at=NOW, service_arn=None)
    before = explain_task(store, asked, now=NOW, timing=TIMING)
    store.close()
    again = SqliteStore(tmp_path / "miniecs.db")
    assert explain_task(again, asked, now=NOW, timing=TIMING) == before
    assert any(line.startswith("Placement of 1 task of family:web") for line in before)
    again.close()


def test_a_task_that_waited_for_its_provider_is_explained_by_what_placed_it_in_the_end() -> None:
    store = MemoryStore()
    fleets = with_hosts(store)
    waited = task("w", created_at=NOW, service_arn=None, capacity_provider_name="asg")
    with store.transaction() as tx:
        tx.put(waited)
        fails = decide(fleets.of(CLUSTER.arn), request(9000, 1))
        keep_decision(tx, waited.arn, fails, now=NOW, because="RunTask was called")
        placed = decide(fleets.of(CLUSTER.arn), request(128, 2))
        keep_decision(tx, waited.arn, placed, now=NOW + 30, because="an instance has joined")
    first = decision_of(store, waited)
    assert first is not None and first.at == NOW, "it waits still"
    found = decision_of(store, replace(waited, placed_at=NOW + 30))
    assert found is not None and (found.at, found.because) == (NOW + 30, "an instance has joined")


def unplaceable(lab: Lab, memory: int, *, tasks: int = 1, **revision: Any) -> None:
    """The service wants tasks of a size that no instance has free."""
    lab.put(definition(3, memory=memory), replace(lab.service, deployments=()))
    wanted = Revision(arns.task_definition(SCOPE, "web", 3), **revision)
    lab.deploy(replace(lab.service, desired_count=tasks), wanted)
    lab.settle()


def named_by_the_last_event(lab: Lab) -> str | None:
    return messages.closest_in(lab.store.events(WEB, (EventKind.SERVICE_MESSAGE,))[-1].message)


def test_event_and_record_name_the_same_host_as_the_closest() -> None:
    lab = a_lab(0, memory=2000)
    lab.change(instance(2), memory=2500)
    unplaceable(lab, 3000)
    (kept,) = decisions(lab.store, WEB)
    assert document(kept)["unplaced"]["closest"] == named_by_the_last_event(lab) == "ci2"
    assert not any("service event" in line for line in last_placement(lab.store, WEB, now=lab.now))


def test_an_event_that_is_not_repeated_names_the_host_that_was_the_closest_then() -> None:
    lab = a_lab(0, memory=2000)
    unplaceable(lab, 3000)
    said_at, first = lab.now, named_by_the_last_event(lab)
    lab.run(30)
    lab.change(instance(2), memory=2500, version=2)
    lab.put(instance(4, memory=2600))
    lab.run(61)
    assert named_by_the_last_event(lab) == first != "ci4"
    assert document(decisions(lab.store, WEB)[-1])["unplaced"]["closest"] == "ci4"
    lines = last_placement(lab.store, WEB, now=lab.now)
    ago = f"{lab.now - said_at + 1:.0f} s ago"
    assert lines[-1].startswith(f"  The service event of {ago} names {first}, which was the closest then: ")


def test_what_is_said_anew_is_kept_anew() -> None:
    """It is in the same words as before: it is kept all the same, or event and record would differ."""
    lab = a_lab(0, memory=2000)
    unplaceable(lab, 3000)
    first = named_by_the_last_event(lab)
    lab.put(replace(lab.service, desired_count=0))
    lab.run(1)
    assert lab.service.steady
    gone = next(each for each in (1, 2, 3) if f"ci{each}" == first)
    lab.change(instance(gone), status="INACTIVE")
    lab.put(instance(4, memory=2000), replace(lab.service, desired_count=1))
    lab.run(61)
    before, after = decisions(lab.store, WEB)[-2:]
    assert before.message == after.message
    assert named_by_the_last_event(lab) not in (None, first)
    assert document(after)["unplaced"]["closest"] == named_by_the_last_event(lab)


def test_what_each_providers_share_lacks_is_kept_told_and_no_other_closest_than_the_events() -> None:
    on_both = tuple(CapacityProviderStrategyItem(name, weight=1) for name in ("small", "large"))
    lab = a_lab(0, memory=2000)
    providers = [CapacityProvider(arns.capacity_provider(SCOPE, n), n, SCOPE) for n in ("small", "large")]
    lab.put(replace(CLUSTER, capacity_providers=("small", "large")), *providers)
    lab.change(instance(1), capacity_provider_name="small")
    lab.change(instance(2), capacity_provider_name="large", memory=2500)
    unplaceable(lab, 3000, capacity_provider_strategy=on_both, tasks=2)
    lab.run(200)
    small, large = map(document, decisions(lab.store, WEB))
    assert [small["unplaced"]["closest"], large["unplaced"]["closest"]] == ["ci1", "ci2"]
    assert named_by_the_last_event(lab) == "ci1"
    lines = explain_service(lab.store, lab.service, now=lab.now, timing=TIMING)
    for short in ("1000 MiB short on the best host, ci1", "500 MiB short on the best host, ci2"):
        assert sum(short in line for line in lines) == 2, "of the deployment, and of the placement"
    assert not any("service event" in line for line in lines)
