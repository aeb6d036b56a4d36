"""Events about tasks: RunTask by people who may be refused, StopTask, and containers that fail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from miniecs.model import arns
from miniecs.scenarios.arrivals import Arrival
from miniecs.scenarios.durations import told
from miniecs.scenarios.stage import Stage, first_essential, simulating
from miniecs.scenarios.story import Step
from miniecs.sim.world import ControlPlaneDown
from miniecs_api.wire.errors import AwsError

NO_INSTANCES = "No Container Instances were found in your cluster."


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


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"
