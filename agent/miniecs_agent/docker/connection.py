"""The line to an engine: blocking calls in threads, its events on the loop, and what happens when it goes.

A call that nobody answered waits until the engine is back and is made again: that an engine restarts is no
reason for a task to fail. Being back means that events flow and that what was missed has been made up for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from miniecs_agent.docker import names
from miniecs_agent.docker.errors import Refused, TimedOut
from miniecs_agent.docker.events import Event, read_event
from miniecs_agent.docker.protocol import DockerApi, EventStream
from miniecs_agent.host_engine import EngineError, EngineFacts, EngineGone

log = logging.getLogger("miniecs.agent")

CALLS_AT_ONCE = 16
PULLS_AT_ONCE = 8
READINGS_AT_ONCE = 4  # of usage: they may take a second each, and nobody waits for them
_CONTROL = 2  # pings and the like, never behind calls that hang
_WATCH = 20.0  # seconds between looks at an engine that is silent
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # between attempts to reach an engine that went

T = TypeVar("T")


class Connection:
    """One engine's. ``heard`` gets its events; ``returned`` makes up for missed ones, by ``once``."""

    def __init__(
        self,
        api: DockerApi,
        heard: Callable[[Event], None],
        returned: Callable[[], Awaitable[None]],
        changed: Callable[[bool], None],
    ) -> None:
        self.api = api
        self._heard = heard
        self._returned = returned
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, "engine-call")
        self.pulls = ThreadPoolExecutor(PULLS_AT_ONCE, "engine-pull")
        self.readings = ThreadPoolExecutor(READINGS_AT_ONCE, "engine-usage")
        self._control = ThreadPoolExecutor(_CONTROL, "engine-control")
        self._answers = asyncio.Event()
        self._lost = self._loop.create_future()
        self._following: asyncio.Task[None] | None = None
        self._stream: EventStream | None = None

    @property
    def connected(self) -> bool:
        return self._answers.is_set()

    async def open(self) -> EngineFacts:
        """Connect and follow. Raises EngineError."""
        facts = await self._run(self._control, self.api.connect)
        await self._subscribe()
        self._answers.set()
        self._following = asyncio.create_task(self._follow())
        return facts

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        self._unsubscribe()
        for pool in (self._calls, self.pulls, self.readings, self._control):
            pool.shutdown(wait=False, cancel_futures=True)
        self.api.close()

    # Calls

    async def ask(self, call: Callable[[], T], pool: Executor | None = None) -> T:
        """Make a call, as often as it takes until somebody answers. Raises Refused and TimedOut."""
        while True:
            await self.back()
            try:
                return await self.once(call, pool)
            except EngineGone:
                await self.suspect()

    async def once(self, call: Callable[[], T], pool: Executor | None = None) -> T:
        """Make a call, whatever is known of the engine. Raises EngineGone, too."""
        return await self._run(pool or self._calls, call)

    async def back(self) -> None:
        """Wait until the engine answers, and all that was missed has been told."""
        await self._answers.wait()

    async def suspect(self) -> None:
        """A call met nobody: was it a connection that an engine's restart left behind, or is it gone?"""
        if not self.connected:
            return
        try:
            await self._run(self._control, self.api.ping)
        except (EngineGone, Refused, TimedOut):
            _resolve(self._lost)
        else:
            await asyncio.sleep(_FIRST_WAIT)

    async def _run(self, pool: Executor, call: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(pool, call)

    # Events

    async def _follow(self) -> None:
        while True:
            await self._watch()
            self._answers.clear()
            self._unsubscribe()
            log.warning("the engine does not answer any more; calls wait until it does")
            self._changed(False)
            await self._return()
            log.info("the engine answers again")
            self._answers.set()
            self._changed(True)

    async def _watch(self) -> None:
        """Until the event stream ends, or an engine that is silent does not answer either."""
        while not self._lost.done():
            done, _ = await asyncio.wait({self._lost}, timeout=_WATCH)
            if not done:
                try:
                    await self._run(self._control, self.api.ping)
                except (EngineGone, Refused, TimedOut):
                    return

    async def _return(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                await self._run(self._control, self.api.ping)
                await self._subscribe()
                await self._returned()
                return
            except (EngineError, Refused, TimedOut) as problem:
                log.debug("the engine is not back yet: %s", problem)
                self._unsubscribe()
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _subscribe(self) -> None:
        """From the engine's time before anything is listed, so that nothing falls between."""
        since = await self._run(self._control, self.api.time)
        stream = await self._run(self._control, lambda: self.api.events(since))
        self._stream = stream
        lost = self._lost = self._loop.create_future()
        Thread(target=self._read, args=(stream, lost), name="engine-events", daemon=True).start()

    def _unsubscribe(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _read(self, stream: EventStream, lost: asyncio.Future[None]) -> None:
        """In a thread of its own, as long as the stream lasts."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            try:
                for raw in stream:
                    event = read_event(raw, names.INSTANCE)
                    if event is not None:
                        self._loop.call_soon_threadsafe(self._deliver, stream, event)
            finally:
                self._loop.call_soon_threadsafe(_resolve, lost)

    def _deliver(self, stream: EventStream, event: Event) -> None:
        if stream is self._stream:
            self._heard(event)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
