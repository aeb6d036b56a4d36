"""Signatures of an agent's requests: AWS Signature Version 4, as the ECS agent makes them.

botocore's signer does the work; what it is given here is exactly what goes over the wire, for the control
plane reads account and region from the signature even where it does not verify it.
"""

from __future__ import annotations

from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SERVICE = "ecs"


class Signer:
    """Signs with one pair of credentials for one region."""

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._auth = SigV4Auth(Credentials(access_key, secret_key), SERVICE, region)

    def headers(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """``headers`` with X-Amz-Date and Authorization. All of them and Host are signed."""
        request = AWSRequest(method, _http(url), headers=dict(headers or {}), data=body)
        self._auth.add_auth(request)
        return dict(request.headers.items())


def _http(url: str) -> str:
    """A websocket's handshake is an HTTP request, and its host has that scheme's default port."""
    return "http" + url.removeprefix("ws") if url.startswith("ws") else url
