"""Shapes compiled into readers: one walk that converts a decoded body and judges it against the model.

Unknown members are dropped and null ones absent, as AWS has it. What a scalar looks like differs by
protocol and is given by the caller; structures, lists and maps do not. Readers change what they are given in
place, for it was decoded for this one request: most of a body is strings that stay as they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from miniecs_api.wire import validate
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.models import Operation, Service, Shape

Reader = Callable[[Any], Any]

MAX_DEPTH = 100
_JAVA = {"string": "String", "integer": "Integer", "long": "Long", "double": "Double", "float": "Float"}
_RANGES = {"integer": 1 << 31, "long": 1 << 63}
_NON_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})


class Parsed(NamedTuple):
    """A request's parameters by the model's member names, and the top-level names that the model lacks."""

    params: dict[str, Any]
    unknown: tuple[str, ...]


class Mismatch(Exception):
    """A value has the wrong type. The words are AWS's; the path, which AWS does not tell, is for the hint."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.path: list[str] = []


class Violation(Exception):
    """A value breaks a constraint; which one, ``validate.violations`` finds out."""


def mismatch(value: Any, wanted: str) -> Exception:
    """The error for a value that is no ``wanted``, in the words of AWS's own deserializer.

    "STRING_VALUE cannot be converted to Integer" and "Unrecognized collection type class …" were seen from
    ECS, the others from its neighbours that share the deserializer.
    """
    match value:
        case None:
            return Violation()
        case dict():
            return Mismatch("Start of structure or map found where not expected.")
        case list():
            return Mismatch(f"Unrecognized collection type class java.lang.{wanted}")
        case bool():
            token = "TRUE_VALUE" if value else "FALSE_VALUE"
        case int():
            token = "NUMBER_VALUE"
        case float():
            token = "DECIMAL_VALUE"
        case str():
            token = "STRING_VALUE"
        case _:
            token = "BINARY_VALUE"
    return Mismatch(f"{token} cannot be converted to {wanted}")


def string(value: Any) -> str:
    if value.__class__ is str:
        return value
    raise mismatch(value, "String")


def boolean(value: Any) -> bool:
    if value.__class__ is bool:
        return value
    raise mismatch(value, "Boolean")


def whole(kind: str) -> Reader:
    """A reader of integers or longs. 256.0 is 256; 2.5 and what does not fit are refused, not cut."""
    limit, java = _RANGES[kind], _JAVA[kind]

    def read(value: Any) -> int:
        if value.__class__ is int and -limit <= value < limit:
            return value
        if value.__class__ is float and value.is_integer() and -limit <= value < limit:
            return int(value)
        raise mismatch(value, java)

    return read


def decimal(value: Any) -> float:
    if value.__class__ is float or value.__class__ is int:
        return float(value)
    if value.__class__ is str and value in _NON_FINITE:
        return float(value)
    raise mismatch(value, "Double")


def timestamp(value: Any) -> float:
    if value.__class__ is float or value.__class__ is int:
        return float(value)
    if isinstance(value, datetime):
        return value.timestamp()
    raise mismatch(value, "milliseconds since epoch")


def base64_blob(value: Any) -> bytes:
    if value.__class__ is not str:
        if isinstance(value, (dict, list)) or value is None:
            raise mismatch(value, "ByteBuffer")
        raise Mismatch("only base-64-encoded strings are convertible to bytes")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Mismatch(f"Invalid base-64 string: {error}") from None


def binary_blob(value: Any) -> bytes:
    if value.__class__ is bytes:
        return value
    raise mismatch(value, "ByteBuffer")


JSON_SCALARS: Mapping[str, Reader] = {
    "string": string,
    "boolean": boolean,
    "integer": whole("integer"),
    "long": whole("long"),
    "float": decimal,
    "double": decimal,
    "timestamp": timestamp,
    "blob": base64_blob,
}
CBOR_SCALARS: Mapping[str, Reader] = {**JSON_SCALARS, "blob": binary_blob}


