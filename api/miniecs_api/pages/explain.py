"""The explain page: why a service, task, container instance, cluster or load balancer is as it is."""

from __future__ import annotations

from typing import Any

from miniecs.config import Timing
from miniecs.control import capacity, draining_words
from miniecs.control.capacity_words import explain_provider
from miniecs.control.explain import explain_service, explain_task
from miniecs.control.explain_balancing import explain_load_balancer, explain_target_group
from miniecs.control.explain_placement import decision_of, decisions, document, last_placement
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.cluster import CapacityProvider, Cluster
from miniecs.model.event import PLACED
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import LoadBalancer, TargetGroup
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs_api.data_plane import DataPlane
from miniecs_api.pages import events, instances, load_balancers, names, tasks
from miniecs_api.pulls import Pulls

_Thing = names.Named | LoadBalancer | TargetGroup | CapacityProvider


def page(
    view: View,
    name: str,
    *,
    pulls: Pulls,
    plane: DataPlane,
    runtime: str,
    now: float,
    timing: Timing,
    cluster: str | None = None,
) -> dict[str, Any]:
    """kind, arn, lines (sentences for people) and details (figures for programs).

    Raises NotFound and Ambiguous.
    """
    thing = _find(view, name, cluster)
    kind, lines, details = _explained(view, thing, pulls, now, timing)
    if isinstance(thing, LoadBalancer):
        lines[1:1] = load_balancers.listening(view, plane, thing)
    if _is_balanced(thing) and runtime == "docker" and not plane.connected:
        lines.append("The proxy is not connected: until it is back, no target is checked.")
    scale = timing.time_scale
    if scale != 1.0:
        lines.append(f"All of ECS's waits are {scale:g} times shorter here (--time-scale {scale:g}).")
    return {"kind": kind, "arn": thing.arn, "lines": lines, "details": details}


def _is_balanced(thing: _Thing) -> bool:
    if isinstance(thing, Service):
        return bool(thing.revision.load_balancers)
    return isinstance(thing, (LoadBalancer, TargetGroup))


def _find(view: View, name: str, cluster: str | None) -> _Thing:
    """ECS's things come first: a service, its load balancer and its target group often share a name."""
    others = ("load balancer", "target group", "capacity provider")
    try:
        return names.find(view, name, cluster=cluster, others=others)
    except names.NotFound:
        found = names.balancing(view, name) or names.capacity_provider(view, name)
        if found is None:
            raise
        return found


def _explained(
    view: View, thing: _Thing, pulls: Pulls, now: float, timing: Timing
) -> tuple[str, list[str], dict[str, Any]]:
    """kind, lines and details."""
    match thing:
        case LoadBalancer():
            return "load balancer", list(explain_load_balancer(view, thing, now=now, timing=timing)), {}
        case TargetGroup():
            return "target group", list(explain_target_group(view, thing, now=now, timing=timing)), {}
        case CapacityProvider():
            return "capacity provider", explain_provider(view, thing, now=now, timing=timing), {}
        case Service():
            return names.kind_of(thing), *_service(view, thing, now, timing)
        case Task():
            return names.kind_of(thing), *_task(view, thing, pulls, now, timing)
        case ContainerInstance():
            return names.kind_of(thing), *_instance(view, thing)
        case Cluster():
            return names.kind_of(thing), *_cluster(view, thing, now, timing)


def _task(
    view: View, task: Task, pulls: Pulls, now: float, timing: Timing
) -> tuple[list[str], dict[str, Any]]:
    pulling = tasks.pulling(task, pulls)
    lines = explain_task(view, task, now=now, timing=timing)
    lines += (f"Container {pull['container']}: {pull['text']}." for pull in pulling)
    decision = decision_of(view, task)
    placement = document(decision) if decision is not None else None
    return lines, tasks.render(view, task, now) | {"pulling": pulling, "placement": placement}


def _service(view: View, service: Service, now: float, timing: Timing) -> tuple[list[str], dict[str, Any]]:
    details = {
        "status": service.status,
        "desired": service.desired_count,
        "steady": service.steady,
        "deployments": [
            {
                "id": deployment.id,
                "status": deployment.status,
                "definition": arns.name_of(deployment.revision.task_definition_arn),
                "rolloutState": deployment.rollout_state,
                "rolloutStateReason": deployment.rollout_state_reason,
                "desired": deployment.desired_count,
                "running": view.count(Task, "deployment", (deployment.id, "RUNNING")),
                "failedTasks": deployment.failed_tasks,
            }
            for deployment in service.deployments
        ],
        "tasks": [tasks.render(view, task, now) for task in view.find(Task, "service", service.arn)],
        "events": [
            events.render(event) for event in view.events(service.arn, limit=20) if event.name != PLACED
        ][-10:],
        "placements": [document(decision) for decision in decisions(view, service.arn)],
    }
    return explain_service(view, service, now=now, timing=timing), details


def _instance(view: View, instance: ContainerInstance) -> tuple[list[str], dict[str, Any]]:
    details = instances.render(view, instance)
    cpu, memory = details["cpu"], details["memory"]
    agent = "connected" if instance.agent_connected else "not connected: it is given no new tasks"
    lines = [
        f"Container instance {details['id']} ({details['type'] or 'unknown type'}, "
        f"{details['zone'] or 'no zone'}) is {instance.status}; its agent is {agent}.",
        f"Free: {cpu['remaining']} of {cpu['registered']} CPU units, "
        f"{memory['remaining']} of {memory['registered']} MiB.",
    ]
    if instance.capacity_provider_name is not None:
        lines.append(f"It is one of capacity provider {instance.capacity_provider_name}.")
    held = view.find(Task, "instance", instance.arn)
    if instance.status == "DRAINING":
        lines += draining_words.of_instance(view, instance)
    lines += (
        f"Task {arns.name_of(task.arn)[:8]} of {arns.name_of(task.task_definition_arn)} ({task.group}) is "
        f"{task.last_status}: {task.reserved_cpu} CPU units, {task.reserved_memory} MiB."
        for task in held
    )
    return lines, details


def _cluster(
    view: View, cluster: Cluster, now: float, timing: Timing
) -> tuple[list[str], dict[str, Any]]:
    details = instances.page(view, cluster=cluster.arn)
    shown = details["instances"]
    noun = "container instance" if len(shown) == 1 else "container instances"
    lines = [f"Cluster {cluster.name} is {cluster.status}, with {len(shown)} {noun}."]
    lines += (
        f"{i['id'][:8]} in {i['zone']}: {i['status']}, {i['cpu']['remaining']} of {i['cpu']['registered']} "
        f"CPU units and {i['memory']['remaining']} of {i['memory']['registered']} MiB free."
        for i in shown
    )
    for name in cluster.capacity_providers:
        provider = capacity.named(view, cluster.arn, name)
        if provider is not None:
            lines += explain_provider(view, provider, now=now, timing=timing)
    if not shown:
        lines.append("Nothing can be placed in it. `miniecs instance add` adds a container instance.")
    refused = last_placement(view, cluster.arn, now=now)
    if refused:
        lines += ["The last RunTask or StartTask that found no host for any task:", *refused]
    details["placements"] = [document(decision) for decision in decisions(view, cluster.arn)]
    return lines, details
