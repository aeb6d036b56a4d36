"""Whatever is done to a valid request, it is read or refused in AWS's way, and nothing else happens."""

from __future__ import annotations

import json
from random import Random
from typing import Any
from urllib.parse import urlencode

import cbor2
import pytest
from botocore.serialize import create_serializer

from miniecs_api.wire import query
from miniecs_api.wire.codec import codec
from miniecs_api.wire.errors import AwsError

from .test_oracle import MODELS, Values, operations, plain, protocol

JUNK: list[Any] = [
    None, True, 0, -1, 1.5, 1e300, 2**31, 2**63, -(2**63), "", "x", "x" * 5000, "\x00", "ünï", [], {}, [[]],
    [None], {"": None}, {"name": {}}, [1, "a", None], "2026-01-01T00:00:00Z", "NaN", "AAA=",
]  # fmt: skip
CODES = {
    "SerializationException", "InvalidParameterException", "ValidationException", "MalformedInput",
    "MalformedQueryString",
}  # fmt: skip


def mutated(random: Random, value: Any) -> Any:
    """The value with one of its parts, at any depth, replaced, removed, doubled or renamed."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(list(value))
        changed = dict(value)
        match random.randrange(5):
            case 0:
                del changed[key]
            case 1:
                changed[key + "x"] = changed.pop(key)
            case _:
                changed[key] = mutated(random, value[key])
        return changed
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        return [*value[:at], mutated(random, value[at]), *value[at + 1 :], *(value[:1] * random.randrange(3))]
    return random.choice(JUNK)


def damaged(random: Random, body: bytes) -> bytes:
    """The bytes with some of them cut out, or put in."""
    at, length = random.randrange(len(body) + 1), random.randrange(1, 9)
    if random.random() < 0.5:
        return body[:at] + body[at + length :]
    return body[:at] + random.randbytes(length) + body[at:]


def read(service: str, operation: str, form: str, body: Any) -> str | None:
    try:
        codec(service, operation, protocol(MODELS[service], form)).parse(body)
    except AwsError as error:
        assert error.message
        return error.code
    return None


@pytest.mark.parametrize("service", ["ecs", "elbv2", "cloudwatch"])
def test_a_mutated_request_is_read_or_refused(service: str) -> None:
    model, random = MODELS[service], Random(f"{service} mutations")
    values, seen = Values(random, valid=True), set()
    for operation in operations(model):
        if operation.input_shape is None:
            continue
        for _ in range(12):
            params = plain(values.of(operation.input_shape))
            for _ in range(random.randrange(1, 4)):
                params = mutated(random, params)
            if service == "elbv2":
                fields = query.form(urlencode(flat(params)).encode())
                seen.add(read(service, operation.name, "query", fields))
            elif service == "cloudwatch":
                seen.add(read(service, operation.name, "smithy-rpc-v2-cbor", cbor2.dumps(params)))
            else:
                seen.add(read(service, operation.name, "json", json.dumps(params).encode()))
    assert seen <= CODES | {None} and len(seen) >= 3


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Any value as form fields, however little sense that makes."""
    if isinstance(value, (dict, list)):
        steps = value if isinstance(value, dict) else {f"member.{i}": v for i, v in enumerate(value, 1)}
        found: dict[str, str] = {}
        for step, item in steps.items():
            found |= flat(item, f"{prefix}.{step}" if prefix else str(step))
        return found
    return {prefix: str(value)}


@pytest.mark.parametrize(
    ("service", "form"), [("ecs", "json"), ("elbv2", "query"), ("cloudwatch", "smithy-rpc-v2-cbor")]
)
def test_a_damaged_body_is_read_or_refused(service: str, form: str) -> None:
    model, random = MODELS[service], Random(f"{service} {form} damage")
    serializer, values, seen = create_serializer(form), Values(random, valid=True), set()
    for operation in operations(model):
        if operation.input_shape is None:
            continue
        body = serializer.serialize_to_request(values.of(operation.input_shape), operation)["body"]
        whole = urlencode(body).encode() if form == "query" else body
        for _ in range(25):
            hurt = damaged(random, whole)
            if form != "query":
                seen.add(read(service, operation.name, form, hurt))
                continue
            try:
                fields = query.form(hurt)
            except AwsError as error:
                seen.add(error.code)
            else:
                seen.add(read(service, operation.name, form, fields))
    assert seen <= CODES | {None} and len(seen) >= 3
