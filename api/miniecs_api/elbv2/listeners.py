"""Listeners: making, finding, changing, deleting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.control.load_balancing import forwarded_to
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule
from miniecs_api.context import Context
from miniecs_api.elbv2 import actions, find, render, use
from miniecs_api.elbv2.certificates import SECURE, default_certificate
from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid, unsupported
from miniecs_api.elbv2.ssl_policies import DEFAULT_POLICY, check_policy
from miniecs_api.elbv2.tagging import to_tags
from miniecs_api.operation import operation, read_operation
from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

_PROTOCOLS = {"application": ("HTTPS", "HTTP"), "network": ("UDP", "TCP", "TLS", "TCP_UDP")}
_ALPN = ("HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None")


@operation
def create_listener(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Make a listener; the same port with the same settings answers with the one that exists."""
    balancer = find.load_balancer(ctx, params["LoadBalancerArn"])
    if params.get("Port") is None:
        raise invalid("A listener port must be specified")
    if not params.get("Protocol"):
        raise invalid("A listener protocol must be specified")
    protocol, port = _protocol(balancer, params["Protocol"]), params["Port"]
    wanted = Listener(
        arn="",
        load_balancer_arn=balancer.arn,
        port=port,
        protocol=protocol,
        default_actions=actions.checked(
            ctx, actions.Place(balancer, protocol, port), params["DefaultActions"]
        ),
        certificates=default_certificate(protocol, params.get("Certificates") or ()),
        ssl_policy=_ssl_policy(protocol, params.get("SslPolicy")),
        alpn_policy=_alpn_policy(protocol, params.get("AlpnPolicy") or ()),
        mutual_authentication=_mutual_authentication(protocol, params.get("MutualAuthentication")),
        created_at=ctx.now,
        tags=to_tags(params.get("Tags"), duplicate="ValidationError"),
    )
    siblings = ctx.tx.find(Listener, "load_balancer", balancer.arn)
    for sibling in siblings:
        if sibling.port == port:
            return {"Listeners": [render.listener(_same(sibling, wanted))]}
    if len(siblings) >= limit("listeners-per-{type}-load-balancer", balancer.type):
        raise AwsError("TooManyListeners", "The maximum number of listeners has been reached")
    arn = arns.listener(balancer.arn, ctx.ids.hex(16))
    made = replace(wanted, arn=arn, default_rule_arn=arns.listener_rule(arn, ctx.ids.hex(16)))
    ctx.tx.put(made)
    use.follow(ctx, forwarded_to(made.default_actions))
    if ctx.settings.carries_traffic and protocol != "HTTP":
        ctx.hint(f"Nothing listens on {protocol}:{port}: miniecs carries traffic of HTTP listeners only.")
    return {"Listeners": [render.listener(made)]}


