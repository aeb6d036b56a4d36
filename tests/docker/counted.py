"""How many of a family's containers an engine runs, asked of the engine itself while something happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .daemon import Engine
from .miniecs import Miniecs
from .truth import OWNER


@dataclass
class Counted:
    """At every look."""

    running: list[int] = field(default_factory=list)

    @property
    def fewest(self) -> int:
        return min(self.running)

    @property
    def most(self) -> int:
        return max(self.running)


@contextmanager
def counted(engine: Engine, miniecs: Miniecs, family: str) -> Iterator[Counted]:
    """Ask the engine ten times a second; others may use it as well."""
    seen, end = Counted(), threading.Event()
    own = Engine(engine.url)
    labels = [
        f"com.amazonaws.ecs.task-definition-family={family}",
        f"{OWNER}={miniecs.settings['owner']}",
    ]

    def look() -> None:
        while not end.wait(0.1):
            seen.running.append(len(own.client.api.containers(filters={"label": labels})))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()
        own.close()
