"""Which rule a request matches: conditions made into tests of a head's bytes, once for each table.

Wildcards become regular expressions of which no part is ever tried twice: between two stars the first
place that fits is always good enough, so that no path takes more than time linear in its length.
Source: user guide, "Condition types for listener rules": values of a condition OR, conditions AND; hosts,
header values and query strings without regard to case; paths with regard to it and without the query.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from miniecs.model.routing import Condition
from miniecs.proxy.grammar import Request, values_of

# (request, the bytes it was read from, the client's address) -> truth
Test = Callable[[Request, bytes, str], object]
_Match = Callable[[bytes], object]

_STAR_OR_ANY = re.compile(r"\\([*?\\])|([*?])|([^*?\\]+|\\)")


def wildcard(text: str) -> str:
    """The regular expression of a value with ``*`` and ``?``; a backslash takes their meaning away."""
    segments = [""]
    for escaped, special, plain in _STAR_OR_ANY.findall(text):
        if special == "*":
            segments.append("")
        else:
            segments[-1] += "." if special else re.escape(escaped or plain)
    if len(segments) == 1:
        return segments[0]
    middle = "".join(f"(?>.*?{segment})" for segment in segments[1:-1] if segment)
    return f"{segments[0]}{middle}.*{segments[-1]}"


def _matcher(values: Iterable[str], patterns: Iterable[str], *, any_case: bool) -> _Match:
    """Truth for a text that is as one of the values, or in which one of the patterns is found."""
    values, patterns = tuple(values), tuple(patterns)
    if len(values) == 1 and not patterns and not any_case:
        # What most rules are made of needs no regular expression.
        prefix = values[0].removesuffix("*").encode()
        if not any(special in prefix for special in (b"*", b"?", b"\\")):
            return (lambda text: text.startswith(prefix)) if values[0].endswith("*") else prefix.__eq__
    flags = re.DOTALL | (re.IGNORECASE if any_case else 0)
    exact = "|".join(f"(?:{wildcard(value)})" for value in values)
    full = re.compile(exact.encode(), flags).fullmatch if exact else None
    if not patterns:
        return full or (lambda text: None)
    # Each for itself and on text, as the API tried them: what is one there need not be one among others.
    try:
        found = [re.compile(pattern, flags | re.ASCII).search for pattern in patterns]
    except re.error as problem:
        raise ValueError(f"a pattern of {patterns} is no regular expression: {problem}") from problem

    def match(text: bytes) -> object:
        decoded = text.decode("latin-1")
        return (full is not None and full(text)) or any(search(decoded) for search in found)

    return match


def host_of(value: bytes) -> bytes:
    """A Host header's name without its port."""
    if value.startswith(b"["):
        return value[: value.find(b"]") + 1]
    return value.partition(b":")[0]


def test_of(condition: Condition) -> Test:
    """The condition as a function. ValueError for a field or an expression that there is not."""
    if condition.field == "path-pattern":
        path = _matcher(condition.values, condition.patterns, any_case=False)
        return lambda request, head, source: path(request.path)
    if condition.field == "host-header":
        host = _matcher(condition.values, condition.patterns, any_case=True)
        return lambda request, head, source: host(host_of(request.host))
    if condition.field == "http-request-method":
        methods = frozenset(value.encode() for value in condition.values)
        return lambda request, head, source: request.method in methods
    if condition.field == "http-header":
        return _header(condition)
    if condition.field == "query-string":
        return _query(condition)
    if condition.field == "source-ip":
        return _source(condition)
    raise ValueError(f"unknown condition {condition.field!r}")


def _header(condition: Condition) -> Test:
    name = condition.name.lower().encode()
    match = _matcher(condition.values, condition.patterns, any_case=True)
    return lambda request, head, source: any(
        match(value) for value in values_of(head[request.line_end - 1 : request.end], name)
    )


def _query(condition: Condition) -> Test:
    wanted = [
        (None if key is None else _matcher((key,), (), any_case=True), _matcher((value,), (), any_case=True))
        for key, value in condition.pairs
    ]

    def test(request: Request, head: bytes, source: str) -> bool:
        if not request.query:
            return False
        for part in request.query.split(b"&"):
            key, _, value = part.partition(b"=")
            for match_key, match_value in wanted:
                if (match_key is None or match_key(key)) and match_value(value):
                    return True
        return False

    return test


def _source(condition: Condition) -> Test:
    networks = [ipaddress.ip_network(value, strict=False) for value in condition.values]

    @lru_cache(4096)
    def contains(source: str) -> bool:
        address = ipaddress.ip_address(source)
        return any(address in network for network in networks)

    return lambda request, head, source: contains(source)
