"""Which kept decision put a task where it is, and what it says.

A decision is kept once for all tasks that it placed, with their service or with the first of them, and is
found by its moment, which is the one at which they were made. The outbox keeps so many and no more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from miniecs.control import messages
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_scheduler import shortened, told

_ALL = 100_000  # more than the outbox keeps


def decisions(view: View, resource: str) -> list[Event]:
    """Decisions about a service, a task or a cluster of which the record is kept, oldest first."""
    kept = view.events(resource, (EventKind.DECISION,))
    return [decision for decision in kept if decision.record]


def decision_of(view: View, task: Task) -> Event | None:
    """The decision that placed the task, or by which it waits."""
    moment = task.placed_at if task.placed_at is not None else task.created_at
    kept = decisions(view, task.service_arn or task.arn)
    if task.service_arn is None and not any(each.at == moment for each in kept):
        kept = [each for each in view.events(kinds=(EventKind.DECISION,), limit=_ALL) if each.record]
    together = [each for each in kept if each.at == moment and _is_near(each, task)]
    host = arns.name_of(task.container_instance_arn or "")
    return next((each for each in together if host in each.record), next(iter(together), None))


def _is_near(decision: Event, task: Task) -> bool:
    """Of the task's own service or cluster: names of things elsewhere say nothing of it."""
    if task.service_arn is not None:
        return decision.resource == task.service_arn
    return decision.resource.startswith(task.arn.removesuffix(arns.name_of(task.arn)))


def document(decision: Event) -> dict[str, Any]:
    """A kept decision for a program."""
    return {
        "at": decision.at,
        "because": decision.because,
        "message": decision.message,
        **json.loads(decision.record),
    }


def placement_of_task(view: View, task: Task) -> list[str]:
    """How the task's host was found, in lines."""
    decision = decision_of(view, task)
    return told(json.loads(decision.record)) if decision is not None else []


def last_placement(view: View, about: str, *, now: float) -> list[str]:
    """The last decision about a cluster or a service, in lines; all by which it was refused tasks at once."""
    kept = decisions(view, about)
    if not kept:
        return []
    together = kept[-1:] if view.get(Service, about) is None else of_last_moment(kept)
    last = [(each.at, json.loads(each.record)) for each in together]
    refused = [each for each in last if each[1].get("unplaced")]
    lines = []
    for at, record in refused or last[-1:]:
        first, *others = told(record)
        lines += [f"{now - at:.0f} s ago: {first}", *others]
    closest = {named for _, record in refused if (named := record["unplaced"]["closest"])}
    return lines + _said_otherwise(view, about, closest, now) if closest else lines


def of_last_moment(kept: Sequence[Event]) -> list[Event]:
    """The last decision and those that were made with it: one for each capacity provider's share."""
    return [each for each in kept if each.at == kept[-1].at]


def _said_otherwise(view: View, about: str, closest: Collection[str], now: float) -> list[str]:
    """That the last service event names another host: it is not repeated where only that has changed."""
    service = view.get(Service, about)
    said = messages.said(view, service) if service is not None else []
    named = [(event.at, id) for event in said if (id := messages.closest_in(event.message)) is not None]
    if not named or named[-1][1] in closest:
        return []
    at, id = named[-1]
    return [
        f"  The service event of {now - at:.0f} s ago names {shortened(id)}, which was the closest then: ECS"
        " repeats no such event until tasks start or the service is steady, or for six hours."
    ]
