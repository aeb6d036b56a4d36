"""Tags of CloudWatch's resources, from the API's pairs and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from miniecs.model.scope import Tag
from miniecs_api.cloudwatch.alarm_params import invalid

_MOST = 50


def to_tags(given: Iterable[Mapping[str, Any]], before: Iterable[Tag] = ()) -> tuple[Tag, ...]:
    """The tags that there are then: a key that is given again takes the new value."""
    values = {tag.key: tag.value for tag in before}
    for pair in given:
        if pair["Key"].lower().startswith("aws:"):
            raise invalid("Tag keys that start with aws: are reserved.")
        values[pair["Key"]] = pair["Value"]
    if len(values) > _MOST:
        raise invalid(f"A resource can have at most {_MOST} tags.")
    return tuple(Tag(key, value) for key, value in values.items())


def render_tags(tags: Iterable[Tag]) -> list[dict[str, str]]:
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]
