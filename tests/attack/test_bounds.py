"""Numbers that botocore does not bound, for every operation that takes them."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs_api.dispatch import registry
from miniecs_api.wire.errors import AwsError

from ..api.conftest import Aws
from .requests import operation_model

_NEEDED: dict[str, dict[str, Any]] = {
    "ListAttributes": {"targetType": "container-instance"},
    "ListServiceDeployments": {"service": "web"},
}


def _members(operation: str) -> set[str]:
    shape = operation_model("ecs", operation).input_shape
    return set(shape.members) if shape else set()


PAGED = sorted(o for s, o in registry() if s == "ecs" and "maxResults" in _members(o))


@pytest.mark.parametrize("operation", PAGED)
@pytest.mark.parametrize("size", [-(2**31), -1, 0, 101, 2**31 - 1])
def test_a_page_has_1_to_100_items(aws: Aws, operation: str, size: int) -> None:
    aws.ecs("CreateCluster")
    aws.register_task_definition("web")
    aws.ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=0)
    with pytest.raises(AwsError, match=r"maxResults must be between 1 and 100?\.") as refused:
        aws.ecs(operation, maxResults=size, **_NEEDED.get(operation, {}))
    assert refused.value.code == "InvalidParameterException"
    aws.ecs(operation, maxResults=1, **_NEEDED.get(operation, {}))
