"""Keeps the processes of a data folder alive: takes over those that live, starts the others, and starts again
what dies.

It is stepped, not run, so that `up` in the foreground can show progress in between.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import IO

from miniecs.cli.folder import ROLES, DataFolder
from miniecs.cli.watch import Watch
from miniecs.clock import Clock
from miniecs.config import ServerSettings


def roles(settings: ServerSettings) -> tuple[str, ...]:
    """What runs for a cluster, in the order of its start.

    Simulated agents live in the server, and simulated targets have no sockets that a proxy could speak with.
    """
    return ("server",) if settings.runtime == "simulated" else ROLES


class Supervisor:
    """Watches the processes of one data folder. ``step`` often, then ``stop``."""

    def __init__(
        self,
        folder: DataFolder,
        roles: tuple[str, ...],
        clock: Clock,
        own_file: IO[str],
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._file = own_file
        self._watched = [Watch(folder, role, clock, self._note, say) for role in roles]

    @property
    def pids(self) -> dict[str, int | None]:
        """By role; None between a death and the next start."""
        return {watch.role: watch.pid for watch in self._watched}

    def start(self) -> bool:
        """Take over what lives and start the rest; True when something lived. Raises Problem."""
        adopted = [watch for watch in self._watched if watch.adopt()]
        if any(watch.worked for watch in adopted):
            # What was working is not ended because a part of it cannot be had at this moment.
            for watch in self._watched:
                watch.persist()
        for watch in self._watched:
            if watch not in adopted:
                watch.launch()
        return bool(adopted)

    def step(self) -> None:
        """Look after all. Raises Problem when one ended for a reason that a restart cannot mend."""
        for watch in self._watched:
            watch.step()

    def stop(self) -> None:
        """End all, the last one first: nobody is to mistake the end of another for a fault."""
        for watch in reversed(self._watched):
            watch.stop()

    def _note(self) -> None:
        self._folder.note(self._file, os.getpid(), self.pids)


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
