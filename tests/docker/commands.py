"""Commands of containers for tests. PID 1 has no default actions: what is to obey a signal must listen."""

from __future__ import annotations

import contextlib

import docker.errors

from .daemon import Engine
from .waiting import until

OBEDIENT = ["sh", "-c", "trap 'exit 7' TERM; sleep 3600 & wait"]
DEAF = ["sh", "-c", "trap '' TERM; sleep 3600; true"]
ON_CUE = ["sh", "-c", "trap 'exit 5' USR1; sleep 3600 & wait"]


def cue(engine: Engine, runtime_id: str) -> None:
    """Have a container of ON_CUE end by itself. By a clock it might do so before its test is ready."""
    until("the container to end on its cue", lambda: _has_ended(engine, runtime_id))


def _has_ended(engine: Engine, runtime_id: str) -> bool:
    if not engine.client.api.inspect_container(runtime_id)["State"]["Running"]:
        return True
    with contextlib.suppress(docker.errors.APIError):  # it has ended meanwhile
        engine.client.api.kill(runtime_id, signal="USR1")
    return False
