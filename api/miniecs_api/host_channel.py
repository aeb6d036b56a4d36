"""The websocket of the host links, at /host: an agent says who it is, and is told what to play.

Our own agents speak here, so refusals are HTTP answers with a message for people, and close codes in the
range that is ours: the identity comes with the first message, when the handshake is over.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson

from miniecs.clock import Clock
from miniecs.model.emulated import LOCAL
from miniecs.store import StoreError
from miniecs_api.agent_messages import understood
from miniecs_api.hosts import HELLO, HostHello, HostLink, HostLinks, HostRefused
from miniecs_api.signatures import Signatures
from miniecs_api.sockets import POLICY_VIOLATION, Receive, Send, Socket, SocketScope, is_here, peer, refuse

log = logging.getLogger("miniecs.agents")

ANSWERS_WITHIN = 2.0  # seconds that an agent has to show that it is there, before another takes its place
REFUSED = 4403  # close codes, after the HTTP statuses that they stand for
DUPLICATE = 4409
UNAVAILABLE = 4503


class HostChannel:
    """The websocket app. closed: why nobody can be let in, where that is so."""

    def __init__(
        self, links: HostLinks, signatures: Signatures, clock: Clock, *, closed: str | None = None
    ) -> None:
        self._closed = closed
        self._links = links
        self._signatures = signatures
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    async def __call__(self, scope: SocketScope, receive: Receive, send: Send) -> None:
        if refusal := self._signatures.refuse(scope, "GET", b""):
            await refuse(receive, send, 403, {"message": refusal.message})
            return
        if self._closed is not None:
            log.warning("refused a host agent at %s: %s", peer(scope), self._closed)
            await refuse(receive, send, 403, {"message": self._closed})
            return
        line = _Line(self, Socket(receive, send, f"The host agent at {peer(scope)}"), is_here=is_here(scope))
        await line.run()

    async def settle(self, line: _Line, hello: HostHello, *, is_here: bool) -> None:
        """Give an agent its host's link, unless another has it and is there."""
        if hello.host == LOCAL and not is_here:
            line.turn_away(REFUSED, f"the host {LOCAL!r} is this server's own machine")
            return
        while (other := self._lines.get(hello.host)) is not None:
            if await other.answers(ANSWERS_WITHIN):
                line.turn_away(DUPLICATE, "another agent serves this engine, and it answers")
                return
            if self._lines.get(hello.host) is other:
                break  # it has not gone, and says nothing
        try:
            link = self._links.connect(self._clock.now(), hello, line.socket.put, line.socket.hang_up)
        except HostRefused as problem:
            line.turn_away(REFUSED, str(problem))
        except StoreError as problem:
            line.turn_away(UNAVAILABLE, str(problem))
        else:
            line.link = link
            self._lines[hello.host] = line

    def over(self, line: _Line) -> None:
        link = line.link
        if link is None:
            return
        if self._lines.get(link.host) is line:
            del self._lines[link.host]
        if link.open:
            link.closed()


class _Line:
    """An open websocket: a hello first, then whatever the link's ends have to say."""

    def __init__(self, channel: HostChannel, socket: Socket, *, is_here: bool) -> None:
        self.socket = socket
        self.link: HostLink | None = None
        self._channel = channel
        self._is_here = is_here
        self._settling: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Future[bool]] = set()

    async def run(self) -> None:
        try:
            await self.socket.run(self._received)
        finally:
            self._answered(False)
            if self._settling is not None and not self._settling.done():
                self._settling.cancel()
            self._channel.over(self)

    def turn_away(self, code: int, why: str) -> None:
        log.warning("%s is turned away: %s", self.socket.name, why)
        # A close frame holds 123 bytes of reason.
        self.socket.hang_up(code, why.encode()[:123].decode(errors="ignore"))

    async def answers(self, within: float) -> bool:
        """Whether the agent says anything within so many seconds of being asked."""
        if self.link is None or not self.link.open:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asking.add(answer)
        self.link.challenge()
        try:
            return await asyncio.wait_for(answer, within)
        except TimeoutError:
            return False
        finally:
            self._asking.discard(answer)

    def _answered(self, yes: bool) -> None:
        for answer in self._asking:
            if not answer.done():
                answer.set_result(yes)

    def _received(self, text: str) -> None:
        self._answered(True)
        message = _message(text)
        if message is None:
            self.turn_away(POLICY_VIOLATION, "a message is a JSON object")
        elif self.link is not None:
            if self.link.open:
                self.link.receive(message)
        elif self._settling is None:
            hello = understood(HostHello, message.get("message"), self.socket.name)
            if message.get("type") != HELLO or hello is None:
                self.turn_away(POLICY_VIOLATION, f"the first message must be a {HELLO}")
                return
            settle = self._channel.settle(self, hello, is_here=self._is_here)
            self._settling = asyncio.create_task(settle)


def _message(text: str) -> dict[str, Any] | None:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None
