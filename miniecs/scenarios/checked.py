"""Parameters of an ECS operation in a scenario, held against the operation's own model before anything runs.

AWS drops members that it does not know; in a file a mistyped one would change the story in silence.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.planning import rules
from miniecs.planning.text import Mistake
from miniecs.scenarios.document import Document, Place, nearest
from miniecs_api.wire import parse
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.models import Service, Shape, load
from miniecs_api.wire.parse import Input, Readers


def checked(
    document: Document, place: Place, operation: str, params: Mapping[str, Any], **implied: Any
) -> dict[str, Any]:
    """The parameters as the operation takes them. Raises Mistake.

    implied: what the scenario adds, and the file need not say. Placement rules may be in one line.
    """
    model = load("ecs")
    described = model.operations[operation]
    assert described.input is not None
    params = {**_plain(params), **_rules(document, place, params)}
    mistakes = list(_unknown(document, place, model, model.shape(described.input), params))
    if mistakes:
        raise Mistake("\n".join(mistakes))
    reader = Input(
        described,
        Readers(model, parse.JSON_SCALARS, checked=True),
        Readers(model, parse.JSON_SCALARS, checked=False),
        model,
    )
    try:
        return reader.parse(
            lambda: copy.deepcopy(implied | params), mismatch_code="Mismatch", violation_code="Violation"
        ).params
    except AwsError as refused:
        raise document.mistake(place, refused.hint or refused.message) from None


def _plain(value: Any) -> Any:
    """Without lines: the readers know plain dictionaries and lists alone."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _rules(document: Document, place: Place, params: Mapping[str, Any]) -> dict[str, Any]:
    """``placementStrategy: binpack:memory`` in ECS's form; ECS's own form is its model's to judge."""
    found: dict[str, Any] = {}
    if "placementStrategy" in params:
        field, given = "placementStrategy", params["placementStrategy"]
        parts = given.split(",") if isinstance(given, str) else given
        found[field] = _each(document, (*place, field), parts, rules.strategy)
    if "placementConstraints" in params:
        field, given = "placementConstraints", params["placementConstraints"]
        found[field] = _each(
            document, (*place, field), [given] if isinstance(given, str) else given, rules.constraint
        )
    return found


def _each(document: Document, place: Place, parts: Any, read: Any) -> Any:
    if not isinstance(parts, list):
        return parts
    found = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            try:
                found.append(_said(read(part)))
            except ValueError as wrong:
                raise document.mistake((*place, index), str(wrong)) from None
        else:
            found.append(_plain(part))
    return found


def _said(rule: PlacementStrategy | PlacementConstraint) -> dict[str, str]:
    key, more = (
        ("field", rule.field) if isinstance(rule, PlacementStrategy) else ("expression", rule.expression)
    )
    return {"type": rule.type} | ({key: more} if more else {})


def _unknown(
    document: Document, place: Place, model: Service, shape: Shape, value: Any
) -> Iterator[str]:
    if shape.type == "structure" and not shape.document and isinstance(value, dict):
        for name, item in value.items():
            if name not in shape.members:
                what = f"unknown; {nearest(name, shape.members)}"
                yield str(document.mistake((*place, name), what))
            else:
                member = model.shape(shape.members[name])
                yield from _unknown(document, (*place, name), model, member, item)
    elif shape.type == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(document, (*place, index), model, model.shape(shape.element), item)
    elif shape.type == "map" and isinstance(value, dict):
        for name, item in value.items():
            yield from _unknown(document, (*place, name), model, model.shape(shape.value), item)
