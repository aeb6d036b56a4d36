"""Task definitions: Register, Deregister, Describe, List, ListFamilies, Delete.

A family gives its revision numbers in order and never one twice, so it is an object of its own that
outlives its revisions; it also knows its newest ACTIVE one, which a bare family name stands for.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson

from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.task_definition import TaskDefinition, TaskDefinitionFamily
from miniecs_api.context import Context
from miniecs_api.ecs import td_normal, td_validation
from miniecs_api.ecs.listing import ecs_page
from miniecs_api.ecs.tagging import render_tags, to_tags
from miniecs_api.ecs.td_attributes import required_attributes
from miniecs_api.ecs.td_compatibilities import compatibilities
from miniecs_api.operation import operation, read_operation
from miniecs_api.wire.errors import AwsError

_MAX_DELETES = 10
_REVISION = re.compile(r"[0-9]{1,10}")
_UNKNOWN = "Unable to describe task definition."


@operation
def register_task_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    drafted = _judged(orjson.dumps({name: value for name, value in params.items() if name != "tags"}))
    tags = to_tags(params.get("tags"))
    family = _family(ctx, drafted.family)
    revision = family.last_revision + 1
    definition = drafted.model_copy(
        update={
            "arn": arns.task_definition(ctx.scope, drafted.family, revision),
            "revision": revision,
            "registered_at": ctx.now,
            "registered_by": ctx.principal_arn,
            "tags": tags,
        }
    )
    ctx.tx.put(definition)
    ctx.tx.put(replace(family, last_revision=revision, latest_active=revision))
    return _rendered(definition, tags=bool(tags))


@lru_cache(maxsize=256)
def _judged(document: bytes) -> TaskDefinition:
    """The definition in these parameters, found good, with all that follows from them alone.

    Remembered, because pipelines and test suites register the same few definitions again and again.
    """
    drafted = td_normal.draft(orjson.loads(document))
    td_validation.check(drafted)
    return drafted.model_copy(
        update={
            "requires_attributes": required_attributes(drafted),
            "compatibilities": compatibilities(drafted),
        }
    )


@operation
def deregister_task_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    reference = params["taskDefinition"]
    _, revision = _split(ctx, reference)
    if revision is None:
        raise _client_error("Revision is missing.")
    definition = find_task_definition(ctx, reference)
    if definition is None:
        raise _client_error(_UNKNOWN)
    if definition.status == "ACTIVE":
        definition = definition.model_copy(update={"status": "INACTIVE", "deregistered_at": ctx.now})
        ctx.tx.put(definition)
        _forget_active(ctx, definition)
    return _rendered(definition, tags=False)


@read_operation
def describe_task_definition(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    definition = find_task_definition(ctx, params["taskDefinition"])
    if definition is None:
        raise _client_error(_UNKNOWN)
    return _rendered(definition, tags="TAGS" in params.get("include", ()))


@read_operation
def list_task_definitions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """familyPrefix is a whole family's name here, in spite of what it is called."""
    status = params.get("status", "ACTIVE")
    family = params.get("familyPrefix")
    if family:
        found = ctx.tx.find(TaskDefinition, "family", (ctx.scope, family))
    else:
        found = ctx.tx.find(TaskDefinition, "scope", ctx.scope)
    listed = sorted(
        (definition for definition in found if definition.status == status),
        key=lambda definition: (definition.family, definition.revision),
        reverse=params.get("sort") == "DESC",
    )
    return ecs_page([definition.arn for definition in listed], params, "taskDefinitionArns")


