"""The one memory: objects, the feed of what changed, and the outbox of events."""

from miniecs.store.memory import MemoryStore
from miniecs.store.protocol import (
    Change,
    Commit,
    Reader,
    Stale,
    Store,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreTooNew,
    Transaction,
)
from miniecs.store.sqlite import SqliteStore

__all__ = [
    "Change",
    "Commit",
    "MemoryStore",
    "Reader",
    "SqliteStore",
    "Stale",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreTooNew",
    "Transaction",
]
