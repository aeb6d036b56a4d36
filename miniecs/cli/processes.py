"""Processes by their number: which of them is ours, and how one is ended.

A number in a file says nothing by itself: its process may have died and the number been given to another
program. So a process is ours when its command line says so, and nothing is ever ended by its name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

_PROC = Path("/proc")


def pause(seconds: float) -> None:
    """Wait; Ctrl-C ends it."""
    Event().wait(seconds)


def command(verb: str, data_dir: Path) -> list[str]:
    """The command line of one of our processes; ``is_ours`` recognises it by its end.

    -P: a folder called miniecs where the user happens to stand is not our code.
    """
    return [sys.executable, "-P", "-m", "miniecs", verb, "--data-dir", str(data_dir)]


def is_ours(pid: int, verb: str, data_dir: Path) -> bool:
    """Whether the process lives and is our ``verb`` on this data folder."""
    line = command_line(pid)
    return line is not None and f"miniecs {verb} " in line and line.endswith(f" --data-dir {data_dir}")


def command_line(pid: int) -> str | None:
    """The arguments of a living process, separated by spaces; None when there is none or it is a zombie."""
    if pid <= 0:
        return None
    if (_PROC / "self" / "cmdline").exists():
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return None
        return raw.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace") or None
    return _from_ps(pid)


def _from_ps(pid: int) -> str | None:
    """macOS has no /proc. A zombie's command is its name in brackets, which is nobody's command line."""
    asked = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return asked.stdout.strip() or None


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone by now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end(pid: int, lives: Callable[[], bool], *, grace: float, step: float = 0.05) -> bool:
    """SIGTERM, and SIGKILL when it still lives after ``grace`` seconds; True when that was not needed."""
    if not lives():
        return True
    send(pid, signal.SIGTERM)
    if _gone(lives, grace, step):
        return True
    send(pid, signal.SIGKILL)
    _gone(lives, grace, step)
    return False


def _gone(lives: Callable[[], bool], within: float, step: float) -> bool:
    for _ in range(max(1, int(within / step))):
        if not lives():
            return True
        pause(step)
    return not lives()
