"""The signature (AWS Signature Version 4) that a request should have, by botocore's own signing.

Apart from ``signatures`` because importing botocore costs what most servers never need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signature(
    credentials: tuple[str, str],
    scope: tuple[str, str],
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> str:
    """Of a request with exactly these signed headers, x-amz-date among them, and its query in canonical form.

    credentials: access key and secret; scope: region and service.
    """
    signer = _Signer(Credentials(*credentials), scope[1], scope[0])
    signer.query = query
    request = AWSRequest(method, f"http://{headers['host']}{path}", headers=dict(headers), data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(text, request))


class _Signer(SigV4Auth):  # type: ignore[misc]
    """Signs what it is given, where botocore's chooses the headers to sign itself."""

    query = ""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers

    def canonical_query_string(self, request: AWSRequest) -> str:
        return self.query
