"""The JSON protocols, 1.0 and 1.1: an object in, an object out, epoch seconds and base-64.

A reply is one call of orjson: timestamps already are floats, and what orjson does not know (bytes,
datetimes) it asks for; only a reply with a null in it is walked, to drop the nulls.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import orjson

from miniecs_api.wire.errors import AwsError, ErrorForm
from miniecs_api.wire.parse import MAX_DEPTH, too_deep

_NAMES = {list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def decode(body: bytes) -> dict[str, Any]:
    """The object in a request's body; nothing at all is an empty object. Raises SerializationException."""
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise AwsError("SerializationException", f"The request body is not valid JSON: {error}") from None
    if value.__class__ is not dict:
        raise AwsError(
            "SerializationException", f"The request body must be a JSON object, not a {_NAMES[type(value)]}"
        )
    # Counting brackets is far cheaper than looking, and nearly every request has fewer than the limit in all.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and too_deep(value):
        raise AwsError(
            "SerializationException", f"The request body is nested more than {MAX_DEPTH} levels deep"
        )
    return value


def encode(result: dict[str, Any]) -> bytes:
    body = orjson.dumps(result, default=_unknown, option=orjson.OPT_PASSTHROUGH_DATETIME)
    if b"null" in body:
        body = orjson.dumps(_without_nulls(result), default=_unknown, option=orjson.OPT_PASSTHROUGH_DATETIME)
    return body


def error(form: ErrorForm) -> bytes:
    return encode({"__type": form.shape, form.message_key: form.message, **form.fields})


def _unknown(value: Any) -> Any:
    match value:
        case datetime():
            return value.timestamp()
        case bytes():
            return base64.b64encode(value).decode("ascii")
    raise TypeError(f"a reply cannot hold a {type(value).__name__}")


def _without_nulls(value: Any) -> Any:
    kind = value.__class__
    if kind is dict:
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if kind is list or kind is tuple:
        return [_without_nulls(item) for item in value]
    return value
