"""What a service's task was launched by: a deployment of the service's own, or a task set.

Looked up here and not in control, which the invariants are to find wrong.
"""

from __future__ import annotations

from miniecs.model.service import Deployment, Service
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet
from miniecs.store import Store


def deployment_of(store: Store, service: Service, task: Task) -> Deployment | None:
    """None when it is gone."""
    own = next((each for each in service.deployments if each.id == task.deployment_id), None)
    if own is not None or service.deployment_controller == "ECS":
        return own
    found = store.find(TaskSet, "service", service.arn)
    return next((each.deployment for each in found if each.id == task.deployment_id), None)
