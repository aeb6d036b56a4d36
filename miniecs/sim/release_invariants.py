"""What must be true of every simulated service deployment: where its status goes, and what belongs to it.

The ways that a status can go stand here a second time, on purpose: a wrong way in the model must not be
right here too.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from miniecs.model.alarm import MetricAlarm
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision
from miniecs.sim.broken import broken
from miniecs.store import Commit

if TYPE_CHECKING:
    from miniecs.sim.world import World

FORWARD = "a service deployment's status never goes back"
ONE = "at most one service deployment of a service is IN_PROGRESS"
CLOSED = "a service deployment that has ended says when and why, and changes no more"
TOGETHER = "a deployment is IN_PROGRESS exactly as long as its service deployment"
KNOWN = "every deployment has its service revision"
HEARD = "what is asked of a service deployment, by a user or an alarm, is heard at once"
BAKED = "a deployment with alarms is complete only after they were watched for all of their periods"
REMEMBERED = "service deployments are told of for 90 days"

HEARD_WITHIN = 5.0  # seconds of a control plane that is up
_DAYS = 90 * 86400.0

_ORDER = {
    "PENDING": 0,
    "IN_PROGRESS": 1,
    "STOP_REQUESTED": 2,
    "ROLLBACK_REQUESTED": 2,
    "ROLLBACK_IN_PROGRESS": 3,
    "SUCCESSFUL": 4,
    "STOPPED": 4,
    "ROLLBACK_SUCCESSFUL": 4,
    "ROLLBACK_FAILED": 4,
}
_ENDED = 4
_ASKED_FOR = ("PENDING", "STOP_REQUESTED", "ROLLBACK_REQUESTED")
_ROLLS_BACK = ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
STATUSES = tuple(f"service deployment {status}" for status in _ORDER)


class ReleaseInvariants:
    """Follows a world's service deployments. ``met`` counts the statuses that there were."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._up_since = world.now
        self.met: Counter[str] = Counter()
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def follow(self) -> None:
        """A control plane has started. What it follows, it now hears before us."""
        self._up_since = self._world.now
        self._unsubscribe()
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        touched: dict[str, None] = {}
        for change in commit.changes:
            if change.kind is ServiceDeployment and change.after is not None:
                self._moved(change.before, change.after)
                touched[change.after.service_arn] = None
            elif change.kind is ServiceDeployment:
                self._forgotten(change.before)
            elif change.kind is MetricAlarm and change.after is not None and change.after.state == "ALARM":
                for release in self._store.all(ServiceDeployment):
                    if release.status == "IN_PROGRESS" and change.after.name in release.watched_alarms:
                        self._look_soon(release)
            elif change.kind is Service and change.after is not None:
                touched[change.after.arn] = None
        for arn in touched:
            service = self._store.get(Service, arn)
            if service is not None:
                self._together(service)

    def _moved(self, before: ServiceDeployment | None, after: ServiceDeployment) -> None:
        if before is None or before.status != after.status:
            self.met[f"service deployment {after.status}"] += 1
        if before is not None and _ORDER[before.status] > _ORDER[after.status]:
            broken(FORWARD, f"{after.arn} {before.status} -> {after.status}")
        if before is not None and _ORDER[before.status] == _ENDED and before != after:
            broken(CLOSED, f"{after.arn} {before.status} -> {after.status}")
        if after.status in _ASKED_FOR and (before is None or before.status != after.status):
            self._look_soon(after)
        if after.status == "SUCCESSFUL":
            self._baked(after)
        has_ended = _ORDER[after.status] == _ENDED
        if has_ended != (after.finished_at is not None):
            broken(CLOSED, f"{after.arn} {after.status} finished {after.finished_at}")
        if has_ended and after.status != "SUCCESSFUL" and not after.status_reason:
            broken(CLOSED, f"{after.arn} {after.status} without a reason")
        if after.status.startswith("ROLLBACK_S") and after.rollback is None:
            broken(CLOSED, f"{after.arn} was rolled back to nothing")

    def _baked(self, release: ServiceDeployment) -> None:
        alarms = release.configuration.alarms
        if alarms is None or not alarms.enable or not release.watched_alarms:
            return
        names = set(alarms.names) & set(release.watched_alarms)
        found = [a for a in self._store.all(MetricAlarm) if a.name in names]
        needed = max(
            (a.settings["Period"] * a.settings["EvaluationPeriods"] for a in found), default=0
        )
        since = release.baking_since
        if needed and (since is None or release.finished_at is None or release.finished_at - since < needed):
            broken(BAKED, f"{release.arn}: from {since} to {release.finished_at}, {needed} s are needed")

    def _forgotten(self, release: ServiceDeployment) -> None:
        service = self._store.get(Service, release.service_arn)
        is_young = release.finished_at is None or release.finished_at + _DAYS > self._world.now
        if is_young and service is not None and service.status == "ACTIVE":
            broken(REMEMBERED, f"{release.arn}, which ended at {release.finished_at}")

    def _look_soon(self, release: ServiceDeployment) -> None:
        at = self._world.now + HEARD_WITHIN
        self._world.timeline.call_at(at, partial(self._check_heard, release.arn, release.status))

    def _check_heard(self, arn: str, status: str) -> None:
        release = self._store.get(ServiceDeployment, arn)
        if release is None or release.status != status:
            return
        service = self._store.get(Service, release.service_arn)
        if service is None or service.status != "ACTIVE":
            return
        if status == "IN_PROGRESS" and not self._is_to_fail(service, release):
            return
        if not self._world.is_up or self._up_since + HEARD_WITHIN > self._world.now:
            self._look_soon(release)
            return
        broken(HEARD, f"{release.arn} is still {release.status}")

    def _is_to_fail(self, service: Service, release: ServiceDeployment) -> bool:
        """Whether an alarm that it watches is on yet."""
        alarms = service.deployment_configuration.alarms
        if alarms is None or not alarms.enable:
            return False
        on = {alarm.name for alarm in self._store.all(MetricAlarm) if alarm.state == "ALARM"}
        return bool(on & set(alarms.names) & set(release.watched_alarms))

    def _together(self, service: Service) -> None:
        ongoing = [
            each
            for each in self._store.find(ServiceDeployment, "service", service.arn)
            if _ORDER[each.status] < _ENDED
        ]
        running = [each for each in ongoing if each.status == "IN_PROGRESS"]
        if len(running) > 1:
            broken(ONE, f"{service.name}: {[each.arn for each in running]}")
        if service.status != "ACTIVE" or service.deployment_controller != "ECS":
            return  # task sets are no releases
        primary = service.primary
        own = [
            each
            for each in ongoing
            if each.target.deployment_id == primary.id or each.status in _ROLLS_BACK
        ]
        if (primary.rollout_state == "IN_PROGRESS") != bool(own):
            told = [(each.status, each.target.deployment_id) for each in ongoing]
            broken(TOGETHER, f"{service.name}: {primary.id} is {primary.rollout_state}, {told}")
        for deployment in service.deployments:
            if self._store.get(ServiceRevision, deployment.revision_arn) is None:
                broken(KNOWN, f"{service.name}: {deployment.id} {deployment.revision_arn}")
