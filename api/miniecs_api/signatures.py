"""Whether a request is signed with the credentials that agents join with (AWS Signature Version 4).

On this machine nobody is asked: there are no secrets to guard, and any key will do. An agent on another
machine runs containers for this cluster and says what became of them, so it must prove that it was let in.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote

from miniecs.clock import Clock
from miniecs_api.wire.errors import AwsError

log = logging.getLogger("miniecs.agents")

AGENT_OPERATIONS = frozenset(
    {
        "DiscoverPollEndpoint",
        "RegisterContainerInstance",
        "SubmitAttachmentStateChanges",
        "SubmitContainerStateChange",
        "SubmitTaskStateChange",
    }
)
"""Of ECS, those that only agents call."""

_SERVICE = "ecs"
_LONGEST_SKEW = 300.0  # seconds between the clocks; what AWS allows
_STAMP = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/"
    r"(?P<service>[a-z0-9-]+)/aws4_request,\s*SignedHeaders=(?P<headers>[a-z0-9;_-]+),\s*"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_BODY_HASH = "x-amz-content-sha256"
_MUST_BE_SIGNED = {"host", "x-amz-date"}

Headers = Iterable[tuple[bytes, bytes]]


class JoinCredentials(NamedTuple):
    """What `up` made for agents on other machines; both '' where none may join."""

    access_key: str = ""
    secret: str = ""


class _Claim(NamedTuple):
    """What an Authorization header says."""

    key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str


class Signatures:
    """Checks requests from other machines."""

    def __init__(self, join: JoinCredentials, clock: Clock) -> None:
        self._join = join
        self._clock = clock

    def refuse(self, scope: Mapping[str, Any], method: str, body: bytes) -> AwsError | None:
        """Why a request (its ASGI scope) is not an agent's that may join, or None when it is. Logged."""
        client = scope.get("client")
        address = client[0] if client else ""
        if is_loopback(address):
            return None
        refusal = self._judge(scope, method, body)
        if refusal is not None:
            log.warning("refused an agent at %s (%s): %s", address, scope["path"], refusal.message)
        return refusal

    def _judge(self, scope: Mapping[str, Any], method: str, body: bytes) -> AwsError | None:
        headers = _joined(scope["headers"])
        if "authorization" not in headers:
            return AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        claim = _claim(headers["authorization"])
        if claim is None or not _MUST_BE_SIGNED <= set(claim.headers) <= set(headers):
            return AwsError(
                "IncompleteSignature",
                "The request signature does not conform to AWS standards: it must be of version 4 and cover "
                "host and x-amz-date.",
                403,
            )
        known = hmac.compare_digest(claim.key.encode(), self._join.access_key.encode())
        if not known or not self._join.secret:
            return AwsError(
                "UnrecognizedClientException", "The security token included in the request is invalid.", 403
            )
        return self._stale(headers["x-amz-date"], claim) or self._forged(scope, method, body, headers, claim)

    def _stale(self, stamp: str, claim: _Claim) -> AwsError | None:
        try:
            signed_at = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return _invalid("X-Amz-Date is not a time in ISO 8601's basic form.")
        if stamp[:8] != claim.date or claim.service != _SERVICE:
            return _invalid(f"Credential should be scoped to X-Amz-Date's day and to service {_SERVICE}.")
        now = self._clock.now()
        if abs(now - signed_at) > _LONGEST_SKEW:
            here = datetime.fromtimestamp(now, UTC).strftime(_STAMP)
            return _invalid(
                f"Signature expired: signed at {stamp}, and it is {here} here; more than "
                f"{_LONGEST_SKEW / 60:g} minutes lie between the two machines' clocks."
            )
        return None

    def _forged(
        self, scope: Mapping[str, Any], method: str, body: bytes, headers: Mapping[str, str], claim: _Claim
    ) -> AwsError | None:
        hashed = sha256(body).hexdigest()
        if headers.get(_BODY_HASH, hashed) != hashed:
            return _invalid("The provided x-amz-content-sha256 header does not match what was computed.")
        # botocore's signing takes memory and time at a start, and most servers never see another machine.
        from miniecs_api.signer import signature

        signed = signature(
            (self._join.access_key, self._join.secret),
            (claim.region, claim.service),
            method,
            (scope.get("raw_path") or scope["path"].encode()).decode("latin-1"),
            _canonical_query(scope["query_string"]),
            {name: headers[name] for name in claim.headers},
            body,
        )
        if hmac.compare_digest(signed, claim.signature):
            return None
        return _invalid(
            "The request signature we calculated does not match the signature you provided. Check the join "
            "token."
        )


def _canonical_query(query: bytes) -> str:
    """Decoded and encoded again: Go's client sends a space as ``+`` and signs it as ``%20``."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    encoded = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _claim(authorization: str) -> _Claim | None:
    found = _AUTHORIZATION.fullmatch(authorization.strip())
    if found is None:
        return None
    return _Claim(
        found["key"],
        found["date"],
        found["region"],
        found["service"],
        tuple(found["headers"].split(";")),
        found["signature"],
    )


def _joined(headers: Headers) -> dict[str, str]:
    """By lower-case name; those that come twice, with a comma."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidSignatureException", text, 403)


@lru_cache(maxsize=1024)
def is_loopback(address: str) -> bool:
    """Whether a peer's address is one of this machine's that nobody else can use."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback
