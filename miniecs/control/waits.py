"""What a service waits for: a sentence for each thing, with how long it takes yet.

Derived from the same census that the service's loop plans with, so that what is said is what holds it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from miniecs.config import Timing
from miniecs.control import (
    alarms,
    capacity_words,
    deployments,
    draining_words,
    explain_images,
    service_deployments,
    target_words,
    version_consistency,
)
from miniecs.control.census import Census, Cohort
from miniecs.control.explain_placement import of_last_moment
from miniecs.control.rolling import anchor_of
from miniecs.control.target_words import why
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.event import PLACED, Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.service import Service, ServiceLoadBalancer
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition

_MOST = 3  # tasks of a kind; the others wait for the same
_DIGITS = 8  # of a task's id


def of_cohort(
    view: View, service: Service, cohort: Cohort, counted: Census, *, now: float, timing: Timing
) -> Iterator[str]:
    """What one deployment waits for."""
    anchor = anchor_of(counted.cohorts)
    if cohort.deployment is service.primary:
        yield from _launches(view, service, cohort, counted, now, timing)
    elif cohort.wanted:
        yield from _retires(service, cohort, counted, kept=cohort is anchor)
    lacking = {task.arn: balancer for task, balancer in counted.unregistered}
    yield from _first(
        _settles(view, service, task, lacking.get(task.arn), now, timing) for task in cohort.settling
    )
    yield from _first(
        f"Task {_id(task)}: {_lower(begins(view, task, now=now, timing=timing))}." for task in cohort.pending
    )
    after = f"; {_leaves(service, counted)}" if cohort is anchor else ""
    yield from _first(
        f"Task {_id(task)} is unhealthy: {_ails(view, task, now, timing)}{after}."
        for task in cohort.unhealthy
    )
    newest = cohort.deployment is service.primary
    yield from _first(
        draining_words.of_leaving(view, service, cohort, counted, newest=newest, now=now)
    )
    protected = [t.protection_expires_at or now for t in cohort.tasks() if t.is_protected(now)]
    if protected:
        yield (
            f"{_are(len(protected))} protected from scale-in and deployments, the first for"
            f" {min(protected) - now:.0f} s more."
        )


def of_stopping(view: View, tasks: Sequence[Task], *, now: float) -> Iterator[str]:
    """What tasks that are to stop wait for."""
    yield from _first(f"Task {_id(task)} {_stops(view, task, now)}." for task in tasks)


def begins(view: View, task: Task, *, now: float, timing: Timing) -> str:
    """What a task that is not RUNNING yet waits for, as a sentence without its full stop."""
    instance = view.get(ContainerInstance, task.container_instance_arn or "")
    if instance is None and task.launch_type == fargate.LAUNCH_TYPE:
        return "It waits for Fargate's machine, which is being started"
    if instance is None and task.capacity_provider_name is not None:
        return capacity_words.waits(view, task, now=now, timing=timing)
    if instance is None:
        return "It waits for a container instance with room for it"
    if not instance.agent_connected:
        name = arns.name_of(instance.arn)
        return f"It waits for the agent of container instance {name}, which is not connected"
    if task.pull_started_at is not None and task.pull_stopped_at is None:
        return "Its images are being pulled"
    return "It waits for its agent to report that all containers run"


def drains(view: View, task: Task, now: float) -> float | None:
    """Seconds for which the last of its targets drains yet; None where none does."""
    times = [
        target_words.left(target, now)
        for target in view.find(Target, "task", task.arn)
        if target.state == "draining"
    ]
    return max(times, default=None)


def _launches(
    view: View, service: Service, cohort: Cohort, counted: Census, now: float, timing: Timing
) -> Iterator[str]:
    """Why the primary deployment does not launch what it lacks."""
    deployment = cohort.deployment
    missing = deployment.desired_count - cohort.good
    if missing <= 0:
        if deployment.rollout_state == deployments.IN_PROGRESS and len(cohort.healthy) == cohort.wanted:
            yield from _completes(view, service, now, timing)
        return
    launch_at = deployments.next_launch_at(deployment, timing)
    resolver = version_consistency.resolver(view, deployment, cohort.tasks())
    if deployment.rollout_state == deployments.FAILED:
        yield f"It launches nothing more: {deployment.rollout_state_reason}"
        if anchor_of(counted.cohorts) is cohort:
            yield "Nothing takes the place of tasks that stop until UpdateService begins another deployment."
    elif launch_at > now:
        yield (
            f"The next launch waits {launch_at - now:.0f} s: {deployment.launch_failures} launches in a row"
            f" ended before RUNNING{_last_failure(view, service)}."
        )
    elif resolver is not None:
        yield explain_images.waits(resolver, _DIGITS)
    elif deployment.blocked_until > now:
        yield from _rejection(view, service)
        yield f"Placement is tried again when capacity appears, or in {deployment.blocked_until - now:.0f} s."
    else:
        yield from _arithmetic(service, counted, missing)


def _leaves(service: Service, counted: Census) -> str:
    """When an unhealthy task of the deployment that is kept stops."""
    _, upper = deployments.bounds(service.desired_count, service.deployment_configuration)
    if counted.size >= upper:
        return "unhealthy tasks stop one at a time, as no substitute can start before"
    return "it stops once a healthy task has taken its place"


def _completes(view: View, service: Service, now: float, timing: Timing) -> Iterator[str]:
    if len(service.deployments) > 1:
        yield "Its tasks are healthy: it completes when those of older deployments have stopped."
        return
    for release in service_deployments.ongoing(view, service):
        heard = alarms.heard(view, service, release)
        if heard and release.baking_since is not None:
            ends = release.baking_since + timing.wait(alarms.bake_time(view, service, release))
            names = ", ".join(heard)
            left = max(0.0, ends - now)
            yield f"Its tasks are healthy: it completes when alarm {names} stays quiet for {left:.0f} s more."


def _arithmetic(service: Service, counted: Census, missing: int) -> Iterator[str]:
    lower, upper = deployments.bounds(service.desired_count, service.deployment_configuration)
    if counted.size < upper:
        return
    stopping = f" ({len(counted.stopping)} of them stopping)" if counted.stopping else ""
    yield (
        f"{_tasks(missing)} cannot start yet: {_are(counted.size)} there{stopping} and at most {upper} may"
        " be."
    )
    if draining_words.is_stuck(service, counted):
        remedy = draining_words.remedy(service)
        yield (
            f"None can stop first: {_are(counted.serving)} healthy and at least {lower} must stay."
            f" {remedy[:1].upper()}{remedy[1:]}"
        )


def _retires(service: Service, cohort: Cohort, counted: Census, *, kept: bool) -> Iterator[str]:
    """What an older deployment's tasks stay for."""
    if kept:
        yield "Its tasks stay, as the newest deployment has failed."
        return
    whose = "task stops" if cohort.wanted == 1 else "tasks stop"
    yield (
        f"Its {whose} as new ones become healthy: {_are(counted.serving)} healthy in all,"
        f" {service.desired_count} wanted."
    )


