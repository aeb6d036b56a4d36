"""Logs and commands: an engine's blocking streams, read in threads and handed out on the loop as wanted.

Each stream has a thread while it is open, and reads little further than its reader has come: that is the
back pressure, down to the process that writes. A little, because a turn of the loop for each line of a log
would take many times as long as reading it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.errors import Refused, TimedOut
from miniecs_agent.docker.protocol import CommandStream, OutputStream
from miniecs_agent.host_engine import EngineError, EngineGone, Output

T = TypeVar("T")

_AHEAD = 65536  # bytes that a stream is read ahead at most, and one frame
_RESULT_WAIT = 0.05  # seconds between looks at a command whose output has ended
_RESULT_LOOKS = 100


class Streams:
    """The open streams of an instance."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._open: set[_Stream] = set()

    def close(self) -> None:
        for stream in list(self._open):
            stream.close()

    async def read(self, open: Callable[[], OutputStream]) -> AsyncIterator[Output]:
        """Everything that comes. Raises EngineError."""
        stream = await self.open(open)
        try:
            while (output := await stream.read()) is not None:
                yield output
        finally:
            stream.close()

    async def open(self, open: Callable[[], OutputStream]) -> _Stream:
        if not self._connection.connected:
            raise EngineGone("the engine does not answer")
        stream = _Stream(self._open.discard)
        try:
            await stream.begin(open)
        except BaseException:
            stream.close()
            raise
        self._open.add(stream)
        return stream


class _Stream:
    """One stream and its two threads: one that waits for output, and one for what is told to it meanwhile."""

    def __init__(self, closed: Callable[[_Stream], None]) -> None:
        self._closed = closed
        self._readers = ThreadPoolExecutor(1, "engine-stream")
        self._writers = ThreadPoolExecutor(1, "engine-stream-in")
        self.source: OutputStream | None = None
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()
        # Shared with the thread that reads.
        self._changed = threading.Condition()
        self._ahead: deque[Output] = deque()
        self._bytes = 0
        self._ended = False
        self._failure: EngineError | None = None

    async def begin(self, open: Callable[[], OutputStream]) -> None:
        self.source = await _translated(self._readers, open)
        self._readers.submit(self._read_on, self.source)

    async def read(self) -> Output | None:
        """What has come from one channel; None at the end. Raises EngineError."""
        while True:
            with self._changed:
                if self._ahead:
                    return self._taken()
                if self._failure is not None:
                    raise self._failure
                if self._ended:
                    return None
                self._more.clear()
            await self._more.wait()

    async def tell(self, call: Callable[[], T]) -> T:
        return await _translated(self._writers, call)

    def close(self) -> None:
        """Twice is as good as once. Wakes its threads, which end by themselves."""
        with self._changed:
            self._ended = True
            self._ahead.clear()
            self._changed.notify()
        self._more.set()
        if self.source is not None:
            self.source.close()
        self._readers.shutdown(wait=False)
        self._writers.shutdown(wait=False)
        self._closed(self)

    def _taken(self) -> Output:
        """Neighbours of one channel as one."""
        channel = self._ahead[0].stream
        parts: list[bytes] = []
        while self._ahead and self._ahead[0].stream == channel:
            parts.append(self._ahead.popleft().data)
        data = b"".join(parts)
        self._bytes -= len(data)
        self._changed.notify()
        return Output(channel, data)

    def _read_on(self, source: OutputStream) -> None:
        """In its thread, until the end."""
        while not self._ended:
            output, failure = None, None
            try:
                output = source.read()
            except (Refused, TimedOut) as problem:
                failure = EngineError(str(problem))
            with self._changed:
                first = not self._ahead
                if output is None or self._ended:
                    self._failure, self._ended = failure, True
                else:
                    self._ahead.append(output)
                    self._bytes += len(output.data)
            if first:
                with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                    self._loop.call_soon_threadsafe(self._more.set)
            with self._changed:
                while self._bytes >= _AHEAD and not self._ended:
                    self._changed.wait()


class DockerCommand:
    """``Command`` by docker exec."""

    def __init__(self, stream: _Stream, source: CommandStream, connection: Connection) -> None:
        self._stream = stream
        self._source = source
        self._connection = connection

    @classmethod
    async def start(
        cls, streams: Streams, connection: Connection, execute: Callable[[], CommandStream]
    ) -> DockerCommand:
        started: list[CommandStream] = []

        def begin() -> CommandStream:
            source = execute()
            started.append(source)
            return source

        stream = await streams.open(begin)
        return cls(stream, started[0], connection)

    async def output(self) -> AsyncIterator[Output]:
        while (output := await self._stream.read()) is not None:
            yield output

    async def write(self, data: bytes) -> None:
        await self._stream.tell(partial(self._source.write, data) if data else self._source.end_input)

    async def resize(self, rows: int, columns: int) -> None:
        api, id = self._connection.api, self._source.exec_id
        try:
            await self._stream.tell(partial(api.resize, id, rows, columns))
        except EngineGone:
            raise
        except EngineError:
            return  # it has ended, or does not run yet; what is drawn next will be as it was

    async def exit_code(self) -> int:
        api, id = self._connection.api, self._source.exec_id
        for _ in range(_RESULT_LOOKS):
            try:
                code = await self._connection.ask(partial(api.exec_result, id))
            except (Refused, TimedOut) as problem:
                raise EngineError(str(problem)) from problem
            if code is not None:
                return code
            await asyncio.sleep(_RESULT_WAIT)  # the engine closes the output a moment before it notes the end
        raise EngineError("the command's output has ended, and it still runs")

    async def close(self) -> None:
        self._stream.close()


async def _translated(pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
    except (Refused, TimedOut) as problem:
        raise EngineError(str(problem)) from problem
