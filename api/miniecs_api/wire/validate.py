"""A shape's constraints, and AWS's words for what breaks them.

The readers of parse.py only ask whether a value is good; the messages, which need every violation with its
path, come from a second walk that only bad requests pay for.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from miniecs_api.wire.models import Service, Shape

_SHOWN = 1000  # characters of a bad value that go into the message
_PATTERN_REACH = 4096  # longer values are not matched against patterns
_SCALARS = frozenset({"string", "integer", "long", "float", "double", "boolean", "timestamp", "blob"})
_NOT_NULL = "Member must not be null"

# Java's \p{L} and \p{N} together are Python's \w but for the underscore; \p{Z} is spelled out.
_UNICODE_CLASSES = (
    ("\\p{L}", "\\w"),
    ("\\p{N}", ""),
    ("\\p{Z}", " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"),
)
# A group that repeats inside and is repeated itself can take exponential time on a hostile value.
_NESTED_REPEAT = re.compile(r"[*+}][^()]*\)[*+{]")


class Constraint(NamedTuple):
    """What a value must satisfy, and how AWS says so."""

    holds: Callable[[Any], bool]
    text: str


def constraints(shape: Shape) -> tuple[Constraint, ...]:
    """The shape's own constraints, in the order in which AWS lists them."""
    found = []
    if shape.type in ("integer", "long", "float", "double"):
        if (low := shape.min) is not None:
            found.append(
                Constraint(lambda v: v >= low, f"Member must have value greater than or equal to {low}")
            )
        if (high := shape.max) is not None:
            found.append(
                Constraint(lambda v: v <= high, f"Member must have value less than or equal to {high}")
            )
        return tuple(found)
    if (most := shape.max) is not None:
        found.append(
            Constraint(lambda v: len(v) <= most, f"Member must have length less than or equal to {most}")
        )
    if shape.min:
        least = shape.min
        found.append(
            Constraint(lambda v: len(v) >= least, f"Member must have length greater than or equal to {least}")
        )
    if shape.pattern is not None and (match := _matcher(shape.pattern)):
        text = f"Member must satisfy regular expression pattern: {shape.pattern}"
        found.append(Constraint(match, text))
    if shape.enum:
        text = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        found.append(Constraint(frozenset(shape.enum).__contains__, text))
    return tuple(found)


def predicate(shape: Shape) -> Callable[[Any], bool] | None:
    """Whether a value keeps all of the shape's own constraints; None when it has none."""
    holds = [constraint.holds for constraint in constraints(shape)]
    if len(holds) <= 1:
        return holds[0] if holds else None

    def all_hold(value: Any) -> bool:
        for hold in holds:
            if not hold(value):
                return False
        return True

    return all_hold


def message(problems: list[str]) -> str:
    """AWS's sentence for one or several violations."""
    noun = "error" if len(problems) == 1 else "errors"
    return f"{len(problems)} validation {noun} detected: {'; '.join(problems)}"


def violations(service: Service, shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Every violation in a value whose types are already right, worded as AWS words it."""
    for constraint in constraints(shape):
        if not constraint.holds(value):
            yield _problem(shape, value, path, constraint.text)
    if shape.type == "structure" and not shape.document:
        yield from _in_structure(service, shape, value, path)
    elif shape.type == "list":
        element = service.shape(shape.element)
        yield from _in_items(service, shape, element, value, path, "Member", list(enumerate(value, 1)))
    elif shape.type == "map":
        keys = [(key, key) for key in value]
        yield from _in_items(service, shape, service.shape(shape.key), value, path, "Map keys", keys)
        pairs = list(value.items())
        yield from _in_items(service, shape, service.shape(shape.value), value, path, "Map value", pairs)


def _in_structure(service: Service, shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name, shape_name in shape.members.items():
        # AWS names members as Java does, whatever their case on the wire.
        at = f"{path}.{name[:1].lower()}{name[1:]}" if path else name[:1].lower() + name[1:]
        if name in value:
            yield from violations(service, service.shape(shape_name), value[name], at)
        elif name in shape.required:
            yield f"Value null at '{at}' failed to satisfy constraint: {_NOT_NULL}"


def _in_items(
    service: Service,
    whole: Shape,
    part: Shape,
    value: Any,
    path: str,
    what: str,
    items: list[tuple[Any, Any]],
) -> Iterator[str]:
    """Scalars are judged together, under the path of what holds them; all else has a path of its own."""
    rules = constraints(part) if part.type in _SCALARS else ()
    if any(item is None or not all(rule.holds(item) for rule in rules) for _, item in items):
        texts = [rule.text for rule in rules] if part.type in _SCALARS else []
        yield _problem(
            whole, value, path, f"{what} must satisfy constraint: [{', '.join([*texts, _NOT_NULL])}]"
        )
    if part.type not in _SCALARS:
        for name, item in items:
            if item is not None:
                yield from violations(service, part, item, f"{path}.{name}.member")


def _problem(shape: Shape, value: Any, path: str, text: str) -> str:
    if shape.sensitive:
        return f"Value at '{path}' failed to satisfy constraint: {text}"
    shown = _shown(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {text}"


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case list():
            return f"[{', '.join(map(_shown, value))}]"
        case dict():
            return "{" + ", ".join(f"{key}={_shown(item)}" for key, item in value.items()) + "}"
        case bytes():
            return f"{len(value)} bytes"
        case _:
            return str(value)


def _matcher(pattern: str) -> Callable[[str], bool] | None:
    """The pattern as a whole match, or None where Python cannot be trusted with it."""
    if "\\p{L}" in pattern and "\\p{N}" in pattern:
        for java, python in _UNICODE_CLASSES:
            pattern = pattern.replace(java, python)
    if _NESTED_REPEAT.search(pattern):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            match = re.compile(pattern).fullmatch
        except (re.error, FutureWarning, DeprecationWarning):
            return None
    return lambda value: len(value) > _PATTERN_REACH or match(value) is not None
