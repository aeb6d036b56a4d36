"""Why something is as it is and what it waits for, in sentences with numbers.

Everything is derived from the state and from the decisions in the outbox at the moment of asking,
so that an explanation cannot differ from what the loops do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from miniecs.config import Timing
from miniecs.control import census, deployments
from miniecs.control.census import Census, Cohort
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.event import Event, EventKind
from miniecs.model.hints import hint
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.service import Service
from miniecs.model.task import Task


def explain_service(view: View, service: Service, *, now: float, timing: Timing) -> list[str]:
    """What runs, what is wanted, what each deployment waits for, and the last placement that failed."""
    lines = [_headline(service)]
    if service.status == "INACTIVE" or not service.deployments:
        return lines
    counted = census.take(view, service, now=now, timing=timing)
    for cohort in counted.cohorts:
        lines.append(_counts(cohort))
        lines += (f"  {wait}" for wait in _waits(view, service, cohort, counted, now, timing))
    if counted.stopping:
        lines.append(f"{len(counted.stopping)} tasks are stopping: {_ids(counted.stopping)}.")
        lines += (f"  {wait}" for wait in _drains(view, counted.stopping, now))
    if service.steady:
        lines.append("It is steady: nothing is left to do.")
    return lines


def explain_task(view: View, task: Task, *, now: float) -> list[str]:
    """Why the task is where it is, what it waits for or why it stopped."""
    lines = [
        f"Task {arns.name_of(task.arn)} of {arns.name_of(task.task_definition_arn)}:"
        f" lastStatus {task.last_status}, desiredStatus {task.desired_status}."
    ]
    if task.because:
        lines.append(f"It was started: {task.because}.")
    lines += _where(view, task)
    if task.is_stopped:
        return lines + _ended(task)
    if not task.wanted:
        lines.append(f"It is to stop: {task.stopped_reason} ({task.stop_code}).")
        lines += _drains(view, (task,), now)
        if task.last_status == "STOPPING":
            lines.append("It waits for its agent to report that the containers have stopped.")
        return lines
    lines += _begins(view, task)
    last = view.events(task.arn, (EventKind.TASK,), limit=1)
    if last and last[0].because:
        lines.append(f"Last change {now - last[0].at:.0f} s ago: {last[0].because}.")
    return lines


def _headline(service: Service) -> str:
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
    states = (
        (len(cohort.healthy), "healthy"),
        (len(cohort.settling), "running but not yet healthy"),
        (len(cohort.unhealthy), "unhealthy"),
        (len(cohort.leaving) + len(cohort.evicted), "on DRAINING instances"),
        (len(cohort.pending), "pending"),
    )
    told = ", ".join(f"{count} {state}" for count, state in states if count) or "no tasks"
    return (
        f"{deployment.status} deployment {deployment.id}"
        f" ({arns.name_of(deployment.revision.task_definition_arn)}), {deployment.rollout_state}:"
        f" {told}, {deployment.desired_count} wanted."
    )


def _waits(
    view: View, service: Service, cohort: Cohort, counted: Census, now: float, timing: Timing
) -> Iterator[str]:
    deployment = cohort.deployment
    missing = deployment.desired_count - cohort.good
    launch_at = deployments.next_launch_at(deployment, timing)
    if missing > 0 and deployment.rollout_state == deployments.FAILED:
        yield f"It launches nothing more: {deployment.rollout_state_reason}"
    elif missing > 0 and launch_at > now:
        yield (
            f"The next launch waits {launch_at - now:.0f} s: {deployment.launch_failures} launches in a row"
            f" ended before RUNNING{_last_failure(view, service)}."
        )
    elif missing > 0 and deployment.blocked_until > now:
        yield from _rejection(view, service)
        yield f"Placement is tried again when capacity appears, or in {deployment.blocked_until - now:.0f} s."
    elif missing > 0 and deployment is service.primary:
        yield from _arithmetic(service, counted, missing)
    for task in cohort.settling[:3]:
        yield _settles(view, task, now, timing)
    for task in cohort.pending[:3]:
        yield f"Task {arns.name_of(task.arn)}: " + " ".join(_begins(view, task))
    for task in cohort.unhealthy[:3]:
        yield f"Task {arns.name_of(task.arn)} is unhealthy: {_ails(view, task)}."


def _arithmetic(service: Service, counted: Census, missing: int) -> Iterator[str]:
    lower, upper = deployments.bounds(service.desired_count, service.deployment_configuration)
    if counted.size < upper:
        return
    yield (
        f"{missing} tasks cannot start yet: {counted.size} are there ({len(counted.stopping)} of them"
        f" stopping) and at most {upper} may be."
    )
    if counted.serving <= lower and not counted.stopping:
        yield (
            f"None can stop first: {counted.serving} are healthy and at least {lower} must stay. Update"
            " minimumHealthyPercent or maximumPercent."
        )


def _rejection(view: View, service: Service) -> Iterator[str]:
    decisions: list[Event] = view.events(service.arn, (EventKind.DECISION,), limit=1)
    for decision in decisions:
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


def _missing_groups(view: View, task: Task) -> Iterator[str]:
    """Elastic Load Balancing deletes a target group though a service names it, and then nothing goes on."""
    service = view.get(Service, task.service_arn or "")
    for deployment in service.deployments if service is not None else ():
        if deployment.id == task.deployment_id:
            named = (balancer.target_group_arn for balancer in deployment.revision.load_balancers)
            yield from (arn for arn in named if arn is not None and view.get(TargetGroup, arn) is None)


def _settles(view: View, task: Task, now: float, timing: Timing) -> str:
    """What a RUNNING task still lacks to count as healthy."""
    name = f"Task {arns.name_of(task.arn)}"
    targets = [t for t in view.find(Target, "task", task.arn) if t.state != "healthy"]
    for target in targets:
        return f"{name} waits for its target {target.id}:{target.port}, which is {_state(target)}."
    for group in _missing_groups(view, task):
        return f"{name} waits for target group {group}, which was deleted: the service still names it."
    since = now - (task.started_at or now)
    if since < timing.healthy_after:
        left = timing.healthy_after - since
        return f"{name} counts as healthy {left:.0f} s from now, {timing.healthy_after:g} s after RUNNING."
    return f"{name} waits for its container health checks, which say {task.health_status}."


def _state(target: Target) -> str:
    return f"{target.state} ({target.description})" if target.description else target.state


def _ails(view: View, task: Task) -> str:
    for target in view.find(Target, "task", task.arn):
        if target.state == "unhealthy":
            return f"its target {target.id}:{target.port} is {_state(target)}"
    sick = [container.name for container in task.containers if container.health_status == "UNHEALTHY"]
    return f"the health check of container {', '.join(sick)} fails"


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


def _begins(view: View, task: Task) -> list[str]:
    """What a task that is not RUNNING yet waits for."""
    if task.last_status == "RUNNING":
        return []
    instance = view.get(ContainerInstance, task.container_instance_arn or "")
    if instance is None and task.launch_type == fargate.LAUNCH_TYPE:
        return ["It waits for Fargate's machine, which is being started."]
    if instance is None:
        return ["It waits for a container instance with room for it."]
    if not instance.agent_connected:
        name = arns.name_of(instance.arn)
        return [f"It waits for the agent of container instance {name}, which is not connected."]
    if task.pull_started_at is not None and task.pull_stopped_at is None:
        return ["Its images are being pulled."]
    return ["It waits for its agent to report that all containers run."]


def _drains(view: View, tasks: Iterable[Task], now: float) -> list[str]:
    lines = []
    for task in tasks:
        for target in view.find(Target, "task", task.arn):
            if target.draining_until is not None:
                left = max(0.0, target.draining_until - now)
                lines.append(f"Target {target.id}:{target.port} drains for another {left:.0f} s.")
    return lines[:5]


def _ended(task: Task) -> list[str]:
    lines = [f"It stopped: {task.stopped_reason} ({task.stop_code})."]
    advice: dict[str, None] = {}
    for container in task.containers:
        code = f"exit code {container.exit_code}" if container.exit_code is not None else "it never ran"
        reason = f", {container.reason.rstrip('.')}" if container.reason else ""
        lines.append(f"Container {container.name}: {code}{reason}.")
        advice[hint(container.reason or "")] = None
    return lines + [f"What to do: {each}." for each in advice if each]


def _ids(tasks: list[Task]) -> str:
    shown = ", ".join(arns.name_of(task.arn) for task in tasks[:5])
    return f"{shown} and {len(tasks) - 5} more" if len(tasks) > 5 else shown
