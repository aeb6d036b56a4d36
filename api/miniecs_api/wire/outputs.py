"""Whether a result keeps to its operation's output shape: for tests, since requests cannot pay for it.

A member that the shape lacks is a slip of the pen that JSON would send and every client would ignore.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from miniecs_api.wire.models import Shape, load

_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "timestamp": (float, int, datetime),
    "blob": (bytes,),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
}


def problems(service: str, operation: str, result: Any) -> list[str]:
    """What in a result its output shape does not have, by path; empty when all is well."""
    output = load(service).operations[operation].output
    if output is None:
        return [] if result == {} else [f"{operation} answers nothing, not {result!r}"]
    return list(_problems(service, load(service).shape(output), result, operation))


def _problems(service: str, shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.document:
        return
    if not _has_type(shape, value):
        yield f"{path}: {value!r} is no {shape.type}"
        return
    shapes = load(service).shapes
    match shape.type:
        case "structure":
            for name, item in value.items():
                if name not in shape.members:
                    yield f"{path}.{name}: {shape.name} has no such member"
                elif item is not None:
                    yield from _problems(service, shapes[shape.members[name]], item, f"{path}.{name}")
        case "list":
            for index, item in enumerate(value):
                yield from _problems(service, shapes[shape.element], item, f"{path}[{index}]")
        case "map":
            for key, item in value.items():
                yield from _problems(service, shapes[shape.key], key, f"{path} key")
                yield from _problems(service, shapes[shape.value], item, f"{path}.{key}")
        case "string" if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {', '.join(shape.enum)}"


def _has_type(shape: Shape, value: Any) -> bool:
    if isinstance(value, bool):  # which Python counts among the integers
        return shape.type == "boolean"
    return isinstance(value, _CLASSES[shape.type])
