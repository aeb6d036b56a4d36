"""What a scenario chooses at random: from a seed of its own, so that it does not depend on what happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from miniecs.ids import Ids

T = TypeVar("T")


class Choices(Ids):
    """Random choices among things."""

    def one(self, things: Sequence[T]) -> T:
        return things[self.number(len(things))]

    def some(self, things: Iterable[T], count: int) -> list[T]:
        """So many of them, or all; none twice."""
        left = list(things)
        return [left.pop(self.number(len(left))) for _ in range(min(count, len(left)))]
