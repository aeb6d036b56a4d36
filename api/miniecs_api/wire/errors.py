"""AwsError, the one way in which an operation refuses; its wire form is known only to the protocols.

An operation names the code as AWS's model does, by shape name or by query code, and never a protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from miniecs_api.wire.models import Service

_NOTHING: Mapping[str, Any] = MappingProxyType({})

# Codes of every service that no model lists, by shape name, where the query protocol has another name for
# them (AWS's "Common Error Types").
_COMMON_QUERY_CODES = {"ValidationException": "ValidationError"}


class AwsError(Exception):
    """An AWS error: its code, its literal message, and what miniecs adds beside them.

    ``status`` stands over the model's status, which stands over 400. ``fields`` are the error shape's other
    members. ``hint`` says in plain words what is really wrong; it goes to the log and to ``x-miniecs-hint``.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int | None = None,
        *,
        fields: Mapping[str, Any] = _NOTHING,
        hint: str | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ErrorForm(NamedTuple):
    """An error as a service words it: what every protocol needs to write it down."""

    shape: str  # what JSON and CBOR call it
    query_code: str  # what query calls it, and query-compatible services' x-amzn-query-error
    status: int
    message_key: str
    message: str
    fields: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Whose fault it is, as the query protocol says it."""
        return "Sender" if self.status < 500 else "Receiver"


def form(service: Service | None, error: AwsError) -> ErrorForm:
    """The service's own names for an error; service is None when nobody knows whose request it was."""
    shape = service.errors.get(error.code) if service is not None else None
    if shape is None:
        query_code = _COMMON_QUERY_CODES.get(error.code, error.code)
        return ErrorForm(error.code, query_code, error.status or 400, "message", error.message, error.fields)
    key = next((name for name in shape.members if name.lower() == "message"), "message")
    status = error.status or shape.status or (500 if shape.fault else 400)
    return ErrorForm(shape.name, shape.code or shape.name, status, key, error.message, error.fields)
