"""What an open transaction has written to one table, and reading through it.

Indexes are overlaid only for those that the transaction asks for, and from then on kept up
with each write, so that a thousand puts with a thousand counts between them stay linear.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from miniecs.model.kinds import Values
from miniecs.store.tables import Table


class View:
    """One index or count as it will be after the commit: where the written objects were and are."""

    __slots__ = ("disordered", "entered", "place", "table", "values", "was")

    def __init__(self, table: Table, place: int) -> None:
        self.table = table
        self.place = place
        self.values: dict[str, Hashable | None] = {}  # written key -> its value now
        self.was: dict[Hashable, set[str]] = {}  # value -> written keys that have it in the committed state
        self.entered: dict[Hashable, dict[str, None]] = {}  # value -> written keys that have it now
        self.disordered = False

    def note(self, key: str, values: Values) -> None:
        value = values[self.place]
        if key not in self.values:
            committed = self.table.rows.get(key)
            if committed is not None:
                before = self.table.functions[self.place](committed)
                if before is not None:
                    self.was.setdefault(before, set()).add(key)
        else:
            old = self.values[key]
            if old == value:
                return
            self.disordered = True
            if old is not None:
                del self.entered[old][key]
        self.values[key] = value
        if value is not None:
            self.entered.setdefault(value, {})[key] = None

    def size(self, value: Hashable) -> int:
        committed = self.table.size(self.place, value)
        return committed - len(self.was.get(value, ())) + len(self.entered.get(value, ()))


class Overlay:
    """Writes on one table: key -> (object or None for a deleted one, its index values)."""

    __slots__ = ("table", "views", "writes")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.writes: dict[str, tuple[Any, Values]] = {}
        self.views: dict[int, View] = {}

    def put(self, thing: Any) -> None:
        table = self.table
        values = table.values(thing)
        hash(values)  # a value that cannot be indexed fails here, at its put, and not in the commit
        self._write(table.key(thing), thing, values)

    def delete(self, key: str) -> None:
        self._write(key, None, self.table.absent)

    def _write(self, key: str, thing: Any, values: Values) -> None:
        self.writes[key] = (thing, values)
        for view in self.views.values():
            view.note(key, values)

    def _view(self, place: int) -> View:
        view = self.views.get(place)
        if view is None:
            view = self.views[place] = View(self.table, place)
            for key, (_, values) in self.writes.items():
                view.note(key, values)
        return view

    def find(self, index: str, value: Hashable) -> list[Any]:
        bucket = self.table.bucket(index, value)
        view = self._view(self.table.index_place(index))
        left = view.was.get(value)
        entered = view.entered.get(value)
        if not left and not entered:
            return list(bucket.values())
        merged = bucket.copy()
        if left:
            for key in left:
                if not entered or key not in entered:
                    del merged[key]
        if entered:
            # The commit applies writes in the order of their first write; this is what it will give.
            for key in [key for key in self.writes if key in entered] if view.disordered else entered:
                merged[key] = self.writes[key][0]
        return list(merged.values())

    def count(self, name: str, value: Hashable) -> int:
        return sum(self._view(place).size(value) for place in self.table.count_places(name))

    def all(self) -> list[Any]:
        merged = self.table.rows.copy()
        for key, (thing, _) in self.writes.items():
            if thing is None:
                merged.pop(key, None)
            else:
                merged[key] = thing
        return list(merged.values())
