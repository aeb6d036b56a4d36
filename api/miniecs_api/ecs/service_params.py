"""The checks of what CreateService and UpdateService are given, with ECS's messages."""

from __future__ import annotations

import re
from typing import Any

from miniecs.control.load_balancing import load_balancer_arns_of
from miniecs.model import arns
from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.load_balancing import TargetGroup
from miniecs.model.service import CircuitBreaker, DeploymentConfiguration, ServiceLoadBalancer
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.launch_params import invalid
from miniecs_api.wire.errors import AwsError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAX_TARGET_GROUPS = 5
_MAX_DESIRED_COUNT = 5000
_MAX_GRACE = 2_147_483_647
_NO_ROLE_ACCESS = (
    "Unable to assume role and validate the specified targetGroupArn. "
    "Please verify that the ECS service role being passed has the proper permissions."
)

# What is refused until something acts on it (docs/differences.md, "Services").
_NOT_YET = {
    "serviceRegistries": "Service discovery (serviceRegistries)",
    "serviceConnectConfiguration": "Service Connect",
    "volumeConfigurations": "Volumes configured at launch (volumeConfigurations)",
    "vpcLatticeConfigurations": "VPC Lattice",
    "gatewayConnectors": "Gateway connectors",
    "monitoring": "Monitoring resolution (monitoring)",
}
_NOT_YET_IN_DEPLOYMENT = {
    "alarms": "Deployment alarms",
    "lifecycleHooks": "Deployment lifecycle hooks",
    "earlySuccessCriteria": "Early success criteria",
}


def _unsupported(what: str) -> AwsError:
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
            raise _unsupported(what)
    configuration = params.get("deploymentConfiguration", {})
    for name, what in _NOT_YET_IN_DEPLOYMENT.items():
        value = configuration.get(name)
        if value and value.get("enable", True) if isinstance(value, dict) else value:
            raise _unsupported(what)
    if configuration.get("strategy", "ROLLING") != "ROLLING":
        raise _unsupported(f"Deployment strategy {configuration['strategy']}")
    for name in ("linearConfiguration", "canaryConfiguration", "bakeTimeInMinutes"):
        if configuration.get(name):
            raise invalid(f"{name} is not valid for the ROLLING deployment strategy.")


def deployment_controller(params: dict[str, Any]) -> str:
    type: str = params.get("deploymentController", {}).get("type", "ECS")
    if type != "ECS":
        raise _unsupported(f"Deployment controller {type}")
    return type


def service_name(params: dict[str, Any]) -> str:
    name: str = params["serviceName"]
    if not _NAME.fullmatch(name):
        raise invalid(
            "Service name must have up to 255 letters (uppercase and lowercase), numbers, underscores, "
            "and hyphens."
        )
    return name


def desired_count(params: dict[str, Any], scheduling_strategy: str) -> int:
    given: int | None = params.get("desiredCount")
    if scheduling_strategy == "DAEMON":
        if given is not None:
            raise invalid(
                "The daemon scheduling strategy does not support a desired count for services. "
                "Remove the desired count value and try again"
            )
        return 0
    if given is None:
        raise invalid("desiredCount must be specified for the REPLICA scheduling strategy.")
    return checked_count(given)


def checked_count(count: int) -> int:
    if not 0 <= count <= _MAX_DESIRED_COUNT:
        raise invalid(f"desiredCount must be between 0 and {_MAX_DESIRED_COUNT}.")
    return count


def deployment_configuration(
    params: dict[str, Any], scheduling_strategy: str, current: DeploymentConfiguration | None = None
) -> DeploymentConfiguration:
    """The bounds of a rolling update: what is given, else what was, else ECS's defaults."""
    daemon = scheduling_strategy == "DAEMON"
    base = current or DeploymentConfiguration(100 if daemon else 200, 0 if daemon else 100)
    given = params.get("deploymentConfiguration", {})
    maximum = given.get("maximumPercent", base.maximum_percent)
    minimum = given.get("minimumHealthyPercent", base.minimum_healthy_percent)
    if maximum < 100 or (daemon and maximum != 100 and maximum > 200):
        raise invalid("maximumPercent must be greater than or equal to 100.")
    if not 0 <= minimum <= 100:
        raise invalid("minimumHealthyPercent must be between 0 and 100.")
    breaker = base.circuit_breaker
    if "deploymentCircuitBreaker" in given:
        breaker = _circuit_breaker(given["deploymentCircuitBreaker"])
    return DeploymentConfiguration(maximum, minimum, breaker)


