"""From a document as it was written to a model, or to a list of mistakes in words with their places."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from miniecs.planning.text import Mistake, line_of, parse

M = TypeVar("M", bound=BaseModel)

_MOST: Final = 10  # mistakes that are told at once
_SHOWN: Final = 60  # characters of a value that is wrong


def read(text: str, model: type[M], name: str) -> M:
    """The model that a YAML or JSON text describes. Raises Mistake; ``name`` is the file's."""
    return check(parse(text, name), model, name)


def check(document: Any, model: type[M], name: str) -> M:
    """The same for a document that is parsed already."""
    if not isinstance(document, dict):
        what = "is empty" if document is None else "is not a mapping"
        wanted = ", ".join(_fields(model))
        raise Mistake(f"{name}: this {what}; it has to have some of: {wanted}")
    try:
        return model.model_validate(document)
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
        told = dict.fromkeys(_told(error, document, model, name) for error in errors)
        more = [f"… and {len(told) - _MOST} more mistakes"] if len(told) > _MOST else []
        raise Mistake("\n".join([*list(told)[:_MOST], *more])) from problem


def where(document: Any, name: str, path: Sequence[str | int]) -> str:
    """``c.yaml, line 4: hosts[2].type``; without what is not known."""
    line = line_of(document, path)
    file = f"{name}, line {line}" if line is not None else name
    return ": ".join(part for part in (file, path_text(path)) if part)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant: a typo of it, or it ends like it (instanceType, type)."""
    names = {name.lower(): name for name in known}
    lower = word.lower()
    ends = [name for name in names if lower.endswith(name)]
    found = (
        get_close_matches(lower, names, n=1, cutoff=0.75)
        or ([max(ends, key=len)] if ends else [])
        or get_close_matches(lower, names, n=1, cutoff=0.6)
        or [name for name in names if lower and lower in name][:1]
    )
    return names[found[0]] if found else None


def path_text(path: Sequence[str | int]) -> str:
    """``hosts[2].type``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _told(error: Any, document: Any, model: type[BaseModel], name: str) -> str:
    path = _existing(error["loc"], document, error["type"])
    return ": ".join(part for part in (where(document, name, path), _what(error, path, model)) if part)


def _existing(path: Sequence[str | int], document: Any, kind: str) -> list[str | int]:
    """The path without the names of alternatives that pydantic puts in; what is missing stays at its end."""
    found: list[str | int] = []
    for n, step in enumerate(path):
        if isinstance(document, dict):
            there = step in document
        else:  # a field where the list is that stands in its place, or a number of one of its items
            there = isinstance(document, list) and isinstance(step, int)
        if there:
            found.append(step)
            document = document[step]
        elif kind == "missing" and n == len(path) - 1:
            found.append(step)
    return found


def _what(error: Any, path: list[str | int], model: type[BaseModel]) -> str:
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        known = _fields(_at(model, path[:-1]))
        meant = nearest(str(path[-1]), known)
        return f"unknown; did you mean {meant}?" if meant else f"unknown; known are {', '.join(known)}"
    if kind == "missing":
        return "is missing"
    if kind == "too_short":
        return "is empty; it needs at least one entry"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    text: str = error["msg"].replace("Input should be", "must be").replace("valid tuple", "list")
    if isinstance(given, (str, int, float, bool)) or given is None:
        shown = json.dumps(given, ensure_ascii=False)
        text += f", not {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}"
    return text[:1].lower() + text[1:]


def _fields(model: Any) -> list[str]:
    """The names that a document may use."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [
        alias if isinstance(alias := field.validation_alias or field.alias, str) else name
        for name, field in model.model_fields.items()
    ]


def _at(model: Any, path: Sequence[str | int]) -> Any:
    """The model of what a path leads to."""
    for step in path:
        if isinstance(step, int):
            model = _member(get_args(model)[0]) if get_args(model) else None
        elif isinstance(model, type) and issubclass(model, BaseModel):
            names = dict(zip(_fields(model), model.model_fields.values(), strict=True))
            model = _member(names[step].annotation) if step in names else None
        else:
            model = None
    return model


def _member(annotation: Any) -> Any:
    """An annotation without what may stand around it: X | None, Annotated[X, …]."""
    if get_origin(annotation) is Annotated:
        return _member(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next((_member(each) for each in get_args(annotation) if each is not type(None)), None)
    return annotation
