"""The file: restarts, damage, foreign and newer files, full disks, a second owner."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from miniecs.model.cluster import Cluster
from miniecs.model.event import EventKind
from miniecs.model.task import Task
from miniecs.store import SqliteStore, StoreCorrupt, StoreError, StoreFull, StoreTooNew
from miniecs.store.migrations import APPLICATION_ID, MIGRATIONS
from miniecs.store.sqlite import Durability

from .samples import DEFAULT, WEB, cluster, message, task, transition

Opened = Callable[[], SqliteStore]


def edit(path: Path, *statements: str) -> None:
    """Change the file behind the store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    found = connection.execute(statement).fetchall()
    connection.close()
    return found


@pytest.fixture
def filled(path: Path) -> Path:
    """A file with a cluster at version 1 and a task at version 2, cleanly closed."""
    store = SqliteStore(path)
    with store.transaction() as tx:
        tx.put(cluster())
    with store.transaction() as tx:
        tx.put(task("a"))
        tx.emit(transition(task("a")))
    store.close()
    return path


def test_all_is_there_after_a_restart(opened: Opened) -> None:
    store = opened()
    a, b, c = task("a", instance="i1"), task("b", "STOPPED"), task("c")
    with store.transaction() as tx:
        tx.put(a)
        tx.put(b)
        tx.emit(transition(a))
    with store.transaction() as tx:
        tx.put(c)
        tx.put(cluster())
        tx.emit(message("m"))
    with store.transaction() as tx:
        tx.put(replace(a, last_status="RUNNING"))
        tx.delete(Task, c.arn)
    events = store.events()
    again = opened()
    assert again is not store
    assert again.seq == 3
    assert list(again.all(Task)) == [replace(a, last_status="RUNNING"), b]
    assert again.get(Cluster, DEFAULT) == cluster()
    assert [again.version(Task, t.arn) for t in (a, b, c)] == [3, 1, 0]
    assert again.find(Task, "instance", "i1") == [replace(a, last_status="RUNNING")]
    assert again.count(Task, "service", (WEB, "RUNNING")) == 1
    assert again.events() == events
    assert again.events(a.arn)[0].state == a
    assert again.horizon == 3
    assert again.changes(0) == [(1, Task, b.arn), (2, Cluster, DEFAULT), (3, Task, a.arn)]
    assert again.changes(3) == []


@pytest.mark.parametrize("how", ["deletion", "event", "wipe"])
def test_numbers_go_on_after_a_restart_though_no_row_has_the_last_one(opened: Opened, how: str) -> None:
    store = opened()
    with store.transaction() as tx:
        tx.put(cluster())
        tx.emit(message("one"))
    if how == "wipe":
        store.wipe()
    else:
        with store.transaction() as tx:
            if how == "event":
                tx.emit(message("two"))
            else:
                tx.delete(Cluster, DEFAULT)
    again = opened()
    assert again.seq == 2
    with again.transaction() as tx:
        tx.put(task("a"))
        tx.emit(message("next"))
    assert again.version(Task, task("a").arn) == 3
    assert again.events()[-1].seq == (3 if how == "event" else 2)


def test_a_wiped_store_is_empty_after_a_restart(opened: Opened) -> None:
    store = opened()
    with store.transaction() as tx:
        tx.put(cluster())
        tx.emit(message("m"))
    store.wipe()
    again = opened()
    assert (list(again.all(Cluster)), again.events(), again.changes(0)) == ([], [], [])


def test_an_object_that_cannot_be_written_fails_its_commit_and_no_other(opened: Opened) -> None:
    store = opened()
    with pytest.raises(ValueError, match="this Cluster cannot be stored"), store.transaction() as tx:
        tx.put(task("a"))
        tx.put(replace(cluster(), created_at=float("inf")))
    assert store.seq == 0
    assert list(store.all(Task)) == []
    with store.transaction() as tx:
        tx.put(task("b"))
    assert list(opened().all(Task)) == [task("b")]


def test_a_closed_store_refuses_to_write(opened: Opened) -> None:
    store = opened()
    store.close()
    store.close()
    with pytest.raises(StoreError, match=r"miniecs\.db: the store is closed$"), store.transaction() as tx:
        tx.put(cluster())
    with pytest.raises(StoreError, match="the store is closed"):
        store.wipe()
    assert list(store.all(Cluster)) == []


@pytest.mark.parametrize(("durability", "pragma"), [("normal", 1), ("full", 2)])
def test_durability_is_sqlites_synchronous(path: Path, durability: Durability, pragma: int) -> None:
    store = SqliteStore(path, durability)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (pragma,)
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


# The second owner


def test_a_second_store_on_the_file_is_refused(path: Path, opened: Opened) -> None:
    opened()
    with pytest.raises(
        StoreError, match="is in use by another miniecs server: stop that one, or choose another"
    ):
        SqliteStore(path)


