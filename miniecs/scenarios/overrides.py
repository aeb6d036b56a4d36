"""One value of a document replaced by its path: what a variant does, and ``--set`` on the command line.

``services.web.desiredCount``: things in lists are named by what they are called, or by their number.
"""

from __future__ import annotations

import copy
from typing import Any

from miniecs.model.frozen import replace
from miniecs.planning import text
from miniecs.planning.text import line_of
from miniecs.planning.validate import path_text
from miniecs.scenarios.document import Document, Place, nearest

_NAMES = ("serviceName", "family", "id", "name")
_UNTOUCHED = "variants"


def with_value(document: Document, path: str, value: Any, *, said_at: Place) -> Document:
    """A copy of the document with the value there. Raises Mistake, at ``said_at``.

    Of fields that are not there yet only the last one is made.
    """
    parts = path.split(".")
    if "" in parts or parts[0] == _UNTOUCHED or not isinstance(document.data, dict):
        what = f"{path!r} is not the path of a value, such as services.web.desiredCount"
        raise document.mistake(said_at, what)
    line = line_of(document.data, said_at)
    data = copy.deepcopy(document.data)
    holder: Any = data
    place: tuple[str | int, ...] = ()
    for part in parts[:-1]:
        key = _key(document, holder, part, place, said_at, must_be=True)
        holder, place = holder[key], (*place, key)
    last = _key(document, holder, parts[-1], place, said_at, must_be=False)
    holder[last] = copy.deepcopy(value)
    if line is not None and isinstance(holder, (text.Mapping, text.Sequence)):
        holder.lines[last] = line  # type: ignore[index]  # what is wrong with it is told where it was set
    return replace(document, data=data)


def _key(
    document: Document, holder: Any, part: str, place: Place, said_at: Place, *, must_be: bool
) -> str | int:
    where = path_text(place) or "the file"
    if isinstance(holder, dict):
        if part not in holder and must_be:
            raise document.mistake(said_at, f"{where} has no {part}; {nearest(part, map(str, holder))}")
        return part
    if isinstance(holder, list):
        names = [_name(item) for item in holder]
        if part in names:
            return names.index(part)
        if part in map(str, range(len(holder))):
            return int(part)
        raise document.mistake(said_at, f"{where} has no {part}; {nearest(part, filter(None, names))}")
    raise document.mistake(said_at, f"{where} holds no fields")


def _name(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    return next((str(item[key]) for key in _NAMES if key in item), "")


def setting(said: str) -> tuple[str, Any]:
    """``PATH=VALUE``, the value as YAML has it. Raises Mistake."""
    path, equals, value = said.partition("=")
    if not equals or not path:
        raise text.Mistake(f"{said!r} must be PATH=VALUE, such as services.web.desiredCount=8")
    return path, text.parse(value, f"--set {path}")
