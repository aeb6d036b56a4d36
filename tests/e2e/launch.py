"""The real server in a process of its own, with what only a test wants: switches and a look inside.

``python launch.py DATA_DIR``. SIGUSR2 reads off.json of the data folder, a list of names of LOOPS that decide
nothing from then on, and removes it. SIGUSR1 writes containers.json: what the simulated engines hold, which
no API tells.
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
from miniecs.control import (
    daemons,
    definitions,
    draining,
    failures,
    groups,
    instances,
    managed_scaling,
    provisioning,
    rebalancing,
    releases,
    rolling,
    services,
    targets,
    task_sets,
    tasks,
)
from miniecs.control.plan import NOTHING
from miniecs.serve import simulated
from miniecs_agent.sim.instances import SimulatedInstances
from miniecs_api import links
from miniecs_api.group_machines import GroupMachines

# Name -> where the loop decides, and what it answers when it decides nothing.
LOOPS: dict[str, tuple[ModuleType | type, str, Any]] = {
    "services": (services, "plan", NOTHING),
    "replicas": (rolling, "decide", None),
    "daemons": (daemons, "decide", 0),
    "draining daemons": (draining, "others_remain", 1),
    "failures": (failures, "found", None),
    "completion": (releases, "complete", ""),
    "rebalancing": (rebalancing, "begin", None),
    "task sets": (task_sets, "plan", NOTHING),
    "tasks": (tasks, "plan", NOTHING),
    "targets": (targets, "plan", NOTHING),
    "registrations": (targets, "registrations", []),
    "probes": (links, "report_probes", None),
    "instances": (instances, "plan", NOTHING),
    "clusters": (instances, "plan_cluster", NOTHING),
    "definitions": (definitions, "plan", NOTHING),
    "provisioning": (provisioning, "plan", NOTHING),
    "managed scaling": (managed_scaling, "plan", NOTHING),
    "groups": (groups, "plan", NOTHING),
    "group machines": (GroupMachines, "converge", None),
}
_off: set[str] = set()


def _switched(name: str, original: Callable[..., Any], nothing: Any) -> Callable[..., Any]:
    def decide(*args: Any, **kwargs: Any) -> Any:
        return nothing if name in _off else original(*args, **kwargs)

    return decide


class _Watched(SimulatedInstances):
    """The simulated hosts, and on their event loop the answers to the test's signals."""

    folder: Path

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._tell)
        loop.add_signal_handler(signal.SIGUSR2, self._switch)

    def _switch(self) -> None:
        names = self.folder / "off.json"
        _off.clear()
        _off.update(json.loads(names.read_text()))
        names.unlink()

    def _tell(self) -> None:
        told = [
            {"instance": host.arn, "task": each.task_arn, "name": each.name, "state": each.state}
            for host in self
            for each in host.engine.containers()
        ]
        unfinished = self.folder / "containers.new"
        unfinished.write_text(json.dumps(told))
        os.replace(unfinished, self.folder / "containers.json")


def launch(folder: str) -> None:
    for name, (module, function, nothing) in LOOPS.items():
        setattr(module, function, _switched(name, getattr(module, function), nothing))
    _Watched.folder = Path(folder)
    setattr(simulated, "SimulatedInstances", _Watched)  # noqa: B010 - it is no export of the module
    sys.argv = ["miniecs", "server", "--data-dir", folder]
    main()


if __name__ == "__main__":
    launch(sys.argv[1])
