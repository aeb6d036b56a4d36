"""Placement strategies and constraints in one line, as people say them: ``binpack:memory``.

The words are ECS's, and so is the order in which a chain of strategies counts. ECS's own form, an object
with type and field or expression, is read as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.planning.validate import nearest
from miniecs_scheduler import ExpressionError, parse_expression

MAX_STRATEGIES: Final = 5
MAX_CONSTRAINTS: Final = 10
MAX_EXPRESSION: Final = 2000
_STRATEGIES: Final = "random, spread:instanceId, spread:attribute:NAME, binpack:cpu and binpack:memory"
_AROUND: Final = 40  # characters of an expression that are shown on either side of a mistake


def strategy(given: Any) -> PlacementStrategy:
    """``binpack:memory``, or ``{type: binpack, field: memory}``. Raises ValueError."""
    if isinstance(given, PlacementStrategy):
        return given
    type, field = _parts(given, "field")
    match type:
        case "random" if not field:
            return PlacementStrategy("random")
        case "binpack" if field.lower() in ("cpu", "memory"):
            return PlacementStrategy("binpack", field.lower())
        case "spread" if field.lower() in ("instanceid", "host"):
            return PlacementStrategy("spread", "instanceId")
        case "spread" if field.startswith("attribute:") and field != "attribute:":
            return PlacementStrategy("spread", field)
    said = f"{type}:{field}" if field else type
    meant = _meant_strategy(type, field)
    hint = f"did you mean {meant}?" if meant else f"there are {_STRATEGIES}"
    raise ValueError(f"{said!r} is not a placement strategy; {hint}")


def _meant_strategy(type: str, field: str) -> str | None:
    meant = nearest(type, ("random", "spread", "binpack"))
    if meant == "random":
        return "random"
    if meant == "binpack":
        found = nearest(field, ("cpu", "memory"))
        return f"binpack:{found}" if found else None
    if meant == "spread" and field:
        by_host = nearest(field, ("instanceId", "host"))
        if type == meant and not by_host:
            return f"spread:attribute:{field.removeprefix('attribute').lstrip(':')}"
        return f"spread:{by_host or field}"
    return None


def chain(text: str) -> tuple[PlacementStrategy, ...]:
    """``spread:attribute:ecs.availability-zone,binpack:memory``. Raises ValueError."""
    return bounded_chain(strategy(part.strip()) for part in text.split(","))


def bounded_chain(parts: Iterable[PlacementStrategy]) -> tuple[PlacementStrategy, ...]:
    found = tuple(parts)
    if len(found) > MAX_STRATEGIES:
        raise ValueError(f"{len(found)} placement strategies; ECS takes at most {MAX_STRATEGIES}")
    return found


def constraint(given: Any) -> PlacementConstraint:
    """``distinctInstance``, ``memberOf:EXPRESSION``, or ECS's object. Raises ValueError."""
    if isinstance(given, PlacementConstraint):
        return given
    type, expression = _parts(given, "expression")
    if type == "distinctInstance":
        if expression:
            raise ValueError("distinctInstance takes no expression")
        return PlacementConstraint("distinctInstance")
    if type != "memberOf":
        meant = nearest(type, ("distinctInstance", "memberOf"))
        hint = f"did you mean {meant}?" if meant else "there are distinctInstance and memberOf:EXPRESSION"
        raise ValueError(f"{type!r} is not a placement constraint; {hint}")
    _check_expression(expression)
    return PlacementConstraint("memberOf", expression)


def _check_expression(expression: str) -> None:
    if not expression.strip():
        raise ValueError("memberOf needs an expression: memberOf:attribute:stack == prod")
    if len(expression) > MAX_EXPRESSION:
        raise ValueError(
            f"the expression has {len(expression)} characters; ECS takes at most {MAX_EXPRESSION}"
        )
    try:
        parse_expression(expression)
    except ExpressionError as problem:
        raise ValueError(f"{problem}\n{_pointed(expression, problem.position)}") from problem


def _pointed(expression: str, position: int) -> str:
    """The expression with a mark under the position."""
    start, end = max(0, position - _AROUND), position + _AROUND
    before, after = "…" if start else "", "…" if end < len(expression) else ""
    line = "".join(char if char.isprintable() else " " for char in expression[start:end])
    return f"  {before}{line}{after}\n  {' ' * (len(before) + position - start)}^"


def _parts(given: Any, second: str) -> tuple[str, str]:
    if isinstance(given, str):
        type, _, more = given.strip().partition(":")
        return type, more
    if isinstance(given, dict) and given.keys() <= {"type", second}:
        type, more = given.get("type") or "", given.get(second) or ""
        if isinstance(type, str) and isinstance(more, str):
            return type, more
    example = "binpack:memory" if second == "field" else "distinctInstance"
    raise ValueError(f"must be a word like {example}, or an object with type and {second}")


StrategyText = Annotated[PlacementStrategy, BeforeValidator(strategy)]
ConstraintText = Annotated[PlacementConstraint, BeforeValidator(constraint)]


def _chained(given: Any) -> Any:
    return given.split(",") if isinstance(given, str) else given


def _alone(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


Strategies = Annotated[tuple[StrategyText, ...], BeforeValidator(_chained)]
"""A list, or a chain in one text as on the command line."""
Constraints = Annotated[tuple[ConstraintText, ...], BeforeValidator(_alone)]
