"""The checks of what CreateService and UpdateService are given, with ECS's messages."""

from __future__ import annotations

import re
from typing import Any

from miniecs.model.task_definition import TaskDefinition
from miniecs_api.ecs.launch_params import invalid
from miniecs_api.wire.errors import AwsError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TOKEN = re.compile(r"[!-~]{1,36}")
_MAX_DESIRED_COUNT = 5000
_MAX_GRACE = 2_147_483_647

# What is refused until something acts on it (docs/differences.md, "Services").
_NOT_YET = {
    "serviceRegistries": "Service discovery (serviceRegistries)",
    "serviceConnectConfiguration": "Service Connect",
    "vpcLatticeConfigurations": "VPC Lattice",
    "gatewayConnectors": "Gateway connectors",
    "monitoring": "Monitoring resolution (monitoring)",
}
_NOT_YET_IN_DEPLOYMENT = {
    "lifecycleHooks": "Deployment lifecycle hooks",
}


def unsupported(what: str) -> AwsError:
    return AwsError(
        "UnsupportedFeatureException",
        f"{what}: not supported by miniecs yet.",
        hint="See docs/differences.md, section Services.",
    )


def refuse_unsupported(params: dict[str, Any]) -> None:
    """Refuse parameters on which no control loop acts; an absent, empty or disabled one is fine."""
    for name, what in _NOT_YET.items():
        value = params.get(name)
        if value and value != {"enabled": False}:
            raise unsupported(what)
    configuration = params.get("deploymentConfiguration", {})
    for name, what in _NOT_YET_IN_DEPLOYMENT.items():
        value = configuration.get(name)
        if value and value.get("enable", True) if isinstance(value, dict) else value:
            raise unsupported(what)
    if configuration.get("strategy", "ROLLING") != "ROLLING":
        raise unsupported(f"Deployment strategy {configuration['strategy']}")
    for name in ("linearConfiguration", "canaryConfiguration", "bakeTimeInMinutes"):
        if configuration.get(name):
            raise invalid(f"{name} is not valid for the ROLLING deployment strategy.")


def service_name(params: dict[str, Any]) -> str:
    name: str = params["serviceName"]
    if not _NAME.fullmatch(name):
        raise invalid(
            "Service name must have up to 255 letters (uppercase and lowercase), numbers, underscores, "
            "and hyphens."
        )
    return name


def client_token(params: dict[str, Any]) -> str | None:
    token: str | None = params.get("clientToken")
    if token is not None and not _TOKEN.fullmatch(token):
        raise invalid("clientToken must have 1 to 36 ASCII characters in the range of 33-126.")
    return token


def check_execute_command(enabled: bool, definition: TaskDefinition, what: str) -> None:
    """ECS Exec needs a task role. what: created or updated."""
    if enabled and not definition.task_role_arn:
        raise invalid(
            f"The service couldn't be {what} because a valid taskRoleArn is not being used. "
            "Specify a valid task role in your task definition and try again."
        )


def desired_count(params: dict[str, Any], scheduling_strategy: str, controller: str = "ECS") -> int:
    given: int | None = params.get("desiredCount")
    if scheduling_strategy == "DAEMON":
        if given is not None:
            raise invalid(
                "The daemon scheduling strategy does not support a desired count for services. "
                "Remove the desired count value and try again"
            )
        return 0
    if given is None and controller == "EXTERNAL":
        return 0
    if given is None:
        raise invalid("desiredCount must be specified for the REPLICA scheduling strategy.")
    return checked_count(given)


def checked_count(count: int) -> int:
    if not 0 <= count <= _MAX_DESIRED_COUNT:
        raise invalid(f"desiredCount must be between 0 and {_MAX_DESIRED_COUNT}.")
    return count


def grace_period(params: dict[str, Any]) -> int | None:
    given: int | None = params.get("healthCheckGracePeriodSeconds")
    if given is not None and not 0 <= given <= _MAX_GRACE:
        raise invalid(f"healthCheckGracePeriodSeconds must be between 0 and {_MAX_GRACE}.")
    return given
