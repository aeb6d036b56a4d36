"""How far the images of PENDING tasks are: what agents tell of it, kept in memory for `ps` and `explain`.

Nobody decides by it and the next message replaces it, so a restart may lose it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from miniecs.model.task import Task
from miniecs.store import Store

_MEGABYTE = 1_000_000  # as registries and Docker count
_LONGEST = 200


class Pull(NamedTuple):
    """One container's image. current, total: bytes; total 0: not known."""

    container: str
    image: str
    status: str
    current: int
    total: int


class Pulls:
    """The latest of each container of each PENDING task."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pulls: dict[str, dict[str, Pull]] = {}

    def __len__(self) -> int:
        return len(self._pulls)

    def received(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        """A PullProgress message. What makes no sense is ignored, and what no task waits for."""
        body = message.get("message")
        if not isinstance(body, Mapping):
            return
        task = self._store.get(Task, str(body.get("taskArn")))
        if task is None or task.container_instance_arn != instance_arn or not _waits(task):
            return
        if task.arn not in self._pulls:
            self._forget()
        container = str(body.get("container"))
        if any(container == other.name for other in task.containers):
            self._pulls.setdefault(task.arn, {})[container] = Pull(
                container,
                str(body.get("image"))[:_LONGEST],
                str(body.get("status"))[:_LONGEST],
                _count(body.get("current")),
                _count(body.get("total")),
            )

    def of(self, task: Task) -> list[Pull]:
        """Of the containers that have none yet, in the order of the task's."""
        pulls = self._pulls.get(task.arn, {}) if _waits(task) else {}
        return [
            pulls[container.name]
            for container in task.containers
            if container.name in pulls and container.runtime_id is None
        ]

    def clear(self) -> None:
        """The store was wiped, which tells nobody."""
        self._pulls.clear()

    def _forget(self) -> None:
        """Those of tasks that wait no more."""
        for arn in list(self._pulls):
            task = self._store.get(Task, arn)
            if task is None or not _waits(task):
                del self._pulls[arn]


def said(pull: Pull) -> str:
    """For people: ``pulling httpd:2.4, 34 of 58 MB``."""
    if pull.total <= 0:
        return f"pulling {pull.image}"
    current, total = min(pull.current, pull.total) / _MEGABYTE, pull.total / _MEGABYTE
    digits = 0 if total >= 10 else 1
    return f"pulling {pull.image}, {current:.{digits}f} of {total:.{digits}f} MB"


def _waits(task: Task) -> bool:
    return task.last_status == "PENDING" and task.wanted


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
