"""Whether a document has the shape that its readers count on, said before anybody reads it.

The ECS agent reads messages into typed fields, so one of another type fails what it is in: this is the same
for dictionaries. A member that is null is as good as not there, and one that we do not know is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias


class Each(NamedTuple):
    """A list, each of whose elements has this shape; none is null."""

    of: Shape


class Values(NamedTuple):
    """An object with any members, each of this shape; none is null."""

    of: Shape


class Record(NamedTuple):
    """An object with these members. ``needs``: those that must be there."""

    members: Mapping[str, Shape]
    needs: tuple[str, ...] = ()


Shape: TypeAlias = type | Each | Values | Record
"""A type stands for itself: str, int, float (any number), bool, dict (any object), object (anything)."""

_CALLED: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
}


def fault(value: Any, shape: Shape, name: str) -> str:
    """What is wrong first, in words that begin with where; '' when nothing is."""
    match shape:
        case Each(of=of):
            if not isinstance(value, list):
                return f"{name} is not a list"
            found = (fault(each, of, f"{name}[{index}]") for index, each in enumerate(value))
        case Values(of=of):
            if not isinstance(value, dict):
                return f"{name} is not an object"
            found = (fault(each, of, f"{name}.{member}") for member, each in value.items())
        case Record(members=members, needs=needs):
            if not isinstance(value, dict):
                return f"{name} is not an object"
            missing = next((member for member in needs if value.get(member) is None), None)
            if missing is not None:
                return f"{name} has no {missing}"
            found = (
                fault(value[member], of, f"{name}.{member}")
                for member, of in members.items()
                if value.get(member) is not None
            )
        case type():
            return "" if _is(value, shape) else f"{name} is not {_CALLED[shape]}"
    return next((problem for problem in found if problem), "")


def _is(value: Any, type: type) -> bool:
    if type is float:
        type = int if isinstance(value, int) else float
    return isinstance(value, type) and (type in (bool, object) or not isinstance(value, bool))
