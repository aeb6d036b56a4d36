"""What an engine did with containers, by its own events: nothing may have been done twice.

They are followed as they come, since an engine remembers only the last 256.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import docker.errors
import requests
import urllib3.exceptions

from .daemon import Engine
from .waiting import NotReached, until

_TASK = "com.amazonaws.ecs.task-arn"
_NAME = "com.amazonaws.ecs.container-name"
# However it shows that the stream was closed, or that the engine has gone.
_ENDED = (OSError, requests.RequestException, urllib3.exceptions.HTTPError, docker.errors.DockerException)


class History:
    """Of one engine, from now on until ``close``, or until the engine ends."""

    def __init__(self, engine: Engine) -> None:
        self._client = Engine(engine.url)
        self._seen: dict[str, dict[str, Counter[str]]] = {}
        self._marks: set[str] = set()
        self._stream: Any = self._client.client.events(decode=True)
        self._thread = threading.Thread(target=self._follow)
        self._marked = 0
        self._thread.start()
        # An engine answers a moment before it begins to listen to itself.
        until("the engine's events", self._mark)

    def _follow(self) -> None:
        try:
            for event in self._stream:
                told = event["Actor"]["Attributes"]
                if event["Type"] == "volume" and event["Action"] == "create":
                    self._marks.add(event["Actor"]["ID"])
                elif event["Type"] == "container" and _TASK in told:
                    counted = self._seen.setdefault(told[_TASK], {}).setdefault(told[_NAME], Counter())
                    counted[event["Action"].partition(":")[0]] += 1
        except _ENDED:
            return

    def close(self) -> None:
        self._stream.close()
        self._thread.join(10.0)
        self._client.close()

    def of(self, task_arn: str) -> dict[str, Counter[str]]:
        """How often each thing happened (create, start, die, destroy …), by container."""
        self._catch_up()
        return {name: Counter(counted) for name, counted in self._seen.get(task_arn, {}).items()}

    def _catch_up(self) -> None:
        """Wait for an event of our own: all that happened before it has been heard."""
        assert self._mark(within=30.0), "the engine's events do not come"

    def _mark(self, within: float = 0.2) -> bool:
        """Whether an event that is made here was heard."""
        self._marked += 1
        name = f"miniecs-test-mark-{id(self)}-{self._marked}"
        self._client.client.volumes.create(name)
        try:
            until("the mark", lambda: name in self._marks, within=within, every=0.005)
        except NotReached:
            return False
        finally:
            self._client.client.api.remove_volume(name)
        return True

    def once(self, task_arn: str, *actions: str) -> None:
        """Each of these has happened once to each container of the task; create and start never twice.

        A container that could not be started, as when its port was taken, may have been made again.
        """
        told = self.of(task_arn)
        assert told, f"the engine knows nothing of {task_arn}"
        for name, counted in told.items():
            left = Counter(counted)
            left["create"] -= left["destroy"]
            twice = [each for each in ("create", "start", "die") if left[each] > 1]
            missing = [each for each in actions if left[each] != 1]
            assert not twice and not missing, f"{name} of {task_arn}: {dict(counted)}"
