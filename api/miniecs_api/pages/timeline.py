"""The timeline page: how many tasks of each deployment of a service were in which state, and when.

Told from the events that the store still has; ``knownSince`` says from when on those are all.
"""

from __future__ import annotations

from typing import Any

from miniecs.config import Timing
from miniecs.control import census, timeline
from miniecs.control.deployments import bounds
from miniecs.control.lives import AGE, CONTAINERS, NOT_TOLD, TARGETS, Health
from miniecs.control.timeline import Happening, Timeline
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.event import Event, EventKind
from miniecs.model.load_balancing import Target
from miniecs.model.service import Revision, Service
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet
from miniecs.store.outbox import OTHERS
from miniecs_api.pages import names

_KINDS = (
    EventKind.TASK,
    EventKind.CONTAINER_INSTANCE,
    EventKind.TARGET,
    EventKind.DEPLOYMENT,
    EventKind.SERVICE_ACTION,
)
_QUIET = 600.0
"""So many seconds (of ECS's) in which all tasks just ran divide one story from the next."""


def page(view: View, name: str, *, now: float, timing: Timing, cluster: str | None = None) -> dict[str, Any]:
    """One service by name or ARN. Raises NotFound and Ambiguous."""
    service = names.find(view, name, kinds=(Service,), cluster=cluster)
    assert isinstance(service, Service)
    events = view.events(None, _KINDS, limit=2 * OTHERS)
    revisions = _revisions(view, service)
    since = _since(events, service)
    tasks = view.find(Task, "service", service.arn)
    told = timeline.tell(
        events,
        tasks,
        service.arn,
        {id: _health(view, service, revision, timing) for id, revision in revisions.items()},
        since=since,
        now=now,
        quiet=timing.wait(_QUIET),
        targets=[target for task in tasks for target in view.find(Target, "task", task.arn)],
    )
    floor, ceiling = bounds(service.desired_count, service.deployment_configuration)
    return {
        "service": service.name,
        "arn": service.arn,
        "cluster": arns.name_of(service.cluster_arn),
        "knownSince": since,
        "desired": service.desired_count,
        "floor": floor,
        "ceiling": ceiling,
        "healthyAfterSeconds": timing.healthy_after,
        "timeScale": timing.time_scale,
        "begin": told.times[0],
        "times": [round(at - told.times[0], 3) for at in told.times],
        **_story(view, service, told, revisions, timing),
    }


def _since(events: list[Event], service: Service) -> float:
    """From when on all is known: nothing is dropped before the store keeps as many events as it does."""
    return service.created_at if len(events) < OTHERS else max(events[0].at, service.created_at)


def _revisions(view: View, service: Service) -> dict[str, Revision]:
    """What each deployment releases, also of those that have ended, as long as it is told of."""
    found: dict[str, Revision] = {}
    for each in view.find(ServiceDeployment, "service", service.arn):
        revision = view.get(ServiceRevision, each.target.arn)
        if revision is not None:
            found[each.id] = revision.spec
    for task_set in view.find(TaskSet, "service", service.arn):
        found[task_set.id] = task_set.deployment.revision
    return found | {each.id: each.revision for each in service.deployments}


def _health(view: View, service: Service, revision: Revision, timing: Timing) -> Health:
    checked, balancers = census.checks(view, revision)
    by = TARGETS if balancers else CONTAINERS if checked else AGE
    grace = timing.wait(service.health_check_grace_period or 0)
    groups = tuple(dict.fromkeys(each.target_group_arn or "" for each in balancers))
    return Health(by, timing.healthy_after, grace, groups, checked)


def _story(
    view: View, service: Service, told: Timeline, revisions: dict[str, Revision], timing: Timing
) -> dict[str, Any]:
    states = {each.id: each.rollout_state for each in service.deployments}

    def definition(id: str) -> str:
        revision = revisions.get(id)
        named = arns.name_of(revision.task_definition_arn) if revision is not None else ""
        return named or told.definitions.get(id, id)

    return {
        "deployments": [
            {
                "id": id,
                "definition": definition(id),
                "rolloutState": states.get(id),
                "healthBy": _health(view, service, revisions[id], timing).by if id in revisions else NOT_TOLD,
                "tasks": {state: list(values) for state, values in counts.items()},
            }
            for id, counts in told.counts.items()
        ],
        "happened": [_happened(each, told.times[0], definition) for each in told.happenings],
    }


def _happened(each: Happening, begin: float, definition: Any) -> dict[str, Any]:
    return {
        "at": round(each.at - begin, 3),
        "kind": each.kind,
        "deployment": each.deployment_id or None,
        "definition": definition(each.deployment_id) if each.deployment_id else None,
        "reason": each.reason,
    }
