"""The control plane's part of log and command streams: it stands between the users' ends and the agents'.

It reads nothing ahead. What it holds of a stream is what the user's end has room for, and credit is the
user's to give; so a reader who has gone to lunch costs one window, and the agent's connection nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from miniecs.ids import Ids
from miniecs.model import stream as wire
from miniecs.model.stream import FlowError, ReceiveWindow, SendWindow

Message = Mapping[str, Any]
SendOwn = Callable[[str, dict[str, Any]], bool]


class Ended(NamedTuple):
    """How a stream ended. lost: nothing was wrong with it, but its agent's connection is gone."""

    exit_code: int | None = None
    error: str | None = None
    lost: bool = False


class Listener(Protocol):
    """A stream's user. Nothing is called after ``ended``; nothing may call back into the streams."""

    def opened(self) -> None:
        """The agent has begun."""

    def received(self, channel: str, data: bytes) -> None: ...

    def credited(self, count: int) -> None:
        """So many bytes more may be written."""

    def ended(self, how: Ended) -> None: ...


class Stream:
    """One stream, as its user's end uses it. Made by ``Streams.open``."""

    __slots__ = ("_finished", "_in", "_out", "_owner", "id", "instance_arn", "listener")

    def __init__(
        self, owner: Streams, id: str, instance_arn: str, listener: Listener, window: int
    ) -> None:
        self.id = id
        self.instance_arn = instance_arn
        self.listener = listener
        self._owner = owner
        self._out = SendWindow(window)
        self._in = ReceiveWindow()
        self._finished = False  # its standard input has ended

    @property
    def window(self) -> int:
        """How much may be written before the first credit."""
        return self._out.size

    def write(self, data: bytes) -> None:
        """To the command's standard input; nothing: its end. Raises FlowError beyond what was credited."""
        if self._finished:
            return
        self._finished = not data
        self._out.put(wire.STDIN, data)
        pieces = self._out.take() if data else [(wire.STDIN, b"")]
        if self._out.waiting:
            raise FlowError("more input than there was credit for")
        for channel, piece in pieces:
            self._tell(wire.DATA, channel=channel, data=base64.b64encode(piece).decode())

    def resize(self, rows: int, columns: int) -> None:
        self._tell(wire.RESIZE, rows=rows, columns=columns)

    def consumed(self, count: int) -> None:
        """The user has read so much. Raises FlowError for what never came."""
        credit = self._in.consumed(count)
        if credit:
            self._tell(wire.CREDIT, bytes=credit)

    def close(self) -> None:
        """The user wants no more of it. Its listener hears nothing further."""
        if self._owner.forget(self):
            self._tell(wire.END)

    def receive(self, type: str, body: Message) -> Ended | None:
        """A message of the agent; how the stream ended, if it did. Raises FlowError."""
        match type:
            case wire.OPENED:
                self.listener.opened()
            case wire.DATA:
                data = _decoded(body)
                self._in.received(len(data))
                if data:
                    channel = wire.STDERR if body.get("channel") == wire.STDERR else wire.STDOUT
                    self.listener.received(channel, data)
            case wire.CREDIT:
                count = wire.whole(body, "bytes")
                self._out.credited(count)
                self.listener.credited(count)
            case wire.END:
                code, error = body.get("exitCode"), body.get("error")
                return Ended(code if isinstance(code, int) else None, None if error is None else str(error))
        return None

    def _tell(self, type: str, **members: Any) -> None:
        self._owner.tell(self, wire.message(type, self.id, **members))


class Streams:
    """All open streams. ``send``: a message to the agent of an instance; False when it is not connected."""

    def __init__(self, send: SendOwn, ids: Ids) -> None:
        self._send = send
        self._ids = ids
        self._streams: dict[str, Stream] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, instance_arn: str, request: Message, listener: Listener) -> Stream | None:
        """Ask an agent for a stream: ``request`` is the OPEN message without its stream's id.

        None when the agent is not connected. What the agent says of it, the listener hears.
        """
        others = sum(stream.instance_arn == instance_arn for stream in self._streams.values())
        stream = Stream(self, self._ids.uuid(), instance_arn, listener, wire.window(others))
        self._streams[stream.id] = stream
        if not self._send(instance_arn, wire.message(wire.OPEN, stream.id, **request)):
            del self._streams[stream.id]
            return None
        return stream

    def forget(self, stream: Stream) -> bool:
        return self._streams.pop(stream.id, None) is not None

    def tell(self, stream: Stream, message: dict[str, Any]) -> None:
        # An agent that is not connected any more has ended its streams already, or is about to be heard to.
        self._send(stream.instance_arn, message)

    # From the agents' connections

    def received(self, instance_arn: str, message: Message) -> None:
        """One of our own messages. What is not of an open stream of this agent is ignored."""
        body = message.get("message")
        stream = self._streams.get(str(body.get("stream"))) if isinstance(body, Mapping) else None
        if stream is None or stream.instance_arn != instance_arn or not isinstance(body, Mapping):
            return
        try:
            ended = stream.receive(str(message.get("type")), body)
        except FlowError as problem:
            stream.close()
            stream.listener.ended(Ended(error=f"The agent does not keep to the protocol: {problem}."))
            return
        if ended is not None:
            self.forget(stream)
            stream.listener.ended(ended)

    def closed(self, instance_arn: str) -> None:
        """The agent's connection has ended, and with it all its streams."""
        for stream in [s for s in self._streams.values() if s.instance_arn == instance_arn]:
            self.forget(stream)
            stream.listener.ended(Ended(error="The connection to the agent ended.", lost=True))


def _decoded(body: Message) -> bytes:
    try:
        return base64.b64decode(str(body.get("data", "")), validate=True)
    except binascii.Error as problem:
        raise FlowError("its data is not base64") from problem
