"""DAEMON services: one task on each ACTIVE container instance that meets the constraints.

The count is not given but found, host by host; the rollout's bounds hold over all hosts.
Source: ECS developer guide, "DAEMON" service scheduler strategy.
"""

from __future__ import annotations

from collections.abc import Mapping

from miniecs.control import draining, interfaces, version_consistency
from miniecs.control.census import Cohort
from miniecs.control.deployments import FAILED, bounds, next_launch_at
from miniecs.control.draft import Draft
from miniecs.control.launch import HostOf
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_scheduler import Expression, Host, parse_expression


def decide(draft: Draft, hosts: HostOf) -> int:
    """Put what should start and stop into the draft; returns how many instances should run a task."""
    instances = draft.view.find(ContainerInstance, "cluster", draft.service.cluster_arn)
    eligible = _eligible(draft, instances, hosts)
    desired = len(eligible)
    primary = draft.census.cohorts[0]
    settled = _settled(draft, primary, eligible)
    _stop_unwanted(draft, eligible)
    waiting = _hosts_with_stopping(draft)
    missing = [arn for arn in eligible if arn not in settled]
    floor, ceiling = bounds(desired, draft.service.deployment_configuration)
    startable = [arn for arn in missing if eligible[arn].agent_connected and arn not in waiting]
    _roll(draft, startable, settled, desired, floor, ceiling)
    could_start = any(eligible[arn].agent_connected for arn in missing)
    if could_start and not draft.wakes and primary.deployment.rollout_state != FAILED:
        draft.say_stuck(floor, ceiling)
    return desired


def _eligible(
    draft: Draft, instances: list[ContainerInstance], hosts: HostOf
) -> dict[str, ContainerInstance]:
    """The ACTIVE instances that have the attributes and satisfy the constraints.

    With an interface for each task, only those in the zones of the service's subnets.
    """
    service = draft.service
    definition = draft.view.get(TaskDefinition, service.primary.revision.task_definition_arn)
    texts = [rule.expression for rule in service.placement_constraints if rule.type == "memberOf"]
    required: dict[str, str | None] = {}
    if definition is not None:
        texts += [rule.expression or "" for rule in definition.placement_constraints]
        required = {attribute.name: attribute.value for attribute in definition.requires_attributes}
    rules = [parse_expression(text) for text in texts]
    configuration = service.primary.revision.network_configuration
    subnets = interfaces.subnets_of(draft.view, arns.scope_of(service.arn), configuration)
    near = interfaces.Chooser(subnets).hosts(instances) if subnets else None
    found: dict[str, ContainerInstance] = {}
    for instance in instances:
        if instance.status != "ACTIVE" or (near is not None and instance.arn not in near):
            continue
        host = hosts(instance)
        if _has(host.attributes, required) and _satisfies(draft, rules, host):
            found[instance.arn] = instance
    return found


def _has(attributes: Mapping[str, str], required: Mapping[str, str | None]) -> bool:
    for name, value in required.items():
        if name not in attributes or (value is not None and attributes[name] != value):
            return False
    return True


def _satisfies(draft: Draft, rules: list[Expression], host: Host) -> bool:
    for rule in rules:
        if not _matches(draft, rule, host):
            return False
    return True


def _matches(draft: Draft, rule: Expression, host: Host) -> bool:
    """A rule on the instance's tasks counts those of others: the daemon's own must not decide for it."""
    if not rule.varies:
        return rule.matches(host)
    others = [
        task
        for task in draft.view.find(Task, "instance", host.id)
        if task.service_arn != draft.service.arn and task.desired_status == "RUNNING"
    ]
    return rule.matches(host, len(others), {task.group for task in others})


def _settled(draft: Draft, primary: Cohort, eligible: dict[str, ContainerInstance]) -> set[str]:
    """Instances with a task of the primary deployment; a second one there is stopped."""
    settled: set[str] = set()
    for task in [*primary.healthy, *primary.settling, *primary.pending]:
        arn = task.container_instance_arn or ""
        if arn not in eligible:
            continue
        if arn in settled:
            draft.stop(task, "its instance has another task of this daemon")
        settled.add(arn)
    return settled