@pytest.mark.slow
def test_a_second_process_on_the_file_is_refused_until_the_first_is_gone(path: Path, opened: Opened) -> None:
    opening = f"from miniecs.store import SqliteStore; SqliteStore({str(path)!r}); print('mine')"

    def second() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", opening], capture_output=True, text=True, check=False)

    store = opened()
    refused = second()
    assert refused.returncode == 1
    assert f"StoreError: {path} is in use by another miniecs server" in refused.stderr
    with store.transaction() as tx:
        tx.put(cluster())
    store.close()
    assert second().stdout == "mine\n"


# Full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "miniecs-test", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _fill(store: SqliteStore, limit: int = 10_000) -> int:
    """Write pairs of tasks until the disk is full; how many pairs were acknowledged."""
    for number in range(limit):
        try:
            with store.transaction() as tx:
                tx.put(task(f"left-{number}"))
                tx.put(task(f"right-{number}"))
                tx.emit(message(str(number)))
        except StoreFull as error:
            assert "is full. Nothing was changed; make room and try again." in str(error)
            return number
    raise AssertionError("the disk never filled up")


def _check_pairs(store: SqliteStore, pairs: int) -> None:
    assert store.seq == pairs
    expected = [task(f"{side}-{number}") for number in range(pairs) for side in ("left", "right")]
    assert list(store.all(Task)) == expected
    assert store.count(Task, "service", (WEB, "PENDING")) == 2 * pairs
    assert store.events(WEB, [EventKind.SERVICE_MESSAGE])[-1].message == str(pairs - 1)


@pytest.mark.slow
def test_a_full_disk_half_writes_nothing_and_writing_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 300_000)
    path = small_disk / "miniecs.db"
    store = SqliteStore(path)
    heard: list[int] = []
    store.subscribe(lambda commit: heard.append(commit.seq))
    pairs = _fill(store)
    assert pairs > 10
    for _ in range(3):
        with pytest.raises(StoreFull), store.transaction() as tx:
            tx.put(cluster())
            tx.put(replace(task("big"), because="x" * 100_000))
    _check_pairs(store, pairs)
    assert heard == list(range(1, pairs + 1))
    ballast.unlink()
    with store.transaction() as tx:
        tx.put(cluster())
    assert store.version(Cluster, DEFAULT) == pairs + 1
    store.wipe()
    assert store.seq == pairs + 2
    store.close()


@pytest.mark.slow
def test_a_store_opens_on_the_disk_that_it_filled(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 300_000)
    path = small_disk / "miniecs.db"
    store = SqliteStore(path)
    pairs = _fill(store)
    store.close()
    again = SqliteStore(path)
    _check_pairs(again, pairs)
    again.close()


def test_a_file_that_may_not_grow_is_a_full_disk(path: Path, opened: Opened) -> None:
    store = opened()
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    pairs = _fill(store)
    _check_pairs(store, pairs)
    store._connection.execute("PRAGMA max_page_count = 1000000")
    with store.transaction() as tx:
        tx.put(cluster())
    again = opened()
    assert again.seq == pairs + 1
    assert again.get(Cluster, DEFAULT) == cluster()


def test_a_read_only_file_is_said_to_be(opened: Opened) -> None:
    store = opened()
    store._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreFull, match="it is read-only. Nothing was changed."), store.transaction() as tx:
        tx.put(cluster())
    assert list(store.all(Cluster)) == []
    store._connection.execute("PRAGMA query_only = 0")
    with store.transaction() as tx:
        tx.put(cluster())
    assert store.seq == 1


# Folders and files that are not what they should be


def test_the_folder_is_made(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "some" / "where" / "miniecs.db").close()
    assert (tmp_path / "some" / "where" / "miniecs.db").is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="/file/data cannot be made: .* Choose another data folder."):
        SqliteStore(tmp_path / "file" / "data" / "miniecs.db")


def test_a_folder_in_the_files_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened: is its folder writable"):
        SqliteStore(tmp_path)


