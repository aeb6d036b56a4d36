"""How Python's garbage collector is set while a server runs, in one place for all that measure one.

Objects here are frozen and rarely in cycles: collect seldom, and never look at what the start made.
Otherwise a tenth of the time of a busy server goes to walking task definitions that live on. A collection
should find that most of what is under way has gone by itself: while a thousand tasks start, they are some
40,000 objects.
"""

from __future__ import annotations

import gc

_THRESHOLDS = (200_000, 20, 50)


def spare_the_collector() -> None:
    """Call once everything that lives as long as the process has been made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
