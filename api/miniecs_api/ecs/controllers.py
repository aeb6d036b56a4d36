"""What the deployment controllers EXTERNAL and CODE_DEPLOY ask of a service, and what they forbid.

ECS's own words where they are known: these calls fail first in whatever deploys to such a service.
"""

from __future__ import annotations

from typing import Any

from miniecs_api.ecs.launch_params import invalid
from miniecs_api.ecs.service_params import unsupported

# What belongs to the task sets of an EXTERNAL service and not to itself.
_OF_TASK_SETS = {
    "taskDefinition": "TaskDefinition must be blank",
    "loadBalancers": "LoadBalancers must be empty or null.",
    "serviceRegistries": "ServiceRegistries must be empty or null.",
    "networkConfiguration": "NetworkConfiguration must be null.",
    "launchType": "LaunchType must be null.",
    "capacityProviderStrategy": "CapacityProviderStrategy must be empty or null.",
    "platformVersion": "PlatformVersion must be null.",
    "role": "Role must be null.",
}
_OF_ECS = {
    "deploymentCircuitBreaker": "The deployment circuit breaker",
    "alarms": "Deployment alarms",
    "earlySuccessCriteria": "Early success criteria",
}
_FIXED = {
    "taskDefinition": "task definition",
    "networkConfiguration": "network parameters",
    "loadBalancers": "load balancers",
    "serviceRegistries": "service registries",
    "platformVersion": "platform version",
    "capacityProviderStrategy": "capacity provider strategy",
}
_INSTEAD = {
    "CODE_DEPLOY": "Use AWS CodeDeploy to trigger a new deployment.",
    "EXTERNAL": "Use CreateTaskSet to trigger a new deployment.",
}
_TASK_SETS_INSTEAD = "There is no CodeDeploy here: CreateTaskSet and UpdateServicePrimaryTaskSet do its work."


def of(params: dict[str, Any]) -> str:
    """The controller that a call names, ECS where it names none."""
    type: str = params.get("deploymentController", {}).get("type", "ECS")
    return type


def check_new(params: dict[str, Any], controller: str, scheduling_strategy: str) -> None:
    """Refuse what a new service of this controller cannot have, or lacks."""
    if controller == "ECS":
        return
    if scheduling_strategy == "DAEMON":
        raise invalid(
            "The daemon scheduling strategy is not supported with the "
            f"{controller} deployment controller."
        )
    if controller == "CODE_DEPLOY":
        if len(params.get("loadBalancers", [])) != 1:
            raise invalid(
                "Exactly one load balancer must be specified for the CODE_DEPLOY deployment controller."
            )
        return
    if params.get("taskDefinition") == "":
        raise invalid("Family should not be null or empty.")
    for member, message in _OF_TASK_SETS.items():
        if params.get(member):
            raise invalid(message, "CreateTaskSet takes it instead, for each task set.")


def check_update(params: dict[str, Any], controller: str) -> None:
    """Refuse what only a new deployment can change, whether or not it would change anything."""
    if of({"deploymentController": {"type": controller}, **params}) != controller:
        raise unsupported("Changing a service's deployment controller")
    if controller == "ECS":
        return
    hint = _TASK_SETS_INSTEAD if controller == "CODE_DEPLOY" else None
    where = f"on services with a{'n' * (controller == 'EXTERNAL')} {controller} deployment controller"
    for member, what in _FIXED.items():
        if member in params:
            raise invalid(f"Unable to update {what} {where}. {_INSTEAD[controller]}", hint)
    if params.get("forceNewDeployment", False):
        raise invalid(f"Cannot force a new deployment {where}. {_INSTEAD[controller]}", hint)


def check_configuration(params: dict[str, Any], controller: str) -> None:
    """Only ECS's own deployments are ended by a circuit breaker or alarms, or early, or shift traffic."""
    if controller == "ECS":
        return
    given = params.get("deploymentConfiguration", {})
    for member, what in _OF_ECS.items():
        if given.get(member, {}).get("enable", False):
            raise invalid(f"{what} can only be used with the ECS deployment controller.")
    if params.get("volumeConfigurations"):
        raise invalid("Volume configurations can only be used with the ECS deployment controller.")
    strategy = given.get("strategy", "ROLLING")
    if strategy != "ROLLING":
        raise invalid(
            f"The {strategy} deployment strategy can only be used with the ECS deployment controller."
        )
