"""The events page: the outbox as sentences, so that a history can be read and followed."""

from __future__ import annotations

from typing import Any

from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.cluster import Cluster
from miniecs.model.event import PLACED, Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.pages import names

_ALL = 200_000  # more than the outbox keeps


def page(view: View, *, resource: str | None = None, after: int = 0, limit: int = 100) -> dict[str, Any]:
    """The newest ``limit`` events with seq > after, oldest first.

    resource: an id, name or ARN. A service's events include its tasks', a cluster's all within it.
    Raises NotFound and Ambiguous; an ARN of something long deleted has the events that are left of it.
    """
    if resource is None:
        return _page(view.events(after=after, limit=limit), after)
    try:
        thing = names.find(view, resource)
    except names.NotFound:
        provider = names.capacity_provider(view, resource)
        if provider is not None:
            resource = provider.arn
        elif arns.parse(resource) is None:
            raise
        return _page(view.events(resource, after=after, limit=limit), after)
    if isinstance(thing, (Task, ContainerInstance)):
        return _page(view.events(thing.arn, after=after, limit=limit), after)
    related = [event for event in view.events(after=after, limit=_ALL) if _is_of(view, event, thing)]
    return _page(related[-limit:], after)


def _page(events: list[Event], after: int) -> dict[str, Any]:
    """``last`` is what to give as ``after`` to get what follows.

    Where a task was placed, its own event says why; `explain` has the whole decision.
    """
    shown = [render(event) for event in events if event.name != PLACED]
    return {"events": shown, "last": events[-1].seq if events else after}


def _is_of(view: View, event: Event, thing: Service | Cluster) -> bool:
    if event.resource == thing.arn:
        return True
    about = event.state or view.get(Task, event.resource) or view.get(Service, event.resource)
    if isinstance(thing, Cluster):
        if event.resource in _providers(thing):
            return True
        return about is not None and about.cluster_arn == thing.arn
    return isinstance(about, Task) and about.service_arn == thing.arn


def _providers(cluster: Cluster) -> set[str]:
    """ARNs of the cluster's capacity providers, about which decisions are told."""
    scope = arns.scope_of(cluster.arn)
    return {arns.capacity_provider(scope, name) for name in cluster.capacity_providers}


def render(event: Event) -> dict[str, Any]:
    """One event; ``text`` says it in one sentence, ``because`` why it came about."""
    return {
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind.value,
        "resource": event.resource,
        "level": event.level,
        "name": event.name or None,
        "text": _text(event),
        "because": event.because or None,
    }


def _text(event: Event) -> str:
    match event.state:
        case Task() as task:
            return _task_text(task)
        case ContainerInstance() as instance:
            agent = "connected" if instance.agent_connected else "not connected"
            return f"{instance.status}, agent {agent}"
    if event.kind in (EventKind.SERVICE_MESSAGE, EventKind.DECISION, EventKind.TARGET):
        return event.message
    return " ".join(part for part in (event.name, event.reason or event.message) if part)


def _task_text(task: Task) -> str:
    text = f"{arns.name_of(task.task_definition_arn)} is {task.last_status}"
    if task.desired_status != task.last_status and not (task.wanted and not task.is_stopped):
        text += f", desired {task.desired_status}"
    if task.health_status != "UNKNOWN" and task.last_status == "RUNNING":
        text += f", {task.health_status}"
    return f"{text}: {task.stopped_reason}" if task.stopped_reason else text
