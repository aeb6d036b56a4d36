"""Events about hosts: lost, back, added and drained; and what goes wrong between them and ECS."""

from __future__ import annotations

import json
from functools import partial

from miniecs.planning.hosts import zone_name
from miniecs.scenarios.cast import REGION
from miniecs.scenarios.durations import told
from miniecs.scenarios.stage import NotYet, Stage
from miniecs.scenarios.story import Step
from miniecs.sim.world import ControlPlaneDown


def lose_host(stage: Stage, step: Step) -> None:
    [plan] = step.hosts
    stage.faults.lose_host(stage.host(plan.name), noticed_after=step.what.noticed_after, replace=False)
    _replaced(stage, step)
    stage.say(f"host {plan.name} lost", about=plan.name, mark="loss")


def lose_zone(stage: Stage, step: Step) -> None:
    """Hosts of Auto Scaling groups, too: their groups start others, in zones as they are dealt."""
    zone = zone_name(step.what.zone, REGION)
    lost = [host for host in stage.world.hosts() if host.facts.zone == zone]
    for host in lost:
        stage.faults.lose_host(host, noticed_after=step.what.noticed_after, replace=False)
    _replaced(stage, step)
    stage.say(f"zone {zone} lost: {_hosts(len(lost))}", about=zone, mark="loss")


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


def update_capacity_provider(stage: Stage, step: Step) -> None:
    stage.world.ecs("UpdateCapacityProvider", **step.what)
    name = step.what["name"]
    what = json.dumps(step.what["autoScalingGroupProvider"])
    stage.say(f"update capacity provider {name}: {what}", about=name, mark="change")


def kill_control_plane(stage: Stage, step: Step) -> None:
    if not stage.world.is_up:
        raise ControlPlaneDown("it is away already")
    stage.faults.kill_control_plane(step.what.lasting)
    stage.say(f"ECS is away for {told(step.what.lasting)}", mark="loss")


def _names(step: Step) -> str:
    names = [plan.name for plan in step.hosts]
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _hosts(count: int) -> str:
    return f"{count} host" if count == 1 else f"{count} hosts"
