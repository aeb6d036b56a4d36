"""Conditions of rules: the six kinds in the form that is echoed, and their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from miniecs_api.elbv2.conditions import checked
from miniecs_api.wire.errors import AwsError

if TYPE_CHECKING:
    from tests.api.elbv2.conftest import Elb


@pytest.mark.parametrize(
    ("given", "echoed"),
    [
        (
            {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/b/*"]}},
            {
                "Field": "path-pattern",
                "Values": ["/a", "/b/*"],
                "PathPatternConfig": {"Values": ["/a", "/b/*"]},
            },
        ),
        (
            {"Field": "host-header", "Values": ["*.example.com"]},
            {
                "Field": "host-header",
                "Values": ["*.example.com"],
                "HostHeaderConfig": {"Values": ["*.example.com"]},
            },
        ),
        (
            {"Field": "path-pattern", "RegexValues": ["^/[a-z]+$"]},
            {
                "Field": "path-pattern",
                "RegexValues": ["^/[a-z]+$"],
                "PathPatternConfig": {"RegexValues": ["^/[a-z]+$"]},
            },
        ),
        (
            {
                "Field": "http-header",
                "HttpHeaderConfig": {"HttpHeaderName": "User-Agent", "Values": ["*Mozilla*"]},
            },
            {
                "Field": "http-header",
                "HttpHeaderConfig": {"HttpHeaderName": "User-Agent", "Values": ["*Mozilla*"]},
            },
        ),
        (
            {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "M-SEARCH"]}},
            {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "M-SEARCH"]}},
        ),
        (
            {
                "Field": "query-string",
                "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "x*"}]},
            },
            {
                "Field": "query-string",
                "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "x*"}]},
            },
        ),
        (
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24", "2001:db8::/32"]}},
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24", "2001:db8::/32"]}},
        ),
    ],
)
def test_echoed(elb: Elb, given: dict[str, Any], echoed: dict[str, Any]) -> None:
    rule = elb.rule(elb.listener(elb.load_balancer()), Conditions=[given])
    assert elb("DescribeRules", RuleArns=[rule])["Rules"][0]["Conditions"] == [echoed]
    # What is shown is taken back as it is.
    assert elb("ModifyRule", RuleArn=rule, Conditions=[echoed])["Rules"][0]["Conditions"] == [echoed]


FIELDS = "[path-pattern,host-header,http-header,http-request-method,query-string,source-ip]"


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([], "At least one condition must be specified"),
        ([{"Values": ["/a"]}], "A condition field must be specified"),
        ([{"Field": "cookie", "Values": ["a"]}], f"Condition field 'cookie' must be one of '{FIELDS}'"),
        ([{"Field": "path-pattern"}], "A condition value must be specified"),
        (
            [{"Field": "path-pattern", "PathPatternConfig": {"Values": [""]}}],
            "A condition value must be specified",
        ),
        (
            [{"Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/b"]}}],
            "You cannot provide both Values and 'PathPatternConfig' for a condition of type 'path-pattern'",
        ),
        (
            [{"Field": "path-pattern", "Values": ["/a"], "HostHeaderConfig": {"Values": ["a.com"]}}],
            "The 'HostHeaderConfig' field is not compatible with 'path-pattern'",
        ),
        (
            [{"Field": "source-ip", "Values": ["10.0.0.0/8"]}],
            "The 'Values' field is not compatible with 'source-ip'",
        ),
        (
            [{"Field": "path-pattern", "Values": ["/" + "a" * 128]}],
            "The 'path-pattern' value is too long; the limit is '128'",
        ),
        (
            [{"Field": "path-pattern", "Values": ["^/[a-z]{2}/i/"]}],
            "Condition value '^/[a-z]{2}/i/' contains a character that is not valid",
        ),
        (
            [{"Field": "path-pattern", "RegexValues": ["("]}],
            "Regular expression '(' is not valid: missing ), unterminated subpattern at position 0",
        ),
        (
            [{"Field": "path-pattern", "RegexValues": ["a{99999999999}"]}],
            "Regular expression 'a{99999999999}' is not valid: the repetition number is too large",
        ),
        (
            [{"Field": "host-header", "Values": ["a_b.com"]}],
            "Condition value 'a_b.com' contains a character that is not valid",
        ),
        (
            [{"Field": "host-header", "Values": ["localhost"]}],
            "Condition value 'localhost' must include a '.' character with only alphabetical characters "
            "after it",
        ),
        ([{"Field": "http-header"}], "A 'HttpHeaderConfig' must be specified with 'http-header'"),
        (
            [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "a" * 41, "Values": ["x"]}}],
            "The 'HttpHeaderName' value is too long; the limit is '40'",
        ),
        (
            [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "a b", "Values": ["x"]}}],
            "Condition value 'a b' contains a character that is not valid",
        ),
        (
            [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["x"]}}],
            "The host header cannot be specified with 'http-header'; use 'host-header'",
        ),
        (
            [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}],
            "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen and "
            "underscore",
        ),
        (
            [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a"}]}}],
            "A 'Value' must be specified in 'QueryStringKeyValuePair'",
        ),
        (
            [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a" * 129, "Value": "b"}]}}],
            "The 'Key' value is too long; the limit is '128'",
        ),
        ([{"Field": "source-ip"}], "A 'SourceIpConfig' must be specified with 'source-ip'"),
        (
            [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}],
            "The 'source-ip' value '10.0.0.1' must be in CIDR format",
        ),
        (
            [{"Field": "source-ip", "SourceIpConfig": {"IpAddressType": "ipv4"}}],
            "'IpAddressType' is not supported for application load balancers",
        ),
        (
            [{"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]}],
            "A rule can only have one 'path-pattern' condition",
        ),
        (
            [{"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{n}" for n in range(6)]}}],
            "A rule can only have '5' condition values and regex values",
        ),
        (
            [
                {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a", "/b", "/c"]}},
                {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.com", "b.com", "c.com"]}},
            ],
            "A rule can only have '5' condition values and regex values",
        ),
        (
            [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*/*", "/*/?/*/?"]}}],
            "A rule can only have '5' condition wildcards",
        ),
    ],
)
def test_refused(conditions: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(AwsError) as caught:
        checked(conditions)
    assert (caught.value.code, caught.value.message) == ("ValidationError", message)


def test_what_may_be_repeated_and_what_an_escape_hides() -> None:
    header = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1"]}}
    assert len(checked([header, header])) == 2
    escaped = {
        "Field": "query-string",
        "QueryStringConfig": {"Values": [{"Key": "\\*\\?\\*", "Value": "\\*?????"}]},
    }
    assert checked([escaped]) == (escaped,)
