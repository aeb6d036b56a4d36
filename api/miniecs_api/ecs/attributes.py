"""Attributes of container instances: Put, Delete, List.

Those that the agent and ECS gave (``ecs.…``, ``com.amazonaws.…``) are listed with the custom ones and
cannot be changed; placement constraints see all of them.
"""

from __future__ import annotations

import re
from typing import Any

from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.instance import Attribute, ContainerInstance
from miniecs_api.context import Context
from miniecs_api.ecs import resolve
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

TARGET_TYPE = "container-instance"
_LIMIT = 10
_NAME = re.compile(r"[A-Za-z0-9\-_/\\.]{1,128}")
_VALUE = re.compile(r"(?! )[A-Za-z0-9\-_.@/\\:+ ]{1,128}(?<! )")
_RESERVED = ("ecs.", "com.amazonaws.")


@operation
def put_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    for given in _up_to_limit(params):
        name, value = given["name"], given.get("value")
        _check(name, value)
        instance = _target(ctx, cluster.name, given)
        others = tuple(a for a in instance.attributes if a.name != name)
        known = any(a.name == name for a in instance.attributes)
        if not known and sum(not a.name.startswith(_RESERVED) for a in others) >= _LIMIT:
            raise AwsError(
                "AttributeLimitExceededException",
                f"You can apply up to {_LIMIT} custom attributes for each resource.",
            )
        ctx.tx.put(replace(instance, attributes=(*others, Attribute(name, value))))
    return {"attributes": [_answered(ctx, cluster.name, given) for given in params["attributes"]]}


@operation
def delete_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answers those that were there."""
    cluster = resolve.cluster(ctx, params)
    deleted = []
    for given in _up_to_limit(params):
        name = given["name"]
        _check(name, None)
        instance = _target(ctx, cluster.name, given)
        left = tuple(a for a in instance.attributes if a.name != name)
        if len(left) < len(instance.attributes):
            ctx.tx.put(replace(instance, attributes=left))
            deleted.append({"name": name, "targetType": TARGET_TYPE, "targetId": instance.arn})
    return {"attributes": deleted}


@read_operation
def list_attributes(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    cluster = resolve.cluster(ctx, params)
    name, value = params.get("attributeName"), params.get("attributeValue")
    if value is not None and name is None:
        raise _invalid("attributeName must be specified when attributeValue is specified.")
    listed = [
        (attribute, instance.arn)
        for instance in ctx.tx.find(ContainerInstance, "cluster", cluster.arn)
        if instance.status != "INACTIVE"
        for attribute in instance.attributes
        if name in (None, attribute.name) and value in (None, attribute.value or "")
    ]
    listed.sort(key=lambda pair: (pair[1], pair[0].name))
    return ecs_page(listed, params, "attributes", _render, key=lambda pair: f"{pair[1]} {pair[0].name}")


def _up_to_limit(params: dict[str, Any]) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = params["attributes"]
    if not given:
        raise _invalid("Attributes cannot be empty.")
    if len(given) > _LIMIT:
        raise _invalid(f"You can specify up to {_LIMIT} attributes in a single call.")
    return given


def _check(name: str, value: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise _invalid(
            "The attribute name must contain between 1 and 128 letters, numbers, hyphens (-), underscores "
            "(_), forward slashes (/), back slashes (\\), or periods (.)."
        )
    if name.startswith(_RESERVED):
        raise _invalid(f"The attribute name '{name}' is reserved for Amazon ECS.")
    if value is not None and not _VALUE.fullmatch(value):
        raise _invalid(
            "The attribute value must contain between 1 and 128 letters, numbers, hyphens (-), underscores "
            "(_), periods (.), at signs (@), plus signs (+), forward slashes (/), back slashes (\\), colons "
            "(:), or spaces, and can't start or end with a space."
        )


def _target(ctx: Context, cluster_name: str, given: dict[str, Any]) -> ContainerInstance:
    """The container instance that an attribute is of; its short id needs the targetType beside it."""
    id = given.get("targetId") or ""
    if not id:
        raise _invalid("The targetId of an attribute must be specified.")
    if not id.startswith("arn:") and given.get("targetType") is None:
        raise _invalid("The targetType must be specified with the short form of a targetId.")
    cluster = resolve.cluster(ctx, {"cluster": cluster_name})
    instance = resolve.find_instance(ctx, cluster, id)
    if instance is None or instance.status == "INACTIVE":
        raise AwsError(
            "TargetNotFoundException",
            "The specified target wasn't found. You can view your available container instances with "
            "ListContainerInstances.",
        )
    return instance


def _answered(ctx: Context, cluster_name: str, given: dict[str, Any]) -> dict[str, Any]:
    id = arns.name_of(given["targetId"])
    arn = arns.container_instance(ctx.scope, cluster_name, id)
    return _render((Attribute(given["name"], given.get("value")), arn))


def _render(pair: tuple[Attribute, str]) -> dict[str, Any]:
    attribute, arn = pair
    return {
        "name": attribute.name,
        "value": attribute.value,
        "targetType": TARGET_TYPE,
        "targetId": arn,
    }


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
