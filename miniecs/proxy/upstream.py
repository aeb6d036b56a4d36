"""A connection to a target: it carries one request at a time, and waits for the next in its target's pool.

An answer is passed on as it comes: its head rewritten, its body as bytes. Whatever leaves in doubt where
an answer ends also ends the connection, so that no byte of one client's answer can reach another.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from miniecs.model.routing import bucket_of
from miniecs.proxy.balance import BackEnd
from miniecs.proxy.chunks import BadChunk, Chunks
from miniecs.proxy.core import Core
from miniecs.proxy.counts import QUICK
from miniecs.proxy.grammar import (
    CHUNKED,
    MAX_RESPONSE_HEAD,
    UNTIL_CLOSE,
    Response,
    read_response,
    unfinished,
    usual_response,
)
from miniecs.proxy.rewriting import rewritten_response

if TYPE_CHECKING:
    from miniecs.proxy.client import Client
    from miniecs.proxy.listener import Listener

# AWAITED: the request was sent, or is being sent, and the head of its answer is not all there.
CONNECTING, IDLE, AWAITED, BODY, TUNNEL, CLOSED = range(6)

_KEEP_ALIVE = b"Connection: keep-alive\r\n"
_CLOSE = b"Connection: close\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_VERSION = len("HTTP/1.1")  # so much must be there to see that it is a response at all
_BODILESS = (b"204", b"304")
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


@lru_cache(1)
def any_certificate() -> ssl.SSLContext:
    """Targets' certificates are not verified: user guide, "Target groups", routing configuration."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Upstream(asyncio.Protocol):
    """One connection to a target."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_core",
        "_deadline",
        "_ended",
        "_framed",
        "_idle_limit",
        "_interim",
        "_left",
        "_paused",
        "_pending",
        "_reusable",
        "_uses",
        "_task",
        "client",
        "since",
        "slot",
        "slow",
        "state",
        "target",
        "transport",
    )

    def __init__(self, core: Core, target: BackEnd) -> None:
        self._core = core
        self.target = target
        self.client: Client | None = None
        self.since = 0.0  # when it became idle
        self.slot = 0
        self.slow = False  # it takes bytes slower than they come
        self.state = CONNECTING
        self._buffer = b""
        self._pending = b""
        self._left = 0
        self._chunks: Chunks | None = None
        self._framed = False
        self._interim = 0
        self._uses = 0  # answers that it carried
        self._reusable = True
        self._ended = False
        self._paused = False
        self._idle_limit = core.limits.target_idle
        self._deadline = 0.0
        self._task: asyncio.Task[None] | None = None

    def connect(self, client: Client, message: bytes) -> None:
        """Connect, then send. The client hears of a failure."""
        core = self._core
        self.client = client
        self._pending = message
        self._deadline = core.loop.time() + core.limits.connect
        self.target.connections.add(self)
        self._task = core.loop.create_task(self._connect())
        core.tasks.add(self._task)
        self._task.add_done_callback(core.tasks.discard)
        core.watch(self, self._deadline)

    async def _connect(self) -> None:
        target = self.target
        try:
            await self._core.loop.create_connection(
                lambda: self, target.address, target.port, ssl=any_certificate() if target.tls else None
            )
        except OSError:
            self._task = None
            target.counts.connection_errors += 1
            self._fail(502)

    # From the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._task = None
        self.target.counts.new_connections += 1
        client = self.client
        if client is None or self.state == CLOSED:
            self.state = CLOSED
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(self._core.limits.high_water)
        self.state = AWAITED
        message, self._pending = self._pending, b""
        self.transport.write(message)
        if not self.slow:
            client.go_on()

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == AWAITED:
            if self._buffer:
                known = len(self._buffer)
                data = self._buffer + data
                if known >= _VERSION and unfinished(data, known, MAX_RESPONSE_HEAD):
                    self._buffer = data
                    return
                self._buffer = b""
            found = usual_response(data)
            if found is not None and self._usual_answer(found, data):
                return
            response = read_response(data)
            if response.__class__ is Response:
                self._answer(response, data)
            elif response is None:
                self._buffer = data
            else:
                self._fail(502)
        elif state == BODY:
            self._body(data)
        elif state == TUNNEL:
            client = self.client
            assert client is not None
            client.active = self._core.time
            client.transport.write(data)
        elif state == IDLE:
            # Nobody asked for anything.
            self.close()

    def eof_received(self) -> bool:
        self._ended = True
        if self.state == TUNNEL and self.client is not None:
            return self.client.peer_ended()
        if self.state == IDLE:
            self.close()  # before anyone takes it out of the pool in this turn of the loop
        return False

    def pause_writing(self) -> None:
        self.slow = True
        if self.client is not None:
            self.client.hold()

    def resume_writing(self) -> None:
        self.slow = False
        if self.client is not None:
            self.client.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        state, self.state = self.state, CLOSED
        client, self.client = self.client, None
        self.target.connections.discard(self)
        self._core.forget(self)
        if state == IDLE:
            if self in self.target.idle:
                self.target.idle.remove(self)
            return
        if client is None:
            return
        if state == AWAITED:
            if self._uses and not self._buffer and client.again(self.target):
                return
            client.fail(502)
        elif state == BODY and self._left == UNTIL_CLOSE and exc is None:
            if self._framed:
                client.transport.write(b"0\r\n\r\n")
            client.done()
        elif state == TUNNEL:
            client.upstream = None
            client.transport.close()
        else:
            client.fail(502)

    # An answer

    def _usual_answer(self, found: re.Match[bytes], data: bytes) -> bool:
        """Most answers: all there, nothing to take out of the head. False for others: nothing was done."""
        client = self.client
        assert client is not None and client.listener is not None
        line, status, before, length, after = found.groups()
        end = found.end()
        if not client.usual or end + int(length) != len(data) or status in _BODILESS:
            return False
        if self.slow or end > MAX_RESPONSE_HEAD:
            return False
        self._count(client, client.listener, data[9] - 48, len(data))
        if before is None and after is None:
            data = b"".join((line, _KEEP_ALIVE, data[len(line) :]))
        client.transport.write(data)
        self._finish(client)
        return True

    def _count(self, client: Client, listener: Listener, hundred: int, size: int) -> None:
        microseconds = int((self._core.elapsed() - client.started) * 1e6)
        bucket = QUICK[microseconds] if 0 <= microseconds < len(QUICK) else bucket_of(microseconds)
        counts = self.target.counts
        counts.requests += 1
        counts.latencies[bucket] += 1
        counts.codes[hundred] += 1
        counts = listener.counts
        counts.latencies[bucket] += 1
        counts.codes[hundred] += 1
        counts.bytes += size

    def _answer(self, response: Response, data: bytes) -> None:
        client = self.client
        assert client is not None
        request, listener = client.request, client.listener
        assert request is not None and listener is not None
        status = response.status
        if status < 200:
            return self._interim_answer(response, data)
        self._count(client, listener, status // 100, len(data))
        client.answered = True
        client.repeat = None
        length = response.length
        if request.method == b"HEAD" or status in (204, 304):
            length = 0
        if response.close or client.sending or self.transport.get_write_buffer_size():
            # A target that answers before it has read all may never read the rest, nor what came after it.
            self._reusable = False
            client.last = client.last or client.sending
        if response.keep_alive:
            self._idle_limit = min(self._idle_limit, max(response.keep_alive - 1.0, 0.0))
        self._framed = False
        added = client.cookies
        old = request.minor == b"0"
        if length == UNTIL_CLOSE:
            self._reusable = False
            self._framed = not old
            client.last = client.last or old
            added += b"" if old else _CHUNKED
        elif length == CHUNKED:
            client.last = client.last or old
            self._chunks = Chunks(framed=not old)
        added += _CLOSE if client.last else _KEEP_ALIVE
        head = rewritten_response(response, data, listener.settings, added, old_client=old)
        body = data[response.end :]
        if length < 0:
            client.transport.write(head)
            self._left = length
            self.state = BODY
            if body:
                self._body(body)
        elif len(body) < length:
            self._left = length - len(body)
            client.transport.write(head + body)
            self.state = BODY
        else:
            self._reusable = self._reusable and len(body) == length
            client.transport.write(head + body[:length])
            self._finish(client)

    def _interim_answer(self, response: Response, data: bytes) -> None:
        client = self.client
        assert client is not None and client.request is not None
        rest = data[response.end :]
        if response.status == 101:
            if not (client.request.upgrade and response.upgrade):
                return self._fail(502)
            assert client.listener is not None
            head = rewritten_response(response, data, client.listener.settings, _UPGRADE, old_client=False)
            self.state = TUNNEL
            client.answered = True
            client.transport.write(head + rest)
            client.tunnel()
            return
        self._interim += 1
        if self._interim > self._core.limits.interim:
            return self._fail(502)
        if response.length != UNTIL_CLOSE:
            return self._fail(502)  # it has no body: who believes its length takes the next head for one
        # A 100 is not passed on: the client had its own, if it wanted one.
        if response.status != 100 and client.request.minor == b"1":
            assert client.listener is not None
            settings = client.listener.settings
            client.transport.write(rewritten_response(response, data, settings, b"", old_client=False))
        if rest:
            self.data_received(rest)

    def _body(self, data: bytes) -> None:
        client = self.client
        assert client is not None and client.listener is not None
        client.active = self._core.time
        client.listener.counts.bytes += len(data)
        if self._left > 0:
            self._left -= len(data)
            if self._left > 0:
                client.transport.write(data)
                return
            if self._left < 0:
                self._reusable = False
                data = data[: self._left]
            client.transport.write(data)
            return self._finish(client)
        if self._chunks is None:
            client.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._framed else data)
            return
        try:
            passed = self._chunks.feed(data)
        except BadChunk:
            return self._fail(502)
        if passed:
            client.transport.write(passed)
        if self._chunks.done:
            if self._chunks.consumed < len(data):
                self._reusable = False
            self._finish(client)

    def _finish(self, client: Client) -> None:
        """The answer is complete: back into the pool, then on with the client."""
        target = self.target
        idle = target.idle
        self.client = None
        self._uses += 1
        if self._reusable and target.accepts and len(idle) < self._core.limits.target_connections:
            self.state = IDLE
            self.since = self._core.time
            if self._paused:
                self.go_on()
            if self._interim or self._chunks is not None:
                self._interim = 0
                self._chunks = None
            idle.append(self)
        else:
            self.close()
        client.done()

    # Ends

    def _fail(self, status: int) -> None:
        """Nothing sensible can come any more: end, and tell the client."""
        client = self.client
        self.client_gone()
        if client is not None:
            client.fail(status)

    def cut(self) -> None:
        """End now, whatever is in flight: the target is gone."""
        self._fail(502)

    def client_gone(self, *, ended: bool = False) -> None:
        """The answer is not wanted any more. ended: the client closed its side of a tunnel in good order."""
        self.client = None
        self.target.connections.discard(self)
        connecting, self.state = self.state == CONNECTING, CLOSED
        self._buffer = self._pending = b""
        if connecting:
            self._core.forget(self)
            if self._task is not None:
                self._task.cancel()
        elif ended:
            self.transport.close()
        else:
            self.transport.abort()

    def close(self) -> None:
        """Out of the pool."""
        self.state = CLOSED
        if self in self.target.idle:
            self.target.idle.remove(self)
        self.target.connections.discard(self)
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # who waits for what was not read may wait for ever
        else:
            self.transport.close()

    def peer_ended(self) -> bool:
        """The client of a tunnel sends no more. False when the target does not either: then it is over."""
        if self.state == TUNNEL and not self.transport.is_closing():
            self.transport.write_eof()
        return not self._ended

    # Backpressure and time

    def hold(self) -> None:
        if not self._paused and self.state in (AWAITED, BODY, TUNNEL):
            self._paused = True
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self._paused and self.state != CLOSED:
            self._paused = False
            if not self._ended:
                self.transport.resume_reading()

    def expire(self, now: float) -> float | None:
        if self.state == CLOSED:
            return None
        if self.state == CONNECTING:
            if now < self._deadline:
                return self._deadline
            self.target.counts.connection_errors += 1
            self._fail(504)
            return None
        if self.state == IDLE:
            deadline = self.since + self._idle_limit
            if now >= deadline:
                self.close()
                return None
            return deadline
        return now + self._core.limits.target_idle
