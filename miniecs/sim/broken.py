"""What breaking an invariant raises, apart from those who check, who do not know each other."""

from __future__ import annotations

from typing import NoReturn


class InvariantBroken(AssertionError):
    """Something that must never happen has happened; ``name`` is the invariant's."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


def broken(name: str, what: str) -> NoReturn:
    raise InvariantBroken(name, what)
