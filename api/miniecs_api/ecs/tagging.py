"""Tags on ECS's resources: checking what is given, and writing it where it belongs.

The lengths and characters of keys and values are in the API's shapes and were checked before;
here is what ECS says beyond them (developer guide, "Tag restrictions").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from miniecs.model.scope import Tag
from miniecs_api.wire.errors import AwsError

LIMIT = 50


def to_tags(given: Iterable[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    """Tags from key/value pairs; a missing value is an empty one."""
    tags = tuple(Tag(pair.get("key") or "", pair.get("value") or "") for pair in given or ())
    seen: set[str] = set()
    for tag in tags:
        if not tag.key:
            raise _invalid("Tag keys cannot be null or empty.")
        if tag.key.lower().startswith("aws:") or tag.value.lower().startswith("aws:"):
            raise _invalid("Tag keys and values that start with 'aws:' are reserved for system use.")
        if tag.key in seen:
            raise _invalid(f"Duplicate tag keys found: {tag.key}. Each tag key must be unique.")
        seen.add(tag.key)
    return within_limit(tags)


def merged(before: Iterable[Tag], given: Iterable[Tag]) -> tuple[Tag, ...]:
    """before with given added; a key that is there takes the new value and keeps its place."""
    values = dict(before) | dict(given)
    return within_limit(tuple(Tag(key, value) for key, value in values.items()))


def without(before: Iterable[Tag], keys: Iterable[str]) -> tuple[Tag, ...]:
    gone = frozenset(keys)
    return tuple(tag for tag in before if tag.key not in gone)


def within_limit(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """Tags that AWS itself made (``aws:…``) do not count against the limit."""
    if sum(not tag.key.startswith("aws:") for tag in tags) > LIMIT:
        raise _invalid(f"The maximum number of tags on a resource is {LIMIT}.")
    return tags


def render_tags(tags: Iterable[Tag]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags]


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
