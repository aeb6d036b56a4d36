"""When a rule applies: the six kinds of condition, checked and in the form AWS echoes.

host-header and path-pattern have an old form (Values) and a new one (their own configuration); AWS takes
either and echoes both, and so is it stored.
Source: API reference, RuleCondition; user guide, "Condition types for listener rules".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from miniecs_api.elbv2.quotas import limit
from miniecs_api.elbv2.refusals import invalid

_CONFIGS = {
    "path-pattern": "PathPatternConfig",
    "host-header": "HostHeaderConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
_OLD_FORM = ("host-header", "path-pattern")
_WITH_REGEX = (*_OLD_FORM, "http-header")
_ONCE = ("path-pattern", "host-header", "http-request-method", "source-ip")
_LONGEST = 128
_LONGEST_NAME = 40

_PATH = re.compile(r"""[A-Za-z0-9_\-.$/~"'@:+&*?]+""")
_HOST = re.compile(r"[A-Za-z0-9\-.*?]+")
_HOST_END = re.compile(r".*\.[A-Za-z*?]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 7230
_METHOD = re.compile(r"[A-Z_-]+")
_WILDCARD = re.compile(r"\\[*?]|([*?])")


def checked(conditions: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """A rule's conditions as they are stored. Raises ValidationError."""
    if not conditions:
        raise invalid("At least one condition must be specified")
    stored = tuple(_one(condition) for condition in conditions)
    for field in _ONCE:
        if sum(condition["Field"] == field for condition in stored) > 1:
            raise invalid(f"A rule can only have one '{field}' condition")
    texts = [text for condition in stored for text in _texts(condition)]
    most = limit("condition-values-per-alb-rule")
    if sum(_count(condition) for condition in stored) > most:
        raise invalid(f"A rule can only have '{most}' condition values and regex values")
    most = limit("condition-wildcards-per-alb-rule")
    if sum(1 for text in texts for found in _WILDCARD.finditer(text) if found[1]) > most:
        raise invalid(f"A rule can only have '{most}' condition wildcards")
    return stored


def _one(condition: Mapping[str, Any]) -> dict[str, Any]:
    field = condition.get("Field")
    if not field:
        raise invalid("A condition field must be specified")
    if field not in _CONFIGS:
        raise invalid(f"Condition field '{field}' must be one of '[{','.join(_CONFIGS)}]'")
    for member in _CONFIGS.values():
        if member != _CONFIGS[field] and condition.get(member):
            raise invalid(f"The '{member}' field is not compatible with '{field}'")
    config = _config(condition, field)
    stored = {"Field": field, _CONFIGS[field]: _CHECKS[field](config)}
    if field in _OLD_FORM:
        stored |= stored[_CONFIGS[field]]
    return stored


def _config(condition: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """The configuration in the new form, from either."""
    config = condition.get(_CONFIGS[field])
    old = {m: condition[m] for m in ("Values", "RegexValues") if condition.get(m)}
    if old.get("Values") and field not in _OLD_FORM:
        raise invalid(f"The 'Values' field is not compatible with '{field}'")
    if old.get("RegexValues") and field not in _OLD_FORM:
        raise invalid(f"The 'RegexValues' field is not compatible with '{field}'")
    # What DescribeRules shows has both forms; it is taken back where they agree.
    if config and old and any(old[m] != config.get(m) for m in old):
        raise invalid(
            f"You cannot provide both Values and '{_CONFIGS[field]}' for a condition of type '{field}'"
        )
    if not config and not old:
        if field in _OLD_FORM:
            raise invalid("A condition value must be specified")
        raise invalid(f"A '{_CONFIGS[field]}' must be specified with '{field}'")
    return config or old


def _texts_of(config: Mapping[str, Any], field: str, check: Callable[[str], bool]) -> dict[str, Any]:
    """Values, RegexValues or both, each checked."""
    values, patterns = config.get("Values") or [], config.get("RegexValues") or []
    if not values and not patterns:
        raise invalid("A condition value must be specified")
    for value in values:
        _check_length(field, value)
        if not check(value):
            raise invalid(f"Condition value '{value}' contains a character that is not valid")
    for pattern in patterns:
        _check_length(field, pattern)
        check_regex(pattern)
    stored = {"Values": list(values)} if values else {}
    return stored | ({"RegexValues": list(patterns)} if patterns else {})


def check_regex(pattern: str) -> None:
    """Raises ValidationError unless it is a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as problem:  # a{99999999999}, ((((…
        raise invalid(f"Regular expression '{pattern}' is not valid: {problem}") from problem


def _path(config: Mapping[str, Any]) -> dict[str, Any]:
    return _texts_of(config, "path-pattern", lambda value: _PATH.fullmatch(value) is not None)


def _host(config: Mapping[str, Any]) -> dict[str, Any]:
    stored = _texts_of(config, "host-header", lambda value: _HOST.fullmatch(value) is not None)
    for value in stored.get("Values", ()):
        if not _HOST_END.fullmatch(value):
            raise invalid(
                f"Condition value '{value}' must include a '.' character with only alphabetical characters "
                "after it"
            )
    return stored


def _header(config: Mapping[str, Any]) -> dict[str, Any]:
    name = config.get("HttpHeaderName")
    if not name:
        raise invalid("An 'HttpHeaderName' must be specified with 'http-header'")
    if len(name) > _LONGEST_NAME:
        raise invalid(f"The 'HttpHeaderName' value is too long; the limit is '{_LONGEST_NAME}'")
    if not _TOKEN.fullmatch(name):
        raise invalid(f"Condition value '{name}' contains a character that is not valid")
    if name.lower() == "host":
        raise invalid("The host header cannot be specified with 'http-header'; use 'host-header'")
    values = _texts_of(config, "http-header", lambda value: _PRINTABLE.fullmatch(value) is not None)
    return {"HttpHeaderName": name} | values


def _method(config: Mapping[str, Any]) -> dict[str, Any]:
    for value in _some(config):
        if len(value) > _LONGEST_NAME:
            raise invalid(f"The 'http-request-method' value is too long; the limit is '{_LONGEST_NAME}'")
        if not _METHOD.fullmatch(value):
            raise invalid(
                "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen and "
                "underscore"
            )
    return {"Values": list(config["Values"])}


def _query(config: Mapping[str, Any]) -> dict[str, Any]:
    stored = []
    for pair in _some(config):
        if not pair.get("Value"):
            raise invalid("A 'Value' must be specified in 'QueryStringKeyValuePair'")
        for member in ("Key", "Value"):
            text = pair.get(member) or ""
            if len(text) > _LONGEST:
                raise invalid(f"The '{member}' value is too long; the limit is '{_LONGEST}'")
            if text and not _PRINTABLE.fullmatch(text):
                raise invalid(f"Condition value '{text}' contains a character that is not valid")
        stored.append({member: pair[member] for member in ("Key", "Value") if pair.get(member)})
    return {"Values": stored}


def _source_ip(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("IpAddressType"):
        raise invalid("'IpAddressType' is not supported for application load balancers")
    if not config.get("Values"):
        raise invalid("A 'source-ip' value must be specified")
    for value in config["Values"]:
        if "/" not in value or not _is_network(value):
            raise invalid(f"The 'source-ip' value '{value}' must be in CIDR format")
    return {"Values": list(config["Values"])}


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "path-pattern": _path,
    "host-header": _host,
    "http-header": _header,
    "http-request-method": _method,
    "query-string": _query,
    "source-ip": _source_ip,
}


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _some(config: Mapping[str, Any]) -> Sequence[Any]:
    values: Sequence[Any] = config.get("Values") or ()
    if not values:
        raise invalid("A condition value must be specified")
    return values


def _check_length(field: str, value: str) -> None:
    if not value:
        raise invalid("A condition value must be specified")
    if len(value) > _LONGEST:
        raise invalid(f"The '{field}' value is too long; the limit is '{_LONGEST}'")


def _count(stored: Mapping[str, Any]) -> int:
    config = stored[_CONFIGS[stored["Field"]]]
    return len(config.get("Values", ())) + len(config.get("RegexValues", ()))


def _texts(stored: Mapping[str, Any]) -> list[str]:
    """The texts of a condition in which ``*`` and ``?`` are wildcards."""
    values = stored[_CONFIGS[stored["Field"]]].get("Values", ())
    if stored["Field"] == "query-string":
        return [text for pair in values for text in pair.values()]
    return list(values) if stored["Field"] in _WITH_REGEX else []
