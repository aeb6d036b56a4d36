"""The outbox stays bounded, in memory and in the file, and keeps what people ask for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from miniecs.model.event import Event, EventKind
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store import MemoryStore, SqliteStore
from miniecs.store.engine import Engine

from .samples import ACCOUNT, DEFAULT, WEB, decision, message, task, transition


def emit(store: Engine, *events: Event) -> None:
    with store.transaction() as tx:
        for event in events:
            tx.emit(event)


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniecs.store.outbox.SERVICE_MESSAGES", 5)
    monkeypatch.setattr("miniecs.store.outbox.DECISIONS", 3)
    monkeypatch.setattr("miniecs.store.outbox.DECISIONS_OVERALL", 40)
    monkeypatch.setattr("miniecs.store.outbox.OTHERS", 20)
    monkeypatch.setattr("miniecs.store.outbox.DEPARTED", 10)
    monkeypatch.setattr("miniecs.store.sqlite._PRUNE_AT", 10)


def texts(store: Engine, resource: str, kind: EventKind) -> list[str]:
    return [event.message for event in store.events(resource, [kind])]


def test_a_service_keeps_its_last_messages_and_a_resource_its_last_decisions() -> None:
    store = MemoryStore()
    with store.transaction() as tx:
        tx.put(Service(WEB, "web", DEFAULT))
    for n in range(12):
        emit(store, message(f"m{n}"), decision(f"d{n}"))
    assert texts(store, WEB, EventKind.SERVICE_MESSAGE) == ["m7", "m8", "m9", "m10", "m11"]
    assert texts(store, WEB, EventKind.DECISION) == ["d9", "d10", "d11"]
    assert [event.message for event in store.events(WEB)] == [
        "m7",
        "m8",
        "m9",
        "d9",
        "m10",
        "d10",
        "m11",
        "d11",
    ]


def test_of_state_changes_the_newest_are_kept_overrun_by_a_tenth() -> None:
    store = MemoryStore()
    emit(store, message("kept, whatever happens to others"))
    for n in range(100):
        emit(store, transition(task(str(n))))
        kept = store.events(kinds=[EventKind.TASK], limit=1000)
        assert min(n + 1, 20) <= len(kept) <= 22
        assert kept[-1].resource == task(str(n)).arn
        assert [event.seq for event in kept] == list(range(kept[0].seq, kept[-1].seq + 1))
    assert store.events(task("1").arn) == []
    assert [event.seq for event in store.events(task("99").arn)] == [101]
    assert texts(store, WEB, EventKind.SERVICE_MESSAGE) == ["kept, whatever happens to others"]


def test_decisions_on_many_living_resources_are_bounded_overall() -> None:
    store = MemoryStore()
    for n in range(200):
        with store.transaction() as tx:
            tx.put(task(str(n)))
            tx.emit(decision("placed", task(str(n)).arn))
    kept = store.events(kinds=[EventKind.DECISION], limit=1000)
    assert 40 <= len(kept) <= 44
    assert kept[-1].resource == task("199").arn
    assert store.events(task("0").arn) == []


def test_what_was_said_of_a_deleted_resource_goes_when_enough_others_were_deleted_after_it() -> None:
    store = MemoryStore()

    def live_and_die(name: str) -> None:
        with store.transaction() as tx:
            tx.put(task(name))
            tx.emit(decision("placed", task(name).arn))
        with store.transaction() as tx:
            tx.delete(Task, task(name).arn)

    live_and_die("first")
    for n in range(9):
        live_and_die(str(n))
    assert len(store.events(task("first").arn)) == 1
    for n in range(9, 20):
        live_and_die(str(n))
    assert store.events(task("first").arn) == []
    assert len(store.events(task("19").arn)) == 1
    assert len(store.events(limit=1000)) <= 11


def test_a_resource_that_is_made_again_is_not_forgotten() -> None:
    store = MemoryStore()
    service = Service(WEB, "web", DEFAULT)
    with store.transaction() as tx:
        tx.put(service)
        tx.emit(message("said"))
    with store.transaction() as tx:
        tx.delete(Service, WEB)
    with store.transaction() as tx:
        tx.put(service)
    for n in range(50):
        emit(store, decision("of something that is no object", f"{ACCOUNT}:nothing/{n}"))
    assert texts(store, WEB, EventKind.SERVICE_MESSAGE) == ["said"]
    assert len(store.events(kinds=[EventKind.DECISION], limit=1000)) <= 11


def test_no_structure_is_left_of_forgotten_resources() -> None:
    store = MemoryStore()
    for n in range(500):
        with store.transaction() as tx:
            tx.put(task(str(n)))
            tx.emit(decision("placed", task(str(n)).arn))
            tx.emit(message("m", task(str(n)).arn))
            tx.emit(transition(task(str(n))))
        with store.transaction() as tx:
            tx.delete(Task, task(str(n)).arn)
    outbox = store._outbox
    for stream in (outbox._messages, outbox._decisions, outbox._others):
        assert len(stream.by_resource) <= 22
        assert sum(map(len, stream.by_resource.values())) == len(stream.by_seq)
    assert len(outbox._departed) <= 11


def test_the_file_is_pruned_with_the_memory(path: Path, opened: Callable[[], SqliteStore]) -> None:
    store = opened()
    with store.transaction() as tx:
        tx.put(Service(WEB, "web", DEFAULT))
    for n in range(200):
        emit(store, message(f"m{n}"), decision(f"d{n}"), transition(task(str(n))))
    kept = store.events(limit=1000)
    assert len(store._dropped) < 10
    store.close()
    with sqlite3.connect(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM events").fetchone()
    connection.close()
    assert len(kept) <= rows < len(kept) + 10 + 3
    again = opened()
    assert set(kept) >= set(again.events(limit=1000)) >= set(kept[-20:])
    assert again.events(WEB) == [event for event in kept if event.resource == WEB]


def test_event_numbers_go_on_though_the_newest_events_were_pruned(
    path: Path, opened: Callable[[], SqliteStore]
) -> None:
    store = opened()
    for n in range(30):
        emit(store, decision("d", f"{ACCOUNT}:nothing/{n}"))
    last = store.events()[-1].seq
    assert last == 30
    store.wipe()
    again = opened()
    emit(again, message("m"))
    assert [event.seq for event in again.events()] == [31]
