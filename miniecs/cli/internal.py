"""The commands that miniecs gives to itself: ``server``, ``agent --data-dir``, ``proxy`` and ``supervise``.

They go past typer: a server keeps in memory what it imports, and a start is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from datetime import datetime
from pathlib import Path

from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem
from miniecs.config import ServerSettings

DEFAULT_DATA_DIR = "~/.miniecs"
_WATCH_EVERY = 0.5


def data_folder(given: str | Path | None) -> DataFolder:
    """The folder that was given, else MINIECS_DATA_DIR, else the default; in its one absolute spelling."""
    chosen = given or os.environ.get("MINIECS_DATA_DIR") or DEFAULT_DATA_DIR
    return DataFolder(Path(chosen).expanduser().resolve())


def server(arguments: list[str]) -> int:
    """Serve in the foreground with the folder's settings, or the defaults where `up` never ran."""
    folder = _parse("server", "serve in the foreground; `miniecs up` starts and watches it", arguments)
    decided = folder.settings()
    if decided is None:
        from miniecs.cli.settings import completed, with_credentials

        decided = with_credentials(completed(None, folder.path, {}))
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.save(decided)
    from miniecs.serve import main

    return main(decided)


def is_local_agent(arguments: list[str]) -> bool:
    """Whether it is the agent of a data folder, not the one that a user starts on another host."""
    return len(arguments) == 3 and arguments[:2] == ["agent", "--data-dir"]


def agent(arguments: list[str]) -> int:
    """Play the container instances of this machine's own cluster; `miniecs up` starts and watches it."""
    folder = _parse("agent", "be the agent of a data folder; `miniecs up` starts and watches it", arguments)
    decided = folder.settings()
    if decided is None:
        raise Problem(f"Nothing was started yet on {folder.path}. `miniecs up --detach` starts it.")
    from miniecs_agent.shell.main import AgentOptions, main

    return main(
        AgentOptions(
            endpoint=decided.endpoint,
            access_key=decided.join_access_key,
            secret_key=decided.join_secret,
            local=True,
            engine=decided.engine,
            name=socket.gethostname(),
            run_file=folder.role_file("agent"),
        )
    )


def proxy(arguments: list[str]) -> int:
    """Carry the traffic of the folder's load balancers; `miniecs up` starts and watches it."""
    folder = _parse("proxy", "be the proxy of a data folder; `miniecs up` starts and watches it", arguments)
    decided = folder.settings()
    if decided is None:
        raise Problem(f"Nothing was started yet on {folder.path}. `miniecs up --detach` starts it.")
    from miniecs.proxy.main import run

    run(folder.path, decided.endpoint, decided.owner)
    return 0


def supervise(arguments: list[str]) -> int:
    """Watch the folder's processes until told to end; what `up --detach` leaves behind."""
    folder = _parse("supervise", "start what a cluster needs and restart what dies", arguments)
    decided = folder.settings() or ServerSettings(str(folder.path))
    from miniecs.cli.supervisor import Signals, Supervisor, roles
    from miniecs.clock import SystemClock

    clock = SystemClock()

    def say(text: str) -> None:
        moment = datetime.fromtimestamp(clock.now()).isoformat(" ", "seconds")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop watching
            print(f"{moment} {text}", file=sys.stderr, flush=True)

    with folder.supervising() as file, Signals().caught() as signals:
        supervisor = Supervisor(folder, roles(decided), clock, file, say)
        try:
            supervisor.start()
            while not signals.asked_to_end:
                supervisor.step()
                signals.wait(_WATCH_EVERY)
        except Problem:
            supervisor.stop()
            raise
        supervisor.stop()
    return 0


def _parse(verb: str, description: str, arguments: list[str]) -> DataFolder:
    parser = argparse.ArgumentParser(f"miniecs {verb}", description=description)
    parser.add_argument("--data-dir", metavar="D", help=f"default: MINIECS_DATA_DIR or {DEFAULT_DATA_DIR}")
    return data_folder(parser.parse_args(arguments).data_dir)