@read_operation
def describe_listeners(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Those of a load balancer by age, or the named ones in the order given."""
    balancer_arn, listener_arns = params.get("LoadBalancerArn"), params.get("ListenerArns") or []
    if bool(balancer_arn) is bool(listener_arns):
        raise invalid(
            "You must specify either listener ARNs or a load balancer ARN"
            if not balancer_arn
            else "Listener ARNs and a load balancer ARN cannot be specified at the same time"
        )
    if balancer_arn:
        chosen = ctx.tx.find(Listener, "load_balancer", find.load_balancer(ctx, balancer_arn).arn)
    else:
        chosen = [find.listener(ctx, arn) for arn in dict.fromkeys(listener_arns)]
    listeners, marker = page(
        chosen,
        params,
        default=400,
        key=lambda listener: listener.arn,
        limit="PageSize",
        token="Marker",
        error="ValidationError",
    )
    return {"Listeners": [render.listener(listener) for listener in listeners], "NextMarker": marker}


@operation
def modify_listener(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Replace what is given. Leaving TLS drops certificates and policies, entering it needs a certificate."""
    before = find.listener(ctx, params["ListenerArn"])
    balancer = find.load_balancer(ctx, before.load_balancer_arn)
    protocol = _protocol(balancer, params.get("Protocol") or before.protocol or "")
    port = int(params.get("Port") or before.port or 0)
    siblings = ctx.tx.find(Listener, "load_balancer", balancer.arn)
    if any(other.port == port and other.arn != before.arn for other in siblings):
        raise invalid(f"Listener port '{port}' is already in use")
    place = actions.Place(balancer, protocol, port)
    given = params.get("DefaultActions")
    after = replace(
        before,
        protocol=protocol,
        port=port,
        default_actions=actions.checked(ctx, place, before.default_actions if given is None else given),
        **_secured(before, protocol, params),
    )
    for rule in ctx.tx.find(Rule, "listener", before.arn):
        actions.check_groups(ctx, place, forwarded_to(rule.actions))
    ctx.tx.put(after)
    use.follow(ctx, [*forwarded_to(before.default_actions), *forwarded_to(after.default_actions)])
    return {"Listeners": [render.listener(after)]}


@operation
def delete_listener(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Delete it with its rules."""
    listener = find.listener(ctx, params["ListenerArn"])
    groups = [*forwarded_to(listener.default_actions)]
    for rule in ctx.tx.find(Rule, "listener", listener.arn):
        groups += forwarded_to(rule.actions)
    use.remove_listener(ctx, listener)
    use.follow(ctx, groups)
    return {}


def _protocol(balancer: LoadBalancer, protocol: str) -> str:
    allowed = _PROTOCOLS[balancer.type]
    if protocol not in allowed:
        raise invalid(f"Listener protocol '{protocol}' must be one of '{', '.join(allowed)}'")
    return protocol


def _secured(before: Listener, protocol: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The fields about TLS of a listener that changes."""
    same = protocol == before.protocol
    certificates = before.certificates if protocol in SECURE else ()
    if params.get("Certificates") or (protocol in SECURE and not certificates):
        certificates = (
            *default_certificate(protocol, params.get("Certificates") or ()),
            *certificates[1:],
        )
    policy, alpn = params.get("SslPolicy"), params.get("AlpnPolicy")
    mutual = params.get("MutualAuthentication")
    return {
        "certificates": certificates,
        "ssl_policy": _ssl_policy(protocol, policy or (before.ssl_policy if protocol in SECURE else None)),
        "alpn_policy": _alpn_policy(protocol, alpn or (before.alpn_policy if same else ())),
        "mutual_authentication": _mutual_authentication(
            protocol, mutual or (before.mutual_authentication if same else None)
        ),
        "attributes": before.attributes if same else (),
    }


def _ssl_policy(protocol: str, given: str | None) -> str | None:
    if protocol not in SECURE:
        if given:
            raise invalid(f"An SSL policy cannot be specified for {protocol} listeners")
        return None
    return check_policy(given or DEFAULT_POLICY)


def _alpn_policy(protocol: str, given: Any) -> tuple[str, ...]:
    policies = tuple(given)
    if not policies:
        return ()
    if protocol != "TLS":
        raise invalid(f"An ALPN policy cannot be specified for {protocol} listeners")
    if len(policies) > 1 or policies[0] not in _ALPN:
        raise AwsError("ALPNPolicyNotFound", f"ALPN policy '{', '.join(policies)}' not found")
    return policies


def _mutual_authentication(protocol: str, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given and given.get("Mode") not in (None, "off"):
        raise unsupported("mutual TLS authentication")
    if protocol != "HTTPS":
        if given:
            raise invalid(f"Mutual authentication cannot be specified for {protocol} listeners")
        return None
    return {"Mode": "off"}


def _same(existing: Listener, wanted: Listener) -> Listener:
    """The existing listener, when it is what is wanted. Raises DuplicateListener."""
    as_wanted = replace(
        wanted,
        arn=existing.arn,
        default_rule_arn=existing.default_rule_arn,
        default_rule_tags=existing.default_rule_tags,
        attributes=existing.attributes,
        created_at=existing.created_at,
    )
    if existing != as_wanted:
        raise AwsError(
            "DuplicateListener",
            "A listener already exists on this port for this load balancer "
            f"'{existing.load_balancer_arn}'",
        )
    return existing
