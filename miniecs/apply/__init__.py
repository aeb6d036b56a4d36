"""Writing what was decided: objects and the events that tell of them, in one transaction.

``writing`` is for whoever changes a task or a container instance, so that no event can be missed; ``applier``
and ``capacity`` carry out what the control loops plan, and ``launching`` places.
"""

from miniecs.apply.applier import Applier
from miniecs.apply.capacity import CapacityApplier
from miniecs.apply.writing import (
    keep_decision,
    keep_failure,
    service_message,
    write_begun,
    write_instance,
    write_service,
    write_target,
    write_task,
)

__all__ = [
    "Applier",
    "CapacityApplier",
    "keep_decision",
    "keep_failure",
    "service_message",
    "write_begun",
    "write_instance",
    "write_service",
    "write_target",
    "write_task",
]
