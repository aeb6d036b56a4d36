"""Conditions: each kind by examples, wildcards against trying everything."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniecs.model.routing import Condition, FixedResponse, RoutedRule
from miniecs.proxy.grammar import Request, read_request
from miniecs.proxy.listener import compiled, matching
from miniecs.proxy.rules import test_of as compiled_test
from miniecs.proxy.rules import wildcard

from . import reference

SOURCE = "10.1.2.3"


def matches(
    condition: Condition, target: str = "/", *fields: str, host: str = "a", method: str = "GET"
) -> bool:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]
    data = "\r\n".join(lines).encode()
    request = read_request(data)
    assert isinstance(request, Request)
    return bool(compiled_test(condition)(request, data, SOURCE))


def path(*values: str) -> Condition:
    return Condition("path-pattern", values)


@pytest.mark.parametrize(
    ("condition", "target", "expected"),
    [
        (path("/img/*"), "/img/", True),
        (path("/img/*"), "/img", False),
        (path("/img/*"), "/IMG/a", False),
        (path("/img/*/pics"), "/img/a/b/pics", True),
        (path("/img/?.png"), "/img/a.png", True),
        (path("/img/?.png"), "/img/ab.png", False),
        (path("/a", "/b"), "/b", True),
        (path("/a"), "/a?x=y", True),
        (path("/a*y"), "/a?x=y", False),
        (path("/a\\*"), "/a*", True),
        (path("/a\\*"), "/ab", False),
        (path("*"), "/", True),
        (path("/a.b"), "/axb", False),
        (Condition("path-pattern", (), ("^/v[0-9]+/",)), "/v12/x", True),
        (Condition("path-pattern", (), ("^/v[0-9]+/",)), "/x/v12/", False),
        (Condition("path-pattern", ("/exact",), ("^/v",)), "/exact", True),
        (Condition("path-pattern", (), ("(?i)^/UP", "(?P<a>x)y", "(?P<a>x)z")), "/up", True),
        (Condition("path-pattern", (), ("(?i)^/UP", "(?P<a>x)y", "(?P<a>x)z")), "/xz", True),
        (Condition("path-pattern", (), ("\\u0041$",)), "/A", True),
    ],
)
def test_paths(condition: Condition, target: str, expected: bool) -> None:
    assert matches(condition, target) is expected


@pytest.mark.parametrize(
    ("values", "host", "expected"),
    [
        (("*.example.com",), "a.example.com", True),
        (("*.example.com",), "A.Example.COM:8080", True),
        (("*.example.com",), "example.com", False),
        (("?.example.com",), "a.example.com", True),
        (("example.com",), "example.com.evil.org", False),
        (("a.example.com", "b.example.com"), "b.example.com", True),
    ],
)
def test_hosts(values: tuple[str, ...], host: str, expected: bool) -> None:
    assert matches(Condition("host-header", values), host=host) is expected


def test_methods_are_compared_exactly() -> None:
    condition = Condition("http-request-method", ("GET", "PURGE"))
    assert matches(condition)
    assert matches(condition, method="PURGE")
    assert not matches(condition, method="get")
    assert not matches(condition, method="POST")


def test_headers_without_regard_to_case_and_repeated_ones() -> None:
    condition = Condition("http-header", ("*Chrome*", "curl/?.*"), name="User-Agent")
    assert matches(condition, "/", "user-agent: some CHROME thing")
    assert matches(condition, "/", "X: y", "User-Agent: wget", "User-Agent: curl/8.1")
    assert not matches(condition, "/", "User-Agent: wget")
    assert not matches(condition, "/", "X-User-Agent: Chrome")
    assert not matches(condition)


@pytest.mark.parametrize(
    ("pairs", "query", "expected"),
    [
        ((("version", "v1"),), "version=v1", True),
        ((("version", "v1"),), "a=b&VERSION=V1", True),
        ((("version", "v1"),), "version=v2", False),
        (((None, "*example*"),), "a=b&c=anexamplehere", True),
        (((None, "x"),), "x", False),
        ((("a", "*"),), "", False),
        ((("a", "1"), ("b", "2")), "b=2", True),
        ((("a*", "?"),), "abc=1", True),
    ],
)
def test_query_strings(pairs: tuple[tuple[str | None, str], ...], query: str, expected: bool) -> None:
    condition = Condition("query-string", pairs=pairs)
    assert matches(condition, f"/?{query}" if query else "/") is expected


def test_source_addresses() -> None:
    assert matches(Condition("source-ip", ("192.168.0.0/16", "10.1.2.0/24")))
    assert not matches(Condition("source-ip", ("10.2.0.0/16", "2001:db8::/32")))


def test_the_first_rule_whose_conditions_all_hold() -> None:
    rules = tuple(
        compiled(RoutedRule(name, conditions, FixedResponse(200, body=name)), {})
        for name, conditions in (
            ("both", (path("/a*"), Condition("http-request-method", ("POST",)))),
            ("path", (path("/a*"),)),
            ("default", ()),
        )
    )

    def chosen(method: str, target: str) -> object:
        data = f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        request = read_request(data)
        assert isinstance(request, Request)
        return matching(rules, request, data, SOURCE)

    assert chosen("POST", "/ab") == FixedResponse(200, body="both")
    assert chosen("GET", "/ab") == FixedResponse(200, body="path")
    assert chosen("POST", "/b") == FixedResponse(200, body="default")


@given(st.text("ab/*?\\.", max_size=8), st.text("ab/*?\\.", max_size=8))
def test_wildcards_as_by_trying_everything(pattern: str, text: str) -> None:
    assert bool(re.fullmatch(wildcard(pattern), text, re.DOTALL)) is reference.like(text, pattern)


def test_five_wildcards_cost_no_more_than_the_path_is_long() -> None:
    test = re.compile(wildcard("/*a*a*a*a*b"), re.DOTALL)
    began = time.perf_counter()
    assert not test.fullmatch("/" + "a" * 16000)
    assert time.perf_counter() - began < 1
