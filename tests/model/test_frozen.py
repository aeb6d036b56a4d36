"""Frozen objects made quickly, and changed, are what dataclasses makes of them."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any

import pytest

from miniecs.model.frozen import quick, replace
from miniecs.model.task import Container, Task

TASK = Task("arn", "cluster", "definition", "group", containers=(Container("id", "app"),), version=3)


@dataclass(frozen=True, slots=True)
class Slow:
    """Fields by the names that could be in the way."""

    first: int
    kind: tuple[int, ...] = ()
    twin: str = "third"


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same fields."""

    first: int
    kind: tuple[int, ...] = ()
    twin: str = "third"


@dataclass(frozen=True)
class Loose:
    """Without slots."""

    first: int
    second: list[int] = field(default_factory=list)


CHANGES: list[dict[str, Any]] = [{}, {"version": 4}, {"last_status": "RUNNING", "started_at": 1.5}]


@pytest.mark.parametrize("changes", CHANGES)
def test_as_replace_does(changes: dict[str, Any]) -> None:
    assert replace(TASK, **changes) == dataclasses.replace(TASK, **changes)


def test_every_field_keeps_its_place() -> None:
    for each in fields(Container):
        change: dict[str, Any] = {each.name: "new"}
        container = replace(Container("id", "app"), **change)
        assert getattr(container, each.name) == "new"


def test_it_is_frozen_and_another() -> None:
    after = replace(TASK)
    assert after is not TASK
    assert type(after) is Task
    with pytest.raises(FrozenInstanceError):
        after.version = 5  # type: ignore[misc]


def test_what_is_no_field_is_an_error() -> None:
    with pytest.raises(AttributeError, match="status"):
        replace(TASK, status="RUNNING")  # type: ignore[call-arg]


def test_without_slots_too() -> None:
    before = Loose(1, [2])
    after = replace(before, first=3)
    assert (after, before) == (Loose(3, [2]), Loose(1, [2]))
    with pytest.raises(TypeError, match="third"):
        replace(before, third=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("made", [(1,), (1, (2,)), (1, (2,), "x")])
def test_made_by_place_and_by_name(made: tuple[Any, ...]) -> None:
    names = [each.name for each in fields(Slow)]
    for thing in (Quick(*made), Quick(**dict(zip(names, made, strict=False)))):
        assert type(thing) is Quick
        assert dataclasses.astuple(thing) == dataclasses.astuple(Slow(*made))
        assert hash(thing) == hash(Slow(*made))
        assert repr(thing) == repr(Slow(*made)).replace("Slow", "Quick")
        assert pickle.loads(pickle.dumps(thing)) == thing
        with pytest.raises(FrozenInstanceError):
            thing.first = 2  # type: ignore[misc]


@pytest.mark.parametrize("made", [{}, {"first": 1, "fourth": 4}])
def test_called_wrongly_it_says_the_same(made: dict[str, Any]) -> None:
    with pytest.raises(TypeError) as slow:
        Slow(**made)
    with pytest.raises(TypeError) as quickly:
        Quick(**made)
    assert str(quickly.value) == str(slow.value).replace("Slow", "Quick")


def test_its_signature_is_the_same() -> None:
    assert inspect.signature(Quick) == inspect.signature(Slow)


def test_only_what_is_set_from_parameters_alone() -> None:
    with pytest.raises(TypeError, match="Loose"):
        quick(Loose)
