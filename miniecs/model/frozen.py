"""Frozen dataclasses made and changed quickly: what ``dataclasses`` does, in a third and a tenth of the time.

A frozen class sets its own fields through ``object.__setattr__``, one call for each, and a task has forty.
Here an object is born as a twin: another class with the same slots that may be assigned to. When all its
fields are set it becomes what it is for good.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:

    def replace(thing: T, /, **changes: Any) -> T:
        """dataclasses.replace. Raises AttributeError for what is not a field of an object with slots."""
        kind = type(thing)
        copy = _copier(kind)
        if copy is None:
            return dataclasses.replace(thing, **changes)
        twin = copy(thing)
        for name, value in changes.items():
            setattr(twin, name, value)
        twin.__class__ = kind
        return twin


def quick(kind: type[T]) -> type[T]:
    """Decorates a frozen dataclass with slots and without subclasses, of which very many are made."""
    twin = _twin(kind)  # type: ignore[arg-type]
    if twin is None or any(field.default_factory is not MISSING for field in _fields(kind)):
        raise TypeError(f"{kind.__name__} has fields that are not set from what it is called with alone")
    defaults = {f"_{f.name}": f.default for f in _fields(kind) if f.default is not MISSING}
    parameters = [f"{f.name}=_{f.name}" if f.default is not MISSING else f.name for f in _fields(kind)]
    init = _function(
        kind,
        f"__init__(self, {', '.join(parameters)})",
        ["become_(self, '__class__', twin_)", *_set("self", kind, "{}"), "self.__class__ = kind_"],
        {"become_": object.__setattr__, "twin_": twin, "kind_": kind, **defaults},
    )
    init.__qualname__, init.__annotations__ = kind.__init__.__qualname__, kind.__init__.__annotations__
    setattr(kind, "__init__", init)  # noqa: B010 - a method is no variable, says mypy
    return kind


@cache
def _copier(kind: type) -> Callable[[Any], Any] | None:
    """Makes a twin with an object's fields. None for what is not made of slots alone."""
    twin = _twin(kind)
    if twin is None:
        return None
    body = ["twin = new(kind)", *_set("twin", kind, "thing.{}"), "return twin"]
    return _function(kind, "copied(thing)", body, {"new": object.__new__, "kind": twin})


@cache
def _twin(kind: type) -> type | None:
    names = tuple([field.name for field in _fields(kind)])
    by_slots = kind.__bases__ == (object,) and kind.__dict__.get("__slots__") == names
    return type(kind.__name__, (), {"__slots__": names}) if by_slots else None


def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _set(to: str, kind: type, value: str) -> list[str]:
    return [f"{to}.{field.name} = {value.format(field.name)}" for field in _fields(kind)]


def _function(kind: type, head: str, body: list[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Python written for one class, as ``dataclasses`` does it; a profiler tells it from that of others."""
    source = f"def {head}:\n" + "".join(f" {line}\n" for line in body)
    exec(compile(source, f"<{kind.__module__}.{kind.__qualname__}>", "exec"), names)
    made: Callable[..., Any] = names[head.partition("(")[0]]
    return made
