"""The load balancers and the role that CreateService and UpdateService are given, checked in ECS's words.

Some of these words mislead; a hint beside them names the culprit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniecs.control.load_balancing import load_balancer_arns_of
from miniecs.model import arns
from miniecs.model.container_definition import ContainerDefinition
from miniecs.model.load_balancing import LoadBalancer, TargetGroup
from miniecs.model.service import ServiceLoadBalancer
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.launch_params import invalid
from miniecs_api.ecs.service_params import unsupported

_MAX_TARGET_GROUPS = 5
_NO_ROLE_ACCESS = (
    "Unable to assume role and validate the specified targetGroupArn. "
    "Please verify that the ECS service role being passed has the proper permissions."
)


def role_arn(
    ctx: Context,
    params: dict[str, Any],
    definition: TaskDefinition,
    balancers: Sequence[ServiceLoadBalancer],
) -> str | None:
    """The service role. Any is accepted where ECS takes one: a bridge or host service of one target group."""
    role: str | None = params.get("role")
    if not role:
        return None
    if not balancers:
        raise invalid("IAM roles are only valid for services configured to use load balancers.")
    if definition.network_mode == "awsvpc" or len(balancers) > 1:
        raise invalid(
            "You cannot specify an IAM role for services that require a service linked role.",
            "Leave --role out: network mode awsvpc and several target groups need the service-linked role.",
        )
    return role if role.startswith("arn:") else f"arn:aws:iam::{ctx.scope.account}:role/{role.lstrip('/')}"


def load_balancers(
    ctx: Context, params: dict[str, Any], definition: TaskDefinition
) -> tuple[ServiceLoadBalancer, ...]:
    """Checked targets of the service's tasks, each an existing target group behind a load balancer.

    Services may share a target group: ECS does not mind.
    """
    given = params.get("loadBalancers", [])
    if len(given) > _MAX_TARGET_GROUPS:
        raise invalid(f"load balancers can have at most {_MAX_TARGET_GROUPS} items.")
    return tuple(_load_balancer(ctx, item, definition) for item in given)


def check_launch_type(balancers: Sequence[ServiceLoadBalancer], launch_type: str | None) -> None:
    """ECS Anywhere has no load balancing (ECS developer guide)."""
    if balancers and launch_type == "EXTERNAL":
        raise invalid("Load balancers are not supported with the EXTERNAL launch type.")


def _load_balancer(ctx: Context, given: dict[str, Any], definition: TaskDefinition) -> ServiceLoadBalancer:
    if given.get("advancedConfiguration"):
        raise unsupported("loadBalancers.advancedConfiguration (blue/green)")
    container_name, port = given.get("containerName"), given.get("containerPort")
    if not container_name:
        raise invalid("Container Name can not be blank.")
    if port is None:
        raise invalid("Container Port can not be blank.")
    if name := given.get("loadBalancerName"):
        raise invalid(f"The load balancer {name} does not exist.", _no_classic_one(ctx, name))
    if not given.get("targetGroupArn"):
        raise invalid("targetGroupArn must be specified for a load balancer.")
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


def _no_classic_one(ctx: Context, name: str) -> str:
    """Why no load balancer has this name: it means Classic Load Balancers, of which miniecs has none."""
    named = ctx.tx.find(LoadBalancer, "name", (ctx.scope, name))
    if not named:
        return "loadBalancerName means Classic Load Balancers, which miniecs lacks; use targetGroupArn."
    return (
        f"loadBalancerName means Classic Load Balancers; {name} is of type {named[0].type}: "
        "give the targetGroupArn of one of its target groups."
    )


def _target_group(ctx: Context, arn: str) -> TargetGroup:
    """The target group, or ECS's own misleading message with a hint at what is really wrong."""
    group = ctx.tx.get(TargetGroup, arn)
    if group is not None and arns.scope_of(arn) == ctx.scope:
        return group
    raise invalid(_NO_ROLE_ACCESS, _culprit(ctx, arn))


def _culprit(ctx: Context, arn: str) -> str:
    parsed = arns.parse(arn)
    if parsed is not None and parsed.type == "loadbalancer":
        return f"{arn} is a load balancer's ARN; a target group's belongs here."
    if parsed is not None and parsed.type.startswith("listener"):
        return f"{arn} is a {parsed.type}'s ARN; a target group's belongs here."
    if groups := ctx.tx.find(TargetGroup, "name", (ctx.scope, arn)):
        return f"{arn} is a target group's name; its ARN belongs here: {groups[0].arn}"
    if ctx.tx.find(LoadBalancer, "name", (ctx.scope, arn)):
        return f"{arn} is a load balancer's name; a target group's ARN belongs here."
    return f"There is no target group {arn} in account {ctx.scope.account}, region {ctx.scope.region}."
