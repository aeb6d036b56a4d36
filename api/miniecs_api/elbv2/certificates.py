"""The certificates of HTTPS and TLS listeners: the default one and those chosen by the name asked for.

Nothing checks that a certificate exists: it is named, as subnets and roles are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Listener
from miniecs_api.context import Context
from miniecs_api.elbv2 import find
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, misconfigured
from miniecs_api.operation import operation, read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

SECURE = ("HTTPS", "TLS")
_ARN = re.compile(r"arn:aws[a-z-]*:(acm:[a-z0-9-]+:\d{12}:certificate/|iam::\d{12}:server-certificate/)\S+")


@operation
def add_listener_certificates(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Add to the list that is chosen from by name; one that is there stays once."""
    listener = _secure(ctx, params)
    given = _arns(params["Certificates"])
    default, *others = listener.certificates
    # The default certificate may be in the list as well; then it is shown twice.
    listed = tuple(dict.fromkeys([*others, *given]))
    if len(listed) > limit("certificates-per-application-load-balancer"):
        raise AwsError("TooManyCertificates", "The maximum number of certificates has been reached")
    ctx.tx.put(replace(listener, certificates=(default, *listed)))
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": False} for arn in given]}


@operation
def remove_listener_certificates(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Remove from the list; the default certificate goes only with ModifyListener."""
    listener = _secure(ctx, params)
    given = _arns(params["Certificates"])
    default, *others = listener.certificates
    if default in given and default not in others:
        raise AwsError("OperationNotPermitted", "Default certificate cannot be removed")
    kept = tuple(arn for arn in others if arn not in given)
    ctx.tx.put(replace(listener, certificates=(default, *kept)))
    return {}


@read_operation
def describe_listener_certificates(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The default certificate first, then the list."""
    listener = find.listener(ctx, params["ListenerArn"])
    entries = [(arn, index == 0) for index, arn in enumerate(listener.certificates)]
    entries, marker = page(
        entries,
        params,
        default=400,
        key=lambda entry: f"{entry[0]} {entry[1]}",
        limit="PageSize",
        token="Marker",
        error="ValidationError",
    )
    return {
        "Certificates": [{"CertificateArn": arn, "IsDefault": default} for arn, default in entries],
        "NextMarker": marker,
    }


def default_certificate(protocol: str, given: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The certificate that a listener of this protocol is given: one, or none where it speaks no TLS."""
    if protocol not in SECURE:
        if given:
            raise invalid(f"Certificates cannot be specified for {protocol} listeners")
        return ()
    if not given:
        raise invalid(f"A certificate must be specified for {protocol} listeners")
    if len(given) > 1:
        raise misconfigured(
            "You must provide a list containing exactly one certificate if the listener protocol is "
            f"{protocol}."
        )
    return _arns(given)


def _arns(given: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    for certificate in given:
        if certificate.get("IsDefault") is not None:
            raise invalid("You cannot set the isDefault parameter of a certificate")
        if not _ARN.fullmatch(certificate.get("CertificateArn") or ""):
            raise invalid(f"Certificate ARN '{certificate.get('CertificateArn') or ''}' is not valid")
    if not given:
        raise invalid("At least one certificate must be specified")
    return tuple(dict.fromkeys(certificate["CertificateArn"] for certificate in given))


def _secure(ctx: Context, params: Mapping[str, Any]) -> Listener:
    listener = find.listener(ctx, params["ListenerArn"])
    if listener.protocol not in SECURE:
        raise invalid(f"Certificates cannot be specified for {listener.protocol} listeners")
    return listener
