"""What each kind of event does on the stage: calls of ECS's operations, as users make them, and faults."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from miniecs.model import arns
from miniecs.scenarios.arrivals import Arrival
from miniecs.scenarios.durations import told
from miniecs.scenarios.stage import NotYet, Stage, first_essential, simulating
from miniecs.scenarios.story import Step
from miniecs.sim.world import ControlPlaneDown
from miniecs_api.wire.errors import AwsError

Act = Callable[[Stage, Step], None]

NO_INSTANCES = "No Container Instances were found in your cluster."
_BEHAVIOUR = {
    "healthy": "",
    "crashing": "exit-1-after-5",
    "failing": "start-fails",
    "unhealthy": "never-healthy",
}


# Tasks


def run_task(stage: Stage, step: Step) -> None:
    arrival: Arrival = step.what
    stage.say(f"run {arrival.params.get('count', 1)} of {arrival.params['taskDefinition']}", mark="change")
    before = stage.watcher.recording.refused
    _ask(stage, arrival, arrival.params.get("count", 1))
    if refused := stage.watcher.recording.refused - before:
        stage.mark(f"{refused} of {arrival.params['taskDefinition']} refused", "loss")


def arrive(stage: Stage, step: Step) -> None:
    _ask(stage, step.what, step.what.params.get("count", 1))


def _ask(stage: Stage, arrival: Arrival, count: int) -> None:
    """RunTask for so many; whoever was refused asks again later, if at all."""
    params = arrival.params | {"count": count}
    if arrival.lifetime is not None:
        params["overrides"] = _living(stage, params, arrival.lifetime)
    answer = _run(stage, params)
    for task in answer["tasks"]:
        stage.watcher.tasks[task["taskArn"]].asked_at = arrival.at
    left = count - len(answer["tasks"])
    if not left:
        return
    _refused(stage, arrival, left, answer["failures"])
    if arrival.retry_every is not None:
        stage.waiting += left
        again = stage.world.now + arrival.retry_every
        stage.world.timeline.call_at(again, partial(_ask_again, stage, arrival, left))


def _run(stage: Stage, params: dict[str, Any]) -> dict[str, Any]:
    """RunTask's answer. That there is no instance at all is an error there, and a refusal here."""
    try:
        return stage.world.ecs("RunTask", **params)
    except AwsError as refused:
        if refused.message != NO_INSTANCES:
            raise
        return {"tasks": [], "failures": [{"arn": "", "reason": NO_INSTANCES.rstrip(".")}]}


def _ask_again(stage: Stage, arrival: Arrival, count: int) -> None:
    stage.waiting -= count
    try:
        _ask(stage, arrival, count)
    except ControlPlaneDown:
        stage.waiting += count
        again = stage.world.now + (arrival.retry_every or 1.0)
        stage.world.timeline.call_at(again, partial(_ask_again, stage, arrival, count))


def _refused(stage: Stage, arrival: Arrival, left: int, failures: list[dict[str, Any]]) -> None:
    """The first failure is the one of the host that came closest."""
    recording = stage.watcher.recording
    reason = failures[0]["reason"] if failures else "unknown"
    recording.refusals[reason] += left
    recording.refused += left
    detail = (failures[0].get("detail") or "") if failures else ""
    name = stage.watcher.readable(arns.name_of(failures[0]["arn"])) if failures else ""
    again = f"; asked again in {told(arrival.retry_every)}" if arrival.retry_every else ""
    closest = f"; closest is {name}: {detail}" if detail else ""
    stage.say(f"RunTask {arrival.params['taskDefinition']}: {left} refused, {reason}{closest}{again}")


def _living(stage: Stage, params: Mapping[str, Any], lifetime: float) -> dict[str, Any]:
    """Overrides with which the first essential container ends by itself."""
    family = params["taskDefinition"].rsplit("/", 1)[-1].split(":")[0]
    name = first_essential(stage.story.definitions[family])["name"]
    given = params.get("overrides") or {}
    containers = list(given.get("containerOverrides") or [])
    own: dict[str, Any] = next((each for each in containers if each.get("name") == name), {"name": name})
    words = f"exit-0-after-{lifetime:.3f}"
    changed = own | {"environment": simulating(own.get("environment") or [], words)}
    return {**given, "containerOverrides": [*(each for each in containers if each is not own), changed]}


def stop_task(stage: Stage, step: Step) -> None:
    what = step.what
    tasks = stage.running(what.service, what.family, what.count)
    for task in tasks:
        stage.world.ecs("StopTask", task=task.arn, reason="the scenario stops it")
    stage.say(f"stop {_tasks(len(tasks))} of {what.service or what.family}", mark="change")


def crash_task(stage: Stage, step: Step) -> None:
    what = step.what
    crashed = 0
    for task in stage.running(what.service, what.family, what.count):
        host = stage.world.instances.get(task.container_instance_arn or "")
        if host is not None and host.alive:
            crashed += stage.faults.crash(host, task.arn, task.containers[0].name, what.exit_code)
    stage.say(f"{_tasks(crashed)} of {what.service or what.family} crash", mark="loss")


def fail_health_check(stage: Stage, step: Step) -> None:
    what = step.what
    failed = 0
    for task in stage.running(what.service, what.family, what.count):
        host = stage.world.instances.get(task.container_instance_arn or "")
        for container in task.containers if host is not None and host.alive else ():
            failed += host is not None and stage.faults.fail_health_check(host, task.arn, container.name)
    stage.say(f"health checks of {failed} of {what.service or what.family} fail", mark="loss")


# Services


