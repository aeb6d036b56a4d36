"""Account and region: the two names that keep one user's state apart from another's."""

from __future__ import annotations

from typing import NamedTuple


class Scope(NamedTuple):
    """An AWS account (twelve digits) in one region. State never crosses it."""

    account: str
    region: str

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


class Tag(NamedTuple):
    """A resource tag; at most 50 on one resource."""

    key: str
    value: str
