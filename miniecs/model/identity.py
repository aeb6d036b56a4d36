"""What follows from an immutable object alone, worked out once for that very object.

``functools.lru_cache`` asks for its hash each time. With a container instance's sixty attributes that
takes longer than most answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Made = TypeVar("Made")


def once_for_each(most: int) -> Callable[[Callable[[T], Made]], Callable[[T], Made]]:
    """Decorates a function of one object. It forgets all when there are so many, and begins anew."""

    def decorate(make: Callable[[T], Made]) -> Callable[[T], Made]:
        known: dict[int, tuple[T, Made]] = {}

        def made(thing: T) -> Made:
            found = known.get(id(thing))
            if found is None:
                if len(known) >= most:
                    known.clear()
                # It holds on to the object, so that the identity stays the object's.
                found = known[id(thing)] = (thing, make(thing))
            return found[1]

        return made

    return decorate
