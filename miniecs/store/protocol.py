"""What every store can do; memory and SQLite are the same thing to all who use them.

A transaction sees its own writes; nobody else sees them before the commit, and the
commit is durable before it returns. Every commit has a sequence number, which is also
the version of every object that it wrote: a plan names the versions it was made on, and
a commit on other ones is refused as ``Stale``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

from miniecs.model.event import Event, EventKind
from miniecs.model.frozen import quick

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot do its work; the message says what is wrong and what to do."""


class StoreFull(StoreError):
    """Nothing can be written: the disk is full or read-only. Nothing was half-written."""


class StoreCorrupt(StoreError):
    """The data folder is damaged."""


class StoreTooNew(StoreError):
    """The data folder was written by a newer miniecs."""


class Stale(Exception):
    """An object changed after it was read for this plan: nothing was applied, plan again."""


class Change(NamedTuple):
    """One object written in a commit. before is None for a new object, after for a deleted one."""

    kind: type
    key: str
    before: Any
    after: Any


@quick
@dataclass(frozen=True, slots=True)
class Commit:
    """What one transaction did, told to listeners right after it is durable.

    Changes are kind by kind, within a kind in the order in which the objects were first written.
    """

    seq: int
    changes: Sequence[Change]
    events: Sequence[Event]


class Reader(Protocol):
    """Reading: of the committed state, or within a transaction of that plus its own writes."""

    def get(self, kind: type[T], key: str) -> T | None: ...

    def version(self, kind: type, key: str) -> int:
        """The sequence number of the commit that wrote the object; 0 when there is none."""

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]:
        """All objects under the value of a declared index, in the order they were first put there."""

    def count(self, kind: type, count: str, value: Hashable) -> int:
        """How many objects have the value of a declared index or count; O(1)."""

    def all(self, kind: type[T]) -> Iterator[T]: ...

    def events(
        self, resource: str | None = None, kinds: Iterable[EventKind] = (), after: int = 0, limit: int = 100
    ) -> list[Event]:
        """The newest ``limit`` events with seq > after, oldest first; of one resource or of all."""


class Transaction(Reader, Protocol):
    """Writing. Leaves as a commit when its block ends, as nothing when its block raises."""

    def put(self, thing: Any) -> None:
        """Add or replace an object (its type must be one of model.kinds.KINDS)."""

    def delete(self, kind: type, key: str) -> None: ...

    def emit(self, event: Event) -> None:
        """Append to the outbox; the store gives the seq."""

    def expect(self, kind: type, key: str, version: int) -> None:
        """Raise Stale unless the object's committed version is this one."""


class Store(Reader, Protocol):
    """One store, used by one process. All calls come from one thread."""

    @property
    def seq(self) -> int:
        """The number of the last commit."""

    @property
    def horizon(self) -> int:
        """How far back ``changes`` knows of deletions."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction; only one is open at a time. An empty one commits nothing and costs nothing."""

    def subscribe(self, listener: Callable[[Commit], None]) -> Callable[[], None]:
        """Call the listener after each commit, in order; returns the function that ends it."""

    def changes(self, after: int) -> list[tuple[int, type, str]]:
        """(seq, kind, key) of objects written or deleted since, each once, in order of seq.

        Deletions are remembered for a long while, but not for ever, and not over a restart: an
        ``after`` from before ``horizon`` is answered with every object there is, to start over.
        """

    def wipe(self) -> None:
        """Remove every object and event, durably, before returning. Tells no listener; seq goes on."""

    def close(self) -> None: ...
