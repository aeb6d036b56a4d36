"""The names of AWS's wire protocols, and how an error is written down in each."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from miniecs_api.wire import cbor, errors, json, query
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.models import Service

Headers = list[tuple[bytes, bytes]]


class Protocol(StrEnum):
    """The forms of a request, by Smithy's names. The last three are only answered, never parsed."""

    JSON_1_0 = "awsJson1_0"
    JSON_1_1 = "awsJson1_1"
    QUERY = "awsQuery"
    CBOR = "rpcv2Cbor"
    EC2 = "ec2Query"
    REST_JSON = "restJson1"
    REST_XML = "restXml"


_CONTENT_TYPES = {
    Protocol.JSON_1_0: b"application/x-amz-json-1.0",
    Protocol.JSON_1_1: b"application/x-amz-json-1.1",
    Protocol.QUERY: b"text/xml",
    Protocol.CBOR: b"application/cbor",
    Protocol.EC2: b"text/xml",
    Protocol.REST_JSON: b"application/json",
    Protocol.REST_XML: b"application/xml",
}


class Reply(NamedTuple):
    """An HTTP reply. Content-Length is the door's to add."""

    status: int
    headers: Headers
    body: bytes


def success(protocol: Protocol, body: bytes, request_id: str) -> Reply:
    return Reply(200, _headers(protocol, request_id), body)


def failure(protocol: Protocol, service: Service | None, error: AwsError, request_id: str) -> Reply:
    """The error in the wire form of the protocol; service is None when nobody knows whose request it was."""
    form = errors.form(service, error)
    headers = _headers(protocol, request_id)
    match protocol:
        case Protocol.QUERY:
            body = query.error(form, service, request_id)
        case Protocol.EC2:
            body = query.ec2_error(form, request_id)
        case Protocol.REST_XML:
            body = query.rest_error(form, request_id)
        case Protocol.CBOR:
            body = cbor.error(form)
        case _:
            body = json.error(form)
            headers.append((b"x-amzn-errortype", form.shape.encode("latin-1", "replace")))
    if service is not None and service.query_compatible and protocol is not Protocol.QUERY:
        headers.append((b"x-amzn-query-error", f"{form.query_code};{form.type}".encode("latin-1", "replace")))
    return Reply(form.status, headers, body)


def _headers(protocol: Protocol, request_id: str) -> Headers:
    headers = [
        (b"content-type", _CONTENT_TYPES[protocol]),
        (b"x-amzn-requestid", request_id.encode("latin-1", "replace")),
    ]
    if protocol is Protocol.CBOR:
        headers.append((b"smithy-protocol", b"rpc-v2-cbor"))
    return headers
