"""Why something is as it is and what it waits for, in sentences with numbers.

Everything is derived from the state and from the decisions in the outbox at the moment of asking,
so that an explanation cannot differ from what the loops do.
"""

from __future__ import annotations

from collections.abc import Iterator

from miniecs.config import Timing
from miniecs.control import alarms, census, deployments, explain_images, service_deployments, task_sets, waits
from miniecs.control.census import Census, Cohort
from miniecs.control.explain_balancing import balancing
from miniecs.control.explain_placement import last_placement, placement_of_task
from miniecs.control.explain_zones import zones
from miniecs.control.target_words import why
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.event import EventKind
from miniecs.model.hints import hint
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import Task


def explain_service(view: View, service: Service, *, now: float, timing: Timing) -> list[str]:
    """What runs, what is wanted, what each deployment waits for, and the last placement that failed."""
    lines = [headline(service)]
    if service.deployment_controller != "ECS" and service.status == "ACTIVE":
        lines += _task_sets(view, service, now=now, timing=timing)
        return lines + last_placement(view, service.arn, now=now)
    if service.status == "INACTIVE" or not service.deployments:
        return lines
    lines += balancing(view, service)
    lines += _released(view, service)
    lines += _unheard(view, service)
    counted = census.take(view, service, now=now, timing=timing)
    for cohort in counted.cohorts:
        lines.append(_counts(cohort))
        lines += (f"  {each}" for each in explain_images.of_deployment(view, cohort.deployment))
        of_cohort = waits.of_cohort(view, service, cohort, counted, now=now, timing=timing)
        lines += (f"  {wait}" for wait in of_cohort)
    lines += _stopping(view, counted, now=now)
    lines += zones(view, service, counted, now=now, timing=timing)
    if service.steady:
        lines.append("It is steady: nothing is left to do.")
    return lines + last_placement(view, service.arn, now=now)


def _stopping(view: View, counted: Census, *, now: float) -> Iterator[str]:
    if counted.stopping:
        count = len(counted.stopping)
        yield "1 task is stopping:" if count == 1 else f"{count} tasks are stopping:"
        yield from (f"  {wait}" for wait in waits.of_stopping(view, counted.stopping, now=now))


def _task_sets(view: View, service: Service, *, now: float, timing: Timing) -> Iterator[str]:
    """The same of each task set, as of a service that had only that one."""
    found = task_sets.of_service(view, service)
    if not found:
        yield "It has no task sets: CreateTaskSet makes one."
    counted = census.take(view, task_sets.as_deployments(view, service), now=now, timing=timing)
    for task_set, cohort in zip(found, counted.cohorts, strict=True):
        yield (
            f"{task_set.status} task set {task_set.id}"
            f" ({arns.name_of(cohort.deployment.revision.task_definition_arn)}),"
            f" {task_set.scale:g} % of {service.desired_count}, {task_set.stability_status}:"
            f" {_states(cohort)}, {cohort.deployment.desired_count} wanted."
        )
        alone = task_sets.alone(service, cohort.deployment)
        of_set = counted.only(cohort)
        waited = waits.of_cohort(view, alone, cohort, of_set, now=now, timing=timing)
        yield from (f"  {wait}" for wait in waited)
    yield from _stopping(view, counted, now=now)
    if service.steady:
        yield "It is steady: nothing is left to do."


def _released(view: View, service: Service) -> Iterator[str]:
    """How the newest service deployment ended, where it did not as it was meant to, or that it is to end."""
    newest = service_deployments.newest(view, service)
    if newest is not None and newest.status_reason:
        yield f"Its newest service deployment is {newest.status}: {newest.status_reason}"


def _unheard(view: View, service: Service) -> Iterator[str]:
    for name in alarms.missing(view, service):
        yield f"Alarm {name}, which is to end its deployments, was deleted: they go on without it."


