"""Service, operation, account and region, from the signature, from the target, from Action and Version."""

from __future__ import annotations

import pytest

from miniecs_api.wire.models import load
from miniecs_api.wire.protocols import Protocol
from miniecs_api.wire.recognise import TARGETS, VERSIONS, Credential, Request, recognise, with_form

FORM = "application/x-www-form-urlencoded"
JSON = "application/x-amz-json-1.1"
ECS = b"AmazonEC2ContainerServiceV20141113.ListClusters"


def signed(service: str, region: str = "eu-west-1", key: str = "AKIAEXAMPLE") -> dict[bytes, bytes]:
    scope = f"{key}/20260102/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=ab"
    return {b"authorization": text.encode()}


def test_a_signed_json_request() -> None:
    headers = signed("ecs", key="123456789012") | {b"x-amz-target": ECS, b"content-type": JSON.encode()}
    request = recognise("POST", "/", b"", headers)
    credential = Credential("123456789012", "eu-west-1", "ecs")
    assert request == Request(Protocol.JSON_1_1, "ecs", "ListClusters", credential, JSON)
    assert credential.account == "123456789012"
    assert Credential("AKIAIOSFODNN7EXAMPLE", "x", "ecs").account is None


@pytest.mark.parametrize("spelled", ["ECS", "Ecs", "ecs ", "\xe9cs", ""])
def test_no_spelling_makes_a_service_of_ours_somebody_elses(spelled: str) -> None:
    """moto, to which other services go, takes ECS for ecs, and S3 for what it cannot read."""
    request = recognise("POST", "/", b"", signed(spelled) | {b"x-amz-target": ECS})
    assert request.service == "ecs"


def test_an_unsigned_json_request_is_known_by_its_target() -> None:
    headers = {b"x-amz-target": b"GraniteServiceVersion20100801.ListMetrics"}
    headers |= {b"content-type": b"application/x-amz-json-1.0; charset=utf-8"}
    request = recognise("POST", "/", b"", headers)
    media = "application/x-amz-json-1.0"
    assert request == Request(Protocol.JSON_1_0, "cloudwatch", "ListMetrics", None, media)


def test_a_cbor_request_has_its_operation_in_the_path() -> None:
    path = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    request = recognise("POST", path, b"", {b"content-type": b"application/cbor"})
    assert request == Request(Protocol.CBOR, "cloudwatch", "PutMetricData", None, "application/cbor")


def test_a_form_is_known_by_action_and_version() -> None:
    request = recognise("POST", "/", b"", {b"content-type": FORM.encode()})
    assert request == Request(Protocol.QUERY, None, None, None, FORM)
    full = with_form(request, {"Action": "GetCallerIdentity", "Version": "2011-06-15"})
    assert full == Request(Protocol.QUERY, "sts", "GetCallerIdentity", None, FORM)


def test_two_load_balancing_services_sign_alike_and_differ_by_version() -> None:
    headers = signed("elasticloadbalancing") | {b"content-type": FORM.encode()}
    request = recognise("POST", "/", b"", headers)
    assert request.service == "elbv2"
    assert with_form(request, {"Action": "A", "Version": "2012-06-01"}).service == "elb"
    assert with_form(request, {"Action": "A", "Version": "2015-12-01"}).service == "elbv2"


def test_a_presigned_request_has_its_credential_in_the_address() -> None:
    query = b"Action=A&X-Amz-Credential=AK%2F20260102%2Fus-east-2%2Fsts%2Faws4_request&X-Amz-Date=x"
    request = recognise("GET", "/", query, {})
    assert (request.protocol, request.service, request.credential) == (
        Protocol.QUERY,
        "sts",
        Credential("AK", "us-east-2", "sts"),
    )


@pytest.mark.parametrize(
    ("service", "content_type", "protocol"),
    [
        ("s3", b"", Protocol.REST_XML),
        ("s3", b"text/plain", Protocol.REST_XML),
        ("lambda", b"application/json", Protocol.REST_JSON),
        ("ec2", FORM.encode(), Protocol.EC2),
        ("iam", FORM.encode(), Protocol.QUERY),
    ],
)
def test_other_services_errors_are_given_in_their_form(
    service: str, content_type: bytes, protocol: Protocol
) -> None:
    headers = signed(service) | {b"content-type": content_type}
    request = recognise("POST", "/bucket/key", b"", headers)
    assert (request.service, request.protocol) == (service, protocol)


@pytest.mark.parametrize(
    "authorization", [b"", b"Basic abc", b"AWS4-HMAC-SHA256 Credential=a/b", b"Credential="]
)
def test_what_is_no_signature_names_nobody(authorization: bytes) -> None:
    request = recognise("POST", "/", b"", {b"authorization": authorization})
    assert (request.service, request.credential) == (None, None)


def test_version_4a_signs_for_no_one_region() -> None:
    text = b"AWS4-ECDSA-P256-SHA256 Credential=AK/20260102/ecs/aws4_request, SignedHeaders=host"
    request = recognise("POST", "/", b"", {b"authorization": text})
    assert request.credential == Credential("AK", None, "ecs")


def test_the_tables_agree_with_the_models() -> None:
    for prefix, name in TARGETS.items():
        if name not in ("ssm", "secretsmanager"):
            assert load(name).target_prefix == prefix
    for version, name in VERSIONS.items():
        if name in ("elbv2", "sts", "cloudwatch", "iam", "cloudformation"):
            assert load(name).version == version