def _circuit_breaker(given: dict[str, Any]) -> CircuitBreaker:
    for name in ("thresholdConfiguration", "resetOnHealthyTask"):
        if name in given:
            raise _unsupported(f"deploymentCircuitBreaker.{name}")
    return CircuitBreaker(given.get("enable", False), given.get("rollback", False))


def grace_period(params: dict[str, Any]) -> int | None:
    given: int | None = params.get("healthCheckGracePeriodSeconds")
    if given is not None and not 0 <= given <= _MAX_GRACE:
        raise invalid(f"healthCheckGracePeriodSeconds must be between 0 and {_MAX_GRACE}.")
    return given


def role_arn(
    ctx: Context, params: dict[str, Any], definition: TaskDefinition, load_balanced: bool
) -> str | None:
    """The service role. Any role is accepted; it is only echoed, and only with a load balancer."""
    role: str | None = params.get("role")
    if not role:
        return None
    if not load_balanced:
        raise invalid(
            "The role parameter is only permitted if you are using a load balancer with your service."
        )
    if definition.network_mode == "awsvpc":
        raise invalid("You cannot specify an IAM role for services that require a service linked role.")
    return role if role.startswith("arn:") else f"arn:aws:iam::{ctx.scope.account}:role/{role.lstrip('/')}"


def load_balancers(
    ctx: Context, params: dict[str, Any], definition: TaskDefinition
) -> tuple[ServiceLoadBalancer, ...]:
    """Checked targets of the service's tasks, each an existing target group behind a load balancer."""
    given = params.get("loadBalancers", [])
    if len(given) > _MAX_TARGET_GROUPS:
        raise invalid(f"A maximum of {_MAX_TARGET_GROUPS} target groups can be specified for a service.")
    return tuple(_load_balancer(ctx, item, definition) for item in given)


def _load_balancer(ctx: Context, given: dict[str, Any], definition: TaskDefinition) -> ServiceLoadBalancer:
    if given.get("advancedConfiguration"):
        raise _unsupported("loadBalancers.advancedConfiguration (blue/green)")
    if given.get("loadBalancerName"):
        raise _unsupported("Classic Load Balancers (loadBalancerName)")
    container_name, port = given.get("containerName"), given.get("containerPort")
    if not given.get("targetGroupArn"):
        raise invalid("targetGroupArn must be specified for a load balancer.")
    if not container_name:
        raise invalid("containerName must be specified for a load balancer.")
    if port is None:
        raise invalid("containerPort must be specified for a load balancer.")
    group = _target_group(ctx, given["targetGroupArn"])
    container = next((c for c in definition.container_definitions if c.name == container_name), None)
    if container is None:
        raise invalid(f"The container {container_name} does not exist in the task definition.")
    if not _exposes(container, port):
        raise invalid(f"The container {container_name} did not have a container port {port} defined.")
    wanted = "ip" if definition.network_mode == "awsvpc" else "instance"
    if group.target_type != wanted:
        raise invalid(
            f"The provided target group ARN has target type {group.target_type}, which is incompatible with "
            f"the {definition.network_mode} network mode specified in the task definition."
        )
    if not load_balancer_arns_of(ctx.tx, group.arn):
        raise invalid(
            f"The target group with targetGroupArn {group.arn} does not have an associated load balancer.",
            "Create a listener or a rule that forwards to the target group first.",
        )
    return ServiceLoadBalancer(container_name, port, target_group_arn=group.arn)


def _exposes(container: ContainerDefinition, port: int) -> bool:
    return any(mapping.container_port == port for mapping in container.port_mappings or ())


def _target_group(ctx: Context, arn: str) -> TargetGroup:
    """The target group, or ECS's own misleading message with a hint at what is really wrong."""
    group = ctx.tx.get(TargetGroup, arn)
    if group is not None and arns.scope_of(arn) == ctx.scope:
        return group
    parsed = arns.parse(arn)
    if parsed is not None and parsed.type == "loadbalancer":
        hint = f"{arn} is a load balancer's ARN; a target group's belongs here."
    elif parsed is not None and parsed.type.startswith("listener"):
        hint = f"{arn} is a {parsed.type}'s ARN; a target group's belongs here."
    else:
        hint = f"There is no target group {arn} in account {ctx.scope.account}, region {ctx.scope.region}."
    raise invalid(_NO_ROLE_ACCESS, hint)
