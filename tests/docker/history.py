"""What an engine did with a task's containers, by its own event log: nothing may have been done twice."""

from __future__ import annotations

import time
from collections import Counter

from .daemon import Engine


class History:
    """Of one engine, from now on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._since = time.time()

    def of(self, task_arn: str) -> dict[str, Counter[str]]:
        """How often each thing happened (create, start, die, destroy …), by container."""
        told: dict[str, Counter[str]] = {}
        wanted = {"type": "container", "label": f"com.amazonaws.ecs.task-arn={task_arn}"}
        for event in self._engine.client.events(
            since=f"{self._since:.6f}", until=f"{time.time():.6f}", filters=wanted, decode=True
        ):
            name = event["Actor"]["Attributes"]["com.amazonaws.ecs.container-name"]
            told.setdefault(name, Counter())[event["Action"].partition(":")[0]] += 1
        return told

    def once(self, task_arn: str, *actions: str) -> None:
        """Each of these has happened once to each container of the task; create and start never twice.

        A container that could not be started, as when its port was taken, may have been made again.
        """
        told = self.of(task_arn)
        assert told, f"the engine knows nothing of {task_arn}"
        for name, counted in told.items():
            counted["create"] -= counted.pop("destroy", 0)
            twice = [each for each in ("create", "start", "die") if counted[each] > 1]
            missing = [each for each in actions if counted[each] != 1]
            assert not twice and not missing, f"{name} of {task_arn}: {dict(counted)}"
