"""The network between simulated hosts and a control plane in the same process: no latency, no loss.

Messages to a host are queued and delivered by a timer, because the control plane sends them from
within its store's commits, where nothing may call back into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from miniecs_agent.effects import Answer, ApiFailure, Channel
from miniecs_agent.sim_engine import Timers
from miniecs_agent.simulated import Peer
from miniecs_agent.spec import Document

# (operation, parameters) -> (result, error code, error message); no result: it failed.
ApiCall = Callable[[str, dict[str, Any]], tuple[Mapping[str, Any] | None, str, str]]


class Session(Protocol):
    """The control plane's end of a channel."""

    def receive(self, now: float, message: Document) -> None: ...

    def closed(self, now: float) -> None: ...


class Sessions(Protocol):
    """Where channels are opened; None: the instance is not registered."""

    def connect(
        self, now: float, instance_arn: str, send: Callable[[dict[str, Any]], None], close: Callable[[], None]
    ) -> Session | None: ...

    def telemetry(
        self, now: float, instance_arn: str, send: Callable[[dict[str, Any]], None], close: Callable[[], None]
    ) -> Session | None: ...


class LocalNetwork:
    """Direct calls one way, queues the other."""

    def __init__(self, timers: Timers, sessions: Sessions, api: ApiCall) -> None:
        self._timers = timers
        self._sessions = sessions
        self._api = api

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None:
        self._timers.call_at(self._timers.now(), lambda: self._connect(channel, instance_arn, peer))

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        result, code, message = self._api(operation, params)
        answered(result if result is not None else ApiFailure(code, message))

    def _connect(self, channel: Channel, instance_arn: str, peer: Peer) -> None:
        line = _Line(self._timers, channel, peer)
        connect = self._sessions.connect if channel is Channel.ACS else self._sessions.telemetry
        session = connect(self._timers.now(), instance_arn, line.to_agent, line.hang_up)
        if session is None:
            peer.refused(channel, inactive=True)
            return
        line.session = session
        peer.opened(channel, line)


class _Line:
    """One open channel: the agent's Connection, and the queue of what it has yet to read."""

    __slots__ = ("_channel", "_open", "_peer", "_queue", "_scheduled", "_timers", "session")

    def __init__(self, timers: Timers, channel: Channel, peer: Peer) -> None:
        self.session: Session | None = None
        self._timers = timers
        self._channel = channel
        self._peer = peer
        self._queue: list[dict[str, Any] | None] = []
        self._scheduled = False
        self._open = True

    # The agent's end

    def send(self, message: dict[str, Any]) -> None:
        if self._open and self.session is not None:
            self.session.receive(self._timers.now(), message)

    def close(self) -> None:
        if self._open:
            self._open = False
            if self.session is not None:
                self.session.closed(self._timers.now())

    # The control plane's end

    def to_agent(self, message: dict[str, Any]) -> None:
        self._enqueue(message)

    def hang_up(self) -> None:
        self._enqueue(None)

    def _enqueue(self, message: dict[str, Any] | None) -> None:
        self._queue.append(message)
        if not self._scheduled:
            self._scheduled = True
            self._timers.call_at(self._timers.now(), self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        queue, self._queue = self._queue, []
        for message in queue:
            if not self._open:
                return
            if message is None:
                self._open = False
                self._peer.closed(self._channel)
            else:
                self._peer.received(self._channel, message)