def create_service(stage: Stage, step: Step) -> None:
    stage.world.ecs("CreateService", **step.what)
    name = step.what["serviceName"]
    stage.say(f"create service {name}", about=name, mark="change")


def update_service(stage: Stage, step: Step) -> None:
    stage.world.ecs("UpdateService", **step.what)
    name = arns.name_of(step.what["service"])
    what = ", ".join(f"{key}={_said(value)}" for key, value in step.what.items() if key != "service")
    stage.say(f"update service {name}: {what}", about=name, mark="change")


def delete_service(stage: Stage, step: Step) -> None:
    stage.world.ecs("DeleteService", **step.what)
    name = arns.name_of(step.what["service"])
    stage.say(f"delete service {name}", about=name, mark="change")


def scale(stage: Stage, step: Step) -> None:
    stage.world.ecs("UpdateService", **step.what)
    name, count = step.what["service"], step.what["desiredCount"]
    stage.say(f"{name}: {count} wanted", about=name, mark="change")


def deploy(stage: Stage, step: Step) -> None:
    what = step.what
    definition = stage.definition(what.service)
    words = what.simulate or _BEHAVIOUR[what.revision]
    if words:
        container = first_essential(definition)
        container["environment"] = simulating(container.get("environment") or [], words)
    answer = stage.world.ecs("RegisterTaskDefinition", **definition)
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    stage.world.ecs("UpdateService", service=what.service, taskDefinition=arn)
    kind = f" ({what.simulate or what.revision})" if words else ""
    stage.say(f"deploy {arns.name_of(arn)}{kind}", about=what.service, mark="deployment")


# Hosts


def lose_host(stage: Stage, step: Step) -> None:
    [plan] = step.hosts
    stage.faults.lose_host(stage.host(plan.name), noticed_after=step.what.noticed_after, replace=False)
    _replaced(stage, step)
    stage.say(f"host {plan.name} lost", about=plan.name, mark="loss")


def lose_zone(stage: Stage, step: Step) -> None:
    for plan in step.hosts:
        stage.faults.lose_host(stage.host(plan.name), noticed_after=step.what.noticed_after, replace=False)
    _replaced(stage, step)
    zone = step.hosts[0].zone
    stage.say(f"zone {zone} lost: {_hosts(len(step.hosts))}", about=zone, mark="loss")


def _replaced(stage: Stage, step: Step) -> None:
    """As an Auto Scaling group does, once EC2 knows that the machine is gone."""
    if step.what.replace:
        at = stage.world.now + step.what.noticed_after
        for plan in step.hosts:
            stage.world.timeline.call_at(at, partial(stage.add_host, plan))


def restore(stage: Stage, step: Step) -> None:
    """Machines of the same names and kinds; what ran on the lost ones is gone."""
    for plan in step.hosts:
        stage.add_host(plan)
    stage.say(f"{_hosts(len(step.hosts))} back: {_names(step)}", mark="change")


def add_hosts(stage: Stage, step: Step) -> None:
    for plan in step.hosts:
        stage.add_host(plan)
    stage.say(f"{_hosts(len(step.hosts))} added: {_names(step)}", mark="change")


def drain(stage: Stage, step: Step) -> None:
    _set_status(stage, step, "DRAINING")
    stage.say(f"drain {_names(step)}", mark="change")


def activate(stage: Stage, step: Step) -> None:
    _set_status(stage, step, "ACTIVE")
    stage.say(f"{_names(step)} active again", mark="change")


def _set_status(stage: Stage, step: Step, status: str) -> None:
    named = [stage.host(plan.name).arn for plan in step.hosts]
    if not all(named):
        raise NotYet("a host has not registered yet")
    for first in range(0, len(named), 10):  # ECS takes ten at a time
        batch = named[first : first + 10]
        stage.world.ecs("UpdateContainerInstancesState", containerInstances=batch, status=status)


# What goes wrong between and around them


def cut_link(stage: Stage, step: Step) -> None:
    [plan] = step.hosts
    stage.faults.cut_link(stage.host(plan.name), step.what.lasting)
    stage.say(f"link to {plan.name} cut for {told(step.what.lasting)}", about=plan.name, mark="loss")


def slow_pulls(stage: Stage, step: Step) -> None:
    what = step.what
    hosts = [stage.host(plan.name) for plan in step.hosts] or stage.world.hosts()
    for host in hosts:
        stage.faults.slow_pulls(host, what.by, lasting=what.lasting)
    where = f"on {step.hosts[0].name}" if step.hosts else "everywhere"
    stage.say(f"image pulls take {told(what.by)} more {where}, for {told(what.lasting)}", mark="change")


def kill_control_plane(stage: Stage, step: Step) -> None:
    if not stage.world.is_up:
        raise ControlPlaneDown("it is away already")
    stage.faults.kill_control_plane(step.what.lasting)
    stage.say(f"ECS is away for {told(step.what.lasting)}", mark="loss")


ACTS: Mapping[str, Act] = {
    "runTask": run_task,
    "arrival": arrive,
    "createService": create_service,
    "updateService": update_service,
    "deleteService": delete_service,
    "scale": scale,
    "deploy": deploy,
    "loseHost": lose_host,
    "loseZone": lose_zone,
    "restore": restore,
    "drain": drain,
    "activate": activate,
    "addHosts": add_hosts,
    "stopTask": stop_task,
    "crashTask": crash_task,
    "failHealthCheck": fail_health_check,
    "cutLink": cut_link,
    "slowPulls": slow_pulls,
    "killControlPlane": kill_control_plane,
}


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _names(step: Step) -> str:
    names = [plan.name for plan in step.hosts]
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def _hosts(count: int) -> str:
    return f"{count} host" if count == 1 else f"{count} hosts"
