"""One websocket to the control plane: messages in, and an orderly, bounded queue of messages out.

Cores never wait for a peer, so what they send is queued here. A peer that reads too little is hung up on:
whatever matters is said again when the line is made anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from miniecs_agent.core.spec import Document

log = logging.getLogger("miniecs.agent")

MOST_WAITING = 16 * 1024 * 1024  # bytes that were sent and have not left
CUT = 1006  # the close code of a line that ended without one
_LAST_WORDS = 2.0  # seconds for what was sent before the end to leave

Encode = Callable[[bytes], bytes]


class Line:
    """An open websocket. ``send`` and ``close`` never wait. ``encode``: what a message's JSON travels as."""

    def __init__(self, socket: ClientConnection, name: str, encode: Encode | None = None) -> None:
        self.name = name  # for the log
        self.closing = False  # by this side
        self._dropped = False
        self._socket = socket
        self._encode = encode
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._more = asyncio.Event()

    def send(self, message: dict[str, Any]) -> None:
        if self.closing or self._dropped:
            return
        frame = orjson.dumps(message)
        if self._encode is not None:
            frame = self._encode(frame)
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MOST_WAITING:
            log.warning("%s: the control plane does not read what it is sent; hanging up", self.name)
            self._dropped = True
            self._waiting.clear()
            self._socket.transport.abort()
        self._more.set()

    def close(self) -> None:
        """End it, after what was sent before. ``run`` returns."""
        if not self.closing:
            self.closing = True
            self._more.set()
            asyncio.get_running_loop().call_later(_LAST_WORDS, self._socket.transport.abort)

    async def run(self, received: Callable[[Document], None]) -> int:
        """Carry messages both ways until either side ends it; the close code."""
        writing = asyncio.create_task(self._write())
        try:
            async for frame in self._socket:
                message = _decoded(frame)
                if message is None:
                    log.warning("%s: what the control plane sent is no message and is ignored", self.name)
                elif not self.closing:
                    received(message)
        except ConnectionClosed:
            pass  # cut, or closed with a code; which one is asked below
        finally:
            writing.cancel()
            await asyncio.gather(writing, self._socket.close(), return_exceptions=True)
        return self._socket.close_code or CUT

    async def _write(self) -> None:
        while True:
            while self._waiting:
                frame = self._waiting.popleft()
                await self._socket.send(frame, text=True)
                self._waiting_bytes -= len(frame)
            if self.closing:
                await self._socket.close()
                return
            self._more.clear()
            await self._more.wait()


def _decoded(frame: str | bytes) -> Document | None:
    try:
        message = orjson.loads(frame)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
