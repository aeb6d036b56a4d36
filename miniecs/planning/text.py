"""YAML and JSON with the line of everything in it, so that a mistake can be shown where it is.

Read event by event and not with ``yaml.load``: that forgets lines, keeps the last of two equal keys, and
takes documents that grow or nest without bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 40
_PLAIN: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str"))
_BOOL: Final = "tag:yaml.org,2002:bool"
_TIME: Final = "tag:yaml.org,2002:timestamp"


Place = Iterable[str | int]
"""The way to something in a document: keys and numbers of items."""


class Mistake(ValueError):
    """What is wrong in a document and where; one line for each mistake.

    place: where, as long as nobody who knows the document has put it into words.
    """

    def __init__(self, what: str, place: Place = ()) -> None:
        super().__init__(what)
        self.place = tuple(place)


@contextmanager
def within(*place: str | int) -> Iterator[None]:
    """Mistakes that are found within have this place, unless they know a nearer one."""
    try:
        yield
    except Mistake as mistake:
        if mistake.place:
            raise
        raise Mistake(str(mistake), place) from mistake


class Mapping(dict[str, Any]):
    """A mapping that knows the line of each of its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class Sequence(list[Any]):
    """A list that knows the line of each of its items."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def parse(text: str, name: str) -> Any:
    """The document; ``name`` is what errors call it. Raises Mistake."""
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=lambda pairs: _json_mapping(pairs, name))
        except (json.JSONDecodeError, RecursionError):
            pass  # YAML's own braces, or a mistake of which YAML's reader tells the line
    try:
        return _Builder(text, name).build()
    except yaml.MarkedYAMLError as problem:
        # At the end of the text libyaml names a line more than there is.
        line = min(problem.problem_mark.line + 1 if problem.problem_mark else 1, text.count("\n") + 1)
        what = " ".join(str(part) for part in (problem.context, problem.problem) if part)
        raise Mistake(f"{name}, line {line}: this is neither YAML nor JSON: {what}") from problem
    except yaml.YAMLError as problem:
        raise Mistake(f"{name}: this is neither YAML nor JSON: {problem}") from problem


def line_of(document: Any, path: Place) -> int | None:
    """The line of what the path leads to, or of the last thing on it that exists; None where unknown."""
    line = None
    for step in path:
        if isinstance(document, dict) and step in document:
            line = getattr(document, "lines", {}).get(step, line)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            line = document.lines[step] if isinstance(document, Sequence) else line
        else:
            continue
        document = document[step]
    return line


def _json_mapping(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Mistake(f"{name}: {twice!r} is given twice in one object")
    return found


class _Builder:
    """Makes values of a stream of YAML events."""

    def __init__(self, text: str, name: str) -> None:
        self._loader = yaml.CSafeLoader(text) if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader(text)
        self._name = name
        self._depth = 0

    def build(self) -> Any:
        try:
            events = self._events()
            first = next(events, None)
            value = None if first is None else self._value(first, events)
            extra = next(events, None)
            if extra is not None:
                raise self._mistake(extra, "a second document begins here; give one a file")
            return value
        finally:
            self._loader.dispose()

    def _events(self) -> Iterator[Any]:
        while self._loader.check_event():
            event = self._loader.get_event()
            if isinstance(event, (yaml.NodeEvent, yaml.CollectionEndEvent)):
                yield event

    def _value(self, event: Any, events: Iterator[Any]) -> Any:
        if isinstance(event, yaml.AliasEvent):
            raise self._mistake(event, f"aliases (*{event.anchor}) are not read here; write it out")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise self._mistake(event, f"{event.tag} is not read here")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._mistake(event, f"nested more than {MAX_DEPTH} deep")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        value = self._mapping(events) if is_mapping else self._sequence(events)
        self._depth -= 1
        return value

    def _mapping(self, events: Iterator[Any]) -> Mapping:
        found = Mapping()
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._mistake(event, "a key must be a word")
            key = event.value
            if key in found:
                raise self._mistake(event, f"{key!r} is given twice, first in line {found.lines[key]}")
            found.lines[key] = event.start_mark.line + 1
            found[key] = self._value(next(events), events)
        return found

    def _sequence(self, events: Iterator[Any]) -> Sequence:
        found = Sequence()
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            found.lines.append(event.start_mark.line + 1)
            found.append(self._value(event, events))
        return found

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag == _TIME or (tag == _BOOL and event.value.lower() not in ("true", "false")):
            return event.value  # whoever wants a date reads it; yes, no, on and off are words, as in YAML 1.2
        if tag not in _PLAIN:
            raise self._mistake(event, f"{tag} is not read here")
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        try:
            return self._loader.construct_object(node)
        except (ValueError, KeyError) as problem:
            raise self._mistake(event, f"{event.value!r} cannot be read: {problem}") from problem

    def _mistake(self, event: Any, what: str) -> Mistake:
        return Mistake(f"{self._name}, line {event.start_mark.line + 1}: {what}")
