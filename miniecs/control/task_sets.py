"""The loop of services whose deployments are somebody else's: every task set at its own count.

Each task set is kept as a service of one deployment is, by the rule in ``rolling``: nothing here knows how
tasks are started, replaced and stopped, only how many each task set is to have.
Source: ECS developer guide, "Deploy Amazon ECS services using a third-party controller"; API, "TaskSet".
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import ceil

from miniecs.control import messages, rolling
from miniecs.control.census import Census, Cohort, is_checked
from miniecs.control.draft import Draft
from miniecs.control.plan import Action, Forget, Plan, Say, SetTaskSet, earliest
from miniecs.control.view import View
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.service import Deployment, Revision, Service
from miniecs.model.task_set import ACTIVE, DRAINING, PRIMARY, STABILIZING, STEADY_STATE, TaskSet

MOST = 5  # of one service


def created(
    service: Service, revision: Revision, scale: float, *, status: str = ACTIVE, now: float, ids: Ids
) -> TaskSet:
    """A new task set of the service, for which nothing has been counted or started yet."""
    id = f"ecs-svc/{ids.digits()}"
    deployment = Deployment(id, revision, "", status=status, created_at=now, updated_at=now)
    return TaskSet(
        arns.task_set(service.arn, id),
        service.arn,
        service.cluster_arn,
        deployment,
        scale=scale,
        stability_at=now,
    )


def with_status(task_set: TaskSet, status: str, *, now: float) -> TaskSet:
    return replace(task_set, deployment=replace(task_set.deployment, status=status, updated_at=now))


def unsettled(service: Service, task_set: TaskSet, *, now: float) -> TaskSet:
    """The task set, STABILIZING where the service wants another count of it than was computed last.

    Whoever scales and then waits for STEADY_STATE must not be told of the one before.
    """
    if computed(service, task_set) == task_set.deployment.desired_count:
        return task_set
    return replace(task_set, stability_status=STABILIZING, stability_at=now)


def of_service(view: View, service: Service) -> list[TaskSet]:
    """The service's task sets, the oldest first."""
    return sorted(
        view.find(TaskSet, "service", service.arn), key=lambda each: each.deployment.created_at
    )


def primary(task_sets: Iterable[TaskSet]) -> TaskSet | None:
    return next((each for each in task_sets if each.status == PRIMARY), None)


def computed(service: Service, task_set: TaskSet) -> int:
    """The task set's share of the service's desiredCount, rounded up; what is being deleted wants none."""
    if task_set.status == DRAINING:
        return 0
    return ceil(service.desired_count * Fraction(str(task_set.scale)) / 100)


def as_deployments(view: View, service: Service) -> Service:
    """The service with its task sets, at the counts that they should have, in the place of deployments."""
    deployments = tuple(
        replace(each.deployment, desired_count=computed(service, each))
        for each in of_service(view, service)
    )
    return replace(service, deployments=deployments)


def alone(service: Service, deployment: Deployment) -> Service:
    """The service as if it had only what this task set runs."""
    return replace(service, desired_count=deployment.desired_count, deployments=(deployment,))


def of_deleted(view: View, service: Service) -> list[Forget]:
    """A service's task sets go with it."""
    return [_forget(view, each, "its service was deleted") for each in of_service(view, service)]


def plan(draft: Draft, *, ceiling_counts_stopping: bool) -> Plan:
    """What the task sets need now. draft: of the service ``as_deployments``."""
    service, counted = draft.before, draft.census
    whole = draft.part(service, Census([]))
    for task in counted.strays:
        whole.stop(task, "its task set is gone")
    plans, changes, said = [], [], []
    steady = not (counted.strays or counted.stopping)
    task_sets = of_service(draft.view, service)
    for task_set, cohort in zip(task_sets, counted.cohorts, strict=True):
        if task_set.status == DRAINING:
            steady = steady and task_set.id not in counted.live_deployments
            changes += _drained(draft, whole, task_set, cohort)
            continue
        part = _kept(draft, cohort, ceiling_counts_stopping)
        after = _after(part, task_set, cohort)
        changes += _changed(draft, task_set, after)
        if after.stability_status == STEADY_STATE != task_set.stability_status:
            said.append(_steady(service, after))
        steady = steady and after.stability_status == STEADY_STATE
        plans.append(part.plan(part.service, ""))
    after_all = replace(service, steady=steady and bool(plans))
    if after_all.steady and not service.steady:
        because = "every task set has the tasks that it should have and none is stopping"
        said.append(Say(service, messages.STEADY, because, name="SERVICE_STEADY_STATE"))
    of_whole = whole.plan(after_all, "its task sets have changed")
    actions = [*changes, *of_whole.actions]
    for each in plans:
        actions += each.actions
    return Plan((*actions, *said), earliest((of_whole.wake_at, *(each.wake_at for each in plans))))


