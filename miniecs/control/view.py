"""What the control loops read: the part of a store that answers, and nothing that writes.

A protocol of our own, so that the rules run on a dictionary in tests and know no store.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Protocol, TypeVar

from miniecs.model.event import Event, EventKind

T = TypeVar("T")


class View(Protocol):
    """One consistent state of everything; a store and an open transaction both are one."""

    def get(self, kind: type[T], key: str) -> T | None: ...

    def version(self, kind: type, key: str) -> int: ...

    def find(self, kind: type[T], index: str, value: Hashable) -> list[T]: ...

    def count(self, kind: type, count: str, value: Hashable) -> int: ...

    def all(self, kind: type[T]) -> Iterator[T]: ...

    def events(
        self, resource: str | None = None, kinds: Iterable[EventKind] = (), after: int = 0, limit: int = 100
    ) -> list[Event]: ...
