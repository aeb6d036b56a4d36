"""The store that lives as long as its process: for simulations and tests.

It is the engine as it is; durability is what the other stores add.
"""

from __future__ import annotations

from miniecs.store.engine import Engine


class MemoryStore(Engine):
    """A store in memory."""