def _rejection(view: View, service: Service) -> Iterator[str]:
    decisions: list[Event] = view.events(service.arn, (EventKind.DECISION,))
    for decision in of_last_moment([each for each in decisions if each.name != PLACED]):
        yield f"{decision.message}."
        if decision.because:
            yield f"{decision.because}{'' if decision.because.endswith('.') else '.'}"


def _last_failure(view: View, service: Service) -> str:
    """The words of the last task of the service that failed to start."""
    failed = [
        task
        for task in view.find(Task, "cluster", service.cluster_arn)
        if task.service_arn == service.arn and deployments.failed_to_start(task)
    ]
    if not failed:
        return ""
    last = max(failed, key=lambda task: task.stopped_at or 0.0)
    reasons = [container.reason for container in last.containers if container.reason]
    return f"; the last one: {reasons[0] if reasons else last.stopped_reason}"


def _settles(
    view: View,
    service: Service,
    task: Task,
    lacking: ServiceLoadBalancer | None,
    now: float,
    timing: Timing,
) -> str:
    """What a RUNNING task still lacks to count as healthy."""
    name = f"Task {_id(task)}"
    if lacking is not None:
        return f"{name} has no target yet: {_unregistered(view, task, lacking)}."
    targets = [t for t in view.find(Target, "task", task.arn) if t.state != "healthy"]
    if any(t.state == "unhealthy" for t in targets) or task.health_status == "UNHEALTHY":
        grace = (task.started_at or now) + timing.wait(service.health_check_grace_period or 0) - now
        ails = _ails(view, task, now, timing)
        return f"{name} is unhealthy, but in its grace period for {grace:.0f} s more: {ails}."
    for target in targets:
        where, reason = f"target {target.id}:{target.port}", why(view, target, now=now, timing=timing)
        if target.state == "initial":
            return f"{name}: {where} {reason}."
        return f"{name} cannot become healthy, its {where} is {target.state}: {reason}."
    if _is_checked(view, task):
        return f"{name} waits for its container health checks, which say {task.health_status}."
    left = max(0.0, (task.started_at or now) + timing.healthy_after - now)
    return f"{name} counts as healthy {left:.0f} s from now, {timing.healthy_after:g} s after RUNNING."


def _is_checked(view: View, task: Task) -> bool:
    definition = view.get(TaskDefinition, task.task_definition_arn)
    return definition is not None and any(
        container.essential and container.health_check is not None
        for container in definition.container_definitions
    )


def _unregistered(view: View, task: Task, balancer: ServiceLoadBalancer) -> str:
    group = view.get(TargetGroup, balancer.target_group_arn or "")
    if group is None:
        return f"target group {arns.group_name_of(balancer.target_group_arn or '')} was deleted"
    published = any(
        binding.container_port == balancer.container_port
        for container in task.containers
        if container.name == balancer.container_name
        for binding in container.network_bindings
    )
    if published or task.network_interface is not None:
        return f"it is being registered in target group {group.name}"
    return f"its agent has not told a host port of {balancer.container_name}:{balancer.container_port}"


def _ails(view: View, task: Task, now: float, timing: Timing) -> str:
    for target in view.find(Target, "task", task.arn):
        if target.state == "unhealthy":
            return why(view, target, now=now, timing=timing)
    sick = [container.name for container in task.containers if container.health_status == "UNHEALTHY"]
    return f"the health check of container {', '.join(sick)} fails"


def _stops(view: View, task: Task, now: float) -> str:
    left = drains(view, task, now)
    if left is not None:
        return f"drains for {left:.0f} s more"
    if task.last_status == "DEPROVISIONING":
        return "has stopped, its network interface is being removed"
    since = f" for {now - task.stopping_at:.0f} s" if task.stopping_at is not None else ""
    return f"has been stopping{since}: its agent has yet to report that the containers have stopped"


def _first(sentences: Iterable[str]) -> Iterator[str]:
    """The first few, and how many more there are."""
    every = list(sentences)
    yield from every[:_MOST]
    more = len(every) - _MOST
    if more > 0:
        yield f"{more} more {'is' if more == 1 else 'are'} like these."


def _id(task: Task) -> str:
    return arns.name_of(task.arn)[:_DIGITS]


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def _are(count: int) -> str:
    return f"{count} is" if count == 1 else f"{count} are"


def _lower(sentence: str) -> str:
    """``It waits`` -> ``it waits``."""
    return sentence[:1].lower() + sentence[1:]