def _drained(draft: Draft, whole: Draft, task_set: TaskSet, cohort: Cohort) -> list[Action]:
    """A task set that is being deleted stops its tasks, and goes when none is left.

    Protected ones run until their protection ends, as in a deployment that takes over.
    """
    for task in cohort.tasks():
        if not whole.keeps(task):
            whole.stop(task, "its task set is being deleted")
    whole.say_protected(cohort)
    if task_set.id in draft.census.live_deployments:
        return _changed(draft, task_set, _counted(draft, task_set, cohort))
    return [_forget(whole.view, task_set, "it was deleted and has no tasks left")]


def _kept(draft: Draft, cohort: Cohort, ceiling_counts_stopping: bool) -> Draft:
    """What starts and stops for one task set: that of a service which had only this deployment."""
    id = cohort.deployment.id
    part = draft.part(
        alone(draft.before, cohort.deployment), draft.census.only(cohort), task_set=id
    )
    rolling.decide(part, ceiling_counts_stopping=ceiling_counts_stopping)
    part.say_impaired(cohort.deployment.desired_count)
    return part


def _after(part: Draft, task_set: TaskSet, cohort: Cohort) -> TaskSet:
    """The task set with its count and its stability as they are now."""
    moving = part.launches or part.stops or part.census.stopping
    stability = STEADY_STATE if not moving and _is_in_order(part, cohort) else STABILIZING
    since = task_set.stability_at if stability == task_set.stability_status else part.now
    counted = _counted(part, task_set, cohort)
    return replace(counted, stability_status=stability, stability_at=since)


def _counted(draft: Draft, task_set: TaskSet, cohort: Cohort) -> TaskSet:
    if task_set.deployment.desired_count == cohort.deployment.desired_count:
        return task_set
    return replace(task_set, deployment=replace(cohort.deployment, updated_at=draft.now))


def _is_in_order(part: Draft, cohort: Cohort) -> bool:
    """Whether as many tasks run as it should have, all of them healthy where anything checks them.

    RUNNING is enough where nothing does, unlike for deployments.
    """
    good = len(cohort.healthy)
    if not is_checked(part.view, cohort.deployment):
        good += len(cohort.settling)
    return good == cohort.wanted == cohort.deployment.desired_count


def _changed(draft: Draft, before: TaskSet, after: TaskSet) -> list[Action]:
    if after == before:
        return []
    version = draft.view.version(TaskSet, before.arn)
    count = after.deployment.desired_count
    if count == before.deployment.desired_count:
        because = f"it is {after.stability_status} now"
        return [SetTaskSet(before, version, after, because)]
    because = f"{after.scale:g} % of the service's desiredCount {draft.before.desired_count}"
    if after.status == DRAINING:
        because = "it is being deleted"
    text = messages.computed(after.id, count)
    return [SetTaskSet(before, version, after, because), Say(draft.before, text, because)]


def _steady(service: Service, task_set: TaskSet) -> Say:
    because = f"{task_set.deployment.desired_count} tasks are wanted and run, and none is stopping"
    return Say(
        service, messages.TASK_SET_STEADY, because, name="TASKSET_STEADY_STATE", task_set=task_set.id
    )


def _forget(view: View, task_set: TaskSet, because: str) -> Forget:
    return Forget(TaskSet, task_set.arn, view.version(TaskSet, task_set.arn), because)
