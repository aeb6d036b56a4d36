"""The store itself: tables, outbox and feed in memory, with one place where a commit is made durable.

Every store is this engine; they differ only in ``_persist``. Reads therefore never leave
memory, and what the simulation tests on the memory store is what runs on SQLite.

A commit goes: made durable, then memory, then listeners. If it cannot be made durable nothing
has changed. A listener that raises does not undo the commit, nor keep other listeners from
hearing of it: the error goes on to whoever made the commit, after all is consistent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from miniecs.model.event import Event, EventKind
from miniecs.model.frozen import replace
from miniecs.model.kinds import KINDS, Kind, Values
from miniecs.store.outbox import Outbox
from miniecs.store.overlay import Overlay
from miniecs.store.protocol import Change, Commit, Stale
from miniecs.store.tables import Table, Tables

T = TypeVar("T")

FEED_LENGTH = 100_000
"""So many changes are remembered one by one, deletions among them."""


Write = tuple[Table, str, Any, Values]
"""One object's part in a commit: its table, key, the object (None for a deletion) and its index values."""


class Engine:
    """A store that forgets; see ``miniecs.store.protocol.Store`` for what it promises."""

    def __init__(self, kinds: Iterable[Kind] = KINDS, dropped: list[int] | None = None) -> None:
        """dropped, where given, gathers the seqs of events that have been pruned from the outbox."""
        self._tables = Tables(kinds)
        self._outbox = Outbox(self._exists, dropped)
        self._seq = 0
        self._feed: deque[tuple[int, type, str]] = deque()
        self._horizon = 0
        self._open: OpenTransaction | None = None
        self._listeners: dict[int, Callable[[Commit], None]] = {}
        self._subscriptions = 0
        self._undelivered: deque[tuple[Commit, Iterator[int]]] = deque()  # and who has yet to hear of it
        self._delivering = False

    # Reading

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def horizon(self) -> int:
        """``changes`` knows of every deletion after this seq; from further back it answers with all."""
        return self._horizon

    def get(self, kind: type[T], key: str) -> T | None:
        return self._tables[kind].rows.get(key)

    def version(self, kind: type, key: str) -> int:
        return self._tables[kind].versions.get(key, 0)

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]:
        return list(self._tables[kind].bucket(index, value).values())

    def count(self, kind: type, count: str, value: Hashable) -> int:
        return self._tables[kind].count(count, value)

    def all(self, kind: type[T]) -> Iterator[T]:
        return iter(list(self._tables[kind].rows.values()))

    def events(
        self, resource: str | None = None, kinds: Iterable[EventKind] = (), after: int = 0, limit: int = 100
    ) -> list[Event]:
        return self._outbox.read(resource, kinds, after, limit)

    def changes(self, after: int) -> list[tuple[int, type, str]]:
        """See the protocol. An ``after`` before ``horizon`` is answered with all live objects: start over."""
        if after < self._horizon:
            return sorted(
                (
                    (version, table.kind, key)
                    for table in self._tables.values()
                    for key, version in table.versions.items()
                ),
                key=lambda change: change[0],
            )
        seen: set[tuple[type, str]] = set()
        newest_first: list[tuple[int, type, str]] = []
        for change in reversed(self._feed):
            if change[0] <= after:
                break
            if change[1:] not in seen:
                seen.add(change[1:])
                newest_first.append(change)
        newest_first.reverse()
        return newest_first

    # Writing

    def transaction(self) -> OpenTransaction:
        return OpenTransaction(self)

    def subscribe(self, listener: Callable[[Commit], None]) -> Callable[[], None]:
        self._subscriptions += 1
        subscription = self._subscriptions
        self._listeners[subscription] = listener

        def end() -> None:
            self._listeners.pop(subscription, None)

        return end

    def wipe(self) -> None:
        self._refuse_if_open("wipe the store")
        seq = self._seq + 1
        self._erase(seq)
        for table in self._tables.values():
            table.clear()
        self._outbox.clear()
        self._feed.clear()
        self._seq = self._horizon = seq

    def close(self) -> None:
        self._refuse_if_open("close the store")

    # What a durable store adds

    def _persist(self, seq: int, writes: Sequence[Write], events: Sequence[Event]) -> None:
        """Make the commit durable, or raise StoreError and leave nothing of it behind."""

    def _erase(self, seq: int) -> None:
        """Remove everything durably; seq is the new number of the store."""

    # Parts

    def _refuse_if_open(self, what: str) -> None:
        if self._open is not None:
            raise RuntimeError(f"cannot {what}: a transaction is open, and a store has one at a time")

    def _exists(self, key: str) -> bool:
        return any(key in table.rows for table in self._tables.values())

    def _commit(self, overlays: Iterable[Overlay], events: list[Event]) -> None:
        writes = [
            (overlay.table, key, thing, values)
            for overlay in overlays
            for key, (thing, values) in overlay.writes.items()
            if thing is not None or key in overlay.table.rows
        ]
        if not writes and not events:
            return
        seq = self._seq + 1
        self._persist(seq, writes, events)
        self._seq = seq
        outbox = self._outbox
        feed = self._feed
        changes = []
        for table, key, thing, values in writes:
            before = table.write(key, thing, values, seq)
            if thing is None:
                outbox.departed(key)
            elif before is None:
                outbox.returned(key)
            feed.append((seq, table.kind, key))
            changes.append(Change(table.kind, key, before, thing))
        while len(feed) > FEED_LENGTH:
            self._horizon = feed.popleft()[0]
        for event in events:
            outbox.append(event)
        if self._listeners:
            self._deliver(Commit(seq, changes, events))

    def _deliver(self, commit: Commit) -> None:
        """Tell the listeners. A commit made by a listener is told after this one: all hear all in order."""
        self._undelivered.append((commit, iter(tuple(self._listeners))))
        if not self._delivering:
            self._delivering = True
            self._empty_undelivered()

    def _empty_undelivered(self) -> None:
        undelivered, listeners = self._undelivered, self._listeners
        try:
            while undelivered:
                commit, subscriptions = undelivered[0]
                for subscription in subscriptions:
                    if (listener := listeners.get(subscription)) is not None:
                        listener(commit)
                undelivered.popleft()
        finally:
            if undelivered:
                self._empty_undelivered()
            self._delivering = False


