"""What becomes of a picture that cannot be drawn: the same exit codes in every command that draws.

Apart from the commands because two of them must not import the pictures before one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from miniecs.cli.problem import ASKED_WRONGLY, FAILED, Problem
from miniecs.plots.style import PathProblem, PlotProblem


@contextmanager
def told_as_problems() -> Iterator[None]:
    """Raises Problem: a name that no picture can have is asked wrongly, all else is a failure."""
    try:
        yield
    except PlotProblem as problem:
        code = ASKED_WRONGLY if isinstance(problem, PathProblem) else FAILED
        raise Problem(str(problem), code) from problem
