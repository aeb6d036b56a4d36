"""The two commands that miniecs gives to itself: ``server`` and ``supervise``.

They go past typer: a server keeps in memory what it imports, and a start is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from datetime import datetime
from pathlib import Path

from miniecs.cli.folder import DataFolder
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
    settings = folder.settings() or ServerSettings(data_dir=str(folder.path))
    from miniecs.serve import main

    return main(settings)


def supervise(arguments: list[str]) -> int:
    """Watch the folder's server until told to end; what `up --detach` leaves behind."""
    folder = _parse("supervise", "start the server and restart it when it dies", arguments)
    from miniecs.cli.supervisor import Signals, Supervisor
    from miniecs.clock import SystemClock

    clock = SystemClock()

    def say(text: str) -> None:
        moment = datetime.fromtimestamp(clock.now()).isoformat(" ", "seconds")
        with contextlib.suppress(OSError):  # a full disk is no reason to stop watching
            print(f"{moment} {text}", file=sys.stderr, flush=True)

    with folder.supervising() as file, Signals().caught() as signals:
        supervisor = Supervisor(folder, clock, file, say)
        supervisor.start()
        while not signals.asked_to_end:
            supervisor.step()
            signals.wait(_WATCH_EVERY)
        supervisor.stop()
    return 0


def _parse(verb: str, description: str, arguments: list[str]) -> DataFolder:
    parser = argparse.ArgumentParser(f"miniecs {verb}", description=description)
    parser.add_argument("--data-dir", metavar="D", help=f"default: MINIECS_DATA_DIR or {DEFAULT_DATA_DIR}")
    return data_folder(parser.parse_args(arguments).data_dir)
