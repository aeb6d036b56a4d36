"""A service's tasks, sorted in one pass by what its loop needs to know of them.

Everything that is counted for a service is counted here, once: how far each task is, whether it
is healthy as ECS counts health, whether its host is being emptied, which targets it lacks.
The pass is the cost of planning a service of thousands of tasks, hence its plain style.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from itertools import chain

from miniecs.config import Timing
from miniecs.control.view import View
from miniecs.model.identity import once_for_each
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Deployment, Revision, Service, ServiceLoadBalancer
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition


@dataclass(slots=True)
class Cohort:
    """The wanted tasks of one deployment. Each is in exactly one list.

    pending: not yet RUNNING. settling: RUNNING, but too short a time, or its checks have not spoken.
    leaving: RUNNING and not unhealthy, but on a DRAINING instance. evicted: pending on one.
    """

    deployment: Deployment
    pending: list[Task] = field(default_factory=list)
    settling: list[Task] = field(default_factory=list)
    healthy: list[Task] = field(default_factory=list)
    unhealthy: list[Task] = field(default_factory=list)
    leaving: list[Task] = field(default_factory=list)
    evicted: list[Task] = field(default_factory=list)
    leaving_healthy: set[str] = field(default_factory=set)  # ARNs of those in leaving that are healthy

    @property
    def good(self) -> int:
        """Tasks that count towards what is desired."""
        return len(self.pending) + len(self.settling) + len(self.healthy)

    @property
    def running(self) -> int:
        return len(self.settling) + len(self.healthy) + len(self.unhealthy) + len(self.leaving)

    @property
    def wanted(self) -> int:
        return self.running + len(self.pending) + len(self.evicted)

    @property
    def serving(self) -> int:
        """Healthy tasks wherever they are: what minimumHealthyPercent protects."""
        return len(self.healthy) + len(self.leaving_healthy)

    def tasks(self) -> Iterator[Task]:
        return chain(
            self.pending, self.settling, self.healthy, self.unhealthy, self.leaving, self.evicted
        )


@dataclass(slots=True)
class Census:
    """All live tasks of a service. cohorts follow service.deployments."""

    cohorts: list[Cohort]
    strays: list[Task] = field(default_factory=list)  # of a deployment that the service no longer has
    stopping: list[Task] = field(default_factory=list)  # desiredStatus STOPPED, not yet gone
    unregistered: list[tuple[Task, ServiceLoadBalancer]] = field(default_factory=list)
    live_deployments: set[str] = field(default_factory=set)  # that still have a task, be it stopping
    wake_at: float | None = None  # when a task becomes healthy or unhealthy by the clock alone

    @property
    def size(self) -> int:
        return sum([cohort.wanted for cohort in self.cohorts]) + len(self.strays) + len(self.stopping)

    @property
    def running(self) -> int:
        return sum([cohort.running for cohort in self.cohorts])

    @property
    def serving(self) -> int:
        return sum([cohort.serving for cohort in self.cohorts])

    def only(self, cohort: Cohort) -> Census:
        """What there is of one deployment."""
        id = cohort.deployment.id
        return Census(
            [cohort],
            stopping=[task for task in self.stopping if task.deployment_id == id],
            unregistered=[each for each in self.unregistered if each[0].deployment_id == id],
            live_deployments=self.live_deployments & {id},
            wake_at=self.wake_at,
        )

    def wake(self, at: float) -> None:
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = at


def take(
    view: View, service: Service, *, now: float, timing: Timing, going: Container[str] = ()
) -> Census:
    """Sort the service's live tasks. going: ARNs of those that are about to be stopped."""
    cohorts = {deployment.id: Cohort(deployment) for deployment in service.deployments}
    census = Census(list(cohorts.values()))
    judges = {id: _judge_of(view, service, cohort.deployment, timing) for id, cohort in cohorts.items()}
    off = {
        instance.arn: instance.status
        for instance in view.find(ContainerInstance, "not_active", service.cluster_arn)
    }
    live = census.live_deployments
    stopping, ripe = census.stopping, now - timing.healthy_after
    id: str | None = None
    cohort: Cohort | None = None
    judge: _ByChecks | None = None
    for task in view.find(Task, "service", service.arn):
        if task.deployment_id is not id or id is None:  # mostly they follow tasks of the same deployment
            id = task.deployment_id
            live.add(id or "")
            cohort, judge = cohorts.get(id or ""), judges.get(id or "")
        if task.desired_status != "RUNNING" or task.arn in going:
            stopping.append(task)
            continue
        host = off.get(task.container_instance_arn or "") if off else None
        if host == "INACTIVE":
            continue  # control.tasks ends it; it is neither here nor there until then
        if cohort is None:
            census.strays.append(task)
            continue
        if task.last_status != "RUNNING":
            (cohort.pending if host is None else cohort.evicted).append(task)
            continue
        if judge is None and host is None:
            started = task.started_at or 0.0
            if started <= ripe:
                cohort.healthy.append(task)
            else:
                cohort.settling.append(task)
                census.wake(started + timing.healthy_after)
            continue
        health = (judge or _by_age)(task, census, now, timing)
        if health == UNHEALTHY:
            cohort.unhealthy.append(task)
        elif host is not None:
            cohort.leaving.append(task)
            if health == HEALTHY:
                cohort.leaving_healthy.add(task.arn)
        else:
            (cohort.healthy if health == HEALTHY else cohort.settling).append(task)
    return census


