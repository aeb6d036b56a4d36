"""Smithy's RPC v2 CBOR, which the newer SDKs and botocore speak to CloudWatch and Cloud Map.

Replies are walked by shape, for CBOR alone tells an epoch second from a number. Shared values (tags 28
and 29) are refused: they let a short body stand for an endless one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from miniecs_api.wire.errors import AwsError, ErrorForm
from miniecs_api.wire.models import Operation, Service, Shape
from miniecs_api.wire.parse import MAX_DEPTH


def decode(body: bytes) -> dict[str, Any]:
    """The map in a request's body; nothing at all is an empty map. Raises SerializationException."""
    import cbor2  # only clients that speak CBOR pay for it

    if not body:
        return {}
    try:
        value = cbor2.loads(
            body,
            semantic_decoders={28: _refuse, 29: _refuse},
            object_hook=_without_undefined,
            max_depth=MAX_DEPTH,
        )
    except (cbor2.CBORError, ValueError, OverflowError) as error:
        raise AwsError("SerializationException", f"The request body is not valid CBOR: {error}") from None
    if value.__class__ is not dict:
        raise AwsError("SerializationException", "The request body must be a CBOR map")
    return value


def encode(service: Service, operation: Operation, result: dict[str, Any]) -> bytes:
    if operation.output is None:
        return b""
    return _dumps(_tagged(service, service.shape(operation.output), result))


def error(form: ErrorForm) -> bytes:
    return _dumps({"__type": form.shape, form.message_key: form.message, **form.fields})


def _dumps(value: Any) -> bytes:
    import cbor2

    return cbor2.dumps(value)


def _tagged(service: Service, shape: Shape, value: Any) -> Any:
    """The value with timestamps as tag 1 and without nulls."""
    from cbor2 import CBORTag

    match shape.type:
        case "structure":
            return {
                name: _tagged(service, service.shape(shape.members[name]), item)
                for name, item in value.items()
                if item is not None
            }
        case "list":
            return [_tagged(service, service.shape(shape.element), item) for item in value]
        case "map":
            return {key: _tagged(service, service.shape(shape.value), item) for key, item in value.items()}
        case "timestamp":
            return CBORTag(1, value.timestamp() if isinstance(value, datetime) else float(value))
        case "float" | "double":
            return float(value)
    return value


def _without_undefined(value: Mapping[Any, Any], _: bool) -> dict[Any, Any]:
    """Smithy has CBOR's "undefined" read as null, and null members are absent."""
    from cbor2 import undefined

    return {key: item for key, item in value.items() if item is not undefined}


def _refuse(*_: Any) -> NoReturn:
    raise ValueError("shared values are not allowed")
