"""What RunTask, StartTask and CreateService have in common: the checks of everything a launch is given."""

from __future__ import annotations

import json
import re
from collections.abc import Sized
from typing import Any, NamedTuple

from miniecs.model import fargate
from miniecs.model.cluster import CapacityProviderStrategyItem, Cluster
from miniecs.model.scope import Tag
from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.model.task_definition import TaskDefinition
from miniecs_api.context import Context
from miniecs_api.ecs.capacity_strategy import find_capacity_provider, to_strategy
from miniecs_api.ecs.tagging import within_limit
from miniecs_api.ecs.task_definitions import find_task_definition
from miniecs_api.ecs.td_compatibilities import FARGATE_SIZES
from miniecs_api.ecs.td_containers import GPUS, NOT_GPUS
from miniecs_api.wire.errors import AwsError
from miniecs_scheduler import ExpressionError, parse_expression

_MAX_CONSTRAINTS = 10
_MAX_STRATEGIES = 5
_MAX_OVERRIDES = 8192  # characters of JSON
_MAX_CPU = 196608  # units of a task
_MAX_MEMORY = 2**31 - 1  # MiB: what the API's integers hold
_SIZE = re.compile(r"[0-9]{1,10}")
_NO_ACCELERATORS = "Inference accelerators are not supported by miniecs."
_BINPACK_FIELDS = {"cpu": "cpu", "memory": "memory"}


def invalid(message: str, hint: str | None = None) -> AwsError:
    return AwsError("InvalidParameterException", message, hint=hint)


def task_definition(
    ctx: Context, reference: str, *, inactive_code: str = "ClientException"
) -> TaskDefinition:
    """The ACTIVE task definition meant. ECS uses two codes for an inactive one, by operation."""
    found = find_task_definition(ctx, reference)
    if found is None:
        raise AwsError("ClientException", "TaskDefinition not found.")
    if found.status != "ACTIVE":
        raise AwsError(inactive_code, "TaskDefinition is inactive")
    for container in found.container_definitions:
        for requirement in container.resource_requirements or ():
            _check_device(requirement.type, requirement.value)
    return found


def _check_device(type: str, value: str | None) -> None:
    """Placement counts GPUs and knows no other device. No instance has the attribute for accelerators."""
    if type == "GPU" and (value is None or not value.isdecimal()):
        raise _unsupported("All GPUs of an instance, and shared ones, are not placed by miniecs yet.")
    if type == "NeuronDevice":
        raise _unsupported("Neuron devices are not placed by miniecs yet.")


def placement_constraints(
    ctx: Context, params: dict[str, Any], definition: TaskDefinition | None
) -> tuple[PlacementConstraint, ...]:
    """Checked constraints of a call; at most ten together with the task definition's."""
    given = params.get("placementConstraints", [])
    of_definition = definition.placement_constraints if definition is not None else ()
    if len(given) + len(of_definition or ()) > _MAX_CONSTRAINTS:
        raise invalid(f"A maximum of {_MAX_CONSTRAINTS} placement constraints is allowed.")
    checked = []
    for constraint in given:
        type, expression = constraint.get("type"), constraint.get("expression", "")
        if type == "distinctInstance":
            if "expression" in constraint:  # ECS refuses an empty one too
                raise invalid("distinctInstance expression should not be specified.")
        elif type == "memberOf":
            _check_expression(ctx, expression)
        else:
            raise invalid("Placement constraint type must be one of [distinctInstance, memberOf].")
        checked.append(PlacementConstraint(type, expression))
    return tuple(checked)


def _check_expression(ctx: Context, expression: str) -> None:
    if not expression:
        raise invalid("Expression must be specified for the memberOf constraint.")
    try:
        parse_expression(expression)
    except ExpressionError as problem:
        ctx.hint(str(problem))
        raise invalid(f"Invalid placement constraint expression: {problem}") from problem


def placement_strategy(params: dict[str, Any]) -> tuple[PlacementStrategy, ...]:
    """Checked strategies, their fields in the one spelling used inside."""
    given = params.get("placementStrategy", [])
    if len(given) > _MAX_STRATEGIES:
        raise invalid(f"A maximum of {_MAX_STRATEGIES} placement strategies is allowed.")
    return tuple(_strategy(item.get("type"), item.get("field", "")) for item in given)


def _strategy(type: str | None, field: str) -> PlacementStrategy:
    if type == "random":
        if field:
            raise invalid("Field should not be specified for the random placement strategy.")
        return PlacementStrategy("random")
    if type == "binpack":
        if field.lower() not in _BINPACK_FIELDS:
            raise invalid("Field must be one of [CPU, MEMORY] for the binpack placement strategy.")
        return PlacementStrategy("binpack", field.lower())
    if type == "spread":
        if field.lower() in ("instanceid", "host"):
            return PlacementStrategy("spread", "instanceId")
        if not field.startswith("attribute:") or field == "attribute:":
            raise invalid(
                "Field must be instanceId, host or attribute:NAME for the spread placement strategy."
            )
        return PlacementStrategy("spread", field)
    raise invalid("Placement strategy type must be one of [random, spread, binpack].")


class Launch(NamedTuple):
    """How tasks are launched: with a launch type, or by a strategy. runs_on: EC2 or FARGATE, either way."""

    launch_type: str | None
    strategy: tuple[CapacityProviderStrategyItem, ...]
    runs_on: str


