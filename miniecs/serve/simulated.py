"""The simulated runtime in real time: agents and engines in the server's process, on its event loop.

Its agents speak with the control plane by function calls, and its engines answer health checks as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from miniecs.clock import Clock
from miniecs.config import InstanceSpec, Timing
from miniecs.ids import Ids
from miniecs.model.scope import Scope
from miniecs.serve.runtime import Zones
from miniecs.store import Store, StoreError
from miniecs_agent.core.effects import Answer, ApiFailure, Channel
from miniecs_agent.shell.host import Connection, Peer
from miniecs_agent.shell.timers import LoopTimers
from miniecs_agent.sim.instances import NewInstance, SimulatedInstances
from miniecs_api.agent_session import AgentSession, TelemetrySession
from miniecs_api.agents import AgentSessions
from miniecs_api.links import Prober
from miniecs_api.operations import Operations
from miniecs_api.simulated import StoreJournal, agents_calls

log = logging.getLogger("miniecs.server")


class SimulatedRuntime:
    """Container instances that are simulated (miniecs.serve.runtime.Runtime)."""

    def __init__(
        self,
        store: Store,
        sessions: AgentSessions,
        operations: Operations,
        scope: Scope,
        ids: Ids,
        clock: Clock,
        timing: Timing,
        zones: Zones,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._operations = operations
        self._scope = scope
        self._ids = ids
        self._clock = clock
        self._timing = timing
        self._zones = zones

    def start(self) -> None:
        timers = LoopTimers(self._clock)
        self._instances = SimulatedInstances(
            timers,
            DirectNetwork(self._sessions, self._operations, self._scope, self._clock),
            self._ids,
            StoreJournal(self._store),
            self._timing,
        )
        self._instances.start_all()
        self._prober = Prober(self._store, timers, self._timing, self._instances.probe)

    def stop(self) -> None:
        self._prober.stop()
        self._instances.suspend_all()

    def launch(self, wanted: Iterable[InstanceSpec]) -> None:
        for spec in wanted:
            self._launch(spec)

    def group_machines(self) -> Mapping[str, str]:
        return self._instances.group_machines()

    def terminate(self, instance_id: str) -> None:
        self._instances.terminate(instance_id)

    async def add(self, wanted: InstanceSpec) -> str:
        return self._launch(wanted)

    async def remove(self, instance_arn: str) -> None:
        self._instances.remove(instance_arn)

    async def reset(self) -> None:
        self._instances.remove_all()

    def begin_anew(self, *, restore: bool) -> None:
        """There are no engines elsewhere."""

    def _launch(self, wanted: InstanceSpec) -> str:
        cluster = {"cluster": wanted.cluster}
        registered = self._operations.call("ecs", "ListContainerInstances", cluster, self._scope)
        zone = wanted.zone or self._zones(len(registered.result["containerInstanceArns"]))
        host = self._instances.add(
            NewInstance(
                wanted.type, zone, wanted.cluster, wanted.attributes, wanted.instance_id, wanted.group_arn
            )
        )
        if not host.arn:
            raise RuntimeError(f"the simulated instance did not register: {host.exit_reason}")
        return host.arn


class _Line:
    """An open channel: what either end sends arrives in the loop's next turn."""

    def __init__(self, clock: Clock, channel: Channel, peer: Peer) -> None:
        self._clock = clock
        self._channel = channel
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._session: AgentSession | TelemetrySession | None = None

    def attach(self, session: AgentSession | TelemetrySession) -> None:
        self._session = session

    # The control plane's end

    def to_agent(self, message: dict[str, Any]) -> None:
        self._loop.call_soon(self._peer.received, self._channel, message)

    def hung_up(self) -> None:
        self._session = None
        self._loop.call_soon(self._peer.closed, self._channel)

    # The agent's end

    def send(self, message: dict[str, Any]) -> None:
        self._loop.call_soon(self._deliver, message)

    def close(self) -> None:
        self._loop.call_soon(self._closed)

    def _deliver(self, message: dict[str, Any]) -> None:
        if self._session is not None and self._session.open:
            try:
                self._session.receive(self._clock.now(), message)
            except StoreError as problem:
                log.error("what an agent published is lost, it publishes again: %s", problem)

    def _closed(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.open:
            try:
                session.closed(self._clock.now())
            except StoreError as problem:
                log.error("that an agent hung up could not be noted: %s", problem)


class DirectNetwork:
    """The way from simulated agents to the control plane in the same process."""

    def __init__(self, sessions: AgentSessions, operations: Operations, scope: Scope, clock: Clock) -> None:
        self._sessions = sessions
        self._call = agents_calls(operations, scope)
        self._clock = clock

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None:
        line = _Line(self._clock, channel, peer)
        opening = self._sessions.connect if channel is Channel.ACS else self._sessions.telemetry
        try:
            session = opening(self._clock.now(), instance_arn, line.to_agent, line.hung_up)
        except StoreError as problem:
            log.error("an agent could not connect, it tries again: %s", problem)
            peer.refused(channel, inactive=False)
            return
        if session is None:
            peer.refused(channel, inactive=True)
            return
        line.attach(session)
        connection: Connection = line
        peer.opened(channel, connection)

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        result, code, message = self._call(operation, params)
        answered(result if result is not None else ApiFailure(code, message))
