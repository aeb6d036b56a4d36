"""Service deployments and service revisions: a service's releases, told of and stopped."""

from __future__ import annotations

from typing import Any, TypeVar

from miniecs.control import service_deployments as life
from miniecs.model import arns
from miniecs.model import service_deployment as status
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.ecs.launch_params import invalid
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.render_deployment import (
    render_brief,
    render_service_deployment,
    render_service_revision,
)
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

T = TypeVar("T", ServiceDeployment, ServiceRevision)

_CALLED = {"service-deployment": "Service deployment ARNs", "service-revision": "Service revision ARNs"}
_DESCRIBE_LIMIT = 20
_LIST_DEFAULT = 20


@read_operation
def list_service_deployments(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A service's releases, the newest first."""
    cluster = resolve.cluster(ctx, params)
    service = resolve.find_service(ctx, cluster, params["service"])
    if service is None:
        raise AwsError("ServiceNotFoundException", "Service not found.")
    statuses = params.get("status")
    created: dict[str, float] = params.get("createdAt", {})
    before, after = created.get("before"), created.get("after")
    listed = [
        each
        for each in reversed(ctx.tx.find(ServiceDeployment, "service", service.arn))
        if (not statuses or each.status in statuses)
        and (before is None or each.created_at < before)
        and (after is None or each.created_at > after)
    ]
    return ecs_page(
        listed, params, "serviceDeployments", render_brief, key=lambda each: each.arn, default=_LIST_DEFAULT
    )


@read_operation
def describe_service_deployments(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    found, failures = _found(ctx, ServiceDeployment, "service-deployment", params["serviceDeploymentArns"])
    shown = [render_service_deployment(ctx, each) for each in found]
    return {"serviceDeployments": shown, "failures": failures}


@read_operation
def describe_service_revisions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    found, failures = _found(ctx, ServiceRevision, "service-revision", params["serviceRevisionArns"])
    return {"serviceRevisions": [render_service_revision(ctx, each) for each in found], "failures": failures}


@operation
def stop_service_deployment(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Ask for its end: with ROLLBACK the last completed deployment comes back, with ABORT nothing does."""
    arn = params["serviceDeploymentArn"]
    deployment = _find(ctx, ServiceDeployment, "service-deployment", arn)
    if deployment is None:
        raise AwsError("ServiceDeploymentNotFoundException", "Service deployment not found.")
    if not deployment.is_ongoing:
        raise AwsError(
            "ConflictException",
            f"The service deployment cannot be stopped because it is in the {deployment.status} state.",
            fields={"resourceIds": [arn]},
        )
    if deployment.status in (status.PENDING, status.IN_PROGRESS):
        rolls_back = params.get("stopType", "ROLLBACK") == "ROLLBACK"
        to = status.ROLLBACK_REQUESTED if rolls_back else status.STOP_REQUESTED
        reason = life.ROLLED_BACK_BY_USER if rolls_back else life.STOPPED_BY_USER
        ctx.tx.put(life.moved(deployment, to, now=ctx.now, reason=reason))
    return {"serviceDeploymentArn": arn}


def _found(
    ctx: Context, kind: type[T], type: str, wanted: list[str]
) -> tuple[list[T], list[dict[str, Any]]]:
    """The objects of these ARNs, each once, and failures for those that there are not."""
    called = _CALLED[type]
    if not wanted:
        raise invalid(f"{called} cannot be empty.")
    if len(wanted) > _DESCRIBE_LIMIT:
        raise invalid(f"{called} must have at most {_DESCRIBE_LIMIT} members.")
    found, failures = [], []
    for arn in dict.fromkeys(wanted):
        thing = _find(ctx, kind, type, arn)
        if thing is None:
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(thing)
    return found, failures


def _find(ctx: Context, kind: type[T], type: str, text: str) -> T | None:
    """The caller's object of this ARN, None when there is none. Refuses what is no ARN of such an object."""
    parsed = arns.parse(text)
    if (
        parsed is None
        or parsed.service != "ecs"
        or parsed.type != type
        or len(parsed.resource.split("/")) != 4
    ):
        region, account = ctx.scope.region, ctx.scope.account
        hint = f"It has the form arn:aws:ecs:{region}:{account}:{type}/CLUSTER/SERVICE/ID."
        raise invalid("The ARN provided is invalid.", hint)
    return ctx.tx.get(kind, text) if parsed.scope == ctx.scope else None
