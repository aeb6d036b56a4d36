"""What every store promises, asked of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from miniecs.model.cluster import Cluster
from miniecs.model.event import EventKind
from miniecs.model.scope import Scope
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store import Change, Commit, Stale
from miniecs.store.engine import Engine, OpenTransaction

from .samples import ACCOUNT, DEFAULT, WEB, cluster, decision, message, task, transition


def put(store: Engine, *things: object) -> None:
    with store.transaction() as tx:
        for thing in things:
            tx.put(thing)


def test_a_new_store_is_empty(store: Engine) -> None:
    assert store.seq == 0
    assert store.get(Task, "x") is None
    assert store.version(Task, "x") == 0
    assert store.find(Task, "service", WEB) == []
    assert store.count(Task, "service", (WEB, "PENDING")) == 0
    assert list(store.all(Task)) == []
    assert store.events() == []
    assert store.changes(0) == []


def test_a_commit_is_read_back_by_key_index_and_count(store: Engine) -> None:
    a, b, c = task("a", instance="i1"), task("b", "RUNNING", "i2"), task("c", "STOPPED", "i1")
    put(store, a, b, c, cluster())
    assert store.seq == 1
    assert store.get(Task, b.arn) == b
    assert store.version(Task, b.arn) == 1
    assert list(store.all(Task)) == [a, b, c]
    assert store.find(Task, "cluster", DEFAULT) == [a, b, c]
    assert store.find(Task, "service", WEB) == [a, b]
    assert store.find(Task, "instance", "i1") == [a]
    assert store.find(Cluster, "scope", Scope("000000000000", "us-east-1")) == [cluster()]
    assert store.count(Task, "service", (WEB, "RUNNING")) == 1
    assert store.count(Task, "instance", "i1") == 1


def test_a_count_is_answered_by_the_count_and_by_the_index_of_its_name(store: Engine) -> None:
    put(store, task("a"), task("b", "RUNNING"), task("c", "STOPPED"))
    assert store.count(Task, "cluster", (DEFAULT, "PENDING")) == 1
    assert store.count(Task, "cluster", DEFAULT) == 3
    with store.transaction() as tx:
        tx.put(task("d"))
        assert tx.count(Task, "cluster", (DEFAULT, "PENDING")) == 2
        assert tx.count(Task, "cluster", DEFAULT) == 4


def test_a_replaced_object_moves_between_indexes_and_keeps_its_place_where_it_stays(store: Engine) -> None:
    a, b = task("a"), task("b")
    put(store, a, b)
    moved = replace(a, container_instance_arn="i1", last_status="RUNNING")
    put(store, moved)
    assert store.find(Task, "service", WEB) == [moved, b]
    assert store.find(Task, "instance", "i1") == [moved]
    assert store.count(Task, "service", (WEB, "PENDING")) == 1
    assert store.version(Task, a.arn) == 2
    assert store.version(Task, b.arn) == 1
    put(store, replace(moved, last_status="STOPPED"))
    assert store.find(Task, "service", WEB) == [b]
    put(store, moved)
    assert store.find(Task, "service", WEB) == [b, moved]


def test_a_deleted_object_is_gone_everywhere(store: Engine) -> None:
    a = task("a", instance="i1")
    put(store, a)
    with store.transaction() as tx:
        tx.delete(Task, a.arn)
        assert tx.get(Task, a.arn) is None
        assert tx.version(Task, a.arn) == 0
    assert store.get(Task, a.arn) is None
    assert store.version(Task, a.arn) == 0
    assert store.find(Task, "instance", "i1") == []
    assert store.count(Task, "service", (WEB, "PENDING")) == 0
    assert store.changes(1) == [(2, Task, a.arn)]


def test_nothing_is_left_of_values_that_no_object_has(store: Engine) -> None:
    for number in range(3):
        put(store, task("a", instance=f"i{number}"))
    with store.transaction() as tx:
        tx.delete(Task, task("a").arn)
    table = store._tables[Task]
    assert (table.rows, table.versions) == ({}, {})
    assert [*table.buckets, *table.numbers] == [{}] * 8


def test_a_transaction_sees_its_own_writes_and_nobody_else_does(store: Engine) -> None:
    a, b = task("a", instance="i1"), task("b", instance="i1")
    put(store, a, b)
    with store.transaction() as tx:
        moved, new = replace(a, container_instance_arn="i2"), task("c", instance="i1")
        tx.put(moved)
        tx.delete(Task, b.arn)
        tx.put(new)
        tx.emit(message("m"))
        assert tx.get(Task, a.arn) == moved
        assert (tx.version(Task, a.arn), tx.version(Task, b.arn)) == (2, 0)
        assert tx.find(Task, "instance", "i1") == [new]
        assert tx.find(Task, "instance", "i2") == [moved]
        assert tx.count(Task, "service", (WEB, "PENDING")) == 2
        assert list(tx.all(Task)) == [moved, new]
        assert [event.message for event in tx.events(WEB)] == ["m"]
        assert store.get(Task, a.arn) == a
        assert store.find(Task, "instance", "i1") == [a, b]
        assert store.count(Task, "service", (WEB, "PENDING")) == 2
        assert list(store.all(Task)) == [a, b]
        assert store.events() == []
    assert store.find(Task, "instance", "i1") == [new]
    assert list(store.all(Task)) == [moved, new]
    assert store.seq == 2


def test_the_order_in_an_index_is_the_same_within_a_transaction_and_after_it(store: Engine) -> None:
    a, b, c, d = (task(name, instance="i1") for name in "abcd")
    put(store, a, b)
    with store.transaction() as tx:
        stays = replace(a, last_status="RUNNING")
        moves = replace(c, container_instance_arn="i2")
        tx.put(stays)
        assert tx.find(Task, "instance", "i2") == []  # the index is overlaid from here on
        tx.put(c)
        tx.put(replace(d, container_instance_arn="i2"))
        tx.put(moves)  # behind d, but c was written first
        expected = [stays, b], [moves, replace(d, container_instance_arn="i2")]
        assert (tx.find(Task, "instance", "i1"), tx.find(Task, "instance", "i2")) == expected
    assert (store.find(Task, "instance", "i1"), store.find(Task, "instance", "i2")) == expected


def test_objects_may_be_written_while_all_of_them_are_gone_through(store: Engine) -> None:
    put(store, task("a"), task("b"))
    with store.transaction() as tx:
        tx.put(task("c"))
        for thing in tx.all(Task):
            tx.put(replace(thing, arn=thing.arn + "2"))
            tx.delete(Task, thing.arn)
    assert [thing.arn[-2:] for thing in store.all(Task)] == ["a2", "b2", "c2"]


def test_a_block_that_raises_commits_nothing(store: Engine) -> None:
    put(store, task("a"))
    with pytest.raises(ZeroDivisionError), store.transaction() as tx:
        tx.put(task("b"))
        tx.delete(Task, task("a").arn)
        tx.emit(message("m"))
        raise ZeroDivisionError
    assert store.seq == 1
    assert list(store.all(Task)) == [task("a")]
    assert store.events() == []
    assert store.changes(1) == []
    put(store, task("b"))
    assert store.seq == 2


def test_what_changes_nothing_commits_nothing(store: Engine) -> None:
    heard: list[Commit] = []
    store.subscribe(heard.append)
    with store.transaction() as tx:
        tx.get(Task, "x")
    with store.transaction() as tx:
        tx.delete(Task, "x")
        tx.put(task("a"))
        tx.delete(Task, task("a").arn)
    assert store.seq == 0
    assert heard == []
    assert store.changes(0) == []


def test_expect_refuses_another_version_than_the_committed_one(store: Engine) -> None:
    put(store, task("a"))
    with pytest.raises(Stale, match=r"^Task arn:.*/a is at version 1, the plan was made on 7$"):
        with store.transaction() as tx:
            tx.put(task("b"))
            tx.expect(Task, task("a").arn, 7)
    assert list(store.all(Task)) == [task("a")]
    with store.transaction() as tx:
        tx.put(task("a", "RUNNING"))
        tx.expect(Task, task("a").arn, 1)
        tx.expect(Task, task("b").arn, 0)
    assert store.version(Task, task("a").arn) == 2


def test_one_transaction_at_a_time(store: Engine) -> None:
    with store.transaction() as tx:
        tx.put(task("a"))
        with pytest.raises(RuntimeError, match="cannot open a transaction: a transaction is open"):
            with store.transaction():
                raise AssertionError("entered")
        with pytest.raises(RuntimeError, match="cannot wipe the store: a transaction is open"):
            store.wipe()
        with pytest.raises(RuntimeError, match="cannot close the store: a transaction is open"):
            store.close()
        tx.put(task("b"))
    assert list(store.all(Task)) == [task("a"), task("b")]


def test_a_transaction_ends_with_its_block(store: Engine) -> None:
    before = store.transaction()
    with store.transaction() as ended:
        ended.put(task("a"))
    uses: list[Callable[[OpenTransaction], object]] = [
        lambda tx: tx.get(Task, "x"),
        lambda tx: tx.version(Task, "x"),
        lambda tx: tx.find(Task, "service", WEB),
        lambda tx: tx.count(Task, "service", WEB),
        lambda tx: tx.all(Task),
        lambda tx: tx.events(),
        lambda tx: tx.put(task("b")),
        lambda tx: tx.delete(Task, "x"),
        lambda tx: tx.emit(message("m")),
        lambda tx: tx.expect(Task, "x", 0),
    ]
    for tx in (before, ended):
        for use in uses:
            with pytest.raises(RuntimeError, match="this transaction is not open"):
                use(tx)
    assert list(store.all(Task)) == [task("a")]


def test_what_is_not_declared_is_a_bug_that_says_so(store: Engine) -> None:
    with pytest.raises(TypeError, match="str is not a stored kind: it is not in model.kinds.KINDS"):
        put(store, "text")
    with pytest.raises(TypeError, match="int is not a stored kind"):
        store.get(int, "x")
    with pytest.raises(LookupError, match="task has no index 'colour' in model.kinds"):
        store.find(Task, "colour", "red")
    with pytest.raises(LookupError, match="task has no index or count 'colour' in model.kinds"):
        store.count(Task, "colour", "red")
    # found as a count, but not as an index
    with pytest.raises(LookupError, match="task has no index 'deployment' in model.kinds"):
        store.find(Task, "deployment", "x")


def test_an_object_that_cannot_be_indexed_is_refused_at_its_put(store: Engine) -> None:
    with store.transaction() as tx:
        with pytest.raises(ValueError, match="not an ARN: 'nonsense'"):
            tx.put(Cluster("nonsense", "x"))
        with pytest.raises(TypeError, match="unhashable"):
            tx.put(replace(task("a"), service_arn=["x"]))  # type: ignore[arg-type]
        tx.put(cluster())
    assert list(store.all(Cluster)) == [cluster()]
    assert list(store.all(Task)) == []


def test_listeners_hear_each_commit_in_order_once_it_can_be_read(store: Engine) -> None:
    heard: list[tuple[str, Commit, int]] = []
    end = store.subscribe(lambda commit: heard.append(("first", commit, store.seq)))
    store.subscribe(lambda commit: heard.append(("second", commit, store.seq)))
    a, stopped = task("a"), task("a", "STOPPED")
    put(store, a)
    with store.transaction() as tx:
        tx.put(stopped)
        tx.put(cluster())
        tx.emit(transition(stopped))
    end()
    with store.transaction() as tx:
        tx.delete(Task, a.arn)
    end()
    one = Commit(1, [Change(Task, a.arn, None, a)], [])
    two = Commit(
        2,
        [Change(Task, a.arn, a, stopped), Change(Cluster, DEFAULT, None, cluster())],
        [replace(transition(stopped), seq=1)],
    )
    three = Commit(3, [Change(Task, a.arn, stopped, None)], [])
    assert heard == [
        ("first", one, 1),
        ("second", one, 1),
        ("first", two, 2),
        ("second", two, 2),
        ("second", three, 3),
    ]


def test_a_listener_may_write_and_its_commit_is_heard_after_the_one_it_heard(store: Engine) -> None:
    heard: list[tuple[str, int]] = []

    def answer(commit: Commit) -> None:
        heard.append(("answer", commit.seq))
        if commit.seq < 3:
            put(store, cluster(f"made-after-{commit.seq}"))
        heard.append(("answered", commit.seq))

    store.subscribe(answer)
    store.subscribe(lambda commit: heard.append(("other", commit.seq)))
    put(store, cluster())
    assert heard == [(what, seq) for seq in (1, 2, 3) for what in ("answer", "answered", "other")]


def test_a_listener_that_raises_undoes_nothing_and_silences_no_other(store: Engine) -> None:
    heard: list[int] = []

    def fail(commit: Commit) -> None:
        raise ZeroDivisionError(commit.seq)

    end = store.subscribe(fail)
    store.subscribe(lambda commit: heard.append(commit.seq))
    with pytest.raises(ZeroDivisionError, match="1"):
        put(store, task("a"))
    assert list(store.all(Task)) == [task("a")]
    assert heard == [1]
    with pytest.raises(ZeroDivisionError, match="2"):
        put(store, task("b"))
    end()
    put(store, task("c"))
    assert heard == [1, 2, 3]
    assert store.seq == 3


def test_changes_names_each_object_once_at_its_last_commit(store: Engine) -> None:
    a, b = task("a"), task("b")
    put(store, a, b)
    put(store, cluster())
    put(store, a)
    with store.transaction() as tx:
        tx.delete(Task, b.arn)
    with store.transaction() as tx:
        tx.emit(message("a commit of an event alone changes no object"))
    assert store.seq == 5
    assert store.changes(0) == [(2, Cluster, DEFAULT), (3, Task, a.arn), (4, Task, b.arn)]
    assert store.changes(2) == [(3, Task, a.arn), (4, Task, b.arn)]
    assert store.changes(4) == []
    assert store.changes(99) == []


def test_changes_from_before_the_horizon_are_all_that_lives(
    store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miniecs.store.engine.FEED_LENGTH", 3)
    put(store, task("a"))
    with store.transaction() as tx:
        tx.delete(Task, task("a").arn)
    put(store, task("b"))
    assert store.horizon == 0
    put(store, task("c"))
    assert store.horizon == 1
    assert store.changes(0) == [(3, Task, task("b").arn), (4, Task, task("c").arn)]
    assert store.changes(1) == [(2, Task, task("a").arn), (3, Task, task("b").arn), (4, Task, task("c").arn)]


def test_wipe_removes_everything_and_the_numbers_go_on(store: Engine) -> None:
    with store.transaction() as tx:
        tx.put(task("a", instance="i1"))
        tx.put(cluster())
        tx.emit(message("before"))
    heard: list[Commit] = []
    store.subscribe(heard.append)
    store.wipe()
    assert heard == []
    assert store.seq == 2
    assert (list(store.all(Task)), list(store.all(Cluster)), store.events()) == ([], [], [])
    assert store.find(Task, "instance", "i1") == []
    assert store.count(Task, "service", (WEB, "PENDING")) == 0
    assert store.changes(0) == store.changes(1) == []
    with store.transaction() as tx:
        tx.put(cluster())
        tx.emit(message("after"))
    assert store.version(Cluster, DEFAULT) == 3
    assert [(event.seq, event.message) for event in store.events()] == [(2, "after")]
    assert store.changes(2) == [(3, Cluster, DEFAULT)]


def test_events_are_numbered_and_chosen_by_resource_kind_and_number(store: Engine) -> None:
    other = f"{ACCOUNT}:service/default/other"
    with store.transaction() as tx:
        tx.emit(message("one"))
        tx.emit(decision("two"))
        tx.emit(message("three", other))
        assert [(event.seq, event.message) for event in tx.events(after=1)] == [(2, "two"), (3, "three")]
    with store.transaction() as tx:
        tx.emit(transition(task("a")))
        tx.emit(message("five"))
        assert [event.seq for event in tx.events(limit=3)] == [3, 4, 5]
    assert [event.seq for event in store.events()] == [1, 2, 3, 4, 5]
    assert store.events(WEB) == [
        replace(message("one"), seq=1),
        replace(decision("two"), seq=2),
        replace(message("five"), seq=5),
    ]
    assert store.events(kinds=[EventKind.SERVICE_MESSAGE], limit=2) == [
        replace(message("three", other), seq=3),
        replace(message("five"), seq=5),
    ]
    assert store.events(task("a").arn)[0].state == task("a")
    assert [event.seq for event in store.events(after=3)] == [4, 5]
    assert [event.seq for event in store.events(WEB, [EventKind.DECISION, EventKind.TASK])] == [2]
    assert store.events(after=5) == store.events("nobody") == store.events(limit=0) == []


def test_an_event_may_be_emitted_twice(store: Engine) -> None:
    said = message("again")
    with store.transaction() as tx:
        tx.emit(said)
        tx.emit(said)
    assert store.events() == [replace(said, seq=1), replace(said, seq=2)]
    assert said.seq == 0


def test_a_service_without_tasks_is_found_by_no_task_index(store: Engine) -> None:
    put(store, Service(WEB, "web", DEFAULT), task("alone", service=None))
    assert store.find(Task, "service", WEB) == []
    assert store.count(Task, "service", (None, "PENDING")) == 0
    assert store.count(Service, "active", DEFAULT) == 1
