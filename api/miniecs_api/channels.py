"""The agents' two websockets, ACS at /acs and TCS at /tcs: from the handshake to the sessions, and back.

Written for the real ECS agent: parameters, refusals and close codes are what agents 1.48.1 and 1.105.1 were
seen to send and to act on. An agent that is there keeps its place: a second one with the same identity would
start every task twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import orjson

from miniecs.clock import Clock
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.store import Store, StoreError
from miniecs_api.agent_session import AgentSession, TelemetrySession
from miniecs_api.agents import AgentSessions, AgentVersion
from miniecs_api.signatures import Signatures
from miniecs_api.sockets import (
    POLICY_VIOLATION,
    BadQuery,
    Receive,
    Send,
    Socket,
    SocketScope,
    parameters,
    peer,
    refuse,
)

log = logging.getLogger("miniecs.agents")

ANSWERS_WITHIN = 2.0  # seconds that an agent has to show that it is there, before another takes its place
_WITHOUT = ("", "0.0.0.0", "::")


class _Refusal(NamedTuple):
    """Why a handshake fails: the ECS agent reads ``{code: message}`` from the body."""

    status: int
    code: str
    message: str


_INACTIVE = _Refusal(400, "InactiveInstanceException", "The container instance is not registered.")

S = TypeVar("S", AgentSession, TelemetrySession)


class AgentChannels:
    """The websocket apps of both channels."""

    def __init__(
        self, store: Store, sessions: AgentSessions, signatures: Signatures, clock: Clock
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._signatures = signatures
        self._clock = clock
        self._lines: dict[str, _Line] = {}  # open ACS channels by instance
        self._ending = False

    def end(self) -> None:
        """The server is about to end. Whose line ends from now on has not gone away: it comes back."""
        self._ending = True

    async def acs(self, scope: SocketScope, receive: Receive, send: Send) -> None:
        """Commands: ``…/ws?clusterArn=…&containerInstanceArn=…&agentVersion=…``."""
        asked = self._instance(scope, "containerInstanceArn", "clusterArn")
        if isinstance(asked, _Refusal):
            await _refuse(scope, receive, send, asked)
            return
        given, instance = asked
        if await self._is_there(instance.arn):
            await _refuse(scope, receive, send, _duplicate(instance.arn))
            return
        socket = Socket(receive, send, f"The agent of {instance.arn} at {peer(scope)}")
        line = _Line(socket, self._clock, self._closed)
        version = AgentVersion(
            given.get("agentVersion"), given.get("agentHash"), given.get("dockerVersion")
        )
        address = peer(scope)
        session = self._open(
            lambda now: self._sessions.connect(
                now,
                instance.arn,
                socket.put,
                socket.hang_up,
                version=version,
                address=None if address in _WITHOUT else address,
            )
        )
        if isinstance(session, _Refusal):
            await _refuse(scope, receive, send, session)
            return
        self._lines[instance.arn] = line
        try:
            await line.run(session)
        finally:
            if self._lines.get(instance.arn) is line:
                del self._lines[instance.arn]

    async def tcs(self, scope: SocketScope, receive: Receive, send: Send) -> None:
        """Telemetry: ``…/ws?cluster=…&containerInstance=…``."""
        asked = self._instance(scope, "containerInstance", "cluster")
        if isinstance(asked, _Refusal):
            await _refuse(scope, receive, send, asked)
            return
        _, instance = asked
        if self._sessions.has_telemetry(instance.arn) and await self._is_there(instance.arn):
            await _refuse(scope, receive, send, _duplicate(instance.arn))
            return
        socket = Socket(receive, send, f"The telemetry of {instance.arn} at {peer(scope)}")
        session = self._open(
            lambda now: self._sessions.telemetry(now, instance.arn, socket.put, socket.hang_up)
        )
        if isinstance(session, _Refusal):
            await _refuse(scope, receive, send, session)
            return
        await _Line(socket, self._clock, self._closed).run(session)

    def _closed(self, session: AgentSession | TelemetrySession) -> None:
        if self._ending or not session.open:
            return
        try:
            session.closed(self._clock.now())
        except StoreError as problem:
            log.error("that an agent hung up could not be noted: %s", problem)

    # Handshakes

    def _instance(
        self, scope: SocketScope, instance: str, cluster: str
    ) -> tuple[dict[str, str], ContainerInstance] | _Refusal:
        """What was asked for, and for which instance; names of the parameters differ between channels."""
        if refusal := self._signatures.refuse(scope, "GET", b""):
            return _Refusal(refusal.status or 403, refusal.code, refusal.message)
        try:
            given = parameters(scope)
        except BadQuery as problem:
            return _Refusal(400, "BadRequestException", str(problem))
        found = self._store.get(ContainerInstance, given.get(instance, ""))
        if found is None or found.status == "INACTIVE":
            return _INACTIVE
        if given.get(cluster) not in (None, "", found.cluster_arn, arns.name_of(found.cluster_arn)):
            text = f"{found.arn} is not in the cluster {given[cluster]}."
            return _Refusal(400, "InvalidClusterException", text)
        return given, found

    async def _is_there(self, instance_arn: str) -> bool:
        """Whether the instance has an agent that answers."""
        while (line := self._lines.get(instance_arn)) is not None:
            if await line.answers(ANSWERS_WITHIN):
                return True
            if self._lines.get(instance_arn) is line:
                return False  # it has not gone, and says nothing
        return self._sessions.is_connected(instance_arn)  # by an agent in this process

    def _open(self, connect: Callable[[float], S | None]) -> S | _Refusal:
        try:
            return connect(self._clock.now()) or _INACTIVE
        except StoreError as problem:
            log.error("an agent could not connect, it tries again: %s", problem)
            return _Refusal(503, "ServerException", str(problem))


def _duplicate(instance_arn: str) -> _Refusal:
    text = f"Another agent is connected as {instance_arn}, and it answers. Is this a copy of its data folder?"
    return _Refusal(409, "AccessDeniedException", text)


async def _refuse(scope: SocketScope, receive: Receive, send: Send, refusal: _Refusal) -> None:
    log.warning("refused an agent at %s (%s): %s", peer(scope), scope["path"], refusal.message)
    await refuse(receive, send, refusal.status, {refusal.code: refusal.message})


class _Line:
    """An open channel: frames to messages, and the end of one to the end of the other."""

    def __init__(
        self, socket: Socket, clock: Clock, closed: Callable[[AgentSession | TelemetrySession], None]
    ) -> None:
        self._socket = socket
        self._clock = clock
        self._closed = closed
        self._session: AgentSession | TelemetrySession | None = None
        self._asking: set[asyncio.Future[bool]] = set()

    async def run(self, session: AgentSession | TelemetrySession) -> None:
        """Carry messages until either side hangs up."""
        self._session = session
        try:
            await self._socket.run(self._received)
        finally:
            self._answered(False)
            self._closed(session)

    async def answers(self, within: float) -> bool:
        """Whether an ACS agent says anything within so many seconds of being asked."""
        session = self._session
        if not isinstance(session, AgentSession) or not session.open:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asking.add(answer)
        session.challenge(self._clock.now())
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
        if self._session is None or not self._session.open:
            return
        self._answered(True)
        try:
            message = orjson.loads(_without_signature(text))
        except orjson.JSONDecodeError as problem:
            message = problem
        if not isinstance(message, dict):
            log.warning("%s sends what is no message (%.100r): hung up", self._socket.name, text)
            self._socket.hang_up(POLICY_VIOLATION, "a message is a JSON object")
            return
        try:
            self._session.receive(self._clock.now(), message)
        except StoreError as problem:
            log.error("what an agent published is lost, it publishes again: %s", problem)


def _without_signature(text: str) -> str:
    """The ECS agent signs each TCS message, in headers before it; we checked who it is at the handshake."""
    if text.startswith("Authorization:"):
        return text.partition("\r\n\r\n")[2]
    return text
