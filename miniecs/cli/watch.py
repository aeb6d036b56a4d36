"""Keeps one process of a data folder alive: the server, the agent or the proxy.

It holds no state that matters: killed at any moment, the process runs on and the next supervisor finds it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from miniecs.cli import processes
from miniecs.cli.folder import DataFolder, last_line, size
from miniecs.cli.problem import Problem
from miniecs.clock import Clock

USER_MISTAKE = 2  # our exit code for what only a person can mend
_NOT_MENDED = (USER_MISTAKE, 5)  # by starting it again; 5 is the ECS agent's, and so our agent's
GRACE = 15.0  # seconds from SIGTERM to SIGKILL
_TRIES = 3  # a process that never got ready is given up after so many deaths
_AT_ONCE = 2.0  # a process that was ready and lived shorter than this died at once
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 4.0  # back within five seconds
_PREFIX = re.compile(r"^(miniecs: |[-\d]+ [:,\d]+ [A-Z]+ [\w.]+: )")
_READY = {"server": "listened", "agent": "was ready", "proxy": "was ready"}


def restart_delay(deaths_at_once: int) -> float:
    """Seconds before the next start, after so many deaths in a row that came at once."""
    if not deaths_at_once:
        return 0.0
    return float(min(_FIRST_DELAY * 2 ** min(deaths_at_once - 1, 16), _LONGEST_DELAY))


def last_words(log: Path, after: int = 0) -> str:
    """The last line beyond an offset without what logging puts before it; '' when there is none."""
    return _PREFIX.sub("", last_line(log, after))


class Watch:
    """The process of one role. ``adopt`` or ``launch`` it, ``step`` often, then ``stop``."""

    def __init__(
        self,
        folder: DataFolder,
        role: str,
        clock: Clock,
        changed: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self.role = role
        self._clock = clock
        self._changed = changed
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._since = 0.0
        self._ready = False
        self._worked = False
        self._deaths_at_once = 0
        self._start_at = 0.0
        self._log_from = 0
        self._log = Path()

    @property
    def pid(self) -> int | None:
        """None between its death and its next start."""
        return self._pid

    def adopt(self) -> bool:
        """Take over the process that lives; False when there is none."""
        running = self._folder.running(self.role)
        if running is None:
            return False
        self._begin(running.pid)
        self._say(f"took over the {self.role} with pid {running.pid}")
        return True

    @property
    def worked(self) -> bool:
        """Whether it was ready once: then it is never given up."""
        self._look()
        return self._worked

    def persist(self) -> None:
        """Never give it up: it belongs to others that work already."""
        self._worked = True

    def step(self) -> None:
        """Look after it. Raises Problem when it ended for a reason that a restart cannot mend."""
        now = self._clock.now()
        if self._pid is not None:
            if self._lives():
                self._look()
                return
            self._died(now)
        if now >= self._start_at:
            self.launch()

    def stop(self) -> None:
        """End it: SIGTERM first, SIGKILL when it takes too long."""
        if self._pid is not None and not processes.end(self._pid, self._lives, grace=GRACE):
            self._say(f"the {self.role} with pid {self._pid} did not end within {GRACE:g} s and was killed")
        self._pid = None

    def launch(self) -> None:
        """Start it. Raises Problem when that cannot be and it never worked."""
        self._log = self._folder.log(self.role)
        self._log_from = size(self._log)
        try:
            with self._log.open("ab") as log:
                # A session of its own: the terminal's Ctrl-C and its closing are for `up` to handle.
                self._child = subprocess.Popen(
                    processes.command(self.role, self._folder.path),
                    cwd=self._folder.path,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            if not self._worked:
                raise Problem(f"The {self.role} could not be started: {error}.") from error
            self._say(
                f"the {self.role} could not be started: {error}; trying again in {_LONGEST_DELAY:g} s"
            )
            self._start_at = self._clock.now() + _LONGEST_DELAY
            return
        self._begin(self._child.pid)

    def _begin(self, pid: int) -> None:
        self._pid = pid
        self._since = self._clock.now()
        self._ready = False
        self._changed()

    def _look(self) -> None:
        """Also after its death: one that is killed as soon as it works has worked all the same."""
        if self._pid is not None and not self._ready:
            self._ready = self._folder.became_ready(self.role, self._pid)
            self._worked |= self._ready

    def _lives(self) -> bool:
        if self._child is not None and self._child.pid == self._pid:
            return self._child.poll() is None
        return self._pid is not None and processes.is_ours(self._pid, self.role, self._folder.path)

    def _died(self, now: float) -> None:
        self._look()
        pid, self._pid = self._pid, None
        code = self._child.returncode if self._child is not None and self._child.pid == pid else None
        at_once = not self._ready or now - self._since < _AT_ONCE
        self._deaths_at_once = self._deaths_at_once + 1 if at_once else 0
        if not self._worked:
            self._give_up(code)
        delay = restart_delay(self._deaths_at_once)
        how = "" if code is None else f" with exit code {code}" if code >= 0 else f" by signal {-code}"
        when = f"in {delay:g} s" if delay else "now"
        self._say(f"the {self.role} with pid {pid} ended{how}; starting it again {when}")
        self._start_at = now + delay
        self._changed()

    def _give_up(self, code: int | None) -> None:
        """Raise Problem where another start cannot help, in the process's own last words."""
        said = last_words(self._log, self._log_from)
        if code in _NOT_MENDED:
            raise Problem(said or f"The {self.role} could not start; see {self._log}.", USER_MISTAKE)
        if self._deaths_at_once >= _TRIES:
            ready = _READY[self.role]
            raise Problem(f"The {self.role} ended {_TRIES} times before it {ready}: {said} See {self._log}.")
