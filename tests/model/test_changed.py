"""Changed objects are what dataclasses.replace makes of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from miniecs.model.changed import changed
from miniecs.model.task import Container, Task

TASK = Task("arn", "cluster", "definition", "group", containers=(Container("id", "app"),), version=3)


@pytest.mark.parametrize("changes", [{}, {"version": 4}, {"last_status": "RUNNING", "started_at": 1.5}])
def test_as_replace_does(changes: dict[str, Any]) -> None:
    assert changed(TASK, changes) == replace(TASK, **changes)


def test_every_field_keeps_its_place() -> None:
    for field in fields(Container):
        container = changed(Container("id", "app"), {field.name: "new"})
        assert getattr(container, field.name) == "new"


def test_it_is_frozen_and_another() -> None:
    after = changed(TASK, {})
    assert after is not TASK
    with pytest.raises(FrozenInstanceError):
        after.version = 5  # type: ignore[misc]


def test_what_is_no_field_is_an_error() -> None:
    with pytest.raises(KeyError):
        changed(TASK, {"status": "RUNNING"})
