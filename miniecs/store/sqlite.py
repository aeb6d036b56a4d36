"""The store that outlives its process: the engine, with every commit written to an SQLite file first.

The file is read once, when it is opened, and from then on only written; one process owns it,
held by SQLite's exclusive lock, which ends with the process however that ends. See
docs/decisions/0007-sqlite-is-the-memory-store-plus-a-table.md for why.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from miniecs.model.event import Event
from miniecs.model.kinds import KINDS, Kind
from miniecs.store.codec import Codec
from miniecs.store.engine import Engine, Write
from miniecs.store.migrations import MIGRATIONS, Migration, check, migrate
from miniecs.store.protocol import StoreCorrupt, StoreError, StoreFull

Durability = Literal["normal", "full"]

Statement = tuple[str, Sequence[tuple[object, ...]]]
"""SQL and the parameters of each of its executions."""

_PRUNE_AT = 500
"""Events dropped from the outbox are deleted from the file so many at a time."""

_CHECKPOINT_PAGES = 4_000
"""16 MB of log before it is moved into the file, not SQLite's 4: a quarter off a commit's mean time."""

_CACHE_KIB = 32_000
"""SQLite's cache of pages, at most; 2 MB make every write read pages as soon as tasks are many."""

_UPSERT = """INSERT INTO objects (kind, key, seq, body) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, key) DO UPDATE SET seq = excluded.seq, body = excluded.body"""
_DELETE = "DELETE FROM objects WHERE kind = ? AND key = ?"
_APPEND = "INSERT INTO events (seq, body, state_kind, state) VALUES (?, ?, ?, ?)"


class SqliteStore(Engine):
    """A store in one file.

    durability: "normal" loses nothing when the process is killed; "full" also nothing when
    the machine loses power, for about four times the time of a commit.
    Raises StoreError when the file cannot be used, StoreCorrupt when it is damaged,
    StoreTooNew when a newer miniecs wrote it.
    """

    def __init__(
        self,
        path: Path | str,
        durability: Durability = "normal",
        kinds: Iterable[Kind] = KINDS,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        kinds = tuple(kinds)
        self._dropped: list[int] = []
        super().__init__(kinds, self._dropped)
        self._codec = Codec(kinds)
        self._path = str(path)
        self._closed = False
        self._connection = _connect(Path(path))
        try:
            self._prepare(durability, migrations)
            self._load()
        except sqlite3.Error as error:
            self._connection.close()
            raise _trouble(error, self._path) from error
        except StoreError:
            self._connection.close()
            raise

    def close(self) -> None:
        super().close()
        self._closed = True
        self._connection.close()

    def _prepare(self, durability: Durability, migrations: Sequence[Migration]) -> None:
        execute = self._connection.execute
        # SQLite leaves its log behind only when the process was killed; damage by a full or failing disk
        # is then likeliest. The check costs as much as loading does.
        killed = _size(self._path + "-wal") > 0
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("BEGIN EXCLUSIVE")  # from here on the file is ours alone
        version = check(self._connection, self._path, len(migrations))
        execute("COMMIT")
        if killed:
            (verdict,) = execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise _damaged(self._path, verdict)
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {durability}")
        execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        execute("BEGIN IMMEDIATE")
        migrate(self._connection, version, migrations)
        execute("COMMIT")

    def _load(self) -> None:
        known: dict[str, str] = {}
        tables = {table.name: table for table in self._tables.values()}
        numbers = self._connection.execute("SELECT seq, event_seq FROM meta").fetchone()
        if numbers is None:
            raise _damaged(self._path, "its numbers are missing")
        self._seq, event_seq = numbers
        rows = self._connection.execute("SELECT kind, key, seq, body FROM objects ORDER BY id")
        for kind, key, seq, body in rows:
            try:
                thing = self._codec.decode(kind, body, known)
                table = tables[kind]
                if table.key(thing) != key:
                    raise ValueError(f"its key is {table.key(thing)!r}")
                table.write(table.key(thing), thing, table.values(thing), seq)
                self._seq = max(self._seq, seq)
            except (TypeError, ValueError) as error:
                raise _damaged(self._path, f"{kind} {key}: {error}") from error
        events = self._connection.execute("SELECT seq, body, state_kind, state FROM events ORDER BY seq")
        for seq, *row in events:
            try:
                self._outbox.append(self._codec.decode_event(seq, (row[0], row[1], row[2]), known))
            except ValueError as error:
                raise _damaged(self._path, f"event {seq}: {error}") from error
        self._outbox.seq = max(self._outbox.seq, event_seq)
        self._horizon = self._seq

    def _persist(self, seq: int, writes: Sequence[Write], events: Sequence[Event]) -> None:
        upserts, deletes = [], []
        encoded: dict[int, bytes] = {}
        for table, key, thing, _ in writes:
            if thing is None:
                deletes.append((table.name, key))
            else:
                body = encoded[id(thing)] = self._codec.encode(thing)
                upserts.append((table.name, key, seq, body))
        appends = [(event.seq, *self._codec.encode_event(event, encoded)) for event in events]
        statements: list[Statement] = [(_UPSERT, upserts), (_DELETE, deletes), (_APPEND, appends)]
        if not upserts:
            # No row says this number: a deletion leaves none, and events have numbers of their own.
            statements.append(("UPDATE meta SET seq = ?", [(seq,)]))
        dropped = self._dropped if len(self._dropped) >= _PRUNE_AT else []
        if dropped:
            statements.append(("DELETE FROM events WHERE seq = ?", [(number,) for number in dropped]))
            statements.append(("UPDATE meta SET event_seq = ?", [(self._outbox.seq,)]))
        self._write(statements)
        dropped.clear()

    def _erase(self, seq: int) -> None:
        self._write(
            [
                ("DELETE FROM objects", [()]),
                ("DELETE FROM events", [()]),
                ("UPDATE meta SET seq = ?, event_seq = ?", [(seq, self._outbox.seq)]),
            ]
        )
        self._dropped.clear()

    def _write(self, statements: Iterable[Statement]) -> None:
        """All statements in one transaction, or none of them and a StoreError."""
        connection = self._connection
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            for sql, rows in statements:
                if rows:
                    connection.executemany(sql, rows)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _trouble(error, self._path) from error
        finally:
            if connection.in_transaction:
                # A rollback that fails too is tried again before the next commit.
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except OSError as error:
        raise StoreError(
            f"{path.parent} cannot be made: {error.strerror}. Choose another data folder."
        ) from error
    except sqlite3.Error as error:
        raise _trouble(error, str(path)) from error


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _damaged(path: str, what: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} is damaged ({what}). "
        "Put back a copy of the data folder, or move it away to start with an empty one."
    )


def _trouble(error: sqlite3.Error, path: str) -> StoreError:
    """SQLite's error as ours, with what its reader can do."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return StoreFull(
                f"{path} cannot be written: the disk is full. Nothing was changed; make room and try again."
            )
        case sqlite3.SQLITE_READONLY:
            return StoreFull(f"{path} cannot be written: it is read-only. Nothing was changed.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
            # The last one: our SQL does not fit the tables.
            return _damaged(path, str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                f"{path} is in use by another miniecs server: stop that one, or choose another data folder"
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(f"{path} cannot be opened: is its folder writable? (SQLite: {error})")
        case sqlite3.SQLITE_IOERR:
            return StoreError(f"{path}: is the disk failing, or the folder read-only? (SQLite: {error})")
        case _:
            return StoreError(f"{path} cannot be used: {error}")
