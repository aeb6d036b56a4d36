"""Logs and commands on their way between a container and a user: the messages, and what may be under way.

Streams share the agent's one connection with its tasks, so none may ever fill it: a sender stops after at
most WINDOW bytes that the far reader has not consumed. Both ends of that connection need the same rules, and
agents on other hosts have of ours only the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

WINDOW = 256 * 1024  # bytes of one stream that may be under way, each way
NARROW = WINDOW // 4  # of each stream but the first WIDE_STREAMS on a connection
WIDE_STREAMS = 16
MOST_STREAMS = 96  # of a connection: both ends drop one on which 16 MiB wait, and base64 needs a third more
CHUNK = 32 * 1024  # bytes in one message at most, so that other messages find their way in between
_CREDIT = NARROW // 4  # is given for no less

OPEN = "miniecs.StreamOpen"  # to the agent: {stream, kind: logs exec, taskArn, container, logs|exec: {…}}
OPENED = "miniecs.StreamOpened"  # from the agent, at once: {stream}; an agent that is not ours says nothing
DATA = "miniecs.StreamData"  # {stream, channel, data: base64}; empty data on stdin is its end
CREDIT = "miniecs.StreamCredit"  # {stream, bytes}: so many more may come
RESIZE = "miniecs.StreamResize"  # {stream, rows, columns}
END = "miniecs.StreamEnd"  # {stream, exitCode?, error?}: from either end, and the last of a stream
PULL_PROGRESS = "miniecs.PullProgress"  # {taskArn, container, image, status, current, total}

STDIN, STDOUT, STDERR = "stdin", "stdout", "stderr"


class FlowError(Exception):
    """The other end does not keep to the window."""


class SendWindow:
    """Output that waits until it may be sent. Neighbours of one channel leave as one."""

    __slots__ = ("_room", "_waiting", "size", "waiting")

    def __init__(self, size: int = WINDOW) -> None:
        self.size = size
        self.waiting = 0  # bytes
        self._room = size
        self._waiting: deque[tuple[str, bytes]] = deque()

    def put(self, channel: str, data: bytes) -> None:
        if data:
            self._waiting.append((channel, data))
            self.waiting += len(data)

    def take(self) -> list[tuple[str, bytes]]:
        """Everything that may be sent now, in pieces of at most CHUNK bytes."""
        taken: list[tuple[str, bytes]] = []
        while self._waiting and self._room:
            taken.append(self._piece(min(CHUNK, self._room)))
        return taken

    def credited(self, count: int) -> None:
        """The far reader has consumed so many bytes. Raises FlowError when it never had them."""
        if count < 0 or self._room + count > self.size:
            raise FlowError(f"credit for {count} bytes, of which only {self.size - self._room} are under way")
        self._room += count

    def _piece(self, most: int) -> tuple[str, bytes]:
        channel = self._waiting[0][0]
        parts: list[bytes] = []
        size = 0
        while size < most and self._waiting and self._waiting[0][0] == channel:
            data = self._waiting.popleft()[1]
            if size + len(data) > most:
                self._waiting.appendleft((channel, data[most - size :]))
                data = data[: most - size]
            parts.append(data)
            size += len(data)
        self.waiting -= size
        self._room -= size
        return channel, b"".join(parts)


class ReceiveWindow:
    """What has come and is not consumed yet; credit is given in few large portions."""

    __slots__ = ("_held", "_owed")

    def __init__(self) -> None:
        self._held = 0  # bytes for which no credit was given: not consumed, or owed
        self._owed = 0

    def received(self, count: int) -> None:
        """Raises FlowError when it is more than was allowed."""
        if self._held + count > WINDOW:
            raise FlowError(f"{self._held + count} bytes under way, where {WINDOW} may be")
        self._held += count

    def consumed(self, count: int) -> int:
        """The credit to give now, often 0. Raises FlowError for bytes that never came."""
        if count < 0 or self._owed + count > self._held:
            raise FlowError(f"{count} bytes consumed, of {self._held - self._owed} that came")
        self._owed += count
        # Before a sender comes to a halt it has a window under way, so this much is reached in time.
        if self._owed < _CREDIT:
            return 0
        owed, self._owed = self._owed, 0
        self._held -= owed
        return owed


def window(others: int) -> int:
    """How much of a new stream may be under way, when its connection has so many others."""
    return WINDOW if others < WIDE_STREAMS else NARROW


def message(type: str, stream: str, **members: Any) -> dict[str, Any]:
    """A message about a stream; members that are None are left out."""
    given = {name: value for name, value in members.items() if value is not None}
    return {"type": type, "message": {"stream": stream, **given}}


def whole(body: Mapping[str, Any], name: str) -> int:
    """A member that must be a whole number, not negative; -1 when it is none, which every window refuses."""
    value = body.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else -1