def launch(ctx: Context, params: dict[str, Any], cluster: Cluster, definition: TaskDefinition) -> Launch:
    """What the call says, else the cluster's default strategy, else EC2."""
    given = params.get("launchType")
    strategy = params.get("capacityProviderStrategy")
    if strategy and given:
        raise invalid("Specify either Launch Type or Capacity Provider Strategy, but not both.")
    chosen: tuple[CapacityProviderStrategyItem, ...] = ()
    if strategy:
        chosen = to_strategy(ctx, strategy, cluster.capacity_providers)
    elif not given:
        chosen = cluster.default_capacity_provider_strategy
    if not chosen:
        return Launch(given or "EC2", (), launch_type(params, given or "EC2", definition))
    if len(chosen) > 1 and not any(item.weight for item in chosen):
        raise invalid(
            "The specified capacity provider strategy must contain at least one capacity provider with a "
            "weight greater than 0."
        )
    first, *_ = (item.capacity_provider for item in chosen)
    return Launch(None, chosen, launch_type(params, _runs_on(ctx, first), definition))


def _runs_on(ctx: Context, provider: str) -> str:
    found = find_capacity_provider(ctx, provider)
    if found is not None and found.type == "MANAGED_INSTANCES":
        return found.type
    return fargate.LAUNCH_TYPE if provider in fargate.PROVIDERS else "EC2"


def launch_type(params: dict[str, Any], chosen: str, definition: TaskDefinition) -> str:
    """Check what is given beside a launch type; returns the launch type."""
    if chosen not in (definition.compatibilities or ("EC2",)):
        raise invalid(f"Task definition does not support launch_type {chosen}.")
    if chosen == "MANAGED_INSTANCES":
        raise _unsupported(f"Launch type {chosen} is not supported by miniecs yet; use EC2 or FARGATE.")
    if chosen == fargate.LAUNCH_TYPE:
        refuse_placement(params.get("placementConstraints"), params.get("placementStrategy"))
    elif params.get("platformVersion"):
        raise invalid("The platform version must be null when specifying an EC2 launch type.")
    return chosen


def refuse_placement(constraints: Sized | None, strategies: Sized | None, *, kept: bool = False) -> None:
    """Fargate has no hosts to choose from. kept: the service has them from before this call."""
    for member, what, given in (
        ("placementConstraints", "constraints", constraints),
        ("placementStrategy", "strategies", strategies),
    ):
        if given:
            raise invalid(
                f"Placement {what} are not supported with FARGATE launch type.",
                f"The service has some: an empty {member} in the same call removes them." if kept else None,
            )


def platform_version(params: dict[str, Any], launch_type: str) -> str | None:
    """Fargate's, as it was asked for; None elsewhere."""
    if launch_type != fargate.LAUNCH_TYPE:
        return None
    given: str = params.get("platformVersion") or "LATEST"
    if given not in fargate.PLATFORM_VERSIONS:
        raise AwsError("PlatformUnknownException", "The specified platform version doesn't exist.")
    return given


def _unsupported(message: str) -> AwsError:
    return AwsError("UnsupportedFeatureException", message, hint="See docs/differences.md.")


def overrides(
    params: dict[str, Any], definition: TaskDefinition, launch_type: str
) -> dict[str, Any] | None:
    """The call's overrides, naming only containers that exist."""
    given: dict[str, Any] | None = params.get("overrides")
    if not given:
        return None
    if len(json.dumps(given, separators=(",", ":"))) > _MAX_OVERRIDES:
        raise invalid(f"Overrides length must be at most {_MAX_OVERRIDES}.")
    if given.get("inferenceAcceleratorOverrides"):
        raise _unsupported(_NO_ACCELERATORS)
    names = {container.name for container in definition.container_definitions}
    for override in given.get("containerOverrides", []):
        if "name" not in override:
            raise invalid("Container override name can not be null or empty.")
        if override["name"] not in names:
            raise invalid(
                f"Override for container named {override['name']} is not a container in the TaskDefinition."
            )
        _check_override(override)
    for field in ("cpu", "memory"):
        if field in given and not _is_size(field, given[field]):
            raise invalid(f"Invalid '{field}' setting for task.")
    if launch_type == fargate.LAUNCH_TYPE:
        cpu, memory = (int(given.get(size) or getattr(definition, size)) for size in ("cpu", "memory"))
        if memory not in FARGATE_SIZES.get(cpu, ()):
            raise invalid("No Fargate configuration exists for given values.")
    return given


def _is_size(field: str, text: str) -> bool:
    # Python reads no numbers of thousands of digits.
    return bool(_SIZE.fullmatch(text)) and int(text) <= (_MAX_CPU if field == "cpu" else _MAX_MEMORY)


def _check_override(override: dict[str, Any]) -> None:
    """As a task definition's own settings, but for memory that is too little: the engine says so."""
    name = override["name"]
    for size, least in (("cpu", 0), ("memory", 1), ("memoryReservation", 1)):
        if override.get(size, least) < least:
            raise invalid(f"Invalid '{size}' setting for container '{name}'.")
    for pair in override.get("environment", []):
        if not pair.get("name"):
            raise invalid(
                f"Invalid setting for container '{name}'. The name of an environment variable must not be "
                "null or empty."
            )
    for requirement in override.get("resourceRequirements", []):
        if requirement["type"] == "InferenceAccelerator":
            raise _unsupported(_NO_ACCELERATORS)
        value = requirement.get("value")
        if requirement["type"] == "GPU" and value not in (None, "ALL") and not GPUS.fullmatch(value):
            raise invalid(f"Invalid setting for container '{name}'. {NOT_GPUS}")
        _check_device(requirement["type"], value)


def propagated_tags(
    own: tuple[Tag, ...], source: tuple[Tag, ...], managed: tuple[Tag, ...] = ()
) -> tuple[Tag, ...]:
    """The call's own tags win over propagated ones; managed tags (aws:ecs:…) come on top, uncounted."""
    merged = {tag.key: tag for tag in (*source, *own, *managed)}
    return within_limit(tuple(merged.values()))
