"""Pages of ECS's list operations: the API's model names no bounds for maxResults, so ECS's are here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from miniecs_api.paging import page
from miniecs_api.wire.errors import AwsError

T = TypeVar("T")


def ecs_page(
    items: Sequence[T],
    params: dict[str, Any],
    name: str,
    render: Callable[[T], Any] = lambda item: item,
    *,
    key: Callable[[T], str] = str,
    most: int = 100,
    default: int | None = None,
) -> dict[str, Any]:
    """The result {name: one page of items, nextToken if there is more}; up to ``most`` in a page.

    default: how many where the caller does not say; ``most`` unless told.
    """
    size = params.get("maxResults")
    if size is not None and not 1 <= size <= most:
        raise AwsError("InvalidParameterException", f"maxResults must be between 1 and {most}.")
    shown, token = page(items, params, default=default or most, key=key)
    return {name: [render(item) for item in shown], "nextToken": token}
