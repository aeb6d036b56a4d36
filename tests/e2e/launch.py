"""The real server in a process of its own, with what only a test wants: loops switched off, containers shown.

``python launch.py DATA_DIR [LOOP …]``: each LOOP, a name of LOOPS, decides nothing. SIGUSR1 writes
containers.json into the data folder: what the simulated engines hold, which no API tells.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from miniecs.cli import main
from miniecs.control import daemons, definitions, instances, rolling, services, targets, tasks
from miniecs.control.plan import NOTHING
from miniecs.serve import server
from miniecs_agent.simulated import SimulatedInstances


def _no_plan(*_: Any, **__: Any) -> Any:
    return NOTHING


def _no_tasks(*_: Any, **__: Any) -> None:
    """rolling.decide, which puts nothing into the draft."""


def _no_instances(*_: Any, **__: Any) -> int:
    """daemons.decide, which puts nothing into the draft and finds nothing eligible."""
    return 0


def _nobody_leaves(*_: Any, **__: Any) -> list[Any]:
    return []


LOOPS: dict[str, tuple[ModuleType, str, Callable[..., Any]]] = {
    "services": (services, "plan", _no_plan),
    "rolling": (rolling, "decide", _no_tasks),
    "daemons": (daemons, "decide", _no_instances),
    "tasks": (tasks, "plan", _no_plan),
    "targets": (targets, "plan", _no_plan),
    "registrations": (targets, "registrations", _nobody_leaves),
    "instances": (instances, "plan", _no_plan),
    "clusters": (instances, "plan_cluster", _no_plan),
    "tokens": (instances, "plan_token", _no_plan),
    "definitions": (definitions, "plan", _no_plan),
}


class _Watched(SimulatedInstances):
    """Tells what its engines hold when it is asked with SIGUSR1."""

    folder: Path

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._tell)

    def _tell(self) -> None:
        told = [
            {"instance": host.arn, "task": each.task_arn, "name": each.name, "state": each.state}
            for host in self
            for each in host.engine.containers()
        ]
        unfinished = self.folder / "containers.new"
        unfinished.write_text(json.dumps(told))
        os.replace(unfinished, self.folder / "containers.json")


def launch(folder: str, off: list[str]) -> None:
    for name in off:
        module, function, nothing = LOOPS[name]
        setattr(module, function, nothing)
    _Watched.folder = Path(folder)
    setattr(server, "SimulatedInstances", _Watched)  # noqa: B010 - it is no export of the module
    sys.argv = ["miniecs", "server", "--data-dir", folder]
    main()


if __name__ == "__main__":
    launch(sys.argv[1], sys.argv[2:])
