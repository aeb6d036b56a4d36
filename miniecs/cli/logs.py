"""`miniecs logs`: what containers wrote and write, over restarts of everything that stands between."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO, NamedTuple

from miniecs.cli import processes
from miniecs.cli.client import NoAnswer, connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.loglines import Line, Lines, Position, stamp_of
from miniecs.cli.problem import FAILED
from miniecs.cli.streams import Data, End, Lost, Streams
from miniecs.clock import SystemClock

_RETRY_EVERY = 0.25
_PATIENCE = 120.0  # seconds without any connection


class Wanted(NamedTuple):
    """The command's options. tail: lines; None for all."""

    task: str
    cluster: str | None
    container: str | None
    follow: bool
    tail: int | None
    timestamps: bool
    as_json: bool


def logs(folder: DataFolder, wanted: Wanted) -> int:
    """Print them; the exit code. Raises Problem."""
    floor = stamp_of(SystemClock().now()) if wanted.follow and wanted.tail == 0 else ""
    try:
        return _read(folder, _Reading(wanted, floor))
    except KeyboardInterrupt:
        return 0 if wanted.follow else 130


def _read(folder: DataFolder, reading: _Reading) -> int:
    clock = SystemClock()
    since = clock.now()
    told = False
    while True:
        try:
            with Streams(connect(folder).endpoint, reading.request()) as streams:
                since, told = clock.now(), False
                reading.begin(streams.containers)
                for event in streams.events():
                    reading.take(event)
                    since = clock.now()
        except (Lost, NoAnswer) as problem:
            if not reading.follow or clock.now() - since > _PATIENCE:
                raise
            if not told:
                print(f"miniecs: {problem} Going on as soon as it can be had.", file=sys.stderr, flush=True)
                told = True
            processes.pause(_RETRY_EVERY)
            continue
        if not reading.open:
            return FAILED if reading.all_failed else 0


class _Reading:
    """What was asked for, and how far it has been read."""

    def __init__(self, wanted: Wanted, floor: str) -> None:
        self.open = None if wanted.container is None else [wanted.container]  # None: not known yet
        self._wanted = wanted
        self._printer = _Printer(wanted.timestamps, wanted.as_json)
        self._floor = floor
        self._positions: dict[str, Position] = {}
        self._stamped = wanted.follow or wanted.timestamps or wanted.as_json
        self._numbered: list[str] = []
        self._lines: dict[tuple[int, bool], Lines] = {}
        self._failed: set[str] = set()

    @property
    def follow(self) -> bool:
        return self._wanted.follow

    @property
    def all_failed(self) -> bool:
        return bool(self._positions) and self._failed == set(self._positions)

    def request(self) -> dict[str, Any]:
        """To the server: of what is still open, from where it was read to."""
        since = {name: self._positions[name].again() for name in self.open or () if name in self._positions}
        logs = {
            "follow": self._wanted.follow,
            "tail": self._wanted.tail,
            "timestamps": self._stamped,
            "since": {name: moment for name, moment in since.items() if moment is not None},
        }
        return {
            "task": self._wanted.task,
            "cluster": self._wanted.cluster,
            "containers": self.open,
            "kind": "logs",
            "logs": logs,
        }

    def begin(self, containers: list[str]) -> None:
        if not self._positions:
            partial = self._wanted.tail is not None
            self._positions = {name: Position(self._floor, partial=partial) for name in containers}
            self._printer.name(containers)
        self.open = list(containers)
        self._numbered = containers
        self._lines = {}

    def take(self, event: Data | End) -> None:
        """Print what came. Raises Lost when the way to the agent is."""
        name = self._numbered[event.stream]
        if isinstance(event, Data):
            if not self._stamped and self._printer.is_plain:
                self._printer.write(event.error, event.data)
                return
            lines = self._lines.setdefault((event.stream, event.error), Lines())
            self._print(name, event.error, lines.feed(event.data))
            return
        if event.lost:
            raise Lost(event.error or "")
        for error in (False, True):
            if (lines_left := self._lines.get((event.stream, error))) is not None:
                self._print(name, error, lines_left.rest())
            self._printer.finish(name, error)
        assert self.open is not None
        self.open.remove(name)
        if event.error is not None:
            self._failed.add(name)
            self._printer.complain(name, event.error)

    def _print(self, name: str, error: bool, lines: Iterable[Line]) -> None:
        if self._wanted.follow:
            position = self._positions[name]
            lines = (line for line in lines if position.is_new(error, line))
        self._printer.print(name, error, list(lines))


class _Printer:
    """Lines as they are to look: as they are, with stamps, behind their container's name, or as JSON."""

    def __init__(self, timestamps: bool, as_json: bool) -> None:
        self._timestamps = timestamps
        self._json = as_json
        self._width = 0
        self._midline: dict[tuple[str, bool], bool] = {}

    @property
    def is_plain(self) -> bool:
        """Whether bytes can go out as they come."""
        return not self._json and not self._width

    def name(self, containers: list[str]) -> None:
        self._width = max(map(len, containers)) if len(containers) > 1 else 0

    def write(self, error: bool, data: bytes) -> None:
        out = _out(error and not self._json)
        out.write(data)
        out.flush()

    def print(self, name: str, error: bool, lines: list[Line]) -> None:
        if lines:
            render = self._document if self._json else self._text
            self.write(error, b"".join([render(name, error, line) for line in lines]))

    def finish(self, name: str, error: bool) -> None:
        """No more will come: of several containers the next one begins a line of its own."""
        if self._width and self._midline.pop((name, error), False):
            self.write(error, b"\n")

    def complain(self, name: str, problem: str) -> None:
        prefix = f"{name}: " if self._width else ""
        print(f"miniecs: {prefix}{problem}", file=sys.stderr, flush=True)

    def _text(self, name: str, error: bool, line: Line) -> bytes:
        end = b"\n" if line.ends else b""
        if not self._width and not self._timestamps:
            return line.text + end
        prefix = ""
        if not self._midline.get((name, error)):
            prefix = f"{name:<{self._width}}  | " if self._width else ""
            prefix += f"{line.stamp} " if self._timestamps and line.stamp else ""
        self._midline[name, error] = not line.ends
        return prefix.encode() + line.text + end

    def _document(self, name: str, error: bool, line: Line) -> bytes:
        document = {
            "container": name,
            "stream": "stderr" if error else "stdout",
            "timestamp": line.stamp or None,
            "line": line.text.decode(errors="replace"),
        }
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def _out(error: bool) -> BinaryIO:
    return sys.stderr.buffer if error else sys.stdout.buffer
