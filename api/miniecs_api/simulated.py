"""What simulated hosts need of the control plane's store: which there are, and what ran on them.

A simulated container lives in memory. Whatever was ever told of it stands in its task, and nothing that
was not told has happened for anyone; so after a restart the tasks are the record of the containers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from miniecs.control.payloads import task_payload
from miniecs.model.scope import Scope
from miniecs.model.simulated import SimulatedInstance
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.store import Store, StoreError
from miniecs_api.operations import Operations
from miniecs_api.wire.errors import AwsError


def agents_calls(
    operations: Operations, scope: Scope
) -> Callable[[str, dict[str, Any]], tuple[Mapping[str, Any] | None, str, str]]:
    """The way of agents in this process to the ECS operations: (result, error code, message)."""

    def call(operation: str, params: dict[str, Any]) -> tuple[Mapping[str, Any] | None, str, str]:
        try:
            return operations.call("ecs", operation, params, scope).result, "", ""
        except AwsError as refused:
            return None, refused.code, refused.message
        except StoreError as problem:
            # What the door answers too: the agent calls again until there is room on the disk.
            return None, "ServerException", str(problem)

    return call


class StoreJournal:
    """The journal of simulated hosts, kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def instances(self) -> Iterable[SimulatedInstance]:
        return self._store.all(SimulatedInstance)

    def save(self, instance: SimulatedInstance) -> None:
        with self._store.transaction() as tx:
            tx.put(instance)

    def forget(self, instance_arn: str) -> None:
        with self._store.transaction() as tx:
            if tx.get(SimulatedInstance, instance_arn) is not None:
                tx.delete(SimulatedInstance, instance_arn)

    def tasks(self, instance_arn: str) -> Iterator[tuple[Mapping[str, Any], Task]]:
        """Tasks on the instance, each also as a payload has it."""
        for task in self._store.find(Task, "instance", instance_arn):
            definition = self._store.get(TaskDefinition, task.task_definition_arn)
            if definition is not None:
                yield task_payload(task, definition, desired_status="RUNNING"), task
