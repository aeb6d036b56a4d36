"""Capacity provider strategies as people write them: the AWS CLI's words, or ECS's objects.

``capacityProvider=spot,weight=3,base=1``, or only a name.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from miniecs.model.cluster import CapacityProviderStrategyItem
from miniecs.planning.validate import nearest

_MEMBERS: Final = ("capacityProvider", "weight", "base")
_MOST: Final = {"weight": 1_000, "base": 100_000}
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")


def provider_item(given: Any) -> CapacityProviderStrategyItem:
    """One entry of a strategy. Raises ValueError."""
    if isinstance(given, CapacityProviderStrategyItem):
        return given
    parts = _words(given) if isinstance(given, str) else given
    if not isinstance(parts, dict):
        raise ValueError("must be like capacityProvider=spot,weight=3,base=1, or an object with these")
    for member in parts:
        if member not in _MEMBERS:
            meant = nearest(str(member), _MEMBERS)
            hint = f"did you mean {meant}?" if meant else f"known are {', '.join(_MEMBERS)}"
            raise ValueError(f"{member}: unknown; {hint}")
    name = parts.get("capacityProvider")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"capacityProvider must be the name of one, not {name!r}")
    return CapacityProviderStrategyItem(name, _number(parts, "weight"), _number(parts, "base"))


def _words(text: str) -> dict[str, Any]:
    if "=" not in text:
        return {"capacityProvider": text.strip()}
    found: dict[str, Any] = {}
    for part in text.split(","):
        member, _, value = part.partition("=")
        if member.strip() in found:
            raise ValueError(f"{member.strip()} is given twice in {text!r}")
        found[member.strip()] = value.strip()
    return found


def _number(parts: dict[str, Any], member: str) -> int:
    value, most = parts.get(member, 0), _MOST[member]
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{member} must be a whole number of 0 to {most}, not {value!r}")
    return value


def alone(given: Any) -> Any:
    """The only entry may stand without its list."""
    return [given] if isinstance(given, (str, dict)) else given


ProviderStrategy = Annotated[
    tuple[Annotated[CapacityProviderStrategyItem, BeforeValidator(provider_item)], ...],
    BeforeValidator(alone),
]
"""A list of entries, or the only one."""
