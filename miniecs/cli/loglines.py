"""From an engine's time-stamped output to lines, and from where to go on after the line to it was cut.

Docker stamps every message of a container, and a message is a line, or 16 KiB of a longer one; the pieces of
a line have the same stamp.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$")
_LONGEST_STAMP = 40
_PIECE = 16 * 1024  # of a long line, as Docker cuts it
_LONGEST = 64 * _PIECE  # of what is kept; a longer line is given in several parts


class Line(NamedTuple):
    """stamp: RFC 3339 with nanoseconds, '' when the engine gave none. ends: False for part of a line."""

    stamp: str
    text: bytes
    ends: bool = True


class Lines:
    """What one channel of one container wrote, line by line. A line that was cut off comes anew, whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._stamp = b""

    def feed(self, data: bytes) -> Iterator[Line]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        for raw in whole:
            yield self._line(raw, True)
        while len(self._rest) > _LONGEST + _LONGEST // 16:
            # At the end of a piece: the next one begins with its stamp, as a line does.
            length = self._raw_length(_LONGEST)
            part, self._rest = self._rest[:length], self._rest[length:]
            yield self._line(part, False)

    def rest(self) -> Iterator[Line]:
        """What has no end yet, when no more will come."""
        if self._rest:
            rest, self._rest = self._rest, b""
            yield self._line(rest, False)

    def _line(self, raw: bytes, ends: bool) -> Line:
        stamp, text = _split(raw)
        if stamp:
            self._stamp = stamp
        if len(text) > _PIECE and self._stamp:
            text = _joined(text, self._stamp + b" ")
        return Line(self._stamp.decode(), text, ends)

    def _raw_length(self, content: int) -> int:
        """How much of what is kept holds so many bytes of the line itself."""
        stamp, _ = _split(self._rest)
        return content + (content // _PIECE) * (len(stamp) + 1) if stamp else content


class Position:
    """How far a container's log has been read: reading it again is to repeat nothing and to lose nothing.

    floor: nothing older is wanted. partial: nothing older than what comes first. The channels are stamped
    each by itself, so each has its own position.
    """

    def __init__(self, floor: str = "", *, partial: bool = False) -> None:
        self._floor = floor
        self._partial = partial
        self._first = ""
        self._last: dict[bool, tuple[str, int]] = {}  # by channel: the last stamp, and how many lines have it
        self._skip: dict[bool, int] = {}

    def again(self) -> int | None:
        """The log is about to be read again: from when on, in epoch seconds; None for all of it."""
        if self._partial:
            self._floor = self._first or self._floor
        self._skip = {channel: count for channel, (_, count) in self._last.items()}
        newest = max((stamp for stamp, _ in self._last.values()), default=self._floor)
        # A second more than needed: who stamps the channels may have been held up between them.
        return int(datetime.fromisoformat(newest).timestamp()) - 1 if newest else None

    def is_new(self, error: bool, line: Line) -> bool:
        """Whether the line has not been given before; notes that it is given now."""
        last, count = self._last.get(error, (self._floor, 0))
        if line.stamp < last:
            return False
        if line.stamp == last and self._skip.get(error, 0):
            self._skip[error] -= 1
            return False
        self._last[error] = (line.stamp, count + 1 if line.stamp == last else 1)
        self._first = min(self._first or line.stamp, line.stamp)
        return True


def stamp_of(now: float) -> str:
    """A moment as engines write it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def _split(raw: bytes) -> tuple[bytes, bytes]:
    stamp, space, text = raw[:_LONGEST_STAMP].partition(b" ")
    if not space or stamp[10:11] != b"T" or not _STAMP.match(stamp):
        return b"", raw
    return stamp, raw[len(stamp) + 1 :]


def _joined(text: bytes, stamp: bytes) -> bytes:
    """A long line without the stamps between its pieces."""
    parts = [text[:_PIECE]]
    at = _PIECE
    while text.startswith(stamp, at):
        parts.append(text[at + len(stamp) : at + len(stamp) + _PIECE])
        at += len(stamp) + _PIECE
    if len(parts) == 1:
        return text
    return b"".join(parts) + text[at:]
