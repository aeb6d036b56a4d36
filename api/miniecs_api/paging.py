"""Pages of a list: maxResults and nextToken as AWS's list operations give them.

A token is opaque and holds the last item that was given and its place, so that the next
page is right even when items were added or removed in between.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from miniecs_api.wire.errors import AwsError

T = TypeVar("T")


def page(
    items: Sequence[T],
    params: dict[str, Any],
    *,
    default: int = 100,
    key: Callable[[T], str] = str,
    limit: str = "maxResults",
    token: str = "nextToken",
    error: str = "InvalidParameterException",
) -> tuple[list[T], str | None]:
    """One page of items (sorted by the caller) and the token of the next, None when there is none.

    key must be unique among the items; it is what the token remembers.
    """
    size = int(params.get(limit) or default)
    start = _after(items, key, params[token], error) if params.get(token) else 0
    chosen = list(items[start : start + size])
    end = start + len(chosen)
    if not chosen or end >= len(items):
        return chosen, None
    return chosen, _encode(end, key(chosen[-1]))


def _after(items: Sequence[T], key: Callable[[T], str], token: str, error: str) -> int:
    """Where the page after the token begins: behind the item it names, or at its place if that is gone."""
    place, last = _decode(token, error)
    if 0 < place <= len(items) and key(items[place - 1]) == last:
        return place
    for index, item in enumerate(items):
        if key(item) == last:
            return index + 1
    return min(place, len(items))


def _encode(place: int, last: str) -> str:
    return base64.urlsafe_b64encode(f"{place}:{last}".encode()).decode()


def _decode(token: str, error: str) -> tuple[int, str]:
    try:
        place, _, last = base64.urlsafe_b64decode(token.encode("ascii")).decode().partition(":")
        return int(place), last
    except (binascii.Error, UnicodeError, ValueError) as problem:
        raise AwsError(error, "Invalid token.") from problem
