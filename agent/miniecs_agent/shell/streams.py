"""Logs and commands for people who look into containers: the agent's end of the streams on one connection.

A stream is a task of the event loop that reads from the engine no faster than the far end consumes; nothing
of it outlives the connection, and nothing of it touches what the tasks' lives depend on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Protocol

from miniecs.model import stream as wire
from miniecs.model.stream import FlowError, ReceiveWindow, SendWindow
from miniecs_agent.host_engine import Command, EngineError, Output, PullProgress

log = logging.getLogger("miniecs.agent")

_READ_AHEAD = wire.CHUNK * 2  # bytes that wait here before the engine is read no further
_GATHER = 0.005  # seconds in which a container's many small writes become one message; the first goes at once

Message = Mapping[str, Any]
Send = Callable[[dict[str, Any]], None]
_Work = Callable[["_Stream"], Coroutine[Any, Any, int | None]]  # what is read; the exit code of a command


class Source(Protocol):
    """What streams need of an instance's engine."""

    def logs(
        self, task_arn: str, container: str, *, follow: bool, tail: int | None, timestamps: bool, since: int
    ) -> AsyncIterator[Output]: ...

    async def execute(
        self, task_arn: str, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Command: ...


class Streams:
    """All streams of one open ACS connection. ``send`` puts a message into the connection's queue."""

    def __init__(self, engine: Source, send: Send) -> None:
        self._engine = engine
        self._send = send
        self._streams: dict[str, _Stream] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def received(self, message: Message) -> None:
        """A message of the control plane. What is not of a stream, or of one that has ended, is ignored."""
        body = message.get("message")
        id = body.get("stream") if isinstance(body, Mapping) else None
        if not isinstance(body, Mapping) or not isinstance(id, str):
            return
        type = message.get("type")
        if type == wire.OPEN:
            self._open(id, body)
        elif (stream := self._streams.get(id)) is not None:
            try:
                stream.receive(str(type), body)
            except FlowError as problem:
                self._send(wire.message(wire.END, id, error=f"The stream is broken: {problem}."))
                self._close(id)

    def closed(self) -> None:
        """The connection is gone: every stream ends. Commands run on, as with docker exec."""
        for id in list(self._streams):
            self._close(id)

    def _open(self, id: str, body: Message) -> None:
        try:
            if id in self._streams or len(self._streams) >= wire.MOST_STREAMS:
                raise ValueError(f"this agent has {len(self._streams)} streams open")
            work = _reader(self._engine, body)
        except ValueError as problem:
            self._send(wire.message(wire.END, id, error=f"The agent cannot do this: {problem}."))
            return
        self._send(wire.message(wire.OPENED, id))
        stream = self._streams[id] = _Stream(
            id, self._send, work, wire.window(len(self._streams))
        )
        stream.task.add_done_callback(lambda task: self._ended(id, stream, task))

    def _close(self, id: str) -> None:
        stream = self._streams.pop(id)
        stream.silence()
        if not stream.task.done():
            self._ending.add(stream.task)  # the loop itself holds its tasks weakly
            stream.task.cancel()

    def _ended(self, id: str, stream: _Stream, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            log.error("stream %s failed", id, exc_info=failure)
        if self._streams.get(id) is stream:
            del self._streams[id]
            if failure is not None:
                self._send(wire.message(wire.END, id, error=f"The agent failed: {failure!r}."))


class _Stream:
    """One stream: what its reader gives it goes out, what comes in is kept for the reader."""

    def __init__(self, id: str, send: Send, work: _Work, window: int) -> None:
        self._id = id
        self._send: Send | None = send
        self._out = SendWindow(window)
        self._in = ReceiveWindow()
        self._loop = asyncio.get_running_loop()
        self._gathering = False
        self._moved = asyncio.Event()  # output has left
        self._input: deque[bytes] = deque()
        self._size: tuple[int, int] | None = None
        self._arrived = asyncio.Event()
        self.task: asyncio.Task[None] = asyncio.create_task(self._run(work))

    async def _run(self, work: _Work) -> None:
        exit_code, error = None, None
        try:
            exit_code = await work(self)
        except EngineError as problem:
            error = str(problem)
        await self._waits_for(0)
        self._tell(wire.END, exitCode=exit_code, error=error)

    def silence(self) -> None:
        """Nothing more is to be said: the other end knows, or is gone."""
        self._send = None

    def receive(self, type: str, body: Message) -> None:
        """Raises FlowError."""
        match type:
            case wire.CREDIT:
                self._out.credited(wire.whole(body, "bytes"))
                self._flush()
            case wire.DATA:
                data = _decoded(body)
                self._in.received(len(data))
                self._input.append(data)
                self._arrived.set()
            case wire.RESIZE:
                self.resized(wire.whole(body, "rows"), wire.whole(body, "columns"))
            case wire.END:
                self.silence()
                self.task.cancel()

    # For the reader

    async def write(self, output: Output) -> None:
        """Send on; returns when there is room for more."""
        self._out.put(output.stream, output.data)
        if not self._gathering:
            # After all that the reader can give without waiting, so that a burst leaves in large messages.
            self._gathering = True
            self._loop.call_soon(self._flush_first)
        elif self._out.waiting >= wire.CHUNK:
            self._flush()
        await self._waits_for(_READ_AHEAD)

    def resized(self, rows: int, columns: int) -> None:
        """The size of the user's terminal; nonsense is left out."""
        if rows > 0 and columns > 0:
            self._size = (rows, columns)
            self._arrived.set()

    async def feed(self, command: Command) -> None:
        """Give the command what comes in. Ends by being cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            size, self._size = self._size, None
            if size is not None:
                with suppress(EngineError):  # it has just ended
                    await command.resize(*size)
            while self._input:
                data = self._input.popleft()
                # Also what a command that reads no more does not take: the sender must not wait for ever.
                with suppress(EngineError):
                    await command.write(data)
                self._consumed(len(data))

    def _consumed(self, count: int) -> None:
        credit = self._in.consumed(count)
        if credit:
            self._tell(wire.CREDIT, bytes=credit)

    async def _waits_for(self, most: int) -> None:
        while self._out.waiting > most:
            self._moved.clear()
            await self._moved.wait()

    def _flush_first(self) -> None:
        self._flush()
        self._loop.call_later(_GATHER, self._flush_gathered)

    def _flush_gathered(self) -> None:
        self._gathering = False
        self._flush()

    def _flush(self) -> None:
        for channel, data in self._out.take():
            self._tell(wire.DATA, channel=channel, data=base64.b64encode(data).decode())
        self._moved.set()

    def _tell(self, type: str, **members: Any) -> None:
        if self._send is not None:
            self._send(wire.message(type, self._id, **members))


def pull_progress(progress: PullProgress) -> dict[str, Any]:
    """The message that tells how far an image is."""
    body = {
        "taskArn": progress.task_arn,
        "container": progress.container,
        "image": progress.image,
        "status": progress.status,
        "current": progress.current,
        "total": progress.total,
    }
    return {"type": wire.PULL_PROGRESS, "message": body}


def _reader(engine: Source, body: Message) -> _Work:
    """What an OPEN message asks for. Raises ValueError."""
    task_arn, container = _text(body, "taskArn"), _text(body, "container")
    kind = body.get("kind")
    options = body.get(str(kind))
    if not isinstance(options, Mapping):
        raise ValueError(f"it has no {kind!r}")
    if kind == "logs":
        tail = options.get("tail")
        if tail is not None and (not isinstance(tail, int) or tail < 0):
            raise ValueError(f"tail {tail!r} is no number of lines")

        async def logs(stream: _Stream) -> None:
            lines = engine.logs(
                task_arn,
                container,
                follow=options.get("follow") is True,
                tail=tail,
                timestamps=options.get("timestamps") is True,
                since=max(0, wire.whole(options, "since")),
            )
            await _pump(lines, stream)

        return logs
    if kind != "exec":
        raise ValueError(f"it does not know {kind!r}")
    command = options.get("command")
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise ValueError("it has no command")

    async def execute(stream: _Stream) -> int:
        return await _execute(engine, stream, task_arn, container, command, options)

    return execute


async def _execute(
    engine: Source, stream: _Stream, task_arn: str, container: str, words: list[str], options: Message
) -> int:
    tty, stdin = options.get("tty") is True, options.get("stdin") is True
    command = await engine.execute(task_arn, container, words, tty=tty, stdin=stdin)
    stream.resized(wire.whole(options, "rows"), wire.whole(options, "columns"))
    feeding = asyncio.create_task(stream.feed(command))
    try:
        await _pump(command.output(), stream)
        return await command.exit_code()
    finally:
        feeding.cancel()
        await command.close()


async def _pump(source: AsyncIterator[Output], stream: _Stream) -> None:
    if isinstance(source, AsyncGenerator):
        async with aclosing(source):
            async for output in source:
                await stream.write(output)
        return
    async for output in source:
        await stream.write(output)


def _text(body: Message, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"it has no {name}")
    return value


def _decoded(body: Message) -> bytes:
    try:
        return base64.b64decode(str(body.get("data", "")), validate=True)
    except binascii.Error as problem:
        raise FlowError("its data is not base64") from problem