def _stop_unwanted(draft: Draft, eligible: dict[str, ContainerInstance]) -> None:
    """Stop what is unhealthy, of a deployment that is gone, or on an instance that is not eligible."""
    for task in draft.census.strays:
        draft.stop(task, "its deployment is gone")
    for cohort in draft.census.cohorts:
        for task in cohort.unhealthy:
            draft.stop_unhealthy(task, "a daemon's task is replaced on the instance it is on")
        for task in cohort.evicted:
            draft.stop(task, "its container instance is DRAINING and it does not run yet")
        for task in cohort.leaving:
            others = draining.others_remain(draft.view, task.container_instance_arn or "")
            if not others:
                draft.stop(task, "its container instance is DRAINING and all other tasks have left it")
        for task in [*cohort.healthy, *cohort.settling, *cohort.pending]:
            if (task.container_instance_arn or "") not in eligible:
                draft.stop(task, "its container instance no longer meets the placement constraints")


def _hosts_with_stopping(draft: Draft) -> set[str]:
    """Instances whose last task of this daemon has not gone yet: the next one comes after it."""
    stopping = [*draft.census.stopping, *(stop.task for stop in draft.stops)]
    return {task.container_instance_arn or "" for task in stopping}


def _roll(
    draft: Draft, startable: list[str], settled: set[str], desired: int, floor: int, ceiling: int
) -> None:
    """Start on instances without a task; elsewhere stop the old one first, as far as the floor allows."""
    old = _old_tasks(draft)
    stopped = {stop.task.arn for stop in draft.stops}
    free = [arn for arn in startable if arn not in old]
    replaced_first = [arn for arn in startable if arn in old]
    departing = sum(len(c.leaving) + len(c.evicted) for c in draft.census.cohorts)
    room = max(0, ceiling - (draft.census.size - departing))
    # Where there is room above the old tasks (maximumPercent > 100), a new one may start beside them.
    chosen = (free + (replaced_first if ceiling > desired else []))[:room]
    primary = draft.service.primary
    first = draft.census.cohorts[0]
    if chosen and version_consistency.resolver(draft.view, primary, draft.staying(first)) is not None:
        chosen = []
    if chosen and not _rests(draft):
        because = f"{len(settled)} of {desired} eligible instances have a task: starts {len(chosen)}"
        draft.launch(primary, len(chosen), because, only_hosts=frozenset(chosen))
    if primary.rollout_state == FAILED:
        return  # it starts nothing in the place of what it would stop
    serving = draft.census.serving
    config = draft.service.deployment_configuration
    healthy_hosts = {task.container_instance_arn for task in draft.census.cohorts[0].healthy}
    for cohort in draft.census.cohorts[1:]:
        draft.say_protected(cohort)
    for arn, tasks in old.items():
        for task, healthy in tasks:
            if task.arn in stopped or draft.keeps(task):
                continue
            if ceiling > desired and arn not in healthy_hosts and serving - healthy < desired:
                continue
            if healthy and serving <= floor:
                continue
            serving -= healthy
            because = (
                f"a newer deployment has taken over; {serving} of {desired} stay healthy,"
                f" minimumHealthyPercent {config.minimum_healthy_percent} keeps {floor}"
            )
            draft.stop(task, because)


def _old_tasks(draft: Draft) -> dict[str, list[tuple[Task, bool]]]:
    """Instance -> its tasks of older deployments, each with whether it is healthy."""
    found: dict[str, list[tuple[Task, bool]]] = {}
    for cohort in draft.census.cohorts[1:]:
        for tasks, healthy in ((cohort.pending, False), (cohort.settling, False), (cohort.healthy, True)):
            for task in tasks:
                found.setdefault(task.container_instance_arn or "", []).append((task, healthy))
    return found


def _rests(draft: Draft) -> bool:
    primary = draft.service.primary
    at = next_launch_at(primary, draft.timing)
    if at > draft.now:
        draft.wakes.append(at)
        return True
    return bool(draft.rest(primary))
