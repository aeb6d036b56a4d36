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
"""A type stands for itself: str, int, float (any number), bool, dict (any object), list, object (any)."""

_CALLED: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def fault(value: Any, shape: Shape, name: str) -> str:
    """What is wrong first, in words that begin with where; '' when nothing is."""
    if isinstance(shape, Record):
        return _fault_of_record(value, shape, name)
    if isinstance(shape, Each):
        return _fault_of_list(value, shape.of, name)
    if isinstance(shape, Values):
        return _fault_of_values(value, shape.of, name)
    return "" if _is(value, shape) else f"{name} is not {_CALLED[shape]}"


def _fault_of_record(value: Any, shape: Record, name: str) -> str:
    if not isinstance(value, dict):
        return f"{name} is not an object"
    for member in shape.needs:
        if value.get(member) is None:
            return f"{name} has no {member}"
    members = shape.members
    # Of what is there and what is known a message has the fewer.
    for member, each in value.items():
        of = members.get(member)
        # The exact type is the answer for almost all there is, and needs no name of the place.
        if of is None or each is None or type(each) is of:
            continue
        if problem := fault(each, of, f"{name}.{member}"):
            return problem
    return ""


def _fault_of_list(value: Any, of: Shape, name: str) -> str:
    if not isinstance(value, list):
        return f"{name} is not a list"
    for index, each in enumerate(value):
        if type(each) is not of and (problem := fault(each, of, f"{name}[{index}]")):
            return problem
    return ""


def _fault_of_values(value: Any, of: Shape, name: str) -> str:
    if not isinstance(value, dict):
        return f"{name} is not an object"
    for member, each in value.items():
        if type(each) is not of and (problem := fault(each, of, f"{name}.{member}")):
            return problem
    return ""


def _is(value: Any, type: type) -> bool:
    if type is float:
        type = int if isinstance(value, int) else float
    return isinstance(value, type) and (type in (bool, object) or not isinstance(value, bool))
