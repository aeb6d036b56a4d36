"""Task sets: the parts of a service that somebody else's deployment controller makes, scales and deletes.

What a task set runs is held as a deployment, so that its tasks are counted, launched and throttled as those
of all other services are.
"""

from __future__ import annotations

from dataclasses import dataclass

from miniecs.model.scope import Tag
from miniecs.model.service import Deployment

PRIMARY, ACTIVE, DRAINING = "PRIMARY", "ACTIVE", "DRAINING"
STEADY_STATE, STABILIZING = "STEADY_STATE", "STABILIZING"


@dataclass(frozen=True, slots=True)
class TaskSet:
    """One task set. The API's operations write its spec and status, ``control`` its count and stability."""

    arn: str
    service_arn: str
    cluster_arn: str
    deployment: Deployment  # its id, its revision and its status; desired_count is computedDesiredCount
    scale: float = 0.0  # percent of the service's desiredCount
    stability_status: str = STABILIZING
    stability_at: float = 0.0
    external_id: str | None = None
    client_token: str | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def id(self) -> str:
        """ecs-svc/<19 digits>: what its tasks were started by."""
        return self.deployment.id

    @property
    def status(self) -> str:
        return self.deployment.status
