"""Random transactions on both stores, against dictionaries that are recomputed from nothing each time."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from miniecs.model.event import Event, EventKind
from miniecs.model.kinds import Kind
from miniecs.store import Change, Commit, MemoryStore, Reader, SqliteStore
from miniecs.store.engine import Engine

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Box:
    arn: str
    colour: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Bag:
    arn: str
    colour: str | None = None
    size: int = 0


def _indexes(thing: Any) -> dict[str, Hashable | None]:
    return {"colour": thing.colour, "both": None if thing.size == 0 else (thing.colour, thing.size)}


def _counts(thing: Any) -> dict[str, Hashable | None]:
    return {"size": thing.size, "colour": (thing.colour, thing.size) if thing.colour else None}


KINDS = tuple(
    Kind(
        name,
        type_,
        indexes={name: lambda t, name=name: _indexes(t)[name] for name in ("colour", "both")},  # type: ignore[misc]
        counts={name: lambda t, name=name: _counts(t)[name] for name in ("size", "colour")},  # type: ignore[misc]
    )
    for name, type_ in (("box", Box), ("bag", Bag))
)
TYPES = (Box, Bag)
KEYS = "abc"
COLOURS = (None, "red", "blue")
SIZES = (0, 1)
VALUES: tuple[Hashable, ...] = (*COLOURS[1:], *SIZES, *((c, s) for c in COLOURS for s in SIZES))

things = st.builds(
    lambda type_, key, colour, size: type_(key, colour, size),
    # Few objects of one kind meet more often in one value of an index than many of two.
    st.sampled_from((Box, Box, Box, Bag)),
    st.sampled_from(KEYS),
    st.sampled_from(COLOURS),
    st.sampled_from(SIZES),
)
deletions = st.tuples(st.sampled_from(TYPES), st.sampled_from(KEYS))
emissions = st.builds(
    Event,
    st.sampled_from([EventKind.SERVICE_MESSAGE, EventKind.DEPLOYMENT]),
    st.sampled_from(KEYS),
    st.just(1.0),
)
steps = st.lists(
    things | things | things | deletions | emissions, min_size=1, max_size=8
)  # 12 of them stay below the outbox's bounds


class Model:
    """What a store should hold: objects in order, versions, the order in each index, events."""

    def __init__(self) -> None:
        self.things: dict[type, dict[str, Any]] = {type_: {} for type_ in TYPES}
        self.versions: dict[tuple[type, str], int] = {}
        self.order: dict[tuple[type, str, Hashable], list[str]] = {}
        self.events: list[Event] = []
        self.changed: dict[tuple[type, str], int] = {}
        self.seq = 0
        self.event_seq = 0

    def commit(self, steps: list[Any]) -> Commit | None:
        """Bring the net effect of the steps into the model; what listeners should be told."""
        last: dict[tuple[type, str], Any] = {}
        events: list[Event] = []
        for step in steps:
            if isinstance(step, Event):
                events.append(replace(step, seq=self.event_seq + len(events) + 1))
            elif isinstance(step, tuple):
                last[step] = None
            else:
                last[type(step), step.arn] = step
        # Kind by kind, in the order in which the transaction came to them.
        kinds = list(dict.fromkeys(type_ for type_, _ in last))
        writes = {
            slot: last[slot]
            for slot in sorted(last, key=lambda slot: kinds.index(slot[0]))
            if last[slot] or slot[1] in self.things[slot[0]]
        }
        if not writes and not events:
            return None
        self.seq += 1
        changes = []
        for (type_, key), after in writes.items():
            before = self.things[type_].get(key)
            self._reorder(type_, key, before, after)
            if after is None:
                del self.things[type_][key], self.versions[type_, key]
            else:
                self.things[type_][key] = after
                self.versions[type_, key] = self.seq
            self.changed.pop((type_, key), None)
            self.changed[type_, key] = self.seq
            changes.append(Change(type_, key, before, after))
        self.events += events
        self.event_seq += len(events)
        return Commit(self.seq, changes, events)

    def _reorder(self, type_: type, key: str, before: Any, after: Any) -> None:
        old = _indexes(before) if before else {}
        new = _indexes(after) if after else {}
        for index in ("colour", "both"):
            if old.get(index) != new.get(index):
                if old.get(index) is not None:
                    self.order[type_, index, old[index]].remove(key)
                if new.get(index) is not None:
                    self.order.setdefault((type_, index, new[index]), []).append(key)

    def copy(self) -> Model:
        copy = Model()
        copy.things = {type_: dict(rows) for type_, rows in self.things.items()}
        copy.versions = dict(self.versions)
        copy.order = {place: list(keys) for place, keys in self.order.items()}
        copy.events = list(self.events)
        copy.changed = dict(self.changed)
        copy.seq, copy.event_seq = self.seq, self.event_seq
        return copy

    def restart(self) -> None:
        """Every index is in the order in which objects were made; deletions are not remembered."""
        self.order = {}
        for type_, rows in self.things.items():
            for key, thing in rows.items():
                self._reorder(type_, key, None, thing)
        self.changed = dict(sorted(self.versions.items(), key=lambda item: item[1]))

    def compare(self, reader: Reader) -> None:
        for type_, rows in self.things.items():
            assert list(reader.all(type_)) == list(rows.values())
            for key in KEYS:
                assert reader.get(type_, key) == rows.get(key)
                assert reader.version(type_, key) == self.versions.get((type_, key), 0)
            for value in VALUES:
                for index in ("colour", "both"):
                    expected = [rows[key] for key in self.order.get((type_, index, value), ())]
                    assert reader.find(type_, index, value) == expected
                    assert [thing for thing in rows.values() if _indexes(thing)[index] == value] == sorted(
                        expected, key=list(rows.values()).index
                    )
                assert reader.count(type_, "both", value) == _number(rows.values(), value, "both", _indexes)
                assert reader.count(type_, "size", value) == _number(rows.values(), value, "size", _counts)
                assert reader.count(type_, "colour", value) == _number(
                    rows.values(), value, "colour", _indexes
                ) + _number(rows.values(), value, "colour", _counts)
        assert reader.events(limit=10_000) == self.events
        for key in KEYS:
            of_key = [event for event in self.events if event.resource == key]
            assert reader.events(key, limit=3) == of_key[-3:]
            chosen = [event for event in of_key if event.kind is EventKind.DEPLOYMENT]
            assert reader.events(key, [EventKind.DEPLOYMENT], after=2) == [e for e in chosen if e.seq > 2]


def _number(rows: Iterable[Any], value: Hashable, name: str, values: Any) -> int:
    return sum(values(thing)[name] == value for thing in rows)


class Stores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "miniecs.db"
        self.heard: list[list[Commit]] = [[], []]
        self.stores: list[Engine] = [MemoryStore(KINDS), SqliteStore(self.path, kinds=KINDS)]
        self.models = [Model(), Model()]
        for store, heard in zip(self.stores, self.heard, strict=True):
            store.subscribe(heard.append)

    @rule(steps=steps, look=st.sets(st.integers(0, 8), min_size=1, max_size=4), commit=st.booleans())
    def transact(self, steps: list[Any], look: set[int], commit: bool) -> None:
        for store, model, heard in zip(self.stores, self.models, self.heard, strict=True):
            heard.clear()
            try:
                with store.transaction() as tx:
                    for number, step in enumerate(steps):
                        if number in look:
                            self._compare_open(tx, model, steps[:number])
                        if isinstance(step, Event):
                            tx.emit(step)
                        elif isinstance(step, tuple):
                            tx.delete(*step)
                        else:
                            tx.put(step)
                    self._compare_open(tx, model, steps)
                    if not commit:
                        raise _Regret
            except _Regret:
                assert heard == []
            else:
                expected = model.commit(steps)
                assert heard == ([] if expected is None else [expected])

    @staticmethod
    def _compare_open(reader: Reader, model: Model, steps: list[Any]) -> None:
        """Within a transaction all looks as it will after the commit of what was written so far."""
        after = model.copy()
        after.commit(steps)
        after.compare(reader)

    @rule()
    def restart(self) -> None:
        self.stores[1].close()
        self.stores[1] = SqliteStore(self.path, kinds=KINDS)
        self.stores[1].subscribe(self.heard[1].append)
        self.models[1].restart()

    @rule()
    def wipe(self) -> None:
        for place, (store, model) in enumerate(zip(self.stores, self.models, strict=True)):
            store.wipe()
            self.models[place] = Model()
            self.models[place].seq = model.seq + 1
            self.models[place].event_seq = model.event_seq

    @invariant()
    def stores_are_as_the_models(self) -> None:
        for store, model in zip(self.stores, self.models, strict=True):
            assert store.seq == model.seq
            model.compare(store)
            for after in range(max(0, store.seq - 4), store.seq + 1):
                expected = [(seq, *slot) for slot, seq in model.changed.items() if seq > after]
                if after < store.horizon:
                    expected = [(seq, *slot) for slot, seq in model.versions.items()]
                assert sorted(store.changes(after), key=str) == sorted(expected, key=str)
                assert [seq for seq, *_ in store.changes(after)] == sorted(seq for seq, *_ in expected)

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()


class _Regret(Exception):
    """Ends a transaction without a commit."""


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
