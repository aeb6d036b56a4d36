"""The marks that make a function an AWS operation.

A module of their own, so that the operations need not know how they are found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., dict[str, Any]])


def operation(function: F) -> F:
    """The function is the operation of its name: ``create_cluster`` is CreateCluster."""
    return _mark(function, reads=False)


def read_operation(function: F) -> F:
    """Likewise, and it writes nothing."""
    return _mark(function, reads=True)


def _mark(function: F, reads: bool) -> F:
    function.__aws__ = True  # type: ignore[attr-defined]
    function.__reads__ = reads  # type: ignore[attr-defined]
    return function
