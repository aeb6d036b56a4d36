"""A frozen object with some fields changed: what dataclasses.replace does, in half the time.

A task has forty fields, and two reports a second of each of thousands of tasks are laid over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

T = TypeVar("T")


def changed(thing: T, changes: Mapping[str, Any]) -> T:
    """Raises KeyError for what is not a field."""
    kind: type = type(thing)
    values_of, places = _fields(kind)
    values = list(values_of(thing))
    for name, value in changes.items():
        values[places[name]] = value
    return type(thing)(*values)


@cache
def _fields(kind: type) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, int]]:
    names = [field.name for field in fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}
