"""Keeps one server alive: starts it, or takes over one that lives, and starts it again when it dies.

It is stepped, not run, so that `up` in the foreground can show progress in between, and it holds no state
that matters: killed at any moment, the server runs on and the next supervisor finds it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from miniecs.cli import processes
from miniecs.cli.folder import DataFolder, last_line, size
from miniecs.cli.problem import Problem
from miniecs.clock import Clock

USER_MISTAKE = 2  # the server's exit code for what starting it again cannot mend
GRACE = 15.0  # seconds from SIGTERM to SIGKILL
_TRIES = 3  # a server that never listened is given up after so many deaths
_AT_ONCE = 2.0  # a server that listened and lived shorter than this died at once
_FIRST_DELAY = 0.25
_LISTENED_DELAY_MAX = 4.0  # back within five seconds
_NEVER_LISTENED_DELAY_MAX = 30.0


def restart_delay(deaths_at_once: int, listened: bool) -> float:
    """Seconds before the next start, after so many deaths in a row that came at once."""
    if not deaths_at_once:
        return 0.0
    longest = _LISTENED_DELAY_MAX if listened else _NEVER_LISTENED_DELAY_MAX
    return float(min(_FIRST_DELAY * 2 ** min(deaths_at_once - 1, 16), longest))


class Supervisor:
    """Watches the server of one data folder. ``step`` often, then ``stop``."""

    def __init__(
        self, folder: DataFolder, clock: Clock, own_file: IO[str], say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._file = own_file
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._since = 0.0
        self._listened = False
        self._ever_listened = False
        self._deaths_at_once = 0
        self._start_at = 0.0
        self._log_from = 0
        self._log = Path()

    @property
    def pid(self) -> int | None:
        """The server's, None between its death and its next start."""
        return self._pid

    def start(self) -> bool:
        """Take over the server that lives, or start one; True for one that lived."""
        running = self._folder.server()
        if running is None:
            self._launch()
            return False
        self._watch(running.pid)
        self._say(f"took over the server with pid {running.pid}")
        return True

    def step(self) -> None:
        """Look after the server. Raises Problem when it ended for a reason that a restart cannot mend."""
        now = self._clock.now()
        if self._pid is None:
            if now >= self._start_at:
                self._launch()
            return
        if not self._listened:
            running = self._folder.server()
            self._listened = running is not None and running.endpoint is not None
            self._ever_listened |= self._listened
        if not self._lives():
            self._died(now)

    def stop(self) -> None:
        """End the server: SIGTERM first, SIGKILL when it takes too long."""
        if self._pid is not None and not processes.end(self._pid, self._lives, grace=GRACE):
            self._say(f"the server with pid {self._pid} did not end within {GRACE:g} s and was killed")
        self._pid = None

    def _launch(self) -> None:
        self._log = self._folder.log("server")
        self._log_from = size(self._log)
        try:
            with self._log.open("ab") as log:
                # A session of its own: the terminal's Ctrl-C and its closing are for `up` to handle.
                self._child = subprocess.Popen(
                    processes.command("server", self._folder.path),
                    cwd=self._folder.path,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            if not self._ever_listened:
                raise Problem(f"The server could not be started: {error}.") from error
            self._say(f"the server could not be started: {error}; trying again in {_LISTENED_DELAY_MAX:g} s")
            self._start_at = self._clock.now() + _LISTENED_DELAY_MAX
            return
        self._watch(self._child.pid)

    def _watch(self, pid: int) -> None:
        self._pid = pid
        self._since = self._clock.now()
        self._listened = False
        self._folder.note(self._file, os.getpid(), pid)

    def _lives(self) -> bool:
        if self._child is not None and self._child.pid == self._pid:
            return self._child.poll() is None
        return self._pid is not None and processes.is_ours(self._pid, "server", self._folder.path)

    def _died(self, now: float) -> None:
        pid, self._pid = self._pid, None
        code = self._child.returncode if self._child is not None and self._child.pid == pid else None
        at_once = not self._listened or now - self._since < _AT_ONCE
        self._deaths_at_once = self._deaths_at_once + 1 if at_once else 0
        if not self._ever_listened:
            self._give_up(code)
        delay = restart_delay(self._deaths_at_once, self._listened)
        how = "" if code is None else f" with exit code {code}" if code >= 0 else f" by signal {-code}"
        when = f"in {delay:g} s" if delay else "now"
        self._say(f"the server with pid {pid} ended{how}; starting it again {when}")
        self._start_at = now + delay
        self._folder.note(self._file, os.getpid(), None)

    def _give_up(self, code: int | None) -> None:
        """Raise Problem where another start cannot help, in the server's own last words."""
        said = last_line(self._log, self._log_from).removeprefix("miniecs: ")
        if code == USER_MISTAKE:
            raise Problem(said or f"The server could not start; see {self._log}.", USER_MISTAKE)
        if self._deaths_at_once >= _TRIES:
            raise Problem(f"The server ended {_TRIES} times before it listened: {said} See {self._log}.")


class Signals:
    """Waits that end early when the process is told to end, or when a child of it has died."""

    def __init__(self) -> None:
        self.asked_to_end = False
        self._reader = -1

    @contextlib.contextmanager
    def caught(self) -> Iterator[Signals]:
        """While in the block, SIGTERM, SIGINT and SIGHUP set ``asked_to_end``."""
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(writer, False)
        previous_fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        ending = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        previous = {number: signal.signal(number, self._end) for number in ending}
        previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(previous_fd)
            os.close(self._reader)
            os.close(writer)

    def wait(self, seconds: float) -> None:
        if not self.asked_to_end and select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, 4096)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.asked_to_end = True
