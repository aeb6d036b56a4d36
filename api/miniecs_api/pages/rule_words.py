"""A listener rule in words: when it applies, and what it does then.

A rule in the API's form is twenty lines of JSON; a person reads one line in the order of the priorities.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from miniecs.model import arns

_NOUNS = {
    "path-pattern": ("path", "PathPatternConfig"),
    "host-header": ("host", "HostHeaderConfig"),
    "http-request-method": ("method", "HttpRequestMethodConfig"),
    "source-ip": ("source", "SourceIpConfig"),
    "http-header": ("header", "HttpHeaderConfig"),
    "query-string": ("query", "QueryStringConfig"),
}
_SAME = {
    "Protocol": "#{protocol}",
    "Host": "#{host}",
    "Port": "#{port}",
    "Path": "/#{path}",
    "Query": "#{query}",
}


def when(conditions: Iterable[Mapping[str, Any]]) -> str:
    """``path is /api/* or /v2/*, host is example.com``; '' for the default rule."""
    return ", ".join(_condition(each) for each in conditions)


def then(actions: Iterable[Mapping[str, Any]]) -> str:
    """``forward to web``, ``redirect (301) to https://#{host}:443/#{path}``, ``answer 404 "no"``."""
    action = tuple(actions)[-1]
    match action["Type"]:
        case "forward":
            return _forward(action["ForwardConfig"])
        case "redirect":
            return _redirect(action["RedirectConfig"])
    return _fixed(action["FixedResponseConfig"])


def _condition(condition: Mapping[str, Any]) -> str:
    noun, member = _NOUNS[condition["Field"]]
    config = condition[member]
    if condition["Field"] == "query-string":
        return f"{noun} has {_either(_pair(pair) for pair in config['Values'])}"
    if condition["Field"] == "http-header":
        noun = f"{noun} {config['HttpHeaderName']}"
    values = [*config.get("Values", ()), *(f"~{pattern}" for pattern in config.get("RegexValues", ()))]
    return f"{noun} is {_either(values)}"


def _pair(pair: Mapping[str, Any]) -> str:
    return f"{pair['Key']}={pair['Value']}" if pair.get("Key") else str(pair["Value"])


def _either(values: Iterable[str]) -> str:
    return " or ".join(values)


def _forward(config: Mapping[str, Any]) -> str:
    members = config["TargetGroups"]
    weights = sum(member.get("Weight", 1) for member in members)
    names = [arns.group_name_of(member["TargetGroupArn"]) for member in members]
    if len(members) > 1:
        shares = (100 * member.get("Weight", 1) / weights if weights else 0 for member in members)
        names = [f"{name} ({share:.3g} %)" for name, share in zip(names, shares, strict=True)]
    sticky = config.get("TargetGroupStickinessConfig", {})
    kept = f", clients stay for {sticky['DurationSeconds']} s" if sticky.get("Enabled") else ""
    return f"forward to {' and '.join(names)}{kept}"


def _redirect(config: Mapping[str, Any]) -> str:
    part = {name: config.get(name) or same for name, same in _SAME.items()}
    query = f"?{part['Query']}" if part["Query"] != _SAME["Query"] else ""
    url = f"{part['Protocol'].lower()}://{part['Host']}:{part['Port']}{part['Path']}{query}"
    return f"redirect ({config['StatusCode'].removeprefix('HTTP_')}) to {url}"


def _fixed(config: Mapping[str, Any]) -> str:
    body = config.get("MessageBody") or ""
    line = body.splitlines()[0] if body else ""
    more = "…" if line != body or len(line) > 40 else ""
    return f"answer {config['StatusCode']}" + (f' "{line[:40]}{more}"' if body else "")
