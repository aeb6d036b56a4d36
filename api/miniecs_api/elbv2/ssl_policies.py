"""The security policies that HTTPS and TLS listeners can name: protocols and ciphers of each.

Source: user guide, "Security policies for your Application Load Balancer". The FIPS ones are left out.
"""

from __future__ import annotations

from typing import Any

from miniecs_api.context import Context
from miniecs_api.operation import read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"  # of CreateListener; the console has another

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_OLD = (  # in AWS's order of preference
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
    "AES256-SHA",
)
_FORWARD_SECRET = tuple(c for c in _OLD if c.startswith("ECDHE-"))
_GCM = tuple(c for c in _FORWARD_SECRET if "-GCM-" in c)
_NO_SHA1 = tuple(c for c in _OLD if not c.endswith("-SHA"))
_FORWARD_SECRET_NO_SHA1 = tuple(c for c in _NO_SHA1 if c in _FORWARD_SECRET)

_V10, _V11, _V12, _V13 = "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"

_TLS13_POLICIES = {
    "ELBSecurityPolicy-TLS13-1-3-{}": ((_V13,), _TLS13),
    "ELBSecurityPolicy-TLS13-1-2-Res-{}": ((_V12, _V13), _TLS13 + _GCM),
    "ELBSecurityPolicy-TLS13-1-2-{}": ((_V12, _V13), _TLS13 + _FORWARD_SECRET_NO_SHA1),
    "ELBSecurityPolicy-TLS13-1-2-Ext1-{}": ((_V12, _V13), _TLS13 + _NO_SHA1),
    "ELBSecurityPolicy-TLS13-1-2-Ext2-{}": ((_V12, _V13), _TLS13 + _OLD),
}
POLICIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ELBSecurityPolicy-2016-08": ((_V10, _V11, _V12), _OLD),
    **{name.format("2021-06"): policy for name, policy in _TLS13_POLICIES.items()},
    "ELBSecurityPolicy-TLS13-1-1-2021-06": ((_V11, _V12, _V13), _TLS13 + _OLD),
    "ELBSecurityPolicy-TLS13-1-0-2021-06": ((_V10, _V11, _V12, _V13), _TLS13 + _OLD),
    **{name.format("PQ-2025-09"): policy for name, policy in _TLS13_POLICIES.items()},
    "ELBSecurityPolicy-TLS-1-2-2017-01": ((_V12,), _NO_SHA1),
    "ELBSecurityPolicy-TLS-1-1-2017-01": ((_V11, _V12), _OLD),
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": ((_V12,), _OLD),
    "ELBSecurityPolicy-FS-2018-06": ((_V10, _V11, _V12), _FORWARD_SECRET),
    "ELBSecurityPolicy-2015-05": ((_V10, _V11, _V12), _OLD),
    "ELBSecurityPolicy-TLS-1-0-2015-04": ((_V10, _V11, _V12), (*_OLD, "DES-CBC3-SHA")),
    "ELBSecurityPolicy-FS-1-2-Res-2019-08": ((_V12,), _FORWARD_SECRET_NO_SHA1),
    "ELBSecurityPolicy-FS-1-1-2019-08": ((_V11, _V12), _FORWARD_SECRET),
    "ELBSecurityPolicy-FS-1-2-2019-08": ((_V12,), _FORWARD_SECRET),
    "ELBSecurityPolicy-FS-1-2-Res-2020-10": ((_V12,), _GCM),
}


def check_policy(name: str) -> str:
    """The name, when there is such a policy. Raises SSLPolicyNotFound."""
    if name not in POLICIES:
        raise AwsError("SSLPolicyNotFound", f"SSL policy '{name}' not found")
    return name


@read_operation
def describe_ssl_policies(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The named policies in the order given, or all. All of ours are for both types of load balancer."""
    chosen = [check_policy(name) for name in params.get("Names") or POLICIES]
    if params.get("LoadBalancerType") == "gateway":
        chosen = []
    names, marker = page(
        chosen, params, default=400, limit="PageSize", token="Marker", error="ValidationError"
    )
    return {"SslPolicies": [_shown(name) for name in names], "NextMarker": marker}


def _shown(name: str) -> dict[str, Any]:
    protocols, ciphers = POLICIES[name]
    return {
        "Name": name,
        "SslProtocols": list(protocols),
        "Ciphers": [{"Name": cipher, "Priority": index} for index, cipher in enumerate(ciphers, 1)],
        "SupportedLoadBalancerTypes": ["application", "network"],
    }
