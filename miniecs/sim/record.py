"""What happened to services and their tasks, as plain data: what the checker of ECS's rules reads.

One entry a commit, in the words of ECS's own API and with nothing of ours in it, so that a record can be kept
as JSON lines, written by hand in a test, or taken from something that is not miniecs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from miniecs.model.event import Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import TaskSet
from miniecs.store import Commit, Store

Entry = dict[str, Any]
"""at: seconds. tasks, services, taskSets, targets, instances, definitions: those that changed, each as it now
is. messages: {service, text}, what DescribeServices says from now on. gone: keys of what no longer exists."""


class Recorder:
    """Follows a store from now on; ``entries`` grows by one for each commit that concerns a service."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._now = now
        self.entries: list[Entry] = []
        self._first_look(store)
        self._unsubscribe = store.subscribe(self._on_commit)

    def close(self) -> None:
        self._unsubscribe()

    def services_and_deployments(self) -> tuple[int, int]:
        """How many services were there, and how many deployments besides the first ones of each."""
        services = [service for entry in self.entries for service in entry.get("services", ())]
        deployments = {each["id"] for service in services for each in service["deployments"]}
        names = {service["serviceArn"] for service in services}
        return len(names), len(deployments) - len(names)

    def _first_look(self, store: Store) -> None:
        entry: Entry = {"at": self._now()}
        for kind, (name, words) in _KINDS.items():
            objects: Iterator[Any] = store.all(kind)
            entry[name] = list(map(words, objects))
        self.entries.append(entry)

    def _on_commit(self, commit: Commit) -> None:
        entry: Entry = {}
        for change in commit.changes:
            if change.kind in _KINDS:
                name, words = _KINDS[change.kind]
                if change.after is None:
                    entry.setdefault("gone", []).append(change.key)
                else:
                    entry.setdefault(name, []).append(words(change.after))
        messages = [_message(event) for event in commit.events if event.kind is EventKind.SERVICE_MESSAGE]
        if messages:
            entry["messages"] = messages
        if entry:
            self.entries.append({"at": self._now(), **entry})


def _message(event: Event) -> Entry:
    return {"service": event.resource, "text": event.message.partition(") ")[2]}


def _task(task: Task) -> Entry:
    return {
        "taskArn": task.arn,
        "serviceArn": task.service_arn,
        "startedBy": task.deployment_id,
        "taskDefinitionArn": task.task_definition_arn,
        "containerInstanceArn": task.container_instance_arn,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "healthStatus": task.health_status,
        "createdAt": task.created_at,
        "startedAt": task.started_at,
        "stoppedAt": task.stopped_at,
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
    }


def _service(service: Service) -> Entry:
    configuration = service.deployment_configuration
    breaker, early = configuration.circuit_breaker, configuration.early_success
    return {
        "serviceArn": service.arn,
        "status": service.status,
        "desiredCount": service.desired_count,
        "schedulingStrategy": service.scheduling_strategy,
        "deploymentController": service.deployment_controller,
        "deploymentConfiguration": {
            "maximumPercent": configuration.maximum_percent,
            "minimumHealthyPercent": configuration.minimum_healthy_percent,
            "deploymentCircuitBreaker": {
                "enable": breaker is not None and breaker.enable,
                "rollback": breaker is not None and breaker.rollback,
                "thresholdConfiguration": {
                    "type": breaker.threshold.type,
                    "value": breaker.threshold.value,
                }
                if breaker is not None
                else None,
            },
            "earlySuccessCriteria": {
                "healthyPercent": early.healthy_percent,
                "sourceServiceRevisionCleanup": early.cleanup,
            }
            if early is not None
            else None,
        },
        "deployments": [
            {
                "id": deployment.id,
                "status": deployment.status,
                "rolloutState": deployment.rollout_state,
                "rolloutStateReason": deployment.rollout_state_reason,
                "failedTasks": deployment.failed_tasks,
                "desiredCount": deployment.desired_count,
                "taskDefinition": deployment.revision.task_definition_arn,
                "loadBalancers": sum(
                    each.target_group_arn is not None for each in deployment.revision.load_balancers
                ),
            }
            for deployment in service.deployments
        ],
    }


def _task_set(task_set: TaskSet) -> Entry:
    deployment = task_set.deployment
    balancers = deployment.revision.load_balancers
    return {
        "taskSetArn": task_set.arn,
        "serviceArn": task_set.service_arn,
        "id": task_set.id,
        "status": task_set.status,
        "scale": task_set.scale,
        "computedDesiredCount": deployment.desired_count,
        "stabilityStatus": task_set.stability_status,
        "loadBalancers": sum(each.target_group_arn is not None for each in balancers),
    }


def _target(target: Target) -> Entry:
    return {"key": target.key, "taskArn": target.task_arn, "state": target.state}


def _instance(instance: ContainerInstance) -> Entry:
    return {"containerInstanceArn": instance.arn, "status": instance.status}


def _definition(definition: TaskDefinition) -> Entry:
    checked = any(c.essential and c.health_check is not None for c in definition.container_definitions)
    return {"taskDefinitionArn": definition.arn, "hasHealthCheck": checked}


_KINDS: dict[type, tuple[str, Callable[[Any], Entry]]] = {
    TaskDefinition: ("definitions", _definition),
    ContainerInstance: ("instances", _instance),
    Service: ("services", _service),
    TaskSet: ("taskSets", _task_set),
    Task: ("tasks", _task),
    Target: ("targets", _target),
}
