"""Task sets: parts of a service whose deployments are made by somebody else than ECS.

The operations write what a task set is to be; the service's loop counts, starts and stops.
"""

from __future__ import annotations

from typing import Any

from miniecs.control import task_sets as life
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.service import Revision, Service
from miniecs.model.task_set import ACTIVE, DRAINING, PRIMARY, STABILIZING, TaskSet
from miniecs_api.context import Context
from miniecs_api.ecs import (
    launch_params,
    networks,
    resolve,
    service_load_balancers,
    service_params,
    volume_params,
)
from miniecs_api.ecs.launch_params import invalid
from miniecs_api.ecs.render_task_set import render_task_set
from miniecs_api.ecs.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError


@operation
def create_task_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Write an ACTIVE task set. The same call again, by its client token, answers with what there is."""
    service = _managed_service(ctx, params)
    service_params.refuse_unsupported(params)
    token = service_params.client_token(params)
    made = life.created(service, _revision(ctx, params), _scale(params), now=ctx.now, ids=ctx.ids)
    made = replace(
        made,
        external_id=params.get("externalId"),
        client_token=token,
        tags=to_tags(params.get("tags", [])),
    )
    there = life.of_service(ctx.tx, service)
    repeated = next((each for each in there if token and each.client_token == token), None)
    if repeated is not None:
        if _spec(repeated) != _spec(made):
            raise invalid(f"A task set was created with clientToken {token} and different parameters.")
        return {"taskSet": render_task_set(ctx, repeated, tags=True)}
    if len(there) >= life.MOST:
        raise invalid(
            f"{life.MOST} deployments exist on the service. Unable to create new TaskSet since this exceeds "
            "the maximum limit."
        )
    ctx.tx.put(made)
    return {"taskSet": render_task_set(ctx, made, tags=True)}


def _spec(task_set: TaskSet) -> tuple[Any, ...]:
    return task_set.deployment.revision, task_set.scale, task_set.external_id, task_set.tags


def _revision(ctx: Context, params: dict[str, Any]) -> Revision:
    """What the task set is to run, checked as that of a service is."""
    definition = launch_params.task_definition(ctx, params["taskDefinition"])
    launch = launch_params.launch(ctx, params, resolve.cluster(ctx, params), definition)
    if len(params.get("loadBalancers", [])) > 1:
        raise invalid("load balancers can have at most 1 items.")
    balancers = service_load_balancers.load_balancers(ctx, params, definition)
    service_load_balancers.check_launch_type(balancers, launch.launch_type)
    return Revision(
        task_definition_arn=definition.arn,
        launch_type=launch.launch_type,
        capacity_provider_strategy=launch.strategy,
        platform_version=launch_params.platform_version(params, launch.runs_on),
        network_configuration=networks.network_configuration(ctx, params, definition, launch.runs_on),
        load_balancers=balancers,
        volume_configurations=volume_params.volume_configurations(ctx, params, definition, launch.runs_on),
    )


def _scale(params: dict[str, Any]) -> float:
    """Percent of desiredCount; 0 where nothing is said."""
    scale = float(params.get("scale", {}).get("value", 0.0))
    if not 0 <= scale <= 100:
        raise invalid("The value of scale must be between 0 and 100.")
    return scale


@operation
def update_task_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change the scale, which is all that can be changed of a task set."""
    service = _managed_service(ctx, params)
    task_set = _require(ctx, service, params["taskSet"])
    _refuse_draining(task_set)
    scale = _scale(params)
    if scale != task_set.scale:
        deployment = replace(task_set.deployment, updated_at=ctx.now)
        task_set = replace(task_set, scale=scale, deployment=deployment)
        task_set = life.unsettled(service, task_set, now=ctx.now)
        ctx.tx.put(task_set)
    return {"taskSet": render_task_set(ctx, task_set)}


@operation
def update_service_primary_task_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a task set the PRIMARY one, whose settings the service shows; the one that was is ACTIVE."""
    service = _managed_service(ctx, params)
    task_set = _require(ctx, service, params["primaryTaskSet"])
    _refuse_draining(task_set)
    if task_set.status == PRIMARY:
        return {"taskSet": render_task_set(ctx, task_set)}
    before = life.primary(life.of_service(ctx.tx, service))
    if before is not None:
        ctx.tx.put(life.with_status(before, ACTIVE, now=ctx.now))
    task_set = life.with_status(task_set, PRIMARY, now=ctx.now)
    ctx.tx.put(task_set)
    ctx.tx.put(replace(service, revision=task_set.deployment.revision))
    return {"taskSet": render_task_set(ctx, task_set)}


@operation
def delete_task_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DRAINING at once; gone when its tasks are."""
    service = _managed_service(ctx, params)
    task_set = _require(ctx, service, params["taskSet"])
    if task_set.status != DRAINING:
        if not params.get("force", False):
            _refuse_in_use(task_set)
        task_set = life.with_status(task_set, DRAINING, now=ctx.now)
        task_set = replace(task_set, stability_status=STABILIZING, stability_at=ctx.now)
        ctx.tx.put(task_set)
    return {"taskSet": render_task_set(ctx, task_set)}


def _refuse_in_use(task_set: TaskSet) -> None:
    if task_set.status == PRIMARY:
        raise invalid(
            "Primary TaskSet cannot be deleted",
            "Make another one primary with UpdateServicePrimaryTaskSet first, or use force.",
        )
    if task_set.scale > 0:
        raise invalid(
            "The task set cannot be deleted while it is scaled above 0.",
            "Scale it to 0 with UpdateTaskSet first, or use force.",
        )


@read_operation
def describe_task_sets(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Those that are named, or all of the service's."""
    service = _managed_service(ctx, params)
    tags = "TAGS" in params.get("include", [])
    wanted = params.get("taskSets")
    if not wanted:
        found = life.of_service(ctx.tx, service)
        return {"taskSets": [render_task_set(ctx, each, tags=tags) for each in found], "failures": []}
    shown, failures = [], []
    for text in dict.fromkeys(wanted):
        task_set = _find(ctx, service, text)
        if task_set is None:
            arn = text if text.startswith("arn:") else arns.task_set(service.arn, text)
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            shown.append(render_task_set(ctx, task_set, tags=tags))
    return {"taskSets": shown, "failures": failures}


def _managed_service(ctx: Context, params: dict[str, Any]) -> Service:
    """The ACTIVE service that is named, if it has task sets at all."""
    service = resolve.active_service(ctx, resolve.cluster(ctx, params), params["service"])
    if service.deployment_controller == "ECS":
        raise invalid(
            "Amazon ECS only supports task set management on services configured to use external deployment "
            "controllers."
        )
    return service


def _find(ctx: Context, service: Service, id_or_arn: str) -> TaskSet | None:
    arn = id_or_arn if id_or_arn.startswith("arn:") else arns.task_set(service.arn, id_or_arn)
    found = ctx.tx.get(TaskSet, arn)
    return found if found is not None and found.service_arn == service.arn else None


def _require(ctx: Context, service: Service, id_or_arn: str) -> TaskSet:
    found = _find(ctx, service, id_or_arn)
    if found is None:
        raise AwsError("TaskSetNotFoundException", "TaskSet not found.")
    return found


def _refuse_draining(task_set: TaskSet) -> None:
    if task_set.status == DRAINING:
        raise invalid(f"The task set {task_set.id} is DRAINING and cannot be updated.")
