"""What RegisterTaskDefinition is given, in the one form in which it is stored and answered.

ECS answers a task definition with its defaults filled in and its sizes as plain numbers
("1 vCPU" comes back as "1024"); filling in happens here, judging in td_validation.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import orjson
from pydantic import ValidationError

from miniecs.model.task_definition import TaskDefinition
from miniecs_api.wire.errors import AwsError

MAX_BYTES = 64 * 1024
MAX_CONTAINERS = 10

_WHOLE = re.compile(r"[0-9]{1,9}")
_CPU = re.compile(r"([0-9]{0,6}\.?[0-9]{1,6})\s*vcpu", re.IGNORECASE)
_MEMORY = re.compile(r"([0-9]{0,6}\.?[0-9]{1,6})\s*gb", re.IGNORECASE)
_VOLUME_KINDS = (
    "host",
    "dockerVolumeConfiguration",
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "configuredAtLaunch",
)
TROUBLESHOOTING = (
    "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
)


def refuse(message: str) -> NoReturn:
    """ECS refuses a task definition with ClientException, whatever is wrong with it."""
    raise AwsError("ClientException", message)


def draft(params: dict[str, Any]) -> TaskDefinition:
    """The task definition that the parameters describe, not yet judged, numbered or named."""
    _refuse_incomplete(params)
    size = len(orjson.dumps(params))
    if size > MAX_BYTES:
        refuse(f"Actual length: '{size}'. Max allowed length is '{MAX_BYTES}' bytes.")
    mode = params.get("networkMode", "bridge")
    document = {
        **params,
        "taskDefinitionArn": "",
        "revision": 0,
        "containerDefinitions": [_container(given, mode) for given in params["containerDefinitions"]],
        "volumes": [_volume(given) for given in params.get("volumes", ())],
        "cpu": _size(params.get("cpu"), _CPU, "cpu"),
        "memory": _size(params.get("memory"), _MEMORY, "memory"),
    }
    document.pop("tags", None)
    if not document.get("requiresCompatibilities"):
        document.pop("requiresCompatibilities", None)
    try:
        return TaskDefinition.model_validate(document)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        refuse(f"{where} is not supported by this version of miniecs: {first['msg']}.")


def _refuse_incomplete(params: dict[str, Any]) -> None:
    """What the API's shapes leave optional and ECS does not."""
    if not params["family"]:
        refuse("Family should not be null or empty.")
    containers = params["containerDefinitions"]
    if not containers:
        refuse("Container list cannot be empty.")
    if len(containers) > MAX_CONTAINERS:
        refuse("Too many containers.")
    for container in containers:
        if not container.get("name"):
            refuse("Container.name should not be null or empty.")
        if not container.get("image"):
            refuse("Container.image should not be null or empty.")
    for volume in params.get("volumes", ()):
        if not volume.get("name"):
            refuse("Volume.name should not be null or empty.")
    for constraint in params.get("placementConstraints", ()):
        if "type" not in constraint:
            refuse("PlacementConstraint.type should not be null or empty.")


def _container(given: dict[str, Any], mode: str) -> dict[str, Any]:
    if not given.get("portMappings"):
        return given
    return {**given, "portMappings": [_port_mapping(mapping, mode) for mapping in given["portMappings"]]}


def _port_mapping(given: dict[str, Any], mode: str) -> dict[str, Any]:
    """With bridge an unsaid host port is a dynamic one (0), with awsvpc and host it is the container's."""
    if "containerPortRange" in given or "containerPort" not in given:
        return given
    if mode in ("awsvpc", "host"):
        return {**given, "hostPort": given.get("hostPort") or given["containerPort"]}
    return given if "hostPort" in given else {**given, "hostPort": 0}


def _volume(given: dict[str, Any]) -> dict[str, Any]:
    """A volume of no kind is a host volume whose directory the agent assigns."""
    return given if any(kind in given for kind in _VOLUME_KINDS) else {**given, "host": {}}


def _size(given: str | None, unit: re.Pattern[str], name: str) -> str | None:
    """ "1024", "1 vCPU" and "2GB" as decimal strings of CPU units or MiB."""
    if given is None or given == "":
        return None
    text = given.strip()
    if _WHOLE.fullmatch(text):
        return str(int(text))
    found = unit.fullmatch(text)
    if found is None:
        refuse(f"Invalid '{name}' setting for task. {TROUBLESHOOTING}")
    return str(round(float(found[1]) * 1024))
