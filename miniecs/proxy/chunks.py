"""The chunked transfer coding, read strictly and written anew.

What is forwarded is our own framing of the same data: extensions and trailers, which a recipient may
drop (RFC 9112, 7.1.1 and 7.1.2) and which parsers have been found to disagree about, go no further.
"""

from __future__ import annotations

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*+)?\r\n").match
_SIZE_SO_FAR = re.compile(rb"(?:[0-9A-Fa-f]{1,15}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*+)?)?\r?)?").fullmatch
_TRAILER = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n|\r\n)").match
_TRAILER_SO_FAR = re.compile(
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?::[\t\x20-\x7e\x80-\xff]*+)?)?\r?"
).fullmatch
_MAX_LINE = 4096
_MAX_TRAILERS = 16 * 1024

_SIZE_LINE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class BadChunk(Exception):
    """What came is not the chunked coding."""


class Chunks:
    """Reads one body. ``framed``: what ``feed`` gives is chunked again, else the data alone."""

    __slots__ = ("_framed", "_held", "_left", "_state", "_trailers", "consumed")

    def __init__(self, framed: bool = True) -> None:
        self._framed = framed
        self._state = _SIZE_LINE
        self._left = 0
        self._held = b""  # of a line that is not all there
        self._trailers = 0
        self.consumed = 0  # of the last data fed, as soon as the body has ended

    @property
    def done(self) -> bool:
        return self._state == _DONE

    def feed(self, data: bytes) -> bytes:
        """What of the body is in data, to be forwarded. Raises BadChunk."""
        held = len(self._held)
        data = self._held + data if held else data
        self._held = b""
        out: list[bytes] = []
        at = 0
        while at < len(data) and self._state != _DONE:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            after = self._line(data, at, out)
            if after == at:
                self._held = data[at:]
                break
            at = after
        self.consumed = at - held if self.done else 0
        return b"".join(out) if len(out) != 1 else out[0]

    def _line(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Where the line at ``at`` ends, or ``at`` while it is not all there."""
        if self._state == _SIZE_LINE:
            return self._size_line(data, at, out)
        if self._state == _DATA_END:
            if len(data) - at < 2 and data[at:] == b"\r":
                return at
            if data[at : at + 2] != b"\r\n":
                raise BadChunk("a chunk does not end where it said")
            if self._framed:
                out.append(b"\r\n")
            self._state = _SIZE_LINE
            return at + 2
        found = _TRAILER(data, at)
        if found is None:
            if not _TRAILER_SO_FAR(data, at) or self._trailers + len(data) - at > _MAX_TRAILERS:
                raise BadChunk("a trailer is malformed or too long")
            return at
        self._trailers += found.end() - at
        if self._trailers > _MAX_TRAILERS:
            raise BadChunk("the trailers are too long")
        if found.end() - at == 2:
            if self._framed:
                out.append(b"0\r\n\r\n")
            self._state = _DONE
        return found.end()

    def _size_line(self, data: bytes, at: int, out: list[bytes]) -> int:
        found = _SIZE(data, at)
        if found is None or found.end() - at > _MAX_LINE:
            if found is not None or len(data) - at > _MAX_LINE or not _SIZE_SO_FAR(data, at):
                raise BadChunk("a chunk's size is malformed or too long")
            return at
        self._left = int(found[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        if self._left and self._framed:
            out.append(b"%x\r\n" % self._left)
        return found.end()
