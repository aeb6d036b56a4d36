"""botocore is the oracle: what its serializers write we must read, what we write its parsers must read.

Random valid inputs and outputs are drawn from the shapes of every operation of ten services, in every
protocol that the service lists; the seed is fixed, so that a failure repeats.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore import serialize
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session

from miniecs_api.wire import query
from miniecs_api.wire.codec import codec
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.models import load
from miniecs_api.wire.protocols import Protocol, Reply, failure

SERVICES = (
    "ecs elbv2 application-autoscaling cloudwatch logs servicediscovery sts iam events ecr".split()
)
ROUNDS = 5
TEXT = string.ascii_letters + string.digits + " <>&'\"\n\r/:=+-_.@äß漢字🐳"
CBOR_HAS_FRACTIONS = hasattr(serialize, "TIMESTAMP_PRECISION_LEGACY")  # since botocore 1.44
FORMS = {"query": Protocol.QUERY, "smithy-rpc-v2-cbor": Protocol.CBOR}


def models() -> dict[str, ServiceModel]:
    session = get_session()
    return {name: session.get_service_model(name) for name in SERVICES}


MODELS = models()
# The form that botocore picks comes first in a service's list.
CASES = [
    (name, form)
    for name, model in MODELS.items()
    for form in (model.metadata.get("protocols") or [model.metadata["protocol"]])
]


def protocol(model: ServiceModel, form: str) -> Protocol:
    if form == "json":
        return Protocol.JSON_1_0 if model.metadata["jsonVersion"] == "1.0" else Protocol.JSON_1_1
    return FORMS[form]


class Unmakable(Exception):
    """No value for the shape was found: its pattern and its lengths are too much for the sampler."""


class Values:
    """Random values of a shape. Inputs keep to every constraint; outputs, which nobody checks, to types."""

    def __init__(self, random: Random, valid: bool, fractions: bool = True) -> None:
        self.random = random
        self.fractions = fractions  # of a second, in timestamps
        self.valid = valid
        self.reach = 3  # how often a pattern's repeated part is repeated beyond its least

    def of(self, shape: Shape, depth: int = 0) -> Any:
        return getattr(self, f"_{shape.type_name}")(shape, depth)

    def _structure(self, shape: Shape, depth: int) -> Any:
        if shape.is_document_type:
            return {"any": ["value", 1, {"deep": True}]}
        names = list(shape.members)
        if shape.is_tagged_union:
            names = [self.random.choice(names)]
        made = {}
        one = self.random.choice(names) if names else None  # no form has an empty structure in query
        for name in names:
            wanted = name in shape.required_members or name == one
            if not wanted and (depth > 3 or self.random.random() < 0.4):
                continue
            made[name] = self.of(shape.members[name], depth + 1)
        return made

    def _size(self, shape: Shape, usual: int) -> int:
        low = int(shape.metadata.get("min", 0)) if self.valid else 0
        high = int(shape.metadata.get("max", 1 << 20)) if self.valid else 1 << 20
        return self.random.randint(low, max(low, min(high, low + usual)))

    def _list(self, shape: Shape, depth: int) -> Any:
        return [self.of(shape.member, depth + 1) for _ in range(self._size(shape, 2))]

    def _map(self, shape: Shape, depth: int) -> Any:
        # The query protocol has no form for an empty map.
        size = max(1, self._size(shape, 2))
        return {self.of(shape.key): self.of(shape.value, depth + 1) for _ in range(size)}

    def _string(self, shape: Shape, depth: int = 0) -> str:
        if shape.enum:
            return str(self.random.choice(shape.enum))
        pattern = shape.metadata.get("pattern")
        if not (self.valid and pattern):
            return "".join(self.random.choices(TEXT, k=self._size(shape, 12)))
        least = int(shape.metadata.get("min", 0))
        for self.reach in [3, 12, least, max(0, least - 1)] * 10:
            try:
                text = self._sample(re._parser.parse(python_pattern(pattern)))  # type: ignore[attr-defined]
            except re.error:
                # Java's own, mostly "[\\u0020-\\uD7FF…]": letters are in all of them.
                text = "".join(self.random.choices(string.ascii_letters, k=self._size(shape, 12)))
                matches = True
            else:
                matches = re.fullmatch(python_pattern(pattern), text) is not None
            if matches and shape.metadata.get("min", 0) <= len(text) <= shape.metadata.get("max", 1 << 20):
                return text
        raise Unmakable(pattern)

    def _sample(self, parsed: Any) -> str:
        """A text that matches a parsed regular expression, for the parts that AWS's models use."""
        out = ""
        for op, arg in parsed:
            match str(op):
                case "LITERAL":
                    out += chr(arg)
                case "ANY":
                    out += self.random.choice(string.ascii_letters)
                case "NOT_LITERAL":
                    out += "n"
                case "AT" | "ASSERT" | "ASSERT_NOT":
                    pass  # what is sampled is matched afterwards
                case "IN":
                    out += self._one_of(arg)
                case "MAX_REPEAT" | "MIN_REPEAT":
                    low, high, inner = arg
                    most = min(int(high), low + self.reach)
                    times = self.random.choice([self.random.randint(low, most), most])
                    out += "".join(self._sample(inner) for _ in range(times))
                case "SUBPATTERN":
                    out += self._sample(arg[3])
                case "BRANCH":
                    out += self._sample(self.random.choice(arg[1]))
                case _:
                    raise NotImplementedError(str(op))
        return out

    def _one_of(self, parts: Any) -> str:
        if str(parts[0][0]) == "NEGATE":
            return next(c for c in "xyz-012" if not re.fullmatch(set_of(parts[1:]), c))
        op, arg = self.random.choice(parts)
        match str(op):
            case "LITERAL":
                return chr(arg)
            case "RANGE":
                return chr(self.random.randint(*arg))
            case "CATEGORY":
                return {"CATEGORY_DIGIT": "7", "CATEGORY_WORD": "w", "CATEGORY_SPACE": " "}.get(str(arg), "S")
        raise NotImplementedError(str(op))

    def _number(self, shape: Shape, low: int, high: int) -> int:
        if self.valid:
            low = max(low, int(shape.metadata.get("min", low)))
            high = min(high, int(shape.metadata.get("max", high)))
        return self.random.choice([low, high, self.random.randint(low, high)])

    def _integer(self, shape: Shape, depth: int) -> int:
        return self._number(shape, -(1 << 31), (1 << 31) - 1)

    def _long(self, shape: Shape, depth: int) -> int:
        return self._number(shape, -(1 << 63), (1 << 63) - 1)

    def _double(self, shape: Shape, depth: int) -> float:
        low, high = (shape.metadata.get(k, d) if self.valid else d for k, d in (("min", -1e9), ("max", 1e9)))
        return self.random.choice([float(low), self.random.uniform(low, high)])

    _float = _double

    def _boolean(self, shape: Shape, depth: int) -> bool:
        return self.random.random() < 0.5

    def _timestamp(self, shape: Shape, depth: int) -> datetime:
        milliseconds = self.random.randint(0, 2_000_000_000_000)
        return datetime.fromtimestamp(milliseconds / 1000 if self.fractions else milliseconds // 1000, UTC)

    def _blob(self, shape: Shape, depth: int) -> bytes:
        return self.random.randbytes(self._size(shape, 20))


def python_pattern(pattern: str) -> str:
    return re.sub(r"\\p\{[A-Z][a-z]*\}", "x", pattern)


def set_of(parts: Any) -> str:
    inner = "".join(
        re.escape(chr(arg)) if str(op) == "LITERAL" else f"{re.escape(chr(arg[0]))}-{re.escape(chr(arg[1]))}"
        for op, arg in parts
        if str(op) in ("LITERAL", "RANGE")
    )
    return f"[{inner}]"


def plain(value: Any) -> Any:
    """A value with its times as epoch seconds, as operations know them."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case datetime():
            return round(value.timestamp(), 3)
        case float():
            return round(value, 3) if abs(value) > 1e8 else value
    return value


def sayable(value: Any) -> Any:
    """What the query protocol can say of a value: nothing at all of an empty structure."""
    if isinstance(value, dict):
        said = {key: sayable(item) for key, item in value.items()}
        return {key: item for key, item in said.items() if item != {}}
    return [sayable(item) for item in value] if isinstance(value, list) else value


def with_nulls(value: Any, shape: Shape) -> Any:
    """The same result as a careless operation gives it: with None for what is not there."""
    if shape.type_name != "structure" or shape.is_tagged_union:
        return value
    given = {name: with_nulls(item, shape.members[name]) for name, item in value.items()}
    return dict.fromkeys(shape.members) | given


def operations(model: ServiceModel) -> Iterator[OperationModel]:
    for name in model.operation_names:
        yield model.operation_model(name)


def http(reply: Reply) -> dict[str, Any]:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return {"status_code": reply.status, "headers": headers, "body": reply.body, "context": {}}


@pytest.mark.parametrize(("service", "form"), CASES)
def test_every_request_that_botocore_writes_is_read(service: str, form: str) -> None:
    model, random = MODELS[service], Random(f"{service} {form} in")
    # Older versions write the fractions of a second only when asked to, and in CBOR not even then.
    precision = "default" if form not in ("json", "query") else "millisecond"
    serializer = create_serializer(form, include_validation=True, timestamp_precision=precision)
    values = Values(random, valid=True, fractions=precision == "millisecond" or CBOR_HAS_FRACTIONS)
    for operation in operations(model):
        ours = codec(service, operation.name, protocol(model, form))
        for _ in range(ROUNDS):
            params: Any = {}
            if operation.input_shape is not None and operation.input_shape.members:
                params = values.of(operation.input_shape)
                if form == "query":
                    params = sayable(params)
            body = serializer.serialize_to_request(params, operation)["body"]
            if form == "query":
                body = query.form(urlencode(body).encode())
            parsed = ours.parse(body)
            assert (plain(parsed.params), parsed.unknown) == (plain(params), ()), operation.name

@pytest.mark.parametrize(("service", "form"), CASES)
def test_every_reply_is_read_by_botocore(service: str, form: str) -> None:
    model, random = MODELS[service], Random(f"{service} {form} out")
    parser, values = create_parser(form), Values(random, valid=False)
    for operation in operations(model):
        if operation.has_event_stream_output:
            continue
        ours, shape = codec(service, operation.name, protocol(model, form)), operation.output_shape
        for _ in range(ROUNDS):
            result: Any = {}
            if shape is not None and shape.members:
                result = values.of(shape)
            given = plain(with_nulls(result, shape)) if shape is not None else {}
            read = parser.parse(http(ours.render(given, "the-id")), shape)
            # botocore does not look for it in CBOR where there is no output.
            assert read.pop("ResponseMetadata").get("RequestId", "the-id") == "the-id"
            assert plain(read) == plain(result), operation.name


@pytest.mark.parametrize(("service", "form"), CASES)
def test_every_error_is_read_by_botocore(service: str, form: str) -> None:
    model, parser = MODELS[service], create_parser(form)
    values = Values(Random(f"{service} {form} errors"), valid=False)
    for shape in model.error_shapes:
        fields = {
            name: values.of(member)
            for name, member in shape.members.items()
            if name.lower() not in ("message", "code") and member.type_name != "timestamp"
        }
        error = AwsError(shape.name, "It is <so> & not \"otherwise\" – 漢.", fields=fields)
        reply = failure(protocol(model, form), load(service), error, "the-id")
        read = parser.parse(http(reply), None)
        compatible = "awsQueryCompatible" in model.metadata
        code = shape.error_code if form == "query" or compatible else shape.name
        assert (read["Error"]["Code"], read["Error"]["Message"]) == (code, error.message), shape.name
        assert read["ResponseMetadata"]["RequestId"] == "the-id"
        given = shape.metadata.get("error", {}).get("httpStatusCode")
        fault = load(service).shape(shape.name).fault
        status = given or (500 if fault else 400)
        assert read["ResponseMetadata"]["HTTPStatusCode"] == status
        modeled = parser.parse(http(reply), shape)
        assert {name: plain(modeled[name]) for name in fields} == plain(fields), shape.name