def explain_task(view: View, task: Task, *, now: float, timing: Timing) -> list[str]:
    """Why the task is where it is, what it waits for or why it stopped."""
    lines = [
        f"Task {arns.name_of(task.arn)} of {arns.name_of(task.task_definition_arn)}:"
        f" lastStatus {task.last_status}, desiredStatus {task.desired_status}."
    ]
    if task.because:
        lines.append(f"It was started: {task.because}.")
    lines += _where(view, task)
    lines += placement_of_task(view, task)
    lines += explain_images.of_task(view, task)
    if task.is_stopped:
        return lines + _ended(task)
    if not task.wanted:
        lines.append(f"It is to stop: {task.stopped_reason} ({task.stop_code}).")
        drains = waits.drains(view, task, now)
        if drains is not None:
            lines.append(
                f"It drains for {drains:.0f} s more: requests in flight may finish, new ones go elsewhere."
            )
        if task.last_status == "STOPPING":
            lines.append("It waits for its agent to report that the containers have stopped.")
        return lines
    if task.last_status != "RUNNING":
        lines.append(f"{waits.begins(view, task, now=now, timing=timing)}.")
    lines += _targets(view, task, now, timing)
    if task.is_protected(now):
        left = (task.protection_expires_at or now) - now
        lines.append(f"It is protected from scale-in and deployments for {left:.0f} s more.")
    last = view.events(task.arn, (EventKind.TASK,), limit=1)
    if last and last[0].because:
        lines.append(f"Last change {now - last[0].at:.0f} s ago: {last[0].because}.")
    return lines


def headline(service: Service) -> str:
    """What is wanted and within which bounds."""
    configuration = service.deployment_configuration
    if service.scheduling_strategy == "DAEMON":
        wanted = f"a daemon, one task on each of {service.desired_count} eligible instances"
    else:
        wanted = f"{service.desired_count} task{'' if service.desired_count == 1 else 's'} wanted"
    lower, upper = deployments.bounds(service.desired_count, configuration)
    return (
        f"Service {service.name} is {service.status}: {wanted}; minimumHealthyPercent"
        f" {configuration.minimum_healthy_percent} keeps {lower}, maximumPercent"
        f" {configuration.maximum_percent} allows {upper}."
    )


def _counts(cohort: Cohort) -> str:
    deployment = cohort.deployment
    return (
        f"{deployment.status} deployment {deployment.id}"
        f" ({arns.name_of(deployment.revision.task_definition_arn)}), {deployment.rollout_state}:"
        f" {_states(cohort)}, {deployment.desired_count} wanted."
    )


def _states(cohort: Cohort) -> str:
    """How many tasks are how far."""
    states = (
        (len(cohort.healthy), "healthy"),
        (len(cohort.settling), "running but not yet healthy"),
        (len(cohort.unhealthy), "unhealthy"),
        (len(cohort.leaving) + len(cohort.evicted), "on DRAINING instances"),
        (len(cohort.pending), "pending"),
    )
    return ", ".join(f"{count} {state}" for count, state in states if count) or "no tasks"


def _where(view: View, task: Task) -> list[str]:
    if task.launch_type == fargate.LAUNCH_TYPE:
        own = task.network_interface
        address = f" at {own.private_ipv4} in {own.subnet_id}" if own is not None and own.is_provided else ""
        return [f"It is on Fargate, in {task.availability_zone}{address}."]
    if task.container_instance_arn is None:
        return ["It has no container instance yet."]
    instance = view.get(ContainerInstance, task.container_instance_arn)
    name = arns.name_of(task.container_instance_arn)
    if instance is None:
        return [f"Its container instance {name} is gone."]
    agent = "connected" if instance.agent_connected else "not connected"
    zone = instance.availability_zone or "no zone"
    return [f"It is on container instance {name} ({zone}), which is {instance.status}; its agent is {agent}."]


def _targets(view: View, task: Task, now: float, timing: Timing) -> Iterator[str]:
    for target in view.find(Target, "task", task.arn):
        group = arns.group_name_of(target.target_group_arn)
        reason = why(view, target, now=now, timing=timing)
        yield (
            f"Its target {target.id}:{target.port} in target group {group} is {target.state}"
            f"{f': {reason}' if reason else ''}."
        )


def _ended(task: Task) -> list[str]:
    lines = [f"It stopped: {task.stopped_reason} ({task.stop_code})."]
    advice: dict[str, None] = {}
    for container in task.containers:
        code = f"exit code {container.exit_code}" if container.exit_code is not None else "it never ran"
        reason = f", {container.reason.rstrip('.')}" if container.reason else ""
        lines.append(f"Container {container.name}: {code}{reason}.")
        advice[hint(container.reason or "")] = None
    return lines + [f"What to do: {each}." for each in advice if each]
