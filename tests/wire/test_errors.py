"""Errors in each protocol's form, byte for byte."""

from __future__ import annotations

import cbor2
import orjson

from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.models import load
from miniecs_api.wire.protocols import Protocol, failure

ID = b"the-id"


def test_json() -> None:
    error = AwsError("ClusterNotFoundException", "Cluster not found.")
    reply = failure(Protocol.JSON_1_1, load("ecs"), error, "the-id")
    assert reply.status == 400
    assert reply.headers == [
        (b"content-type", b"application/x-amz-json-1.1"),
        (b"x-amzn-requestid", ID),
        (b"x-amzn-errortype", b"ClusterNotFoundException"),
    ]
    assert reply.body == b'{"__type":"ClusterNotFoundException","message":"Cluster not found."}'


def test_query_knows_an_error_by_shape_name_and_by_code() -> None:
    for name in ("PriorityInUseException", "PriorityInUse"):
        reply = failure(Protocol.QUERY, load("elbv2"), AwsError(name, "Priority 1 is <in use>"), "the-id")
        assert (reply.status, dict(reply.headers)[b"content-type"]) == (400, b"text/xml")
        assert reply.body.decode() == (
            '<ErrorResponse xmlns="http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"><Error>'
            "<Type>Sender</Type><Code>PriorityInUse</Code><Message>Priority 1 is &lt;in use&gt;</Message>"
            "</Error><RequestId>the-id</RequestId></ErrorResponse>"
        )


def test_cbor_of_a_service_that_once_spoke_query_has_both_codes() -> None:
    reply = failure(Protocol.CBOR, load("cloudwatch"), AwsError("ValidationException", "No."), "the-id")
    assert reply.headers == [
        (b"content-type", b"application/cbor"),
        (b"x-amzn-requestid", ID),
        (b"smithy-protocol", b"rpc-v2-cbor"),
        (b"x-amzn-query-error", b"ValidationError;Sender"),
    ]
    assert cbor2.loads(reply.body) == {"__type": "ValidationException", "message": "No."}


def test_the_status_is_the_errors_own_else_the_models_else_400() -> None:
    def status(service: str, error: AwsError) -> int:
        return failure(Protocol.JSON_1_1, load(service), error, "the-id").status

    assert status("ecs", AwsError("ServerException", "Oh.")) == 500
    assert status("ecs", AwsError("ServerException", "Full.", 503)) == 503
    assert status("ecs", AwsError("MadeUp", "Oh.")) == 400
    assert status("cloudwatch", AwsError("ResourceNotFoundException", "Oh.")) == 404


def test_an_error_carries_its_other_members() -> None:
    error = AwsError("ConflictException", "Taken.", fields={"resourceIds": ["a"]})
    body = failure(Protocol.JSON_1_1, load("ecs"), error, "the-id").body
    assert orjson.loads(body) == {"__type": "ConflictException", "message": "Taken.", "resourceIds": ["a"]}


def test_ec2_and_rest_errors_for_what_nobody_answers() -> None:
    error = AwsError("NotImplemented", "No.", 501)
    assert failure(Protocol.EC2, None, error, "the-id").body == (
        b"<Response><Errors><Error><Code>NotImplemented</Code><Message>No.</Message></Error></Errors>"
        b"<RequestID>the-id</RequestID></Response>"
    )
    assert failure(Protocol.REST_XML, None, error, "the-id").body == (
        b"<Error><Code>NotImplemented</Code><Message>No.</Message><RequestId>the-id</RequestId></Error>"
    )
    reply = failure(Protocol.REST_JSON, None, error, "the-id")
    assert (b"x-amzn-errortype", b"NotImplemented") in reply.headers
    assert (reply.status, orjson.loads(reply.body)["message"]) == (501, "No.")


def test_control_characters_do_not_break_the_xml() -> None:
    reply = failure(Protocol.QUERY, None, AwsError("A", "a\x00b\x1fc\ud800\r\n"), "the-id")
    assert "<Message>a\ufffdb\ufffdc\ufffd&#xD;\n</Message>".encode() in reply.body
