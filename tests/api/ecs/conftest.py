"""ECS's operations called as functions, with botocore's model behind every call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from miniecs_api.wire.errors import AwsError

if TYPE_CHECKING:
    from tests.api.conftest import Aws


@cache
def service_model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")


class Ecs:
    """``ecs("CreateCluster", …)``: botocore must accept what goes in, and know what comes out."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        shapes = service_model().operation_model(operation)
        report = ParamValidator().validate(params, shapes.input_shape)
        assert not report.has_errors(), report.generate_report()
        result = self.aws.ecs(operation, **params)
        _check_shape(result, shapes.output_shape, operation)
        dropped = _without_none(result)
        assert isinstance(dropped, dict)
        return dropped

    def refusal(self, operation: str, **params: Any) -> tuple[str, str]:
        """Code and message of the error that the call must end in; it must have written nothing."""
        seq = self.aws.store.seq
        with pytest.raises(AwsError) as caught:
            self.aws.ecs(operation, **params)
        assert self.aws.store.seq == seq, "a refused call wrote something"
        codes = {shape.name for shape in service_model().operation_model(operation).error_shapes}
        assert caught.value.code in codes, f"{operation} knows no {caught.value.code}"
        return caught.value.code, caught.value.message


def _check_shape(value: Any, shape: Shape, path: str) -> None:
    """Every member that is answered is one of the model's, and of its type."""
    if value is None:
        return
    if shape.type_name == "structure":
        unknown = value.keys() - shape.members.keys()
        assert not unknown, f"{path}: {unknown}"
        for name, member in value.items():
            _check_shape(member, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        assert isinstance(value, list), path
        for item in value:
            _check_shape(item, shape.member, f"{path}[]")
    else:
        types = {"string": str, "integer": int, "boolean": bool, "timestamp": float, "map": dict}
        expected = types.get(shape.type_name)
        assert expected is None or type(value) is expected, f"{path}: {value!r}"


def _without_none(value: Any) -> Any:
    """What is left on the wire, which drops None members."""
    if isinstance(value, dict):
        return {name: _without_none(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


@pytest.fixture
def ecs(aws: Aws) -> Ecs:
    return Ecs(aws)


@pytest.fixture
def cluster(aws: Aws) -> Aws:
    aws.ecs("CreateCluster", clusterName="default")
    aws.register_task_definition("web", portMappings=[{"containerPort": 80}])
    return aws
