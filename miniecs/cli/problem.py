"""The one way in which a command fails: a sentence for the user, and an exit code. Never a traceback."""

from __future__ import annotations

FAILED = 1
ASKED_WRONGLY = 2


class Problem(Exception):
    """Says what happened, to which thing, and what to do next."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
