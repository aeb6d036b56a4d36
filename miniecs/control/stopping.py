"""Stopping a task: the one function that takes back a task's desiredStatus and says why.

Only the wish changes here. lastStatus follows by ``control.tasks`` (targets drain first)
and by the agent's reports, which is why StopTask answers with a task that still runs.
"""

from __future__ import annotations

from miniecs.model.frozen import replace
from miniecs.model.task import Task

USER_INITIATED = "UserInitiated"
FAILED_TO_START = "TaskFailedToStart"
ESSENTIAL_EXITED = "EssentialContainerExited"
SERVICE_SCHEDULER = "ServiceSchedulerInitiated"
TERMINATION_NOTICE = "TerminationNotice"

STOPPED_BY_USER = "Task stopped by user"
REBALANCED = "Availability-zone rebalancing initiated by"
DEREGISTRATION_FORCED = "Container instance deregistration forced by user"


def stop(task: Task, *, now: float, code: str, reason: str) -> Task:
    """The task with desiredStatus STOPPED; the same object when it is stopping or stopped already."""
    if task.desired_status == "STOPPED":
        return task
    return replace(
        task,
        desired_status="STOPPED",
        stop_code=code,
        stopped_reason=reason,
        stopping_at=now,
        version=task.version + 1,
    )
