"""One container instance: an agent's core with its engine and its network, whichever they are.

The same for simulated instances and for Docker: it carries out the core's effects one after the other,
and tells the core what they led to. What time, network and engine are made of, others know.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from miniecs.ids import Ids
from miniecs_agent.core.agent import REGISTER, AgentCore
from miniecs_agent.core.capabilities import HostFacts
from miniecs_agent.core.effects import (
    ACS,
    TCS,
    Answer,
    ApiFailure,
    Channel,
    Close,
    Effect,
    Exit,
    Open,
    ReadUsage,
    SendAcs,
    SendTcs,
    Submit,
    WakeAt,
)
from miniecs_agent.core.spec import Document
from miniecs_agent.core.tasks import AgentSettings
from miniecs_agent.engine import Engine, EngineCall, EngineEvent
from miniecs_agent.host_engine import Usage
from miniecs_agent.shell.timers import Timers

EXTENSION = "miniecs."  # how the types of our own messages begin; the ECS agent ignores them

E_co = TypeVar("E_co", bound=Engine, covariant=True)


class Connection(Protocol):
    """The agent's end of an open channel."""

    def send(self, message: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class Peer(Protocol):
    """What a network tells an agent's host."""

    def opened(self, channel: Channel, connection: Connection) -> None: ...

    def refused(self, channel: Channel, *, inactive: bool) -> None: ...

    def received(self, channel: Channel, message: Document) -> None: ...

    def closed(self, channel: Channel, *, unwelcome: bool = False) -> None:
        """The other side hung up. ``unwelcome``: with a close code that asks not to come back at once."""


class Network(Protocol):
    """The way from agents to the control plane. Answers may come at once or later."""

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None: ...

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        """``caller``: an EC2 instance id, which names the host even before it is registered."""


class Extension(Protocol):
    """What speaks miniecs's own messages on one ACS connection, from its opening to its end."""

    def received(self, message: Document) -> None:
        """A message whose type begins with ``miniecs.``."""

    def closed(self) -> None:
        """The connection has ended; nothing can be sent any more."""


MakeExtension = Callable[[Callable[[dict[str, Any]], None]], Extension]
"""Called at each opening of ACS, with the function that sends a message on it."""


class InstanceHost(Generic[E_co]):
    """One instance.

    registered: called each time that the control plane has registered it. gave_up: the agent cannot go on,
    and why. read_usage: have what containers use read, and told to ``usage_read``.
    """

    def __init__(
        self,
        timers: Timers,
        network: Network,
        ids: Ids,
        facts: HostFacts,
        settings: AgentSettings,
        engine: E_co,
        *,
        known_arn: str | None,
        registered: Callable[[InstanceHost[E_co]], None],
        gave_up: Callable[[str], None] | None = None,
        read_usage: Callable[[], None] | None = None,
        extension: MakeExtension | None = None,
    ) -> None:
        self.facts = facts
        self.engine = engine
        self.alive = False
        self.exit_reason: str | None = None  # why the agent gave up
        self.core = AgentCore(settings, facts, ids, known_arn)
        self._timers = timers
        self._network = network
        self._ids = ids
        self._settings = settings
        self._registered = registered
        self._gave_up = gave_up
        self._read_usage = read_usage
        self._known_arn = known_arn
        self._make_extension = extension
        self._extension: Extension | None = None
        self._connections: dict[Channel, Connection] = {}
        self._inbox: deque[tuple[Callable[..., list[Effect]], tuple[Any, ...]]] = deque()
        self._busy = False
        self._wake_at: float | None = None  # when the core wants to be woken

    @property
    def arn(self) -> str:
        """'' until it is registered."""
        return self.core.arn or self._known_arn or ""

    def start(self) -> None:
        """Boot the agent. What the engine already runs is taken over."""
        self.alive = True
        self._do(self.core.start, self.engine.containers())

    def restart_agent(self) -> None:
        """The agent's process ends and a new one begins; containers run on."""
        self._hang_up()
        self._known_arn = self.arn or None
        self._inbox.clear()
        self.core = AgentCore(self._settings, self.facts, self._ids, self._known_arn)
        self.start()

    def lose(self) -> None:
        """The machine is gone, with all that runs on it. Nothing more is heard of it."""
        self.alive = False
        self._inbox.clear()
        self._end_extension()
        self._connections.clear()

    def let_go(self) -> None:
        """The agent ends in good order: it hangs up, and what runs on the engine runs on."""
        self.alive = False
        self._inbox.clear()
        self._hang_up()

    def _hang_up(self) -> None:
        self._end_extension()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # What happens to it

    def opened(self, channel: Channel, connection: Connection) -> None:
        if not self.alive:
            connection.close()
            return
        self._connections[channel] = connection
        if channel is ACS and self._make_extension is not None:
            self._extension = self._make_extension(connection.send)
        self._do(self.core.opened, channel)

    def refused(self, channel: Channel, *, inactive: bool) -> None:
        self._do(partial(self.core.refused, inactive=inactive), channel)

    def received(self, channel: Channel, message: Document) -> None:
        if self._extension is not None and channel is ACS and _is_extension(message):
            self._extension.received(message)
            return
        core = self.core
        self._do(core.handle if channel is ACS else core.handle_telemetry, message)

    def closed(self, channel: Channel, *, unwelcome: bool = False) -> None:
        if self._connections.pop(channel, None) is not None:
            if channel is ACS:
                self._end_extension()
            self._do(partial(self.core.closed, unwelcome=unwelcome), channel)

    def engine_event(self, event: EngineEvent) -> None:
        self._do(self.core.engine_event, event)

    def engine_answers(self, answers: bool) -> None:
        """The engine as a whole went, or came back."""
        self._do(self.core.engine_answers, answers)

    def reachable(self) -> None:
        """The control plane is known to answer (again)."""
        self._do(self.core.reachable)

    def usage_read(self, readings: Mapping[tuple[str, str], Usage]) -> None:
        """What the running containers use, by (task ARN, container name)."""
        self._do(self.core.usage_read, readings)

    def _answered(self, core: AgentCore, key: str, answer: Answer) -> None:
        """An answer to an agent that was restarted meanwhile is lost, as a closed socket's is."""
        if core is self.core:
            self._do(self._register_answered if key == REGISTER else core.answered, key, answer)

    def _register_answered(self, now: float, key: str, answer: Answer) -> list[Effect]:
        effects = self.core.answered(now, key, answer)
        if not isinstance(answer, ApiFailure):
            self._registered(self)  # not before the core knows its ARN: a direct network answers nested
        return effects

    def _tick(self, core: AgentCore, at: float) -> None:
        """Of the wakes that were asked for only the last counts; otherwise each would lead to another one."""
        if core is self.core and at == self._wake_at:
            self._do(core.tick)

    # What it does

    def send_extension(self, message: dict[str, Any]) -> None:
        """One of miniecs's own messages, on ACS; lost when it is not open."""
        self._send(ACS, message)

    def _do(self, step: Callable[..., list[Effect]], *what: Any) -> None:
        """Take a step of the core and carry out what comes of it; steps that this leads to come after it."""
        if not self.alive:
            return
        inbox = self._inbox
        inbox.append((step, what))
        if self._busy:
            return
        self._busy = True
        try:
            while inbox:
                step, what = inbox.popleft()
                for effect in step(self._timers.now(), *what):
                    self._carry_out(effect)
        finally:
            self._busy = False

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case EngineCall():
                self.engine.perform(self._timers.now(), effect)
            case Submit(key=key, operation=operation, params=params):
                answered = partial(self._answered, self.core, key)
                self._network.call(self.facts.instance_id, operation, params, answered)
            case SendAcs(message=message):
                self._send(ACS, message)
            case SendTcs(message=message):
                self._send(TCS, message)
            case WakeAt(at=at):
                self._wake_at = at
                self._timers.call_at(at, partial(self._tick, self.core, at))
            case Open(channel=channel):
                self._network.dial(channel, self.arn, self)
            case Close(channel=channel):
                if channel is ACS:
                    self._end_extension()
                connection = self._connections.pop(channel, None)
                if connection is not None:
                    connection.close()
            case ReadUsage():
                if self._read_usage is not None:
                    self._read_usage()
            case Exit(reason=reason):
                self.exit_reason = reason
                self.let_go()
                if self._gave_up is not None:
                    self._gave_up(reason)

    def _send(self, channel: Channel, message: dict[str, Any]) -> None:
        connection = self._connections.get(channel)
        if connection is not None:
            connection.send(message)

    def _end_extension(self) -> None:
        extension, self._extension = self._extension, None
        if extension is not None:
            extension.closed()


def _is_extension(message: Document) -> bool:
    kind = message.get("type")
    return isinstance(kind, str) and kind.startswith(EXTENSION)
