"""A service's deployments: their bounds, when it is complete, when it has failed.

What is counted here (failed tasks, the launch throttle) is counted in the transaction
that makes a task fail, because a stopped task is soon forgotten and a count must not be.
"""

from __future__ import annotations

from collections.abc import Callable

from miniecs.config import Timing
from miniecs.control.stopping import ESSENTIAL_EXITED, FAILED_TO_START
from miniecs.model.frozen import replace
from miniecs.model.service import Deployment, DeploymentConfiguration, FailureThreshold, Service
from miniecs.model.task import Task

IN_PROGRESS, COMPLETED, FAILED = "IN_PROGRESS", "COMPLETED", "FAILED"

# A failed batch is tried again at once, once: one bad host is no reason to make everybody wait.
_FREE_FAILURES = 1
_USUAL = FailureThreshold()


def bounds(desired: int, configuration: DeploymentConfiguration) -> tuple[int, int]:
    """(floor, ceiling) in tasks: the lower bound is rounded up, the upper one down (ECS API reference)."""
    floor = -(-desired * configuration.minimum_healthy_percent // 100)
    return floor, desired * configuration.maximum_percent // 100


def breaker_threshold(desired: int, threshold: FailureThreshold = _USUAL) -> int:
    """Failed tasks that end a deployment: so many, or a share of the desired ones, rounded up.

    A bounded share is at least 3 and at most 200.
    """
    if threshold.type == "COUNT":
        return threshold.value
    share = -(-desired * threshold.value // 100)
    return min(200, max(3, share)) if threshold.type == "BOUNDED_PERCENT" else max(1, share)


def threshold(service: Service) -> int:
    """The threshold at the service's desired count, also where its circuit breaker is off."""
    breaker = service.deployment_configuration.circuit_breaker
    return breaker_threshold(service.desired_count, _USUAL if breaker is None else breaker.threshold)


def is_counting(service: Service, deployment: Deployment) -> bool:
    """Whether failed tasks still count: until one task was healthy, unless told to count on."""
    breaker = service.deployment_configuration.circuit_breaker
    return not deployment.proven or (breaker is not None and not breaker.reset_on_healthy_task)


def completed(deployment: Deployment, *, now: float) -> Deployment:
    return replace(
        deployment,
        rollout_state=COMPLETED,
        rollout_state_reason=f"ECS deployment {deployment.id} completed.",
        updated_at=now,
    )


def has_tripped(service: Service) -> bool:
    """Whether the circuit breaker has seen enough failed tasks."""
    breaker = service.deployment_configuration.circuit_breaker
    primary = service.primary
    return (
        breaker is not None
        and breaker.enable
        and primary.rollout_state == IN_PROGRESS
        and is_counting(service, primary)
        and primary.failed_tasks >= threshold(service)
    )


def ended_by_itself(task: Task) -> bool:
    """True for a STOPPED task that nobody told to stop."""
    return task.is_stopped and task.stop_code in (FAILED_TO_START, ESSENTIAL_EXITED)


def failed_to_start(task: Task) -> bool:
    """True for a STOPPED task that ended by itself without ever having been RUNNING."""
    return task.started_at is None and ended_by_itself(task)


def after_task(service: Service, before: Task, after: Task, *, now: float) -> Service:
    """The service as a change of one of its tasks leaves its counts; mostly the same object.

    Tasks that never run delay the next launch more and more; tasks that were RUNNING and died do
    not (ECS developer guide, "Service throttle logic"). The circuit breaker counts both: a task that
    ends before it was healthy has failed, or containers that exit at once would never trip it.
    """
    if before.last_status == after.last_status:
        return service
    return _changed(service, after.deployment_id, lambda d: counted(service, d, before, after, now=now))


def counted(
    service: Service, deployment: Deployment, before: Task, after: Task, *, now: float
) -> Deployment:
    """The deployment, or task set, as a change of one of its tasks leaves its counts."""
    if before.last_status == after.last_status:
        return deployment
    if failed_to_start(after):
        return _failed(deployment, after, now=now)
    if ended_by_itself(after):
        return _exited(service, deployment)
    return _succeeded(deployment) if after.last_status == "RUNNING" else deployment


def next_launch_at(deployment: Deployment, timing: Timing) -> float:
    """When the deployment may launch again after tasks that never ran; ECS does not publish its curve."""
    doublings = deployment.launch_failures - _FREE_FAILURES - 1
    if doublings < 0:
        return 0.0
    delay = min(timing.launch_throttle_max, timing.launch_throttle_base * 2.0 ** min(doublings, 30))
    return deployment.last_failure_at + delay


def _changed(
    service: Service, deployment_id: str | None, change: Callable[[Deployment], Deployment]
) -> Service:
    for place, deployment in enumerate(service.deployments):
        if deployment.id == deployment_id:
            changed = change(deployment)
            if changed is deployment:
                return service
            deployments = (*service.deployments[:place], changed, *service.deployments[place + 1 :])
            return replace(service, deployments=deployments)
    return service


def _succeeded(deployment: Deployment) -> Deployment:
    if deployment.started and not deployment.launch_failures:
        return deployment
    return replace(deployment, launch_failures=0, started=True)


def _exited(service: Service, deployment: Deployment) -> Deployment:
    """Count a task that was RUNNING and ended by itself before its deployment has proved itself."""
    if deployment.rollout_state != IN_PROGRESS or not is_counting(service, deployment):
        return deployment
    return replace(deployment, failed_tasks=deployment.failed_tasks + 1)


def _failed(deployment: Deployment, task: Task, *, now: float) -> Deployment:
    """Count the task; those launched together fail together and are one failure for the throttle.

    The circuit breaker counts those that never ran in its first stage only: until one task of the
    deployment is RUNNING.
    """
    counted = not (deployment.started or deployment.proven)
    failed_tasks = deployment.failed_tasks + counted
    if deployment.launch_failures and task.created_at < deployment.last_failure_at:
        return replace(deployment, failed_tasks=failed_tasks)
    return replace(
        deployment,
        failed_tasks=failed_tasks,
        launch_failures=deployment.launch_failures + 1,
        last_failure_at=now,
    )
