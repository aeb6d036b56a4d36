"""What tasks on a DRAINING container instance stay for, and what to change where they would stay for ever.

ECS has drains that never end, and says little of them: bounds that allow no move, a failed deployment, no
room for a substitute. Who waits for one has to be told which of these it is, and what would end it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from miniecs.control import deployments, draining
from miniecs.control.census import Census, Cohort
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task

_DIGITS = 8  # of an id


def of_leaving(
    view: View, service: Service, cohort: Cohort, counted: Census, *, newest: bool, now: float
) -> Iterator[str]:
    """A sentence for each task of the cohort that runs on a DRAINING instance. newest: it launches tasks."""
    for task in cohort.leaving:
        stays = _stays(view, service, cohort, counted, task, newest, now)
        yield f"Task {arns.name_of(task.arn)[:_DIGITS]} {stays}"


def _stays(
    view: View, service: Service, cohort: Cohort, counted: Census, task: Task, newest: bool, now: float
) -> str:
    where = "its DRAINING container instance"
    if service.scheduling_strategy == "DAEMON":
        return _leaves_last(view, task.container_instance_arn or "")
    if task.is_protected(now):
        return f"stays on {where} until its protection ends."
    lower, _ = deployments.bounds(service.desired_count, service.deployment_configuration)
    is_needed = (counted.serving if task.arn in cohort.leaving_healthy else counted.running) <= lower
    if is_needed and cohort.deployment.rollout_state == deployments.FAILED:
        return (
            f"stays on {where}: its deployment has failed and starts no substitute, and at least {lower} must"
            " stay. Update the service, or lower its minimumHealthyPercent."
        )
    if newest and is_stuck(service, counted):
        return f"stays on {where}, which never drains with these bounds: {remedy(service)}"
    if is_needed and cohort.deployment.blocked_until > now:
        return (
            f"stays on {where} until a substitute finds room and is healthy; with a lower"
            " minimumHealthyPercent it would stop first."
        )
    return f"leaves {where} once a healthy task has taken its place."


def is_stuck(service: Service, counted: Census) -> bool:
    """Whether the bounds allow neither a start nor a stop, and nothing moves by itself."""
    lower, upper = deployments.bounds(service.desired_count, service.deployment_configuration)
    moves = counted.stopping or any(cohort.pending or cohort.unhealthy for cohort in counted.cohorts)
    return counted.size >= upper and counted.running <= lower and not moves


def remedy(service: Service) -> str:
    """The nearest bounds that allow a move; a daemon's maximumPercent is always 100."""
    desired = max(1, service.desired_count)
    highest = (desired - 1) * 100 // desired
    lower = f"minimumHealthyPercent to {highest}{' or less' if highest else ''}"
    if service.scheduling_strategy == "DAEMON":
        return f"set {lower}."
    return f"set maximumPercent to {-(-(desired + 1) * 100 // desired)} or more, or {lower}."


def _leaves_last(view: View, instance_arn: str) -> str:
    others = draining.others_remain(view, instance_arn)
    text = "leaves its DRAINING container instance after all tasks that are no daemon's"
    if not others:
        return f"{text}: none is left there."
    alone = sum(task.service_arn is None for task in view.find(Task, "instance", instance_arn))
    text += f": {others} {'is' if others == 1 else 'are'} there yet"
    return f"{text}, {_nobody_moves(alone)}" if alone else f"{text}."


def of_instance(view: View, instance: ContainerInstance) -> Iterator[str]:
    """Whose tasks have yet to leave a DRAINING container instance, and where to ask why."""
    held = view.find(Task, "instance", instance.arn)
    if not held:
        yield "It takes no new tasks. Nothing is left on it."
        return
    count = len(held)
    yield f"It takes no new tasks. {count} task{' has' if count == 1 else 's have'} yet to leave it."
    of_services = Counter(task.service_arn for task in held if task.service_arn is not None)
    for arn, tasks in of_services.items():
        name = arns.name_of(arn)
        yield f"Service {name} moves {tasks} of them: `miniecs explain {name}` says what it waits for."
    alone = count - sum(of_services.values())
    if alone:
        yield f"Of the tasks, {_nobody_moves(alone)}"


def _nobody_moves(alone: int) -> str:
    if alone == 1:
        return "1 belongs to no service: nobody moves it, the drain waits until it ends or is stopped."
    return f"{alone} belong to no service: nobody moves them, the drain waits until they end or are stopped."
