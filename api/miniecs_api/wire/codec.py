"""One operation in one protocol: the compiled way in and the way out, made at its first use and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from miniecs_api.wire import cbor, json, parse, query
from miniecs_api.wire.models import Operation, Service, load
from miniecs_api.wire.parse import Input, Parsed, Readers
from miniecs_api.wire.protocols import Protocol, Reply, success

# What a service calls a request that breaks its model's constraints, where it is not ValidationException.
_VIOLATION_CODES = {"ecs": "InvalidParameterException"}


class Codec:
    """Parses requests of one operation and renders its results."""

    def __init__(
        self, service: Service, operation: Operation, protocol: Protocol, checked: Readers, unchecked: Readers
    ) -> None:
        self.service = service
        self.operation = operation
        self.protocol = protocol
        self._input = Input(operation, checked, unchecked, service)
        is_query = protocol is Protocol.QUERY
        self._mismatch_code = "MalformedInput" if is_query else "SerializationException"
        self._violation_code = _VIOLATION_CODES.get(service.name, "ValidationException")
        self._decode: Callable[[Any], dict[str, Any]]
        self._encode: Callable[[dict[str, Any], str], bytes]
        if is_query:
            writers = _writers(service.name)
            self._decode = query.decode
            self._encode = lambda result, request_id: writers.document(operation, result, request_id)
        elif protocol is Protocol.CBOR:
            self._decode = cbor.decode
            self._encode = lambda result, _: cbor.encode(service, operation, result)
        else:
            self._decode = json.decode
            self._encode = lambda result, _: json.encode(result)

    def parse(self, body: Any) -> Parsed:
        """The parameters in a body (in the query protocol: in the fields of a form). Raises AwsError."""
        return self._input.parse(
            partial(self._decode, body),
            mismatch_code=self._mismatch_code,
            violation_code=self._violation_code,
        )

    def render(self, result: dict[str, Any], request_id: str) -> Reply:
        """The reply for a result that keeps to the output shape; None members are left out."""
        return success(self.protocol, self._encode(result, request_id), request_id)


@cache
def codec(service: str, operation: str, protocol: Protocol) -> Codec:
    """The codec of an operation that the service's model has."""
    model = load(service)
    checked, unchecked = _readers(service, protocol)
    return Codec(model, model.operations[operation], protocol, checked, unchecked)


@cache
def _readers(service: str, protocol: Protocol) -> tuple[Readers, Readers]:
    model = load(service)
    if protocol is Protocol.QUERY:
        return (
            query.QueryReaders(model, query.SCALARS, checked=True),
            query.QueryReaders(model, query.SCALARS, checked=False),
        )
    scalars = parse.CBOR_SCALARS if protocol is Protocol.CBOR else parse.JSON_SCALARS
    return Readers(model, scalars, checked=True), Readers(model, scalars, checked=False)


@cache
def _writers(service: str) -> query.Writers:
    return query.Writers(load(service))
