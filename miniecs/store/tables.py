"""The committed objects of one kind, with what they are found and counted by.

Plain dictionaries: a read is one or two look-ups, a million tasks cost some forty bytes
each for every index, and there is one implementation for all stores.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

from miniecs.model.kinds import IndexFunction, Kind, Values

Buckets = dict[Hashable, dict[str, Any]]
"""An index: value -> the objects that have it, in the order in which they got it."""

Numbers = dict[Hashable, int]
"""A count: value -> how many objects have it."""


class Table:
    """All objects of one kind: key -> object, key -> version, indexes and counts."""

    __slots__ = (
        "absent",
        "buckets",
        "functions",
        "indexes",
        "key",
        "kind",
        "name",
        "numbers",
        "places",
        "rows",
        "values",
        "versions",
    )

    def __init__(self, kind: Kind) -> None:
        self.kind = kind.type
        self.name = kind.name
        self.key = kind.key
        self.rows: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.functions: tuple[IndexFunction, ...] = (*kind.indexes.values(), *kind.counts.values())
        self.values: Callable[[Any], Values] = kind.values or partial(_each, self.functions)
        self.buckets: tuple[Buckets, ...] = tuple({} for _ in kind.indexes)
        self.numbers: tuple[Numbers, ...] = tuple({} for _ in kind.counts)
        self.absent: Values = (None,) * len(self.functions)
        # name -> place in functions and in Values; of a count those of an index of the same name, too
        self.indexes = {name: place for place, name in enumerate(kind.indexes)}
        tallies = {name: place for place, name in enumerate(kind.counts, len(kind.indexes))}
        self.places = {
            name: [found[name] for found in (tallies, self.indexes) if name in found]
            for name in (*tallies, *self.indexes)
        }

    def write(self, key: str, thing: Any, values: Values, seq: int) -> Any:
        """Replace the object, None for deleting it; the object that was there before."""
        before = self.rows.get(key)
        old = self.absent if before is None else self.values(before)
        if thing is None:
            del self.rows[key]
            del self.versions[key]
        else:
            self.rows[key] = thing
            self.versions[key] = seq
        # This runs for every object written: two flat loops cost half of a call for each index.
        place = 0
        for buckets in self.buckets:
            was, becomes = old[place], values[place]
            place += 1
            if was != becomes:
                if was is not None:
                    bucket = buckets[was]
                    del bucket[key]
                    if not bucket:
                        del buckets[was]
                if becomes is not None:
                    if becomes in buckets:
                        buckets[becomes][key] = thing
                    else:
                        buckets[becomes] = {key: thing}
            elif becomes is not None:
                buckets[becomes][key] = thing
        for numbers in self.numbers:
            was, becomes = old[place], values[place]
            place += 1
            if was != becomes:
                if was is not None:
                    left = numbers[was] - 1
                    if left:
                        numbers[was] = left
                    else:
                        del numbers[was]
                if becomes is not None:
                    numbers[becomes] = numbers.get(becomes, 0) + 1
        return before

    def clear(self) -> None:
        self.rows.clear()
        self.versions.clear()
        for buckets in self.buckets:
            buckets.clear()
        for numbers in self.numbers:
            numbers.clear()

    def bucket(self, index: str, value: Hashable) -> dict[str, Any]:
        """The objects under one value of an index. Not to be changed."""
        return self.buckets[self.index_place(index)].get(value, _EMPTY)

    def index_place(self, index: str) -> int:
        try:
            return self.indexes[index]
        except KeyError:
            raise LookupError(f"{self.name} has no index {index!r} in model.kinds") from None

    def count_places(self, name: str) -> list[int]:
        """Where to look for a number: the count of that name and the index of that name.

        A kind may use one name for both: their values then differ in shape (an ARN here,
        an ARN with a status there), so that at most one of them knows a given value.
        """
        try:
            return self.places[name]
        except KeyError:
            raise LookupError(f"{self.name} has no index or count {name!r} in model.kinds") from None

    def count(self, name: str, value: Hashable) -> int:
        return sum([self.size(place, value) for place in self.count_places(name)])

    def size(self, place: int, value: Hashable) -> int:
        if place < len(self.buckets):
            return len(self.buckets[place].get(value, _EMPTY))
        return self.numbers[place - len(self.buckets)].get(value, 0)


def _each(functions: tuple[IndexFunction, ...], thing: Any) -> Values:
    return tuple([function(thing) for function in functions])


_EMPTY: dict[str, Any] = {}


class Tables(dict[type, Table]):
    """type -> its table. A type that is not stored is a bug of the caller, and says so."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        super().__init__((kind.type, Table(kind)) for kind in kinds)

    def __missing__(self, kind: type) -> Table:
        raise TypeError(f"{kind.__qualname__} is not a stored kind: it is not in model.kinds.KINDS")
