"""The schema of the SQLite store, as the steps that lead to it.

A new file takes the same steps as an old one, so that there is no second description of the
schema that could differ. The version is the number of steps taken, in ``PRAGMA user_version``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from miniecs.store.protocol import StoreCorrupt, StoreTooNew

APPLICATION_ID = 0x6D656373  # "mecs"


def _number_commits(connection: sqlite3.Connection) -> None:
    """0 -> 1. Version 0 is an empty file, or one without ``meta``: its numbers went back after a restart."""
    connection.execute(
        """CREATE TABLE IF NOT EXISTS objects (
            id INTEGER PRIMARY KEY,  -- the order in which objects were made
            kind TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
            UNIQUE (kind, key))"""
    )
    connection.execute(
        """CREATE TABLE IF NOT EXISTS events (
            seq INTEGER PRIMARY KEY, body BLOB NOT NULL, state_kind TEXT, state BLOB)"""
    )
    # One row; each number is a lower bound where objects or events have a higher one.
    connection.execute("CREATE TABLE meta (seq INTEGER NOT NULL, event_seq INTEGER NOT NULL)")
    connection.execute(
        """INSERT INTO meta VALUES (
            (SELECT coalesce(max(seq), 0) FROM objects), (SELECT coalesce(max(seq), 0) FROM events))"""
    )


Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: tuple[Migration, ...] = (_number_commits,)
"""MIGRATIONS[n] takes a file from version n to n + 1. They are never changed, only added to."""


def check(connection: sqlite3.Connection, path: str, newest: int) -> int:
    """The file's version. Raises StoreTooNew or StoreCorrupt for a file that this miniecs cannot use."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    without_mark = application == 0 and version == 0 and tables <= {"objects", "events"}
    if application != APPLICATION_ID and not without_mark:
        raise StoreCorrupt(
            f"{path} is an SQLite database, but not one of miniecs: choose another data folder, "
            "or move it away"
        )
    if version > newest:
        raise StoreTooNew(
            f"{path} was written by a newer miniecs: its schema has version {version}, this miniecs knows "
            f"up to {newest}. Start that miniecs again, or choose another data folder."
        )
    return int(version)


def migrate(connection: sqlite3.Connection, version: int, migrations: Sequence[Migration]) -> None:
    """Take the steps that are missing, all or none of them. The connection is in a transaction."""
    for migration in migrations[version:]:
        migration(connection)
    if version < len(migrations):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
