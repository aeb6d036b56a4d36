"""What a rule changes of a request before it forwards it: its host header and its URL.

Source: API reference, RuleTransform; user guide, "Transforms for listener rules".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from miniecs_api.elbv2.conditions import check_regex
from miniecs_api.elbv2.refusals import invalid

_CONFIGS = {"host-header-rewrite": "HostHeaderRewriteConfig", "url-rewrite": "UrlRewriteConfig"}
_LONGEST = 1024


def checked(transforms: Sequence[Mapping[str, Any]] | None) -> tuple[dict[str, Any], ...]:
    """A rule's transforms as they are stored, at most one of each type. Raises ValidationError."""
    stored = tuple(_one(transform) for transform in transforms or ())
    if len({transform["Type"] for transform in stored}) < len(stored):
        raise invalid("A rule can only have one transform of each type")
    return stored


def _one(transform: Mapping[str, Any]) -> dict[str, Any]:
    type = transform["Type"]
    for other, member in _CONFIGS.items():
        if other != type and transform.get(member):
            raise invalid(f"{member} cannot be specified for transforms of type '{type}'")
    rewrites = (transform.get(_CONFIGS[type]) or {}).get("Rewrites") or []
    if len(rewrites) != 1:
        raise invalid(f"Exactly one rewrite must be specified for transforms of type '{type}'")
    rewrite = rewrites[0]
    for member in ("Regex", "Replace"):
        if len(rewrite[member]) > _LONGEST:
            raise invalid(f"The '{member}' value is too long; the limit is '{_LONGEST}'")
    check_regex(rewrite["Regex"])
    kept = {"Regex": rewrite["Regex"], "Replace": rewrite["Replace"]}
    return {"Type": type, _CONFIGS[type]: {"Rewrites": [kept]}}
