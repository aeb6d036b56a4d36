"""The service deployment that a service's loop carries out: begun, failed, completed, within its plan.

Beside the loop and not in it, so that what starts and stops tasks need not know how releases are told of.
"""

from __future__ import annotations

from collections.abc import Sequence

from miniecs.control import alarms, failures, history, stages
from miniecs.control import service_deployments as life
from miniecs.control.draft import Draft
from miniecs.control.failures import Failure
from miniecs.model import service_deployment as status
from miniecs.model.frozen import replace
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment


def proceed(draft: Draft, releasing: Sequence[ServiceDeployment]) -> None:
    """Close what was superseded, then begin what waited for that."""
    ongoing = draft.ongoing
    for each in releasing:
        if each.status == status.STOP_REQUESTED and (ongoing is None or each.arn != ongoing.arn):
            stopped = life.closed(
                draft.view, draft.service, each, status.STOPPED, now=draft.now, reason=each.status_reason
            )
            draft.record(stopped, "a newer service deployment takes over")
    if ongoing is not None and ongoing.status == status.PENDING:
        watched = alarms.to_watch(draft.view, draft.service)
        begun = life.moved(
            ongoing, status.IN_PROGRESS, now=draft.now, started_at=draft.now, watched_alarms=watched
        )
        draft.record(begun, "no other service deployment of the service is in progress")


def fail(draft: Draft, of: Service, failure: Failure) -> None:
    """The primary deployment has failed: its service deployment rolls back, or has ended.

    of: the service before it failed.
    """
    if draft.ongoing is None:
        return
    after = failures.told(
        draft.view, of, draft.service, failure, draft.ongoing, now=draft.now
    )
    draft.record(after, failure.why)
    if not after.is_ongoing:
        draft.said += history.surplus(draft.view, draft.service)


def complete(draft: Draft, desired: int, *, healthy: int, left: int, older: bool) -> str:
    """Whether the primary deployment is complete, as the reason for it; '' while a stage is not done."""
    configuration = draft.service.deployment_configuration
    rolls_back = draft.ongoing is not None and draft.ongoing.status == status.ROLLBACK_IN_PROGRESS
    wanted = stages.stages_of(configuration, rolling_back=rolls_back)
    facts = stages.Facts(
        desired=desired,
        healthy=healthy,
        left=left,
        launching=bool(draft.launches),
        older=older,
        enough=stages.enough(configuration, desired, rolling_back=rolls_back),
        baked=False,
    )
    stage = stages.waiting(wanted, facts)
    if stage == stages.BAKE_TIME:
        stage = stages.waiting(wanted, replace(facts, baked=_has_baked(draft)))
    if stage:
        return ""
    _succeed(draft, rolls_back, older=older)
    because = f"{healthy} of {desired} tasks are healthy"
    if not older:
        return f"{because} and no older deployment has any"
    return f"{because}, as many as earlySuccessCriteria asks for"


def succeeds_early(draft: Draft, healthy: int) -> bool:
    """Whether so many healthy tasks are enough to let older deployments go down to the floor."""
    service, ongoing = draft.service, draft.ongoing
    if service.deployment_configuration.early_success is None or len(service.deployments) == 1:
        return False
    if ongoing is not None and ongoing.status == status.ROLLBACK_IN_PROGRESS:
        return False
    needed = stages.enough(service.deployment_configuration, service.desired_count)
    return healthy >= needed and (ongoing is None or _has_baked(draft))


def _has_baked(draft: Draft) -> bool:
    """Whether the alarms were watched for long enough; the watching begins with the first question."""
    ongoing = draft.ongoing
    if ongoing is None:
        return True
    needed = draft.timing.wait(alarms.bake_time(draft.view, draft.service, ongoing))
    if needed <= 0:
        return True
    since = draft.now if ongoing.baking_since is None else ongoing.baking_since
    if ongoing.baking_since is None:
        because = f"its tasks are in place; its alarms are watched for {needed:g} s more"
        draft.record(replace(ongoing, baking_since=since, updated_at=draft.now), because)
    if draft.now >= since + needed:
        return True
    draft.wakes.append(since + needed)
    return False


def _succeed(draft: Draft, rolls_back: bool, *, older: bool) -> None:
    """Without older deployments that have tasks, those that the service still names want none any more."""
    if draft.ongoing is None:
        return
    to = status.ROLLBACK_SUCCESSFUL if rolls_back else status.SUCCESSFUL
    service = draft.service if older else replace(draft.service, deployments=(draft.service.primary,))
    ended = life.closed(draft.view, service, draft.ongoing, to, now=draft.now, reason=None)
    draft.record(ended, "its deployment is complete")
    draft.said += history.surplus(draft.view, draft.service)
