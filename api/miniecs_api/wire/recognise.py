"""Whose request is this: service, operation, protocol, account and region, from what every AWS client sends.

The credential scope of the signature names service and region; without one X-Amz-Target does, else Action
and Version. Nothing is verified: there are no secrets here, and the access key only tells an account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from miniecs.model.frozen import replace
from miniecs_api.wire.protocols import Protocol

# Signing names that are not botocore's names of the services.
_SIGNING_NAMES = {"elasticloadbalancing": "elbv2", "monitoring": "cloudwatch", "eventbridge": "events"}
# X-Amz-Target prefixes, which CBOR paths have too, for requests without a signature.
TARGETS = {
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AnyScaleFrontendService": "application-autoscaling",
    "GraniteServiceVersion20100801": "cloudwatch",
    "Logs_20140328": "logs",
    "Route53AutoNaming_v20170314": "servicediscovery",
    "AWSEvents": "events",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
    "AmazonSSM": "ssm",
    "secretsmanager": "secretsmanager",
}
# API versions of the query protocol, likewise. The classic load balancer signs as elbv2 does.
VERSIONS = {
    "2015-12-01": "elbv2",
    "2012-06-01": "elb",
    "2011-06-15": "sts",
    "2010-08-01": "cloudwatch",
    "2010-05-08": "iam",
    "2011-01-01": "autoscaling",
    "2010-05-15": "cloudformation",
    "2016-11-15": "ec2",
}
_REST_XML = frozenset({"s3", "route53", "cloudfront", "s3control"})
_ACCOUNT = re.compile(r"\d{12}")
_SERVICE = re.compile(r"[a-z0-9-]*")


class Credential(NamedTuple):
    """A credential scope: who signed, and for what."""

    access_key: str
    region: str | None
    service: str

    @property
    def account(self) -> str | None:
        """The access key where it is an account number, which is how a caller chooses an account."""
        return self.access_key if _ACCOUNT.fullmatch(self.access_key) else None


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a request before its body is read."""

    protocol: Protocol
    service: str | None  # botocore's name
    operation: str | None  # in the query protocol it is in the body
    credential: Credential | None
    content_type: str


def recognise(method: str, path: str, query: bytes, headers: Mapping[bytes, bytes]) -> Request:
    # Of a signature the scope, which comes first, is the same from call to call.
    scope, _, _ = headers.get(b"authorization", b"").partition(b",")
    target, content_type = headers.get(b"x-amz-target"), headers.get(b"content-type", b"")
    remembered = target is not None and not query
    look = _recognise_again if remembered else _recognise
    return look(method, path, query, target, content_type, scope)


def _recognise(
    method: str, path: str, query: bytes, target: bytes | None, content_type: bytes, authorization: bytes
) -> Request:
    credential = _credential_of(query, authorization)
    service = _SIGNING_NAMES.get(credential.service, credential.service) if credential else None
    media = content_type.partition(b";")[0].strip().lower().decode("latin-1")
    if target is not None:
        prefix, _, operation = target.decode("latin-1").rpartition(".")
        protocol = Protocol.JSON_1_0 if media.endswith("json-1.0") else Protocol.JSON_1_1
        return Request(protocol, service or TARGETS.get(prefix), operation or None, credential, media)
    if path.startswith("/service/"):
        _, _, name, verb, *rest = [*path.split("/"), ""]
        if verb == "operation" and rest[0]:
            return Request(Protocol.CBOR, service or TARGETS.get(name), rest[0], credential, media)
    if media == "application/x-www-form-urlencoded" or (method == "GET" and b"Action=" in query):
        protocol = Protocol.EC2 if service == "ec2" else Protocol.QUERY
        return Request(protocol, service, None, credential, "application/x-www-form-urlencoded")
    protocol = Protocol.REST_XML if service in _REST_XML else Protocol.REST_JSON
    return Request(protocol, service, None, credential, media)


_recognise_again = lru_cache(maxsize=1024)(_recognise)


def with_form(request: Request, fields: Mapping[str, str]) -> Request:
    """The request, now that its Action and Version are known."""
    by_version = VERSIONS.get(fields.get("Version", ""))
    service = request.service
    if service is None or (service == "elbv2" and by_version == "elb"):
        service = by_version
    protocol = Protocol.EC2 if service == "ec2" else request.protocol
    return replace(request, service=service, operation=fields.get("Action"), protocol=protocol)


def _credential_of(query: bytes, authorization: bytes) -> Credential | None:
    _, found, scope = authorization.partition(b"Credential=")
    if found:
        return _credential(scope.strip())
    _, found, scope = query.partition(b"X-Amz-Credential=")
    return _credential(unquote_to_bytes(scope.partition(b"&")[0])) if found else None


def _credential(scope: bytes) -> Credential | None:
    """``AKID/20250101/us-east-1/ecs/aws4_request``; version 4A has no region."""
    region: str | None
    match scope.decode("latin-1").split("/"):
        case [access_key, _, region, service, "aws4_request"]:
            pass
        case [access_key, _, service, "aws4_request"]:
            region = None
        case _:
            return None
    # moto does not mind the case, so "ECS" must not pass as a service that is not ours.
    service = service.lower()
    return Credential(access_key, region, service) if _SERVICE.fullmatch(service) else None