@pytest.mark.parametrize(
    "content", [b"this is no database, however long one looks at it" * 100, b"\0" * 8192]
)
def test_a_file_that_is_no_database(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(
        StoreCorrupt, match=r"miniecs\.db is damaged \(file is not a database\)\. Put back a copy"
    ):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    store = SqliteStore(path)
    assert store.seq == 0
    store.close()


def test_somebody_elses_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    edit(path, "CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="is an SQLite database, but not one of miniecs"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_newer_version_is_refused_and_left_alone(filled: Path) -> None:
    edit(filled, "PRAGMA user_version = 7")
    before = filled.read_bytes()
    with pytest.raises(StoreTooNew) as refused:
        SqliteStore(filled)
    assert str(refused.value) == (
        f"{filled} was written by a newer miniecs: its schema has version 7, this miniecs knows up to "
        f"{len(MIGRATIONS)}. Start that miniecs again, or choose another data folder."
    )
    assert filled.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE objects SET body = '{\"arn\":' WHERE kind = 'task'", "task arn:.*/a: 1 validation error"),
        (
            "UPDATE objects SET kind = 'spaceship' WHERE kind = 'task'",
            "spaceship arn:.*: unknown kind 'spaceship'",
        ),
        ("UPDATE objects SET body = replace(body, 'group', 'tribe') WHERE kind = 'task'", "task arn:.*tribe"),
        ("UPDATE objects SET key = 'x' WHERE kind = 'task'", r"task x: its key is 'arn:.*/a'"),
        ("UPDATE objects SET seq = 'x' WHERE kind = 'task'", "task arn:.*/a: '>' not supported"),
        ("UPDATE events SET body = x'00'", "event 1: 1 validation error"),
        ("UPDATE events SET state_kind = 'spaceship'", "event 1: unknown kind 'spaceship'"),
        ("UPDATE events SET state = NULL", "event 1: its state is there by half"),
        ("DELETE FROM meta", "its numbers are missing"),
        ("DROP TABLE objects", "no such table: objects"),
    ],
)
def test_damage_is_named(filled: Path, damage: str, said: str) -> None:
    edit(filled, damage)
    with pytest.raises(
        StoreCorrupt, match=rf"(?s)miniecs\.db is damaged \({said}.*Put back a copy of the data"
    ):
        SqliteStore(filled)


def test_a_file_that_was_cut_off_is_damaged(path: Path) -> None:
    store = SqliteStore(path)
    for number in range(200):
        with store.transaction() as tx:
            tx.put(task(str(number)))
    store.close()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreCorrupt, match="is damaged"):
        SqliteStore(path)


def test_a_file_left_by_a_killed_process_is_checked(path: Path) -> None:
    """A page of an index is overwritten: loading the objects would not see it."""
    store = SqliteStore(path)
    for number in range(200):
        with store.transaction() as tx:
            tx.put(task(str(number)))
    (page,) = store._connection.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_objects_1'"
    ).fetchone()
    store.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xaa" * 4096)
    (path.parent / "miniecs.db-wal").write_bytes(b"\0" * 32)
    with pytest.raises(StoreCorrupt, match="is damaged"):
        SqliteStore(path)


# Versions

VERSION_0 = """
    CREATE TABLE objects (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL,
        body BLOB NOT NULL, UNIQUE (kind, key));
    CREATE TABLE events (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, state_kind TEXT, state BLOB);
    INSERT INTO objects (kind, key, seq, body) VALUES (
        'cluster', 'arn:aws:ecs:us-east-1:000000000000:cluster/old', 41,
        '{"arn":"arn:aws:ecs:us-east-1:000000000000:cluster/old","name":"old"}');
    INSERT INTO events VALUES (17, '{"kind":"Decision","resource":"r","at":1.0,"message":"m"}', NULL, NULL);
"""


def test_a_version_0_file_is_brought_up_to_date(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_0)
    connection.close()
    for seq in (41, 42):
        store = SqliteStore(path)
        assert store.seq == seq
        assert [thing.name for thing in store.all(Cluster)] == ["old", "default"][: seq - 40]
        with store.transaction() as tx:
            tx.put(cluster())
            tx.emit(message("m"))
        store.close()
    assert [event.seq for event in store.events()] == [17, 18, 19]
    assert rows(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_a_later_migration_changes_what_is_stored(filled: Path) -> None:
    """Version 0 of the next schema called a task's group its tribe."""
    edit(filled, """UPDATE objects SET body = replace(body, '"group"', '"tribe"')""")

    def rename(connection: sqlite3.Connection) -> None:
        stored = connection.execute("SELECT id, body FROM objects WHERE kind = 'task'").fetchall()
        for id, body in stored:
            members = json.loads(body)
            members["group"] = members.pop("tribe")
            connection.execute("UPDATE objects SET body = ? WHERE id = ?", (json.dumps(members).encode(), id))

    later = (*MIGRATIONS, rename)
    for _ in range(2):
        store = SqliteStore(filled, migrations=later)
        assert list(store.all(Task)) == [task("a")]
        store.close()
    with pytest.raises(StoreTooNew):
        SqliteStore(filled)


def test_a_migration_that_fails_changes_nothing(filled: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM objects")
        connection.execute("SELECT * FROM missing")

    with pytest.raises(StoreCorrupt, match="no such table: missing"):
        SqliteStore(filled, migrations=(*MIGRATIONS, fail))
    store = SqliteStore(filled)
    assert list(store.all(Task)) == [task("a")]
    store.close()