@read_operation
def list_task_definition_families(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """INACTIVE is a family without ACTIVE revisions; one whose revisions are all gone is not listed."""
    status = params.get("status", "ALL")
    prefix = params.get("familyPrefix", "")
    names = sorted(
        family.name
        for family in ctx.tx.find(TaskDefinitionFamily, "scope", ctx.scope)
        if family.name.startswith(prefix)
        and (status == "ALL" or (status == "ACTIVE") == (family.latest_active is not None))
        and ctx.tx.count(TaskDefinition, "family", (ctx.scope, family.name))
    )
    return ecs_page(names, params, "families")


@operation
def delete_task_definitions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    references = params["taskDefinitions"]
    if not references:
        raise AwsError("InvalidParameterException", "Task definitions cannot be empty.")
    if len(references) > _MAX_DELETES:
        raise AwsError(
            "InvalidParameterException", f"At most {_MAX_DELETES} task definitions can be deleted in a call."
        )
    deleted, failures = [], []
    for reference in references:
        outcome = _delete(ctx, reference)
        if isinstance(outcome, str):
            failures.append({"arn": reference, "reason": outcome})
        else:
            deleted.append(outcome.wire())
    return {"taskDefinitions": deleted, "failures": failures}


def find_task_definition(ctx: Context, reference: str) -> TaskDefinition | None:
    """What ``family`` (its newest ACTIVE revision), ``family:revision`` or an ARN stands for, in any status.

    Raises ClientException for a revision that is no number.
    """
    family, revision = _split(ctx, reference)
    if family is None:
        return None
    if revision is None:
        revision = _family(ctx, family).latest_active
        if revision is None:
            return None
    return ctx.tx.get(TaskDefinition, arns.task_definition(ctx.scope, family, revision))


def _split(ctx: Context, reference: str) -> tuple[str | None, int | None]:
    """Family and revision of a reference; no family for an ARN of anything that is not the caller's."""
    name = reference
    if reference.startswith("arn:"):
        parsed = arns.parse(reference)
        if parsed is None or parsed.service != "ecs" or parsed.scope != ctx.scope:
            return None, 0
        type, _, name = parsed.resource.partition("/")
        if type != "task-definition":
            return None, 0
    family, colon, number = name.partition(":")
    if not colon:
        return family, None
    if not _REVISION.fullmatch(number):
        raise _client_error(f"Invalid revision number. Number: {number}")
    return family, int(number)


def _family(ctx: Context, name: str) -> TaskDefinitionFamily:
    fresh = TaskDefinitionFamily(ctx.scope, name)
    return ctx.tx.get(TaskDefinitionFamily, fresh.key) or fresh


def _forget_active(ctx: Context, gone: TaskDefinition) -> None:
    """The family's newest ACTIVE revision, now that this one is not ACTIVE any more."""
    family = _family(ctx, gone.family)
    if family.latest_active != gone.revision:
        return
    others = ctx.tx.find(TaskDefinition, "family", (ctx.scope, gone.family))
    active = [other.revision for other in others if other.status == "ACTIVE"]
    ctx.tx.put(replace(family, latest_active=max(active, default=None)))


def _delete(ctx: Context, reference: str) -> TaskDefinition | str:
    """The definition, on its way out, or ECS's reason why not."""
    _, revision = _split(ctx, reference)
    if revision is None:
        return "Revision is missing."
    definition = find_task_definition(ctx, reference)
    if definition is None:
        return (
            "The specified task definition does not exist. Specify a valid account, family, revision and "
            "try again."
        )
    if definition.status == "ACTIVE":
        return (
            "The specified task definition is still in ACTIVE status. Please deregister the target and "
            "try again."
        )
    if definition.status == "INACTIVE":
        definition = definition.model_copy(
            update={"status": "DELETE_IN_PROGRESS", "delete_requested_at": ctx.now}
        )
        ctx.tx.put(definition)
    return definition


def _rendered(definition: TaskDefinition, *, tags: bool) -> dict[str, Any]:
    result: dict[str, Any] = {"taskDefinition": definition.wire()}
    if tags:
        result["tags"] = render_tags(definition.tags)
    return result


def _client_error(message: str) -> AwsError:
    return AwsError("ClientException", message)
