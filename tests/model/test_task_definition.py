"""The task definition's model is held to botocore's: every member, by its name, type and requiredness."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from botocore.session import Session

from miniecs.model.document import Document
from miniecs.model.scope import Tag
from miniecs.model.task_definition import TaskDefinition

SHAPE = Session().get_service_model("ecs").shape_for("TaskDefinition")

# Ours say more than the API's shape: what ECS refuses to register without is required here, and
# strings whose values the API's operations have checked stay strings.
REQUIRED_BY_ECS = {
    "TaskDefinition": {"taskDefinitionArn", "containerDefinitions", "family", "revision"},
    "ContainerDefinition": {"name", "image"},
    "Volume": {"name"},
    "TaskDefinitionPlacementConstraint": {"type"},
}
BESIDE_THE_SHAPE = {"TaskDefinition": {"tags"}}


def _plain(annotation: Any) -> Any:
    """The annotation without its None."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = [part for part in get_args(annotation) if part is not type(None)]
    return annotation


def differences(shape: Any, annotation: Any, where: str) -> list[str]:
    """Every difference between a botocore shape and the type that stands for it, as sentences."""
    annotation = _plain(annotation)
    origin = get_origin(annotation)
    if shape.type_name == "structure":
        if not (isinstance(annotation, type) and issubclass(annotation, Document)):
            return [f"{where}: {annotation} is not a document"]
        return _structure(shape, annotation, where)
    if shape.type_name == "list":
        if origin is not tuple:
            return [f"{where}: {annotation} is not a tuple"]
        return differences(shape.member, get_args(annotation)[0], f"{where}[]")
    if shape.type_name == "map":
        return [] if annotation == dict[str, str] else [f"{where}: {annotation} is not a dict of strings"]
    if origin is Literal:
        same = set(get_args(annotation)) == set(getattr(shape, "enum", ()))
        return [] if same else [f"{where}: {get_args(annotation)} is not {shape.enum}"]
    expected = {"string": str, "integer": int, "boolean": bool, "timestamp": float}[shape.type_name]
    return [] if annotation is expected else [f"{where}: {annotation} is not {expected}"]


def _structure(shape: Any, model: type[Document], where: str) -> list[str]:
    ours = {field.serialization_alias or name: field for name, field in model.model_fields.items()}
    extra = BESIDE_THE_SHAPE.get(shape.name, set())
    found = [f"{where}: {name} is missing" for name in shape.members.keys() - ours.keys()]
    found += [f"{where}: {name} is not in the API" for name in ours.keys() - shape.members.keys() - extra]
    required = set(shape.required_members) | REQUIRED_BY_ECS.get(shape.name, set())
    mine = {name for name, field in ours.items() if field.is_required()}
    if mine != required:
        found.append(f"{where}: requires {sorted(mine)}, not {sorted(required)}")
    for name, member in shape.members.items():
        if name in ours:
            found += differences(member, ours[name].annotation, f"{where}.{name}")
    return found


def test_the_model_is_the_apis_structure() -> None:
    assert differences(SHAPE, TaskDefinition, "TaskDefinition") == []


def test_a_missing_and_a_wrong_member_are_noticed() -> None:
    class HostVolume(Document):
        source_path: int | None = None
        other: str = ""

    shape = Session().get_service_model("ecs").shape_for("HostVolumeProperties")
    assert differences(shape, HostVolume, "host") == [
        "host: other is not in the API",
        f"host.sourcePath: {int} is not {str}",
    ]


def test_what_is_stored_comes_back() -> None:
    document: dict[str, Any] = {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",
        "family": "web",
        "revision": 1,
        "registeredAt": 1700000000.25,
        "containerDefinitions": [
            {"name": "app", "image": "nginx", "portMappings": [{"containerPort": 80, "hostPort": 0}]}
        ],
        "tags": [("team", "a")],
    }
    definition = TaskDefinition.model_validate(document)
    assert definition.tags == (Tag("team", "a"),)
    assert TaskDefinition.model_validate_json(definition.model_dump_json(by_alias=True)) == definition
    assert definition.wire() == {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",
        "family": "web",
        "revision": 1,
        "status": "ACTIVE",
        "networkMode": "bridge",
        "registeredAt": 1700000000.25,
        "containerDefinitions": [
            {
                "name": "app",
                "image": "nginx",
                "cpu": 0,
                "essential": True,
                "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "systemControls": [],
            }
        ],
        "volumes": [],
        "requiresAttributes": [],
        "placementConstraints": [],
        "compatibilities": [],
    }


def test_it_is_frozen() -> None:
    definition = TaskDefinition(arn="a", family="f", revision=1, container_definitions=())
    with pytest.raises(ValueError, match="frozen"):
        definition.family = "g"
