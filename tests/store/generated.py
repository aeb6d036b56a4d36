"""Instances of the model's types, generated from their declarations: a new kind is tested without a word."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic import BaseModel

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | _numbers | _text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_text, inner, max_size=2),
    max_leaves=4,
)
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    Any: _json,
    str: _text,
    int: st.integers(),
    float: _numbers,
    bool: st.booleans(),
    type(None): st.none(),
}


def instances(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a declared type."""
    if type_ in _SIMPLE:
        return _SIMPLE[type_]
    origin, arguments = get_origin(type_), get_args(type_)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([instances(argument) for argument in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(instances(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*[instances(argument) for argument in arguments])
    if origin is frozenset:
        return st.frozensets(instances(arguments[0]), max_size=2)
    if origin in (dict, Mapping):
        return st.dictionaries(instances(arguments[0]), instances(arguments[1]), max_size=2)
    if isinstance(type_, type) and issubclass(type_, Enum):
        return st.sampled_from(type_)
    return st.deferred(lambda: _structures(type_))


def _structures(type_: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(type_)
    if is_dataclass(type_):
        required = [f.name for f in fields(type_) if f.default is MISSING and f.default_factory is MISSING]
        names = [f.name for f in fields(type_)]
    elif issubclass(type_, BaseModel):
        required = [name for name, field in type_.model_fields.items() if field.is_required()]
        names = list(type_.model_fields)
    elif hasattr(type_, "_fields"):
        required = names = list(type_._fields)
    else:
        raise TypeError(f"no strategy for {type_!r}")
    return st.fixed_dictionaries(
        {name: instances(hints[name]) for name in required},
        optional={name: instances(hints[name]) for name in names if name not in required},
    ).map(lambda members: type_(**members))
