"""What agents tell on their channels, as models: the ECS agent protocol's messages, as far as we read them.

Agents newer than this say more, so unknown members are ignored; a message with a wrong shape is not
understood as a whole, for there is no telling what else is wrong in it. Names are the protocol's own.
"""

from __future__ import annotations

import logging
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

log = logging.getLogger("miniecs.agents")


class ProtocolMessage(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class TaskIdentifier(ProtocolMessage):
    taskArn: str = ""
    taskClusterArn: str = ""


class TaskStopVerification(ProtocolMessage):
    messageId: str = ""
    stopCandidates: tuple[TaskIdentifier, ...] | None = None


class ContainerHealth(ProtocolMessage):
    containerName: str = ""
    healthStatus: str | None = None


class TaskHealth(ProtocolMessage):
    taskArn: str = ""
    containers: tuple[ContainerHealth, ...] | None = None


class PublishHealth(ProtocolMessage):
    tasks: tuple[TaskHealth, ...] | None = None


class InstanceStatus(ProtocolMessage):
    type: str = ""
    status: str | None = None


class PublishInstanceStatus(ProtocolMessage):
    statuses: tuple[InstanceStatus, ...] | None = None


class StatsSet(ProtocolMessage):
    """min, max and sum over sampleCount readings."""

    sampleCount: int = 0
    sum: float = 0.0

    @property
    def average(self) -> float:
        return self.sum / self.sampleCount if self.sampleCount > 0 else 0.0


class RestartStats(ProtocolMessage):
    restartCount: int = 0


class ContainerMetric(ProtocolMessage):
    """cpuStatsSet: percent of the whole instance; memoryStatsSet: MiB."""

    containerName: str = ""
    cpuStatsSet: StatsSet | None = None
    memoryStatsSet: StatsSet | None = None
    restartStatsSet: RestartStats | None = None


class TaskMetric(ProtocolMessage):
    taskArn: str = ""
    containerMetrics: tuple[ContainerMetric, ...] | None = None


class PublishMetrics(ProtocolMessage):
    taskMetrics: tuple[TaskMetric, ...] | None = None


M = TypeVar("M", bound=ProtocolMessage)


def understood(model: type[M], body: Any, sender: str) -> M | None:
    """The message, or None for one that is not what the protocol says; the log then says what is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        log.warning("%s sent a %s that is not one: %s: %s", sender, model.__name__, where, first["msg"])
        return None
