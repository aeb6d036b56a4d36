"""Service deployments and service revisions: the history of a service's releases, and what each released.

A service's own ``deployments`` are what its loop works with and go when their tasks are gone; these
stay for weeks, so that it can be told what became of each release and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from miniecs.model.service import DeploymentConfiguration, Revision

PENDING, IN_PROGRESS, SUCCESSFUL = "PENDING", "IN_PROGRESS", "SUCCESSFUL"
STOP_REQUESTED, STOPPED = "STOP_REQUESTED", "STOPPED"
ROLLBACK_REQUESTED, ROLLBACK_IN_PROGRESS = "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"
ROLLBACK_SUCCESSFUL, ROLLBACK_FAILED = "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"

SUCCESSORS: Mapping[str, frozenset[str]] = {
    PENDING: frozenset({IN_PROGRESS, STOP_REQUESTED, ROLLBACK_REQUESTED}),
    IN_PROGRESS: frozenset(
        {SUCCESSFUL, STOP_REQUESTED, STOPPED, ROLLBACK_REQUESTED, ROLLBACK_IN_PROGRESS, ROLLBACK_FAILED}
    ),
    STOP_REQUESTED: frozenset({STOPPED}),
    ROLLBACK_REQUESTED: frozenset({ROLLBACK_IN_PROGRESS, ROLLBACK_FAILED}),
    ROLLBACK_IN_PROGRESS: frozenset({ROLLBACK_SUCCESSFUL, ROLLBACK_FAILED}),
}
"""What can follow each status; one that is not here is final (ECS developer guide, "Service deployments")."""


class ImageDigest(NamedTuple):
    """What a container's image tag stood for when the revision's first task resolved it."""

    container: str
    digest: str  # sha256:…


@dataclass(frozen=True, slots=True)
class ServiceRevision:
    """What one service deployment released. It never changes, but that its images' digests are found out."""

    arn: str
    service_arn: str
    cluster_arn: str
    spec: Revision
    created_at: float = 0.0
    digests: tuple[ImageDigest, ...] = ()  # every later task gets these images
    unresolved: tuple[str, ...] = ()  # containers whose image tags are yet to be resolved
    attempts: int = 0  # tasks that were to resolve them and never ran


@dataclass(frozen=True, slots=True)
class RevisionCounts:
    """Tasks of one revision: as they were when the service deployment ended; until then they are counted."""

    arn: str
    deployment_id: str  # ecs-svc/…, by which its tasks are found
    requested: int = 0
    running: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Rollback:
    reason: str
    started_at: float
    service_revision_arn: str


@dataclass(frozen=True, slots=True)
class ServiceDeployment:
    """One release of a service. The API's operations open it and ask for its end; ``control`` moves it on."""

    arn: str
    service_arn: str
    cluster_arn: str
    target: RevisionCounts
    sources: tuple[RevisionCounts, ...] = ()
    configuration: DeploymentConfiguration = DeploymentConfiguration()
    status: str = PENDING
    status_reason: str | None = None
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    updated_at: float = 0.0
    rollback: Rollback | None = None
    failure_count: int = 0  # of the circuit breaker, when it tripped or the deployment ended
    threshold: int = 0
    breaker_tripped: bool = False
    watched_alarms: tuple[str, ...] = ()  # those that were not in ALARM when it started
    triggered_alarms: tuple[str, ...] = ()
    baking_since: float | None = None

    @property
    def is_ongoing(self) -> bool:
        return self.status in SUCCESSORS

    @property
    def id(self) -> str:
        """The deployment among the service's own: ecs-svc/…"""
        return self.target.deployment_id
