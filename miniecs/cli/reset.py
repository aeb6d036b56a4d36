"""`miniecs reset`: an empty world, or the one that `up` makes, without starting anything anew."""

from __future__ import annotations

from miniecs.cli import output, processes, readiness
from miniecs.cli.client import connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem

_READY_WITHIN = 30.0
_LOOK_EVERY = 0.1


def reset(folder: DataFolder, *, restore: bool, as_json: bool) -> None:
    """Wipe everything; with ``restore`` return when the instances of `up` are connected again."""
    answer = connect(folder).post("reset", restore=restore)
    settings = folder.settings()
    told = "Everything is wiped: no cluster, no container instance, no task is left."
    if restore and settings is not None:
        for _ in range(int(_READY_WITHIN / _LOOK_EVERY)):
            state = readiness.look(folder, settings, settings.instances)
            if state.ready:
                break
            processes.pause(_LOOK_EVERY)
        else:
            raise Problem(f"Reset, but {settings.cluster} is not ready after {_READY_WITHIN:g} s.")
        told = f"Everything is wiped and made anew: {readiness.describe(state, settings)}."
    if as_json:
        output.print_json(answer)
    else:
        print(told)
