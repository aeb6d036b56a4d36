"""What a request demands of a host beside resources: attributes and placement constraints.

Read once per shape of request and split by what the answer depends on: rules that are the same for
all hosts of equal attributes are asked once per class of hosts, the others of each host.
"""

from __future__ import annotations

from functools import lru_cache

from miniecs_scheduler.expressions import Expression, parse_expression
from miniecs_scheduler.types import Constraint

RequiredAttributes = tuple[tuple[str, str | None], ...]


class Rules:
    """The compiled rules of a request; `attributes` are the names that its class rules read."""

    __slots__ = ("attributes", "class_expressions", "distinct", "expressions", "host_expressions", "required")

    def __init__(self, required: RequiredAttributes, constraints: tuple[Constraint, ...]) -> None:
        for constraint in constraints:
            if constraint.type not in ("memberOf", "distinctInstance"):
                raise ValueError(f"not a placement constraint: {constraint}")
        self.required = required
        self.expressions: tuple[Expression, ...] = tuple(
            parse_expression(each.expression) for each in constraints if each.type == "memberOf"
        )
        self.class_expressions = tuple(e for e in self.expressions if not e.varies)
        self.host_expressions = tuple(e for e in self.expressions if e.varies)
        self.distinct = any(constraint.type == "distinctInstance" for constraint in constraints)
        names = {name for name, _ in required}
        self.attributes = frozenset(names.union(*(e.attributes for e in self.class_expressions)))

    @property
    def reads_version(self) -> bool:
        return any(e.reads_version for e in self.class_expressions)


@lru_cache(maxsize=1024)
def compile_rules(required: RequiredAttributes, constraints: tuple[Constraint, ...]) -> Rules:
    """Read constraints; a wrong expression raises ExpressionError, a type that does not exist ValueError."""
    return Rules(required, constraints)
