"""What tasks use, as their agents measured it last: kept in memory, one reading a task, for `miniecs ps`.

Readings come every 20 s, so nothing is lost by a restart that the next one does not bring again.
"""

from __future__ import annotations

from typing import NamedTuple

from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.store import Change, Reader
from miniecs_api.agent_messages import PublishMetrics, TaskMetric


class TaskUsage(NamedTuple):
    """cpu: CPU units, so that it compares with what the task reserved; memory: MiB; at: epoch seconds."""

    cpu: float
    memory: float
    restarts: int
    at: float


class TaskMetrics:
    """The last reading of every task that has one and is not stopped."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._usage: dict[str, TaskUsage] = {}

    def of(self, task_arn: str) -> TaskUsage | None:
        return self._usage.get(task_arn)

    def published(self, now: float, instance_arn: str, message: PublishMetrics) -> None:
        """A PublishMetricsRequest. Only of the instance's own live tasks anything is kept."""
        instance = self._store.get(ContainerInstance, instance_arn)
        if instance is None:
            return
        for metric in message.taskMetrics or ():
            task = self._store.get(Task, metric.taskArn)
            if task is not None and task.container_instance_arn == instance_arn and not task.is_stopped:
                self._usage[task.arn] = _usage(metric, instance.cpu, now)

    def task_changed(self, change: Change) -> None:
        """Forget what is over."""
        after: Task | None = change.after
        if after is None or after.is_stopped:
            self._usage.pop(change.key, None)

    def clear(self) -> None:
        self._usage.clear()


def _usage(metric: TaskMetric, cpu_of_instance: int, now: float) -> TaskUsage:
    containers = metric.containerMetrics or ()
    percent = sum(each.cpuStatsSet.average for each in containers if each.cpuStatsSet is not None)
    memory = sum(each.memoryStatsSet.average for each in containers if each.memoryStatsSet is not None)
    restarts = [each.restartStatsSet.restartCount for each in containers if each.restartStatsSet is not None]
    return TaskUsage(percent / 100 * cpu_of_instance, memory, sum(restarts), now)
