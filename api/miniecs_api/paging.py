"""Pages of a list: maxResults and nextToken as AWS's list operations give them.

A token is opaque and names the last item that was given, so that a page is right even
when items were added or removed in between.
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
    start = 0
    given = params.get(token)
    if given:
        last = decode_token(given, error)
        # The item may be gone: then its successor by position is found by the key order of the caller's sort.
        start = next((i + 1 for i, item in enumerate(items) if key(item) == last), -1)
        if start < 0:
            raise AwsError(error, "Invalid token.")
    chosen = list(items[start : start + size])
    more = start + size < len(items)
    return chosen, encode_token(key(chosen[-1])) if more and chosen else None


def encode_token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def decode_token(token: str, error: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode("ascii")).decode()
    except (binascii.Error, UnicodeError, ValueError) as problem:
        raise AwsError(error, "Invalid token.") from problem
