"""Logs and commands: an engine's blocking streams, read in threads and handed out on the loop as wanted.

Each stream has a thread while it is open, and reads no further than its reader has come: that is the
back pressure, down to the process that writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from miniecs_agent.docker_api import CommandStream, OutputStream
from miniecs_agent.docker_connection import Connection
from miniecs_agent.docker_errors import Refused, TimedOut
from miniecs_agent.host_engine import EngineError, EngineGone, Output

T = TypeVar("T")

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
        self._ended = False

    async def begin(self, open: Callable[[], OutputStream]) -> None:
        self.source = await _translated(self._readers, open)

    async def read(self) -> Output | None:
        source = self.source
        if self._ended or source is None:
            return None
        output = await _translated(self._readers, source.read)
        if output is None:
            self._ended = True
        return output

    async def tell(self, call: Callable[[], T]) -> T:
        return await _translated(self._writers, call)

    def close(self) -> None:
        """Twice is as good as once. Wakes its threads, which end by themselves."""
        self._ended = True
        if self.source is not None:
            self.source.close()
        self._readers.shutdown(wait=False)
        self._writers.shutdown(wait=False)
        self._closed(self)


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