class OpenTransaction:
    """A transaction and its block; it commits in ``__exit__``. See ``protocol.Transaction``."""

    __slots__ = ("_engine", "_events", "_overlays", "_tables")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables: Tables = _NOT_OPEN
        self._overlays: dict[type, Overlay] = {}
        self._events: list[Event] = []

    def __enter__(self) -> OpenTransaction:
        engine = self._engine
        if engine._open is not None:
            engine._refuse_if_open("open a transaction")
        engine._open = self
        self._tables = engine._tables
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        overlays, events = self._overlays, self._events
        self._tables = _NOT_OPEN
        self._overlays = {}
        self._events = []
        self._engine._open = None
        if kind is None and (overlays or events):
            self._engine._commit(overlays.values(), events)

    def get(self, kind: type[T], key: str) -> T | None:
        overlay = self._overlays.get(kind)
        if overlay is not None:
            written = overlay.writes.get(key)
            if written is not None:
                thing: T | None = written[0]
                return thing
        return self._tables[kind].rows.get(key)

    def version(self, kind: type, key: str) -> int:
        """Of an object that this transaction has written: the number that the commit will have."""
        overlay = self._overlays.get(kind)
        if overlay is not None:
            written = overlay.writes.get(key)
            if written is not None:
                return 0 if written[0] is None else self._engine._seq + 1
        return self._tables[kind].versions.get(key, 0)

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]:
        overlay = self._overlays.get(kind)
        if overlay is not None:
            return overlay.find(index, value)
        return list(self._tables[kind].bucket(index, value).values())

    def count(self, kind: type, count: str, value: Hashable) -> int:
        overlay = self._overlays.get(kind)
        if overlay is not None:
            return overlay.count(count, value)
        return self._tables[kind].count(count, value)

    def all(self, kind: type[T]) -> Iterator[T]:
        overlay = self._overlays.get(kind)
        if overlay is not None:
            return iter(overlay.all())
        return iter(list(self._tables[kind].rows.values()))

    def events(
        self, resource: str | None = None, kinds: Iterable[EventKind] = (), after: int = 0, limit: int = 100
    ) -> list[Event]:
        """The outbox with this transaction's events; its bounds are applied by the commit."""
        self._refuse_if_not_open()
        return self._engine._outbox.read(resource, kinds, after, limit, self._events)

    def put(self, thing: Any) -> None:
        self._overlay(type(thing)).put(thing)

    def delete(self, kind: type, key: str) -> None:
        """Deleting what does not exist does nothing."""
        self._overlay(kind).delete(key)

    def emit(self, event: Event) -> None:
        self._refuse_if_not_open()
        events = self._events
        events.append(replace(event, seq=self._engine._outbox.seq + len(events) + 1))

    def expect(self, kind: type, key: str, version: int) -> None:
        committed = self._tables[kind].versions.get(key, 0)
        if committed != version:
            raise Stale(f"{kind.__name__} {key} is at version {committed}, the plan was made on {version}")

    def _overlay(self, kind: type) -> Overlay:
        overlay = self._overlays.get(kind)
        if overlay is None:
            overlay = self._overlays[kind] = Overlay(self._tables[kind])
        return overlay

    def _refuse_if_not_open(self) -> None:
        if self._tables is _NOT_OPEN:
            raise RuntimeError(_NOT_OPEN_TEXT)


_NOT_OPEN_TEXT = "this transaction is not open: it is used outside of its with block"


class _NotOpen(Tables):
    """The tables of a transaction before and after its block: none, whatever is asked for."""

    def __missing__(self, kind: type) -> Table:
        raise RuntimeError(_NOT_OPEN_TEXT)


_NOT_OPEN = _NotOpen(())
