"""The network between simulated hosts and the control plane: latency, and all that goes wrong on lines.

A channel keeps its order, as TCP does; a call is a request of its own, so that two of them, or one sent
twice, may arrive in any order. On a cut line everything vanishes, and both ends find out by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from miniecs.ids import Ids
from miniecs.sim.timeline import Timeline
from miniecs_agent.core.effects import Answer, ApiFailure, Channel
from miniecs_agent.core.spec import Document
from miniecs_agent.shell.host import Peer
from miniecs_api.agent_session import AgentSession, TelemetrySession
from miniecs_api.agents import AgentSessions

# (operation, parameters) -> (result, error code, error message); no result: it failed.
ApiCall = Callable[[str, dict[str, Any]], tuple[Mapping[str, Any] | None, str, str]]

LATENCY = (0.001, 0.02)
CALL_TIMEOUT = 5.0
DIAL_TIMEOUT = 3.0


class ControlPlane:
    """What the network leads to; None while the control plane is down."""

    def __init__(self) -> None:
        self.sessions: AgentSessions | None = None
        self.api: ApiCall | None = None


class SimulatedNetwork:
    """All lines. Hosts are named by their EC2 instance ids."""

    def __init__(self, timeline: Timeline, ids: Ids, control_plane: ControlPlane) -> None:
        self.timeline = timeline
        self.control_plane = control_plane
        self.ids = ids
        self.duplicated_percent = 0  # of calls that arrive twice
        self.delayed_percent = 0  # of calls that take up to ``longest_delay``
        self.longest_delay = 40.0
        self.lost: set[str] = set()  # hosts whose line is cut
        self.duplicated = 0
        self.delayed = 0
        self.instance_ids: dict[str, str] = {}  # container instance ARN -> EC2 instance id
        self._lines: dict[Line, None] = {}

    def latency(self) -> float:
        low, high = LATENCY
        return low + (high - low) * self.ids.number(1000) / 1000

    # Agents' side

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None:
        host = self.instance_ids.get(instance_arn, "")
        if host in self.lost:
            self._after(DIAL_TIMEOUT, lambda: peer.refused(channel, inactive=False))
        elif self.control_plane.sessions is None:
            # There and back in one event: dials of hosts that wait for a control plane are most of all.
            self._after(2 * self.latency(), partial(peer.refused, channel, inactive=False))
        else:
            self._after(self.latency(), partial(self._connect, channel, host, instance_arn, peer))

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        if operation == "RegisterContainerInstance":
            answered = partial(self._registered, caller, answered)
        if caller in self.lost:
            # Half of the requests on a dying line do arrive; it is their answers that are lost.
            if self.ids.number(2):
                self._after(self.latency(), partial(self._arrive, caller, operation, params, None))
            self._after(CALL_TIMEOUT, lambda: answered(ApiFailure("", "timed out")))
            return
        delay = self.latency()
        if self.delayed_percent and self.ids.number(100) < self.delayed_percent:
            delay += self.longest_delay * self.ids.number(1000) / 1000
            self.delayed += 1
        if self.duplicated_percent and self.ids.number(100) < self.duplicated_percent:
            late = delay + self.longest_delay * self.ids.number(1000) / 1000
            self._after(late, partial(self._arrive, caller, operation, params, None))
            self.duplicated += 1
        self._after(delay, partial(self._arrive, caller, operation, params, answered))

    def _registered(self, caller: str, answered: Callable[[Answer], None], answer: Answer) -> None:
        if not isinstance(answer, ApiFailure):
            self.instance_ids[answer["containerInstance"]["containerInstanceArn"]] = caller
        answered(answer)

    def _arrive(
        self,
        caller: str,
        operation: str,
        params: dict[str, Any],
        answered: Callable[[Answer], None] | None,
    ) -> None:
        api = self.control_plane.api
        if api is None:
            answer: Answer = ApiFailure("", "connection refused")
        else:
            result, code, message = api(operation, params)
            answer = result if result is not None else ApiFailure(code, message)
        if answered is None:
            return
        if caller in self.lost:
            self._after(CALL_TIMEOUT, lambda: answered(ApiFailure("", "timed out")))
        else:
            self._after(self.latency(), partial(answered, answer))

    def _connect(self, channel: Channel, host: str, instance_arn: str, peer: Peer) -> None:
        sessions = self.control_plane.sessions
        if sessions is None or host in self.lost:
            self._after(self.latency(), lambda: peer.refused(channel, inactive=False))
            return
        line = Line(self, channel, host, peer)
        connect = sessions.connect if channel is Channel.ACS else sessions.telemetry
        session = connect(self.timeline.now(), instance_arn, line.to_agent, line.hang_up)
        if session is None:
            line.doomed = True
            self._after(self.latency(), lambda: peer.refused(channel, inactive=True))
            return
        line.session = session
        self._lines[line] = None

    # Faults

    def cut(self, host: str) -> None:
        self.lost.add(host)
        for line in self._lines:
            if line.host == host:
                line.doomed = True

    def heal(self, host: str) -> None:
        """The line works again; connections that were cut turn out to be dead at the next word."""
        self.lost.discard(host)
        for line in [line for line in self._lines if line.host == host and line.doomed]:
            line.broken()

    def control_plane_died(self) -> None:
        """Its sockets are closed by its kernel: every agent sees it."""
        for line in list(self._lines):
            line.broken(control_plane=False)

    def forget(self, line: Line) -> None:
        self._lines.pop(line, None)

    def _after(self, seconds: float, fn: Callable[[], None]) -> None:
        self.timeline.call_at(self.timeline.now() + seconds, fn)


class Line:
    """One open channel between a host and the control plane."""

    __slots__ = (
        "_agent_open",
        "_arrives_at",
        "_channel",
        "_is_open",
        "_network",
        "_peer",
        "_server_open",
        "doomed",
        "host",
        "session",
    )

    def __init__(self, network: SimulatedNetwork, channel: Channel, host: str, peer: Peer) -> None:
        self.session: AgentSession | TelemetrySession | None = None
        self.host = host
        self.doomed = False
        self._network = network
        self._channel = channel
        self._peer = peer
        self._agent_open = True
        self._server_open = True
        # What is sent first to the agent is told to it after that the channel is open.
        self._arrives_at = [0.0, 0.0]
        self._is_open = False  # as far as the agent knows
        self._send_to_agent(self._opened)

    def _opened(self) -> None:
        self._is_open = True
        self._peer.opened(self._channel, self)

    # The agent's end

    def send(self, message: Document) -> None:
        if self._agent_open and not self.doomed:
            self._later(0, partial(self._to_session, message))

    def close(self) -> None:
        self._agent_open = False
        if not self.doomed:
            self._later(0, self._session_closed)

    def _to_session(self, message: Document) -> None:
        if self._server_open and not self.doomed and self.session is not None:
            self.session.receive(self._network.timeline.now(), message)

    def _session_closed(self) -> None:
        self._network.forget(self)
        if self._server_open and self.session is not None:
            self._server_open = False
            self.session.closed(self._network.timeline.now())

    # The control plane's end

    def to_agent(self, message: dict[str, Any]) -> None:
        if self._server_open and not self.doomed:
            self._later(1, partial(self._tell_agent, self._peer.received, self._channel, message))

    def hang_up(self) -> None:
        self._server_open = False
        self._network.forget(self)
        if not self.doomed:
            self._send_to_agent(self._agent_closed)

    def _send_to_agent(self, tell: Callable[..., None], *what: Any) -> None:
        self._later(1, partial(self._tell_agent, tell, *what))

    def _tell_agent(self, tell: Callable[..., None], *what: Any) -> None:
        if self._agent_open and not self.doomed:
            tell(*what)

    def _agent_closed(self) -> None:
        self._agent_open = False
        self._peer.closed(self._channel)

    def _agent_refused(self) -> None:
        self._agent_open = False
        self._peer.refused(self._channel, inactive=False)

    # The line itself

    def broken(self, *, control_plane: bool = True) -> None:
        """Both ends hear that the other is gone."""
        self.doomed = True
        self._network.forget(self)
        if self._agent_open:
            told = self._agent_closed if self._is_open else self._agent_refused
            self._network.timeline.call_at(self._network.timeline.now(), told)
        if control_plane and self._server_open:
            self._network.timeline.call_at(self._network.timeline.now(), self._session_closed)

    def _later(self, direction: int, fn: Callable[[], None]) -> None:
        """After the latency, and never before what was sent earlier."""
        timeline = self._network.timeline
        at = timeline.now() + self._network.latency()
        if at < self._arrives_at[direction]:
            at = self._arrives_at[direction]
        self._arrives_at[direction] = at
        timeline.call_at(at, fn)