class Readers:
    """The compiled readers of one service in one protocol, each made once.

    ``checked`` readers raise Violation at the first broken constraint; unchecked ones, which serve to list
    all of them, let everything through that has the right type, with nulls where lists had them.
    """

    def __init__(self, service: Service, scalars: Mapping[str, Reader], checked: bool) -> None:
        self._service = service
        self._scalars = scalars
        self._checked = checked
        self._made: dict[str, Reader] = {}

    def reader(self, shape_name: str) -> Reader:
        if shape_name not in self._made:
            # Shapes may contain themselves: until this one is made, its name leads to whatever it will be.
            self._made[shape_name] = lambda value: self._made[shape_name](value)
            self._made[shape_name] = self._make(self._service.shape(shape_name))
        return self._made[shape_name]

    def _make(self, shape: Shape) -> Reader:
        match shape.type:
            case "structure":
                return _anything if shape.document else self.structure(shape)
            case "list":
                return self._judged(shape, self.list(shape))
            case "map":
                return self._judged(shape, self.map(shape))
            case _:
                return self._judged(shape, self._scalars[shape.type])

    def _judged(self, shape: Shape, read: Reader) -> Reader:
        holds = validate.predicate(shape) if self._checked else None
        if holds is None:
            return read
        if shape.type == "string" and shape.enum:
            return self._enum(read, holds)

        def read_and_judge(value: Any) -> Any:
            value = read(value)
            if not holds(value):
                raise Violation
            return value

        return read_and_judge

    @staticmethod
    def _enum(read: Reader, holds: Reader) -> Reader:
        def read_enum(value: Any) -> Any:
            # Only strings are in the set of values, so one look tells type and constraint at once.
            if value.__class__ is str and holds(value):
                return value
            read(value)
            raise Violation

        return read_enum

    def structure(self, shape: Shape) -> Reader:
        plain = {name: cls for name, ref in shape.members.items() if (cls := self._plain(ref))}
        readers = {name: self.reader(ref) for name, ref in shape.members.items()}
        required = tuple(shape.required) if self._checked else ()
        java, union = self._java_class(shape), shape.union

        def read(value: Any) -> dict[str, Any]:
            if value.__class__ is not dict:
                if value.__class__ is list:
                    raise Mismatch(f"Unrecognized collection type class {java}")
                raise Violation if value is None else Mismatch("Expected null")
            dropped = []
            name = ""
            try:
                for name, item in value.items():
                    if plain.get(name) is item.__class__:
                        continue
                    reader = readers.get(name)
                    if reader is None or item is None:
                        dropped.append(name)
                    elif (read := reader(item)) is not item:
                        value[name] = read
            except Mismatch as error:
                error.path.append(name)
                raise
            for name in dropped:
                del value[name]
            for name in required:
                if name not in value:
                    raise Violation
            if union and len(value) != 1:
                raise Mismatch(f"Exactly one member of {shape.name} must be set, not {len(value)}")
            return value

        return read

    def list(self, shape: Shape) -> Reader:
        plain, element = self._plain(shape.element), self._element(shape.element)

        def read(value: Any) -> list[Any]:
            if value.__class__ is not list:
                if value.__class__ is dict:
                    raise Mismatch("Start of structure or map found where not expected.")
                raise Violation if value is None else Mismatch("Expected list or null")
            index = 0
            try:
                for index, item in enumerate(value):
                    if item.__class__ is not plain and (read := element(item)) is not item:
                        value[index] = read
            except Mismatch as error:
                error.path.append(f"[{index}]")
                raise
            return value

        return read

    def map(self, shape: Shape) -> Reader:
        key, plain, element = self.reader(shape.key), self._plain(shape.value), self._element(shape.value)

        def read(value: Any) -> dict[str, Any]:
            if value.__class__ is not dict:
                if value.__class__ is list:
                    raise Mismatch("Unrecognized collection type java.util.Map")
                raise Violation if value is None else Mismatch("Expected map or null")
            name = ""
            try:
                for name, item in value.items():
                    key(name)
                    if item.__class__ is not plain and (read := element(item)) is not item:
                        value[name] = read
            except Mismatch as error:
                error.path.append(str(name))
                raise
            return value

        return read

    def _plain(self, shape_name: str) -> type | None:
        """The class whose values need no reading at all: strings and booleans without constraints."""
        shape = self._service.shape(shape_name)
        if self._checked and validate.constraints(shape):
            return None
        return {"string": str, "boolean": bool}.get(shape.type)

    def _element(self, shape_name: str) -> Reader:
        read = self.reader(shape_name)
        return read if self._checked else lambda value: None if value is None else read(value)

    def _java_class(self, shape: Shape) -> str:
        # "Madison" is the name of ECS's front end in AWS's own messages.
        package = "com.amazonaws.madison.frontend" if self._service.name == "ecs" else "com.amazonaws"
        return f"{package}.{shape.name}"


class Input:
    """One operation's compiled input: a decoded body in, judged parameters out."""

    def __init__(self, operation: Operation, checked: Readers, unchecked: Readers, service: Service) -> None:
        self._shape = service.shape(operation.input) if operation.input else None
        self._read = checked.reader(operation.input) if operation.input else _no_members
        self._unchecked = unchecked.reader(operation.input) if operation.input else _no_members
        self._service = service

    def parse(
        self, decode: Callable[[], dict[str, Any]], *, mismatch_code: str, violation_code: str
    ) -> Parsed:
        """The parameters in what ``decode`` makes of the body, anew at each call.

        Raises AwsError with the given codes for a wrong type and for broken constraints.
        """
        body = decode()
        given = len(body)
        try:
            try:
                params = self._read(body)
            except Violation:
                # A wrong type further on comes first: AWS deserializes it all before it validates any.
                params = self._unchecked(decode())
                raise AwsError(violation_code, self._violations(params)) from None
        except Mismatch as error:
            where = ".".join(reversed(error.path)).replace(".[", "[")
            hint = f"at {where}: {error.message}" if where else None
            raise AwsError(mismatch_code, error.message, hint=hint) from None
        if len(params) == given:
            return Parsed(params, ())
        known = self._shape.members if self._shape else ()
        return Parsed(params, tuple(name for name in decode() if name not in known))

    def _violations(self, params: dict[str, Any]) -> str:
        assert self._shape is not None
        problems = list(validate.violations(self._service, self._shape, params))
        assert problems, f"{self._shape.name} was refused for no reason"
        return validate.message(problems)


def too_deep(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether lists and objects are nested deeper than the limit."""
    level = [value]
    for _ in range(limit):
        level = [
            item
            for holder in level
            if isinstance(holder, (dict, list))
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True


def _anything(value: Any) -> Any:
    return value


def _no_members(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise Mismatch("Expected null")
    return {}