HEALTHY, SETTLING, UNHEALTHY = "HEALTHY", "SETTLING", "UNHEALTHY"


def _by_age(task: Task, census: Census, now: float, timing: Timing) -> str:
    """Without any check a task counts as healthy when it has been RUNNING for 40 s."""
    ripe_at = (task.started_at or 0.0) + timing.healthy_after
    if ripe_at <= now:
        return HEALTHY
    census.wake(ripe_at)
    return SETTLING


class _ByChecks:
    """Health of tasks with container health checks, targets, or both: both must be healthy."""

    __slots__ = ("_balancers", "_checked", "_grace", "_view")

    def __init__(
        self, view: View, checked: bool, balancers: tuple[ServiceLoadBalancer, ...], grace: float
    ) -> None:
        self._view = view
        self._checked = checked
        self._balancers = balancers
        self._grace = grace

    def __call__(self, task: Task, census: Census, now: float, timing: Timing) -> str:
        states = self._target_states(task, census) if self._balancers else []
        if self._checked:
            states.append(task.health_status.lower())
        if "unhealthy" in states:
            grace_ends = (task.started_at or 0.0) + self._grace
            if now >= grace_ends:
                return UNHEALTHY
            census.wake(grace_ends)
            return SETTLING
        return HEALTHY if all(state == "healthy" for state in states) else SETTLING

    def _target_states(self, task: Task, census: Census) -> list[str]:
        targets = self._view.find(Target, "task", task.arn)
        states = []
        for balancer in self._balancers:
            state = next((t.state for t in targets if is_for(t, balancer)), None)
            if state is None:
                census.unregistered.append((task, balancer))
            states.append(state or "initial")
        return states


def is_for(target: Target, balancer: ServiceLoadBalancer) -> bool:
    """Whether a task's target is the one of this load balancer entry.

    Two entries of one target group differ in their port, so the group alone is not enough there;
    ECS allows a group only once per service, so here it is.
    """
    return target.target_group_arn == balancer.target_group_arn


def is_checked(view: View, deployment: Deployment) -> bool:
    """Whether anything but its age tells of a task's health."""
    checked, balancers = checks(view, deployment.revision)
    return checked or bool(balancers)


def checks(view: View, revision: Revision) -> tuple[bool, tuple[ServiceLoadBalancer, ...]]:
    """(whether containers are checked, the load balancers that probe)"""
    definition = view.get(TaskDefinition, revision.task_definition_arn)
    checked = definition is not None and _has_checks(definition)
    if not revision.load_balancers:
        return checked, ()
    return checked, tuple(b for b in revision.load_balancers if b.target_group_arn is not None)


@once_for_each(most=1_000)
def _has_checks(definition: TaskDefinition) -> bool:
    return any(
        container.essential and container.health_check is not None
        for container in definition.container_definitions
    )


def _judge_of(view: View, service: Service, deployment: Deployment, timing: Timing) -> _ByChecks | None:
    checked, balancers = checks(view, deployment.revision)
    if not checked and not balancers:
        return None
    return _ByChecks(view, checked, balancers, timing.wait(service.health_check_grace_period or 0))
