"""Listeners at work: their rules made into tests, and what they do with a request that matches.

A new table replaces the rules in one step; connections keep the listener and find the new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from miniecs.model.routing import (
    Action,
    FixedResponse,
    Forward,
    Redirect,
    RoutedListener,
    RoutedLoadBalancer,
    RoutedRule,
)
from miniecs.proxy.balance import Group, Weighted
from miniecs.proxy.counts import Counts
from miniecs.proxy.grammar import Request
from miniecs.proxy.pages import answer
from miniecs.proxy.rewriting import HeadSettings
from miniecs.proxy.rules import Test, host_of, test_of

CompiledAction = Weighted | Redirect | FixedResponse


class CompiledRule(NamedTuple):
    tests: tuple[Test, ...]
    action: CompiledAction


def matching(rules: tuple[CompiledRule, ...], request: Request, data: bytes, source: str) -> CompiledAction:
    """The action of the first rule whose conditions all hold; the last has none."""
    for tests, action in rules:
        for test in tests:
            if not test(request, data, source):
                break
        else:
            return action
    raise AssertionError("a listener has a default rule")


def compiled(rule: RoutedRule, groups: Mapping[str, Group]) -> CompiledRule:
    """The rule; groups that the table lacks get no requests."""
    tests = tuple(test_of(condition) for condition in rule.conditions)
    return CompiledRule(tests, _action(rule.action, groups))


def _action(action: Action, groups: Mapping[str, Group]) -> CompiledAction:
    if not isinstance(action, Forward):
        return action
    known = [(groups[member.arn], member.weight) for member in action.groups if member.arn in groups]
    return Weighted(known, action.sticky)


def _named_in(rules: Iterable[RoutedRule]) -> list[str]:
    return [member.arn for rule in rules if isinstance(rule.action, Forward) for member in rule.action.groups]


class Listener:
    """One listener of a load balancer. closing: it was deleted; its connections end with their requests."""

    __slots__ = ("_made_of", "arn", "balancer", "closing", "counts", "rules", "settings", "spec")

    def __init__(
        self, balancer: RoutedLoadBalancer, spec: RoutedListener, groups: Mapping[str, Group]
    ) -> None:
        self.arn = spec.arn
        self.counts = Counts()
        self.closing = False
        self.rules: tuple[CompiledRule, ...] = ()
        self._made_of: object = None
        self.told(balancer, spec, groups)

    def told(self, balancer: RoutedLoadBalancer, spec: RoutedListener, groups: Mapping[str, Group]) -> None:
        """Take what a new table says."""
        self.balancer = balancer
        self.spec = spec
        # Rules that stay the same go on with whose turn it is.
        made_of = (spec.rules, [groups.get(arn) for arn in _named_in(spec.rules)])
        if made_of != self._made_of:
            self._made_of = made_of
            self.rules = tuple(compiled(rule, groups) for rule in spec.rules)
        self.settings = HeadSettings(
            port=spec.port,
            scheme=spec.protocol.lower(),
            xff_mode=balancer.xff_mode,
            xff_client_port=balancer.xff_client_port,
            drop_invalid=balancer.drop_invalid_headers,
            server_header=spec.server_header,
            response_headers=spec.response_headers,
            changes_responses=bool(spec.response_headers) or not spec.server_header,
        )


class Alias:
    """A port of 127.0.0.1 for all load balancers with a listener on it, told apart by the Host header."""

    __slots__ = ("listeners", "port")

    def __init__(self, port: int) -> None:
        self.port = port
        self.listeners: dict[bytes, Listener] = {}  # by the DNS names of their load balancers

    def listener_for(self, host: bytes) -> Listener | None:
        """The one that the Host header names, or the only one there is."""
        if len(self.listeners) == 1:
            return next(iter(self.listeners.values()))
        return self.listeners.get(host_of(host).lower())

    def unknown(self, date: bytes, head_only: bool) -> bytes:
        """What to say where the header names none; in our own words, since no load balancer is spoken to."""
        names = sorted(self.listeners)
        words = b"miniecs: several load balancers listen on port %d; name one:\n" % self.port
        body = words + b"".join(b"  http://%b:%d/\n" % (name, self.port) for name in names)
        return answer(404, date, body=body, content_type="text/plain", head_only=head_only)


def redirect_to(
    action: Redirect, request: Request, settings: HeadSettings, local_port: int, name: str
) -> bytes:
    """The URL that a redirect sends to. local_port: at which the request came; name: of the load balancer."""
    values = {
        "protocol": settings.scheme,
        "host": host_of(request.host).decode("latin-1") or name,
        "port": str(local_port),
        "path": request.path.decode("latin-1").removeprefix("/"),
        "query": (request.query or b"").decode("latin-1"),
    }

    def filled(text: str) -> str:
        # One pass, so that a placeholder in what the client sent is not taken for one.
        parts = text.split("#{")
        for index, part in enumerate(parts[1:], 1):
            key, closed, rest = part.partition("}")
            parts[index] = values[key] + rest if closed and key in values else "#{" + part
        return "".join(parts)

    query = filled(action.query)
    url = f"{filled(action.protocol).lower()}://{filled(action.host)}:{filled(action.port)}{filled(action.path)}"
    return f"{url}?{query}".encode("latin-1") if query else url.encode("latin-1")


def fixed_answer(
    action: Redirect | FixedResponse,
    request: Request,
    listener: Listener,
    local_port: int,
    date: bytes,
    close: bool,
) -> tuple[int, bytes]:
    """(status, response) of a rule that does not forward."""
    head_only = request.method == b"HEAD"
    settings = listener.settings
    render: Callable[..., bytes] = answer
    more = "".join(f"{name}: {value}\r\n" for name, value in settings.response_headers).encode()
    common = {"close": close, "head_only": head_only, "server": settings.server_header}
    if isinstance(action, FixedResponse):
        content_type = f"{action.content_type}; charset=utf-8"
        body = action.body.encode()
        made = render(action.status, date, body=body, content_type=content_type, more=more, **common)
        return action.status, made
    location = redirect_to(action, request, settings, local_port, listener.balancer.dns_name)
    more += b"Location: %b\r\n" % location
    return action.status, render(action.status, date, more=more, **common)
