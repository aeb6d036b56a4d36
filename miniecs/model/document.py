"""The base of the documents that users send: one declaration is validation, wire form and stored form.

Documents are pydantic models because they are deep, arrive from outside and exist in small
numbers; what exists in large numbers (tasks, instances, targets) is a slotted dataclass.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Document(BaseModel):
    """A frozen structure whose members are snake_case here and the API's camelCase on the wire."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
    )

    def wire(self) -> dict[str, Any]:
        """The API's form: its member names, lists and dicts only, nothing that is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def named(name: str, **options: Any) -> Any:
    """A member whose API name does not follow from its own.

    Two aliases instead of one, because type checkers read ``alias`` as the constructor's keyword.
    """
    return Field(validation_alias=name, serialization_alias=name, **options)
