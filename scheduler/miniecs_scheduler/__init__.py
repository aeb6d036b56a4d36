"""Where can a task go, and where best: placement as Amazon ECS does it, as a pure function.

Standard library only, without clock, I/O or chance of its own, so that the same fleet and the same
request give the same answer in the control plane, in a simulation and in a lesson.
"""

from miniecs_scheduler.dates import parse_date
from miniecs_scheduler.expressions import Expression, is_version, parse_expression
from miniecs_scheduler.index import Fleet
from miniecs_scheduler.place import place
from miniecs_scheduler.record import decide, record
from miniecs_scheduler.record_words import shortened, told
from miniecs_scheduler.scale_in import scale_in_order
from miniecs_scheduler.tokens import ExpressionError
from miniecs_scheduler.types import (
    AVAILABILITY_ZONE,
    SERVICE_DEFAULT,
    Constraint,
    Decision,
    Host,
    Placement,
    Reason,
    Rejection,
    Request,
    Resources,
    Strategy,
)
from miniecs_scheduler.zones import zones_with_room

__all__ = [
    "AVAILABILITY_ZONE",
    "SERVICE_DEFAULT",
    "Constraint",
    "Decision",
    "Expression",
    "ExpressionError",
    "Fleet",
    "Host",
    "Placement",
    "Reason",
    "Rejection",
    "Request",
    "Resources",
    "Strategy",
    "decide",
    "is_version",
    "parse_date",
    "parse_expression",
    "place",
    "record",
    "scale_in_order",
    "shortened",
    "told",
    "zones_with_room",
]
