"""The outbox's entries: every transition AWS would tell of, and every sentence for people.

Service events, ``miniecs events``, EventBridge and AMQP all read from the outbox, so
an event is written in the transaction that makes it true.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from miniecs.model.frozen import quick
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task


class EventKind(StrEnum):
    TASK = "ECS Task State Change"
    CONTAINER_INSTANCE = "ECS Container Instance State Change"
    DEPLOYMENT = "ECS Deployment State Change"
    SERVICE_ACTION = "ECS Service Action"
    SERVICE_MESSAGE = "Service Message"  # a line of DescribeServices' events
    TARGET = "Target Health"  # of a task's target. name: its state, reason: the target group; miniecs's own
    DECISION = "Decision"  # what was decided and why; miniecs's own


PLACED = "TASKS_PLACED"
"""The name of a decision that placed tasks; one that found no host for some has none."""


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """One entry. ``resource`` is the ARN it is about; ``state`` the object as the transition left it."""

    kind: EventKind
    resource: str
    at: float
    message: str = ""  # a service message's text; a decision's sentence
    because: str = ""
    name: str = ""  # eventName, e.g. SERVICE_STEADY_STATE
    level: str = "INFO"  # eventType: INFO WARN ERROR
    reason: str = ""
    state: Task | ContainerInstance | None = None
    id: str = ""  # uuid of a service message
    record: str = ""  # of a decision: what it was made by, the scheduler's JSON document
    seq: int = 0  # given by the store
