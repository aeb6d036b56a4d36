"""Events about services: their operations, as users call them, and new revisions good and bad."""

from __future__ import annotations

import json
from typing import Any

from miniecs.model import arns
from miniecs.scenarios.definitions import is_checked
from miniecs.scenarios.stage import Stage, first_essential, simulating
from miniecs.scenarios.story import Step

_BEHAVIOUR = {
    "healthy": "",
    "crashing": "exit-1-after-5",
    "failing": "start-fails",
    "unhealthy": "never-healthy",
}


def create_service(stage: Stage, step: Step) -> None:
    stage.world.ecs("CreateService", **stage.resolved(step.what))
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
    if words == "never-healthy" and not is_checked(definition):
        words = "answers-503"  # then it is the target group's health check that fails
    if words:
        container = first_essential(definition)
        container["environment"] = simulating(container.get("environment") or [], words)
    answer = stage.world.ecs("RegisterTaskDefinition", **definition)
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    stage.world.ecs("UpdateService", service=what.service, taskDefinition=arn)
    kind = f" ({what.simulate or what.revision})" if words else ""
    stage.say(f"deploy {arns.name_of(arn)}{kind}", about=what.service, mark="deployment")


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
