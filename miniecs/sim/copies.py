"""What is worked out in a copy of this process, and leaves nothing behind in this one.

A simulated world is thousands of objects that refer to each other and to what they call; the kernel copies
them all in a moment, and of that only the pages which are written to.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


def in_a_copy(make: Callable[[], T]) -> T:
    """What it makes there, sent back. Raises RuntimeError when the copy ended without; it has told why."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(there, make))
    process.start()
    there.close()
    try:
        made: T = here.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the copy of this process ended with {process.exitcode}") from None
    finally:
        here.close()
    process.join()
    return made


def _send(to: Connection, make: Callable[[], T]) -> None:
    to.send(make())
