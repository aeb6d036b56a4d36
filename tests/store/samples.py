"""Small objects for the store's tests."""

from __future__ import annotations

from miniecs.model.cluster import Cluster
from miniecs.model.event import Event, EventKind
from miniecs.model.task import Task

ACCOUNT = "arn:aws:ecs:us-east-1:000000000000"
WEB = f"{ACCOUNT}:service/default/web"
DEFAULT = f"{ACCOUNT}:cluster/default"


def cluster(name: str = "default", status: str = "ACTIVE") -> Cluster:
    return Cluster(f"{ACCOUNT}:cluster/{name}", name, status)


def task(id: str, status: str = "PENDING", instance: str | None = None, service: str | None = WEB) -> Task:
    return Task(
        arn=f"{ACCOUNT}:task/default/{id}",
        cluster_arn=DEFAULT,
        task_definition_arn=f"{ACCOUNT}:task-definition/web:1",
        group="service:web",
        last_status=status,
        container_instance_arn=instance,
        service_arn=service,
    )


def message(text: str, resource: str = WEB) -> Event:
    return Event(EventKind.SERVICE_MESSAGE, resource, 1.0, message=text)


def decision(text: str, resource: str = WEB) -> Event:
    return Event(EventKind.DECISION, resource, 1.0, message=text)


def transition(thing: Task) -> Event:
    return Event(EventKind.TASK, thing.arn, 1.0, state=thing)
