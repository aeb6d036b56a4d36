"""The addresses of load balancers on one engine, made equal to what the server wants.

Level-triggered, as instances are: what failed is tried again, less and less often, until others are wanted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from miniecs_agent.host_engine import EngineError, HostEngine
from miniecs_agent.shell.background import Background

log = logging.getLogger("miniecs.agent")

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0


class Balancers:
    """``addresses``, by ARN, is what there is, None until that is known; ``changed`` hears of changes."""

    def __init__(self, engine: HostEngine, background: Background, changed: Callable[[], None]) -> None:
        self.addresses: Mapping[str, str] | None = None
        self._engine = engine
        self._background = background
        self._changed = changed
        self._wanted: tuple[str, ...] = ()
        self._news = asyncio.Event()
        self._working = False

    def want(self, arns: tuple[str, ...]) -> None:
        """From now on these, and no others. The first call also finds what an agent before has left."""
        if arns != self._wanted or not self._working:
            self._wanted = arns
            self._news.set()
        if not self._working:
            self._working = True
            self._background.start(self._work(), "the load balancers' addresses")

    async def _work(self) -> None:
        delay = _FIRST_DELAY
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                addresses = await self._engine.load_balancers(self._wanted)
            except EngineError as problem:
                log.error("load balancers have no address for containers yet: %s", problem)
                await self._pause(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
                continue
            delay = _FIRST_DELAY
            if addresses != self.addresses:
                self.addresses = addresses
                self._changed()

    async def _pause(self, delay: float) -> None:
        """Until the next try, or until others are wanted."""
        try:
            await asyncio.wait_for(self._news.wait(), delay)
        except TimeoutError:
            self._news.set()
