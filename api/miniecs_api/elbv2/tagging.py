"""Tags on load balancing's resources: checking what is given, and writing it where it belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from miniecs.model.scope import Tag
from miniecs_api.elbv2.refusals import invalid
from miniecs_api.wire.errors import AwsError

LIMIT = 50


def to_tags(
    given: Iterable[Mapping[str, Any]] | None, *, duplicate: str = "DuplicateTagKeys"
) -> tuple[Tag, ...]:
    """Tags from Key/Value pairs. duplicate: the code for a repeated key; some operations lack AWS's own."""
    tags = tuple(Tag(pair["Key"], pair.get("Value") or "") for pair in given or ())
    seen: set[str] = set()
    for tag in tags:
        if tag.key.lower().startswith("aws:"):
            raise invalid("Tag keys that start with 'aws:' are reserved for system use")
        if tag.key in seen:
            raise AwsError(duplicate, f"Tag key was specified more than once: {tag.key}")
        seen.add(tag.key)
    return within_limit(tags)


def merged(before: Iterable[Tag], given: Iterable[Tag]) -> tuple[Tag, ...]:
    """before with given added; a key that is there takes the new value and keeps its place."""
    values = {tag.key: tag.value for tag in before} | {tag.key: tag.value for tag in given}
    return within_limit(tuple(Tag(key, value) for key, value in values.items()))


def within_limit(tags: tuple[Tag, ...]) -> tuple[Tag, ...]:
    if len(tags) > LIMIT:
        raise AwsError("TooManyTags", "You've reached the limit on the number of tags for this resource.")
    return tags
