"""A process that writes to a store until it is killed, and says on its standard output what was acknowledged.

Each round is one transaction over two tasks, a service and an event, so that half of one would show.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store import SqliteStore

from .samples import DEFAULT, WEB, message, task


def write_until_killed(path: Path) -> None:
    store = SqliteStore(path)
    for number in count(1):
        with store.transaction() as tx:
            tx.put(task(f"left-{number}"))
            tx.put(task(f"right-{number}"))
            tx.delete(Task, task(f"left-{number - 50}").arn)
            tx.put(Service(WEB, "web", DEFAULT, desired_count=number))
            tx.emit(message(str(number)))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]))
