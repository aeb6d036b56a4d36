"""What AWS says of a request that breaks its model, word for word."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest

from miniecs_api.wire import query
from miniecs_api.wire.codec import codec
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.models import load
from miniecs_api.wire.protocols import Protocol

JSON = Protocol.JSON_1_1


def refusal(service: str, operation: str, body: Any, protocol: Protocol = JSON) -> tuple[str, str]:
    wire: Any
    match protocol:
        case Protocol.QUERY:
            wire = query.form(body.encode())
        case Protocol.CBOR:
            wire = cbor2.dumps(body)
        case _:
            wire = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(AwsError) as caught:
        codec(service, operation, protocol).parse(wire)
    return caught.value.code, caught.value.message


def problem(at: str, value: str, text: str) -> str:
    return f"Value {value} at '{at}' failed to satisfy constraint: {text}"


VIOLATIONS = [
    ("StopTask", {}, [problem("task", "null", "Member must not be null")]),
    ("StopTask", {"task": None}, [problem("task", "null", "Member must not be null")]),
    (
        "RunTask",
        {"taskDefinition": "a", "launchType": "LAMBDA"},
        [
            problem(
                "launchType",
                "'LAMBDA'",
                "Member must satisfy enum value set: [EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES]",
            )
        ],
    ),
    (
        "TagResource",
        {"resourceArn": "a", "tags": [{"key": "good"}, {"key": "", "value": "v" * 257}]},
        [
            problem("tags.2.member.key", "''", "Member must have length greater than or equal to 1"),
            problem(
                "tags.2.member.value",
                f"'{'v' * 257}'",
                "Member must have length less than or equal to 256",
            ),
        ],
    ),
    (
        "CreateCluster",
        {"defaultCapacityProviderStrategy": [{"capacityProvider": "x", "weight": 1001, "base": -1}]},
        [
            problem(
                "defaultCapacityProviderStrategy.1.member.weight",
                "'1001'",
                "Member must have value less than or equal to 1000",
            ),
            problem(
                "defaultCapacityProviderStrategy.1.member.base",
                "'-1'",
                "Member must have value greater than or equal to 0",
            ),
        ],
    ),
    (
        "RegisterTaskDefinition",
        {"family": "a", "containerDefinitions": [], "requiresCompatibilities": ["EC2", "MOON"]},
        [
            problem(
                "requiresCompatibilities",
                "'[EC2, MOON]'",
                "Member must satisfy constraint: [Member must satisfy enum value set: "
                "[EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES], Member must not be null]",
            )
        ],
    ),
    (
        "DescribeTasks",
        {"tasks": ["a", None]},
        [problem("tasks", "'[a, null]'", "Member must satisfy constraint: [Member must not be null]")],
    ),
    (
        "RegisterTaskDefinition",
        {"family": "a", "containerDefinitions": [{"dockerLabels": {"a": None}}]},
        [
            problem(
                "containerDefinitions.1.member.dockerLabels",
                "'{a=null}'",
                "Map value must satisfy constraint: [Member must not be null]",
            )
        ],
    ),
]


@pytest.mark.parametrize(("operation", "body", "problems"), VIOLATIONS)
def test_a_broken_constraint_is_named_with_its_path(operation: str, body: Any, problems: list[str]) -> None:
    count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
    assert refusal("ecs", operation, body) == ("InvalidParameterException", count + "; ".join(problems))


def test_each_service_has_its_own_code_for_broken_constraints() -> None:
    null = "1 validation error detected: " + problem("{}", "null", "Member must not be null")
    assert refusal("events", "DeleteRule", {}) == ("ValidationException", null.format("name"))
    assert refusal("elbv2", "DeleteRule", "Action=DeleteRule", Protocol.QUERY) == (
        "ValidationException",  # whose query code is ValidationError: see test_errors
        null.format("ruleArn"),
    )
    assert refusal("cloudwatch", "PutDashboard", {"DashboardBody": "{}"}, Protocol.CBOR) == (
        "ValidationException",
        null.format("dashboardName"),
    )


def test_patterns_are_matched_whole() -> None:
    code, text = refusal("events", "DeleteRule", {"Name": "no spaces"})
    assert text == (
        "1 validation error detected: Value 'no spaces' at 'name' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+"
    )
    ours = codec("ecs", "TagResource", JSON)
    good = {"resourceArn": "a", "tags": [{"key": "größe /漢字 1", "value": "a b:c=@"}]}
    assert ours.parse(json.dumps(good).encode()).params == good
    code, text = refusal("ecs", "TagResource", {"resourceArn": "a", "tags": [{"key": "a*b"}]})
    assert text == (
        "1 validation error detected: Value 'a*b' at 'tags.1.member.key' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: ([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)"
    )


def test_a_huge_bad_value_is_shortened() -> None:
    _, text = refusal("ecs", "TagResource", {"resourceArn": "a", "tags": [{"key": "k" * 100_000}]})
    assert len(text) < 1500 and "k..." in text


MISMATCHES = [
    ("CreateCluster", {"clusterName": 5}, "NUMBER_VALUE cannot be converted to String"),
    ("CreateCluster", {"clusterName": 5.5}, "DECIMAL_VALUE cannot be converted to String"),
    ("CreateCluster", {"clusterName": True}, "TRUE_VALUE cannot be converted to String"),
    ("CreateCluster", {"clusterName": {}}, "Start of structure or map found where not expected."),
    ("CreateCluster", {"clusterName": []}, "Unrecognized collection type class java.lang.String"),
    ("RunTask", {"taskDefinition": "a", "count": "1"}, "STRING_VALUE cannot be converted to Integer"),
    ("RunTask", {"taskDefinition": "a", "count": 1.5}, "DECIMAL_VALUE cannot be converted to Integer"),
    ("RunTask", {"taskDefinition": "a", "count": 1 << 31}, "NUMBER_VALUE cannot be converted to Integer"),
    ("RunTask", {"taskDefinition": "a", "count": 10**30}, "DECIMAL_VALUE cannot be converted to Integer"),
    ("StopTask", {"task": "a", "reason": False}, "FALSE_VALUE cannot be converted to String"),
    ("DescribeTasks", {"tasks": "a"}, "Expected list or null"),
    ("DescribeTasks", {"tasks": {}}, "Start of structure or map found where not expected."),
    ("RunTask", {"taskDefinition": "a", "overrides": "a"}, "Expected null"),
    (
        "RunTask",
        {"overrides": []},  # the wrong type comes before the missing taskDefinition
        "Unrecognized collection type class com.amazonaws.madison.frontend.TaskOverride",
    ),
    (
        "RegisterTaskDefinition",
        {"enableFaultInjection": "yes"},
        "STRING_VALUE cannot be converted to Boolean",
    ),
    (
        "RegisterTaskDefinition",
        {"containerDefinitions": [{"dockerLabels": []}]},
        "Unrecognized collection type java.util.Map",
    ),
]


@pytest.mark.parametrize(("operation", "body", "message"), MISMATCHES)
def test_a_wrong_type_is_said_as_awss_deserializer_says_it(operation: str, body: Any, message: str) -> None:
    assert refusal("ecs", operation, body) == ("SerializationException", message)


def test_the_hint_tells_where_the_wrong_type_is() -> None:
    body = {"containerDefinitions": [{}, {"portMappings": [{"containerPort": "80"}]}]}
    with pytest.raises(AwsError) as caught:
        codec("ecs", "RegisterTaskDefinition", JSON).parse(json.dumps(body).encode())
    assert caught.value.hint == (
        "at containerDefinitions[1].portMappings[0].containerPort: "
        "STRING_VALUE cannot be converted to Integer"
    )


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


BODIES = [
    (b"{", "The request body is not valid JSON: "),
    (b'{"clusterName": NaN}', "The request body is not valid JSON: "),
    (b'{"clusterName": "\xff"}', "The request body is not valid JSON: "),
    (b'{"clusterName": "\\ud800"}', "The request body is not valid JSON: "),
    (b'{"clusterName": "a"} {}', "The request body is not valid JSON: "),
    (b"[" * 5000, "The request body is not valid JSON: "),
    (b"[]", "The request body must be a JSON object, not a list"),
    (b'"a"', "The request body must be a JSON object, not a string"),
    (b"null", "The request body must be a JSON object, not a null"),
    (nested(101), "The request body is nested more than 100 levels deep"),
    (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "The request body is nested more than 100 levels deep"),
]


@pytest.mark.parametrize(("body", "message"), BODIES)
def test_a_body_that_is_no_request(body: bytes, message: str) -> None:
    code, text = refusal("ecs", "CreateCluster", body)
    assert code == "SerializationException" and text.startswith(message)


def test_what_is_nested_a_hundred_levels_deep_is_fine() -> None:
    assert codec("ecs", "CreateCluster", JSON).parse(nested(100)) == ({}, ("a",))


CBOR_BODIES = [
    b"\xa1",
    b"\x80",
    b"\xff",
    b"\x9f" * 500,
    bytes.fromhex("d81c81d81d00"),  # a list that holds itself
    bytes.fromhex("a16a45766964656e6365c1fb7ff0000000000000"),  # the end of time
    b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
]


@pytest.mark.parametrize("body", CBOR_BODIES, ids=bytes.hex)
def test_cbor_that_is_no_request(body: bytes) -> None:
    with pytest.raises(AwsError) as caught:
        codec("cloudwatch", "PutDashboard", Protocol.CBOR).parse(body)
    assert caught.value.code == "SerializationException"


def test_cbors_undefined_is_as_good_as_nothing() -> None:
    body = cbor2.dumps({"DashboardName": "a", "DashboardBody": "{}", "Tags": cbor2.undefined})
    parsed = codec("cloudwatch", "PutDashboard", Protocol.CBOR).parse(body)
    assert parsed == ({"DashboardName": "a", "DashboardBody": "{}"}, ())


FORMS = [
    ("Port=abc", "MalformedInput", "STRING_VALUE cannot be converted to Integer"),
    ("Port=99999999999", "MalformedInput", "NUMBER_VALUE cannot be converted to Integer"),
    ("Port.x=1", "MalformedInput", "Start of structure or map found where not expected."),
    ("HealthCheckEnabled=yes", "MalformedInput", "STRING_VALUE cannot be converted to Boolean"),
    ("Tags.1.Key=a", "MalformedInput", "Expected member.1, member.2 and so on"),
    ("Tags.member.x.Key=a", "MalformedInput", "Expected a number after member."),
    ("Tags=a", "MalformedInput", "Expected member.1, member.2 and so on"),
    ("Name=%ff", "MalformedQueryString", "The query string is malformed: "),
    ("a." * 300 + "b=1", "MalformedQueryString", "A name is nested more than 100 levels deep"),
]


@pytest.mark.parametrize(("fields", "code", "message"), FORMS)
def test_a_form_that_is_no_request(fields: str, code: str, message: str) -> None:
    with pytest.raises(AwsError) as caught:
        codec("elbv2", "CreateTargetGroup", Protocol.QUERY).parse(query.form(fields.encode()))
    assert caught.value.code == code and caught.value.message.startswith(message)


def test_members_of_a_form_are_ordered_by_number() -> None:
    fields = query.form(b"Names.member.10=j&Names.member.2=b&Names.member.1=a&Foo=1&Action=x&Version=y")
    parsed = codec("elbv2", "DescribeLoadBalancers", Protocol.QUERY).parse(fields)
    assert parsed == ({"Names": ["a", "b", "j"]}, ("Foo",))


def test_unknown_members_are_dropped_and_named() -> None:
    body = {"clusterName": "a", "colour": "red", "tags": [{"key": "k", "shade": 1}], "settings": None}
    parsed = codec("ecs", "CreateCluster", JSON).parse(json.dumps(body).encode())
    assert parsed == ({"clusterName": "a", "tags": [{"key": "k"}]}, ("colour",))


def test_an_empty_body_is_an_empty_request() -> None:
    assert codec("ecs", "ListClusters", JSON).parse(b"") == ({}, ())


@pytest.mark.skipif("CreateGateway" not in load("ecs").operations, reason="this botocore's ECS has no union")
def test_a_union_has_one_member() -> None:
    assert refusal("ecs", "CreateGateway", {"configuration": {}}) == (
        "SerializationException",
        "Exactly one member of GatewayConfiguration must be set, not 0",
    )
