"""Attributes of container instances: put, deleted, listed, and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

NOT_FOUND = (
    "The specified target wasn't found. You can view your available container instances with "
    "ListContainerInstances."
)
BAD_NAME = (
    "The attribute name must contain between 1 and 128 letters, numbers, hyphens (-), underscores (_), "
    "forward slashes (/), back slashes (\\), or periods (.)."
)
BAD_VALUE = (
    "The attribute value must contain between 1 and 128 letters, numbers, hyphens (-), underscores (_), "
    "periods (.), at signs (@), plus signs (+), forward slashes (/), back slashes (\\), colons (:), or "
    "spaces, and can't start or end with a space."
)


@pytest.fixture
def instance(ecs: Ecs) -> str:
    ecs("CreateCluster")
    return ecs.aws.register_instance()


def of(target: str, name: str, value: str | None = None) -> dict[str, Any]:
    attribute = {"name": name, "targetType": "container-instance", "targetId": target}
    return attribute if value is None else {**attribute, "value": value}


def listed(ecs: Ecs, **params: Any) -> list[dict[str, Any]]:
    return list(ecs("ListAttributes", targetType="container-instance", **params)["attributes"])


def test_put_replace_and_delete(ecs: Ecs, instance: str) -> None:
    id = instance.rsplit("/", 1)[1]
    attributes = [of(instance, "stack", "prod"), of(id, "gpu")]
    expected = [of(instance, "stack", "prod"), of(instance, "gpu")]
    assert ecs("PutAttributes", attributes=attributes) == {"attributes": expected}
    assert listed(ecs, attributeName="stack") == [of(instance, "stack", "prod")]
    assert listed(ecs, attributeName="gpu") == [of(instance, "gpu")]
    ecs("PutAttributes", cluster="default", attributes=[of(instance, "stack", "test")])
    assert listed(ecs, attributeName="stack") == [of(instance, "stack", "test")]
    deleted = ecs("DeleteAttributes", attributes=[of(id, "stack"), of(id, "gpu"), of(id, "none")])
    assert deleted == {"attributes": [of(instance, "stack"), of(instance, "gpu")]}
    assert listed(ecs, attributeName="stack") == []


def test_placement_sees_them(ecs: Ecs, instance: str) -> None:
    ecs("PutAttributes", attributes=[of(instance, "stack", "prod")])
    (described,) = ecs("DescribeContainerInstances", containerInstances=[instance])["containerInstances"]
    assert {"name": "stack", "value": "prod"} in [
        {name: a[name] for name in ("name", "value") if name in a} for a in described["attributes"]
    ]


def test_list_filters_and_pages(ecs: Ecs, instance: str) -> None:
    other = ecs.aws.register_instance(zone="us-east-1b")
    ecs("PutAttributes", attributes=[of(instance, "stack", "a"), of(other, "stack", "b")])
    pair = sorted([of(instance, "stack", "a"), of(other, "stack", "b")], key=lambda a: str(a["targetId"]))
    assert listed(ecs, attributeName="stack") == pair
    assert listed(ecs, attributeName="stack", attributeValue="b") == [of(other, "stack", "b")]
    zones = listed(ecs, attributeName="ecs.availability-zone", attributeValue="us-east-1b")
    assert zones == [of(other, "ecs.availability-zone", "us-east-1b")]
    everything = listed(ecs)
    assert {a["targetId"] for a in everything} == {instance, other}
    pages: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = ecs("ListAttributes", targetType="container-instance", maxResults=3, **token)
        pages += page["attributes"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert pages == everything
    assert ecs.refusal("ListAttributes", targetType="container-instance", attributeValue="b") == (
        "InvalidParameterException",
        "attributeName must be specified when attributeValue is specified.",
    )


def test_ten_for_a_resource(ecs: Ecs, instance: str) -> None:
    ecs("PutAttributes", attributes=[of(instance, f"a{n}") for n in range(10)])
    ecs("PutAttributes", attributes=[of(instance, "a3", "again")])
    assert ecs.refusal("PutAttributes", attributes=[of(instance, "a10")]) == (
        "AttributeLimitExceededException",
        "You can apply up to 10 custom attributes for each resource.",
    )


def test_ten_in_a_call(ecs: Ecs, instance: str) -> None:
    for operation in ("PutAttributes", "DeleteAttributes"):
        assert ecs.refusal(operation, attributes=[of(instance, f"a{n}") for n in range(11)]) == (
            "InvalidParameterException",
            "You can specify up to 10 attributes in a single call.",
        )
        assert ecs.refusal(operation, attributes=[]) == (
            "InvalidParameterException",
            "Attributes cannot be empty.",
        )


@pytest.mark.parametrize("name", ["", "a b", "a" * 129, "a:b", "é"])
def test_bad_names(ecs: Ecs, instance: str, name: str) -> None:
    for operation in ("PutAttributes", "DeleteAttributes"):
        assert ecs.refusal(operation, attributes=[of(instance, name)]) == (
            "InvalidParameterException",
            BAD_NAME,
        )


@pytest.mark.parametrize("value", ["", " a", "a ", "a" * 129, "a,b"])
def test_bad_values(ecs: Ecs, instance: str, value: str) -> None:
    assert ecs.refusal("PutAttributes", attributes=[of(instance, "stack", value)]) == (
        "InvalidParameterException",
        BAD_VALUE,
    )


@pytest.mark.parametrize("value", ["a b", "me@x.y:z/w\\v+u_t-s", "a" * 128])
def test_good_values(ecs: Ecs, instance: str, value: str) -> None:
    ecs("PutAttributes", attributes=[of(instance, "a-b_c/d\\e.f", value)])
    assert listed(ecs, attributeName="a-b_c/d\\e.f") == [of(instance, "a-b_c/d\\e.f", value)]


@pytest.mark.parametrize("name", ["ecs.availability-zone", "com.amazonaws.ecs.capability.ecr-auth"])
def test_what_ecs_gave_stays(ecs: Ecs, instance: str, name: str) -> None:
    for operation in ("PutAttributes", "DeleteAttributes"):
        assert ecs.refusal(operation, attributes=[of(instance, name)]) == (
            "InvalidParameterException",
            f"The attribute name '{name}' is reserved for Amazon ECS.",
        )


def test_targets(ecs: Ecs, instance: str) -> None:
    id = instance.rsplit("/", 1)[1]
    for operation in ("PutAttributes", "DeleteAttributes"):
        assert ecs.refusal(operation, attributes=[of("0" * 32, "stack")]) == (
            "TargetNotFoundException",
            NOT_FOUND,
        )
        assert ecs.refusal(operation, attributes=[{"name": "stack"}]) == (
            "InvalidParameterException",
            "The targetId of an attribute must be specified.",
        )
        assert ecs.refusal(operation, attributes=[{"name": "stack", "targetId": id}]) == (
            "InvalidParameterException",
            "The targetType must be specified with the short form of a targetId.",
        )
        assert ecs.refusal(operation, cluster="none", attributes=[of(instance, "stack")]) == (
            "ClusterNotFoundException",
            "Cluster not found.",
        )
    ecs("DeregisterContainerInstance", containerInstance=instance, force=True)
    assert ecs.refusal("PutAttributes", attributes=[of(instance, "stack")]) == (
        "TargetNotFoundException",
        NOT_FOUND,
    )
    assert listed(ecs) == []


def test_one_bad_attribute_puts_none(ecs: Ecs, instance: str) -> None:
    ecs.refusal("PutAttributes", attributes=[of(instance, "good"), of("0" * 32, "bad")])
    assert listed(ecs, attributeName="good") == []
