"""What an agent publishes on TCS beside health: usage of its tasks' containers, and whether its engine works.

Pure: readings of counters in, messages out. The ECS agent reads every second and publishes every 20; ours
reads as often as it publishes, for a reading costs more than all the rest of an idle agent, and the
difference of two counters is the exact mean of the time between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from miniecs_agent.core.state import ContainerState, Known, TaskState
from miniecs_agent.host_engine import Usage

TASKS_PER_MESSAGE = 10
_MIB = 1024 * 1024
_NANOSECONDS = 1e9

Readings = Mapping[tuple[str, str], Usage]


class _Reading(NamedTuple):
    at: float
    usage: Usage


class Meter:
    """Remembers the last reading of each container. ``cpus``: of the whole instance."""

    def __init__(self, cpus: float) -> None:
        self._cpus = cpus
        self._last: dict[tuple[str, str], _Reading] = {}

    def measure(self, now: float, tasks: Iterable[TaskState], readings: Readings) -> list[dict[str, Any]]:
        """A TaskMetric of each task with a container that was read twice in one run of it."""
        last, self._last = self._last, {}
        measured = []
        for task in tasks:
            containers = []
            for container in task.containers:
                key = task.spec.arn, container.spec.name
                usage = readings.get(key)
                if usage is None or container.known is not Known.RUNNING:
                    continue
                reading = self._last[key] = _Reading(now, usage)
                before = last.get(key)
                if before is not None and before.at < now and before.usage.cpu <= usage.cpu:
                    containers.append(self._container(container, before, reading))
            if containers:
                measured.append(
                    {
                        "taskArn": task.spec.arn,
                        "clusterArn": task.spec.cluster_arn,
                        "taskDefinitionFamily": task.spec.family,
                        "taskDefinitionVersion": task.spec.revision,
                        "containerMetrics": containers,
                    }
                )
        return measured

    def _container(self, container: ContainerState, before: _Reading, reading: _Reading) -> dict[str, Any]:
        old, new, seconds = before.usage, reading.usage, reading.at - before.at
        metric: dict[str, Any] = {
            "containerName": container.spec.name,
            "cpuStatsSet": _stats((new.cpu - old.cpu) / _NANOSECONDS / seconds / self._cpus * 100),
            "memoryStatsSet": _stats(new.memory // _MIB),
            "networkStatsSet": {
                "rxBytes": _counter(new.received),
                "rxBytesPerSecond": _stats(max(0, new.received - old.received) / seconds),
                "txBytes": _counter(new.sent),
                "txBytesPerSecond": _stats(max(0, new.sent - old.sent) / seconds),
            },
            "storageStatsSet": {
                "readSizeBytes": _counter(new.read),
                "writeSizeBytes": _counter(new.written),
            },
        }
        if container.spec.restart is not None:
            metric["restartStatsSet"] = {"restartCount": container.restarts}
        return metric


def publish_metrics(
    metrics: list[dict[str, Any]], cluster: str, instance: str, message_id: Callable[[], str], now: float
) -> list[dict[str, Any]]:
    """PublishMetricsRequests, the last of them marked so; without any task the one that says idle."""

    def message(tasks: list[dict[str, Any]], *, fin: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "metadata": {
                "cluster": cluster,
                "containerInstance": instance,
                "messageId": message_id(),
                "idle": not tasks,
                "fin": fin,
            },
            "timestamp": now,
        }
        if tasks:
            body["taskMetrics"] = tasks
        return {"type": "PublishMetricsRequest", "message": body}

    if not metrics:
        return [message([], fin=True)]
    return [
        message(metrics[start : start + TASKS_PER_MESSAGE], fin=start + TASKS_PER_MESSAGE >= len(metrics))
        for start in range(0, len(metrics), TASKS_PER_MESSAGE)
    ]


class EngineHealth(NamedTuple):
    """Whether the instance's container runtime answers, and since when."""

    answers: bool
    since: float


def publish_status(
    health: EngineHealth, cluster: str, instance: str, request_id: str, now: float
) -> dict[str, Any]:
    """A PublishInstanceStatusRequest."""
    status = {
        "type": "ContainerRuntime",
        "status": "OK" if health.answers else "IMPAIRED",
        "lastUpdated": now,
        "lastStatusChange": health.since,
    }
    if not health.answers:
        status["statusReason"] = "The container engine does not answer"
    return {
        "type": "PublishInstanceStatusRequest",
        "message": {
            "metadata": {"cluster": cluster, "containerInstance": instance, "requestId": request_id},
            "statuses": [status],
            "timestamp": now,
        },
    }


def _stats(value: float) -> dict[str, Any]:
    return {"min": value, "max": value, "sampleCount": 1, "sum": value}


def _counter(value: int) -> dict[str, Any]:
    """Counters since the container's start, as the ECS agent tells them."""
    return {**_stats(value), "overflowMin": 0, "overflowMax": 0, "overflowSum": 0}
