"""A client's connection: its requests one after the other, each handed to a target's connection.

The fast path is synchronous from the bytes that arrive to the bytes that leave: a head is read, a rule
chosen, a pooled connection taken and written to, all in one callback, without a task or a future. What
comes while a request is answered waits in the socket, so that pipelining costs no memory.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
from typing import cast

from miniecs.model.routing import FixedResponse, Redirect
from miniecs.proxy.balance import BackEnd, Weighted
from miniecs.proxy.chunks import BadChunk, Chunks
from miniecs.proxy.cookies import GROUP, TARGET, cookie_of, set_cookie
from miniecs.proxy.core import Core
from miniecs.proxy.grammar import CHUNKED, Refusal, Request, read_request, unfinished
from miniecs.proxy.listener import Alias, Listener, fixed_answer, matching
from miniecs.proxy.pages import answer
from miniecs.proxy.rewriting import MAX_FORWARDED, HeadSettings, addresses_in, rewritten_request
from miniecs.proxy.upstream import AWAITED, Upstream

# What a connection is at. WAIT: the whole request was read, its answer is not finished.
HEAD, BODY, WAIT, TUNNEL, LINGER, CLOSED = range(6)

_SAFE_TO_REPEAT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
_VANISHED = 460
_JUST_NOW = 0.5
_EMPTY_LINES = re.compile(rb"(?:\r\n)+").match
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing resets

log = logging.getLogger("miniecs.proxy")


class Client(asyncio.Protocol):
    """One connection to a listener, or to an alias, where every request says which listener it is for."""

    __slots__ = (
        "_alias",
        "_buffer",
        "_chunks",
        "_connections",
        "_core",
        "_discarded",
        "_eof",
        "_forwarded",
        "_head_since",
        "_keep_until",
        "_left",
        "_name",
        "_paused",
        "_peer_port",
        "_port",
        "_settings",
        "_source",
        "_state",
        "_unsent",
        "active",
        "answered",
        "cookies",
        "last",
        "listener",
        "repeat",
        "request",
        "slot",
        "slow",
        "started",
        "transport",
        "upstream",
        "usual",
    )

    def __init__(
        self, core: Core, listener: Listener | None, alias: Alias | None, connections: set[Client]
    ) -> None:
        self._core = core
        self._alias = alias
        self._connections = connections
        self.listener = listener
        self.upstream: Upstream | None = None
        self.request: Request | None = None
        self.answered = False  # the head of the answer was written
        self.last = False  # no request after this one
        self.cookies = b""  # Set-Cookie lines for the answer
        self.slot = 0
        self.slow = False  # it reads slower than is written to it
        self.repeat: bytes | None = None  # the whole request, while it may be sent a second time
        self.started = 0.0
        self.usual = False  # nothing about the request changes its answer
        self.active = 0.0  # when bytes last came or went
        self._state = HEAD
        self._buffer = b""  # a head that is not all there, or what came after a request
        self._chunks: Chunks | None = None
        self._left = 0
        self._discarded = 0
        self._unsent = 0  # when it was looked at last
        self._eof = False
        self._paused = False
        self._settings: HeadSettings | None = None
        self._forwarded = b""
        self._name = b""

    # From the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        core = self._core
        peer = transport.get_extra_info("peername") or ("", 0)
        self._source = str(peer[0]).removeprefix("::ffff:")
        self._peer_port = int(peer[1])
        self._port = int((transport.get_extra_info("sockname") or ("", 0))[1])
        self.transport.set_write_buffer_limits(core.limits.high_water)
        self.active = self._head_since = now = core.loop.time()
        listener = self.listener
        self._keep_until = now + (listener.balancer.client_keep_alive if listener is not None else 3600)
        self._connections.add(self)
        if listener is not None:
            listener.counts.new_connections += 1
        core.watch(self, self.expire(now) or now)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == HEAD:
            if self._buffer:
                return self._more_of_head(data)
            self.active = self._head_since = self._core.time
            request = read_request(data)
            if request.__class__ is Request:
                self._start(request, data)
            else:
                self._no_request(cast("Refusal | None", request), data)
        elif state == BODY:
            self.active = self._core.time
            self._body(data)
        elif state == TUNNEL:
            self.active = self._core.time
            upstream = self.upstream
            assert upstream is not None
            upstream.transport.write(data)
        elif state == WAIT:
            self._buffer += data
            self.hold()
        elif state == LINGER:
            self._discarded += len(data)
            if self._discarded > self._core.limits.linger_bytes:
                self.transport.abort()

    def eof_received(self) -> bool:
        """True keeps the way to the client open: one that has said it all may still await its answer."""
        self._eof = True
        if self._state == TUNNEL and self.upstream is not None:
            return self.upstream.peer_ended()
        return self._state == WAIT and self.last

    def pause_writing(self) -> None:
        self.slow = True
        if self.upstream is not None:
            self.upstream.hold()

    def resume_writing(self) -> None:
        self.slow = False
        if self.upstream is not None:
            self.upstream.go_on()
        elif self._state == WAIT:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        state, self._state = self._state, CLOSED
        self._connections.discard(self)
        self._core.forget(self)
        self._buffer = b""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            if self.listener is not None and state != TUNNEL:
                self.listener.counts.answered_itself(_VANISHED)
            upstream.client_gone(ended=state == TUNNEL and exc is None)

    # Reading requests

    def _more_of_head(self, data: bytes) -> None:
        """Bytes after an unfinished head: looked at once, however small the pieces are in which they come."""
        self.active = self._core.time
        known = len(self._buffer)
        whole = self._buffer + data
        if unfinished(whole, known):
            self._buffer = whole
            return
        self._buffer = b""
        self._read(whole)

    def _read(self, data: bytes) -> None:
        request = read_request(data)
        if isinstance(request, Request):
            self._start(request, data)
        else:
            self._no_request(request, data)

    def _no_request(self, refusal: Refusal | None, data: bytes) -> None:
        empty = _EMPTY_LINES(data)
        if empty is not None:  # RFC 9112, 2.2: left over by old clients after a body
            self._buffer = b""
            if empty.end() < len(data):
                self._read(data[empty.end() :])
        elif refusal is not None:
            self._refuse(refusal)
        else:
            self._buffer = data

    def _start(self, request: Request, data: bytes) -> None:
        """Decide what becomes of a request, and send off what of it is there."""
        core = self._core
        if self._alias is not None:
            self.listener = self._alias.listener_for(request.host)
        listener = self.listener
        self.request = request
        self.answered = False
        body = b""
        if not request.length and request.end == len(data):
            self._state = WAIT
        else:
            try:
                body = self._first_of_body(request, data[request.end :])
            except BadChunk as problem:
                return self._refuse(Refusal(400, str(problem)))
        if listener is None:
            assert self._alias is not None
            self.last = True
            return self._say(self._alias.unknown(core.date, request.method == b"HEAD"))
        self.last = request.close or listener.closing or core.time > self._keep_until
        listener.counts.requests += 1
        if not request.plain:
            if addresses_in(request, data) > MAX_FORWARDED:
                return self.fail(463)
            if request.expects and self._state == BODY:
                # At once, whatever the target would say, as Application Load Balancers do.
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        action = matching(listener.rules, request, data, self._source)
        if action.__class__ is Weighted:
            group = action.only
            if group is not None and group.simple:
                target = group.next()
                if target is None:
                    return self.fail(503)
            else:
                target = self._target(action, request, data)
            if target is not None:
                self._forward(target, listener, request, data, body)
        else:
            self.last = self.last or self._state == BODY
            status, page = fixed_answer(
                cast(Redirect | FixedResponse, action), request, listener, self._port, core.date, self.last
            )
            listener.counts.answered_itself(status)
            self._say(page)

    def _first_of_body(self, request: Request, data: bytes) -> bytes:
        """The body's bytes in what came with the head. Raises BadChunk."""
        if request.length == CHUNKED:
            self._chunks = Chunks()
            body = self._chunks.feed(data)
            rest = data[self._chunks.consumed :] if self._chunks.done else b""
            self._state = WAIT if self._chunks.done else BODY
        else:
            self._chunks = None
            body, rest = data[: request.length], data[request.length :]
            self._left = request.length - len(body)
            self._state = BODY if self._left else WAIT
        if rest:
            self._buffer = rest
            self.hold()
        return body

    def _target(self, action: Weighted, request: Request, data: bytes) -> BackEnd | None:
        """The target for a request; None when there is none, which was answered."""
        group = None
        if action.sticky is not None:
            token = cookie_of(request, data, GROUP)
            group = action.stuck_to(token) if token else None
        if group is None:
            group = action.next()
        if group is None:
            self.fail(503)
            return None
        if group.spec.protocol_version != "HTTP1":
            self.fail(464)
            return None
        target = None
        if group.sticky is not None:
            token = cookie_of(request, data, TARGET)
            target = group.stuck_to(token) if token else None
        if target is None:
            target = group.next()
        if target is None:
            self.fail(503)
            return None
        now = self._core.clock.now() if action.sticky is not None or group.sticky is not None else 0.0
        if action.sticky is not None:
            self.cookies += set_cookie(GROUP, group.token, action.sticky, now)
        if group.sticky is not None:
            self.cookies += set_cookie(TARGET, target.token, group.sticky.seconds, now)
        return target

    def _forward(
        self, target: BackEnd, listener: Listener, request: Request, data: bytes, body: bytes
    ) -> None:
        core = self._core
        settings = listener.settings
        if settings is not self._settings:
            self._settings = settings
            self._name = settings.client_name(self._source, self._peer_port)
            self._forwarded = settings.forwarded(self._name) + b"X-Amzn-Trace-Id: Root="
        if request.plain and not settings.drop_invalid:
            line_end = request.line_end
            core.number += 1
            message = b"".join(
                (
                    data[:line_end],
                    self._forwarded,
                    core.trace,
                    b"%012x\r\n" % core.number,
                    data[line_end : request.end],
                    body,
                )
            )
        else:
            message = rewritten_request(request, data, settings, self._name, core.trace_id()) + body
        # All of it is in hand, and doing it twice is as doing it once: RFC 9110, 9.2.2.
        waits = self._state == WAIT
        repeats = waits and request.method in _SAFE_TO_REPEAT
        self.usual = (
            waits
            and not (self.last or self.cookies or settings.changes_responses)
            and request.method != b"HEAD"
        )
        self.repeat = message if repeats else None
        self.started = core.elapsed()
        idle = target.idle
        # A target may close an idle connection at any moment. What cannot be repeated goes over one that
        # was in use just now, or over a new one.
        if idle and (repeats or core.time - idle[-1].since < _JUST_NOW):
            self.upstream = upstream = idle.pop()
            upstream.client = self
            upstream.state = AWAITED
            upstream.transport.write(message)
        else:
            self._connect(target, message)

    def _connect(self, target: BackEnd, message: bytes) -> None:
        if self._state == BODY:
            self.hold()
        self.upstream = upstream = Upstream(self._core, target)
        upstream.connect(self, message)

    def again(self, target: BackEnd) -> bool:
        """Send the request once more over a new connection; False if it must not be."""
        message, self.repeat = self.repeat, None
        if message is None:
            return False
        self._connect(target, message)
        return True

    def _body(self, data: bytes) -> None:
        upstream = self.upstream
        assert upstream is not None
        rest = b""
        if self._chunks is not None:
            try:
                data = self._chunks.feed(whole := data)
            except BadChunk as problem:
                self.upstream = None
                upstream.client_gone()
                if self.answered:
                    return self._break_off()
                return self._refuse(Refusal(400, str(problem)))
            if self._chunks.done:
                self._state = WAIT
                rest = whole[self._chunks.consumed :]
        else:
            self._left -= len(data)
            if self._left <= 0:
                self._state = WAIT
                if self._left:
                    data, rest = data[: self._left], data[self._left :]
        if data:
            upstream.transport.write(data)
        if rest:
            self._buffer = rest
            self.hold()

    # Answering

    def _refuse(self, refusal: Refusal) -> None:
        """What cannot be read as a request ends the connection: nobody knows where the next one begins."""
        self._state = BODY
        self.last = True
        self.answered = False
        log.debug("%s is refused with %d: %s", self._source, refusal.status, refusal.why)
        self.fail(refusal.status)

    def fail(self, status: int) -> None:
        """Answer with a page of the load balancer, or, in the middle of an answer, end so that it shows."""
        self.upstream = None
        listener = self.listener
        if listener is not None:
            listener.counts.answered_itself(status)
        if self.answered:
            return self._break_off()
        request = self.request
        self.last = self.last or self._state == BODY
        self._say(
            answer(
                status,
                self._core.date,
                close=self.last,
                head_only=request is not None and self._state != BODY and request.method == b"HEAD",
                server=listener is None or listener.settings.server_header,
            )
        )

    def _break_off(self) -> None:
        """End in the middle of an answer. An old client's may have no other end than its connection's."""
        if self.request is not None and self.request.minor == b"0":
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self._state = LINGER
            self.active = self._core.time
            self.transport.close()

    def _say(self, page: bytes) -> None:
        self.transport.write(page)
        self.done()

    def done(self) -> None:
        """The answer is written: on to the next request, or to the end."""
        self.upstream = None
        if self._state == WAIT and not (self.last or self.slow or self._eof or self._buffer or self._paused):
            self._state = HEAD
            self.active = self._core.time
            self.repeat = None
            if self.cookies:
                self.cookies = b""
            return
        self.cookies = b""
        self.repeat = None
        self.active = self._core.time
        if self._state == BODY or (self.last and self._buffer):
            # What still comes is read and dropped: closing on it would reset the connection, and with it what
            # was answered.
            self._state = LINGER
            self._buffer = b""
            self._discarded = 0
            self.transport.write_eof()
            self.go_on()
        elif self.last:
            self._state = LINGER
            self.transport.close()
        elif self._eof:
            self.transport.close()
        elif self._buffer:
            if not self.slow:
                self._core.loop.call_soon(self._next)
        elif not self.slow:
            self._state = HEAD
            if self._paused:
                self.go_on()

    def _next(self) -> None:
        """Read on with what the client sent ahead."""
        if self._state != WAIT or self.upstream is not None or self.slow:
            return
        self._state = HEAD
        data, self._buffer = self._buffer, b""
        self.go_on()
        if data:
            self._head_since = self._core.time
            self._read(data)

    def tunnel(self) -> None:
        """The target agreed to another protocol: bytes go both ways from now on."""
        self._state = TUNNEL
        data, self._buffer = self._buffer, b""
        upstream = self.upstream
        assert upstream is not None
        if data:
            upstream.transport.write(data)
        if self._eof:
            upstream.peer_ended()
        self.go_on()

    def peer_ended(self) -> bool:
        """The target of a tunnel sends no more. False when the client does not either: then it is over."""
        if self._state == TUNNEL and not self.transport.is_closing():
            self.transport.write_eof()
        return not self._eof

    @property
    def sending(self) -> bool:
        """True while the request is not all read."""
        return self._state == BODY

    # Backpressure and time

    def hold(self) -> None:
        if not self._paused and self._state != CLOSED:
            self._paused = True
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self._paused and self._state not in (WAIT, CLOSED):
            self._paused = False
            if not self._eof:
                self.transport.resume_reading()

    def expire(self, now: float) -> float | None:
        state = self._state
        if state == CLOSED:
            return None
        listener = self.listener
        idle = listener.balancer.idle_timeout if listener is not None else 60
        if state == LINGER:
            return self._linger(now, idle)
        deadline = self.active + idle
        if state == HEAD:
            if self._buffer:
                deadline = min(deadline, self._head_since + self._core.limits.head)
            else:
                deadline = min(deadline, max(self._keep_until, self.active))
        if now < deadline:
            return min(deadline, now + self._core.limits.head)
        self._timed_out(state)
        return now + self._core.limits.tick

    def _linger(self, now: float, idle: float) -> float | None:
        """What was written leaves first, however slowly the client reads; then it has a moment to end."""
        linger = self._core.limits.linger
        unsent, before = self.transport.get_write_buffer_size(), self._unsent
        if unsent != before:
            self._unsent = unsent
            self.active = now
        if now < self.active + (idle if unsent else linger):
            return now + linger
        self.transport.abort()
        return None

    def _timed_out(self, state: int) -> None:
        upstream, self.upstream = self.upstream, None
        if state == HEAD and not self._buffer:
            self._state = LINGER
            self.transport.close()
        elif state == HEAD:
            self._refuse(Refusal(408, "its head took too long"))
        else:
            stalled = upstream is not None and (state == WAIT or upstream.slow)
            if upstream is not None:
                upstream.client_gone()
            if state == TUNNEL:
                self.transport.abort()
            elif stalled:
                self.fail(504)
            else:
                self._refuse(Refusal(408, "its body took too long")) if not self.answered else self.fail(408)

    def retire(self) -> None:
        """Its listener is gone: end now if idle, else after this request."""
        if self._state == HEAD and not self._buffer:
            self.transport.close()
        else:
            self.last = True
