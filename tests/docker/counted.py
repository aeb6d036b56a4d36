"""How many of a family's containers an engine runs, asked of the engine itself while something happens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import docker.errors

from .daemon import Engine
from .miniecs import Miniecs
from .truth import OWNER


@dataclass
class Counted:
    """At every look: how many the engine listed, and how many of those ran when each was asked after.

    An engine says that a container has ended before its listing shows it, so that the one number may be too
    high; the other one may be too low, for a container may end before it is asked after.
    """

    listed: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)

    @property
    def fewest(self) -> int:
        return min(self.listed)

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
            found = own.client.api.containers(filters={"label": labels})
            seen.listed.append(len(found))
            seen.running.append(sum(runs(each["Id"]) for each in found))

    def runs(container: str) -> bool:
        try:
            return bool(own.client.api.inspect_container(container)["State"]["Running"])
        except docker.errors.NotFound:
            return False

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()
        own.close()
