"""Many simulated container instances in one process: for each a real agent's core and a simulated engine.

The same for the seeded simulation and for ``up --runtime simulated``: only the timers (a heap,
or an event loop) and the network to the control plane (with faults, or direct calls) differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.instance_types import instance_type
from miniecs.model.simulated import SimulatedInstance
from miniecs.model.task import Task
from miniecs_agent.agent import REGISTER, AgentCore
from miniecs_agent.capabilities import HostFacts
from miniecs_agent.effects import (
    Answer,
    ApiFailure,
    Channel,
    Close,
    Effect,
    Exit,
    Open,
    SendAcs,
    SendTcs,
    Submit,
    WakeAt,
)
from miniecs_agent.engine import EngineCall, EngineContainer, EngineEvent
from miniecs_agent.sim_engine import Latencies, ProbeAnswer, SimEngine, Timers
from miniecs_agent.spec import Document, InvalidTask, TaskSpec, read_task
from miniecs_agent.tasks import AgentSettings

DEFAULT_LATENCIES = Latencies()
AMI = "ami-0d5eff06f840b45e9"
VPC = "vpc-0a1b2c3d4e5f60718"
_FIRST_ADDRESS = (172 << 24) + (31 << 16) + 16


class Connection(Protocol):
    """The agent's end of an open channel."""

    def send(self, message: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class Peer(Protocol):
    """What a network tells an agent's host."""

    def opened(self, channel: Channel, connection: Connection) -> None: ...

    def refused(self, channel: Channel, *, inactive: bool) -> None: ...

    def received(self, channel: Channel, message: Document) -> None: ...

    def closed(self, channel: Channel) -> None: ...


class Network(Protocol):
    """The way from agents to the control plane. Answers may come at once or later."""

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None: ...

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        """``caller``: an EC2 instance id, which names the host even before it is registered."""


class Journal(Protocol):
    """What outlives the process: the instances, and what is known of the containers on them."""

    def instances(self) -> Iterable[SimulatedInstance]: ...

    def save(self, instance: SimulatedInstance) -> None: ...

    def forget(self, instance_arn: str) -> None: ...

    def tasks(self, instance_arn: str) -> Iterable[tuple[Document, Task]]:
        """Tasks on the instance as last reported, each also as a payload has it."""


@dataclass(frozen=True, slots=True)
class NewInstance:
    """A container instance to simulate. ``cluster``: a name or an ARN."""

    instance_type: str
    zone: str
    cluster: str
    attributes: tuple[tuple[str, str], ...] = ()


class SimulatedHost:
    """One host: carries out the effects of its agent's core, one after the other, whatever they lead to."""

    def __init__(
        self,
        timers: Timers,
        network: Network,
        ids: Ids,
        facts: HostFacts,
        settings: AgentSettings,
        latencies: Latencies,
        known_arn: str | None,
        registered: Callable[[SimulatedHost], None],
    ) -> None:
        self.facts = facts
        self.alive = False
        self.exit_reason: str | None = None  # why the agent gave up
        self._timers = timers
        self._network = network
        self._ids = ids
        self._settings = settings
        self._registered = registered
        self._known_arn = known_arn
        self.engine = SimEngine(
            timers, ids, facts.private_ip, self._on_engine_event, settings.timing, latencies
        )
        self.core = AgentCore(settings, facts, ids, known_arn)
        self._connections: dict[Channel, Connection] = {}
        self._inbox: deque[Callable[[], list[Effect]]] = deque()
        self._busy = False

    @property
    def arn(self) -> str:
        """'' until it is registered."""
        return self.core.arn or self._known_arn or ""

    def start(self) -> None:
        """Boot the agent. What the engine already runs is taken over."""
        self.alive = True
        containers = self.engine.containers()
        self._do(lambda: self.core.start(self._timers.now(), containers))

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
        self._connections.clear()

    def _hang_up(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # What happens to it

    def opened(self, channel: Channel, connection: Connection) -> None:
        self._connections[channel] = connection
        self._do(lambda: self.core.opened(self._timers.now(), channel))

    def refused(self, channel: Channel, *, inactive: bool) -> None:
        self._do(lambda: self.core.refused(self._timers.now(), channel, inactive=inactive))

    def received(self, channel: Channel, message: Document) -> None:
        core = self.core
        handle = core.handle if channel is Channel.ACS else core.handle_telemetry
        self._do(lambda: handle(self._timers.now(), message))

    def closed(self, channel: Channel) -> None:
        if self._connections.pop(channel, None) is not None:
            self._do(lambda: self.core.closed(self._timers.now(), channel))

    def _on_engine_event(self, event: EngineEvent) -> None:
        self._do(lambda: self.core.engine_event(self._timers.now(), event))

    def _answered(self, core: AgentCore, key: str, answer: Answer) -> None:
        """An answer to an agent that was restarted meanwhile is lost, as a closed socket's is."""

        def step() -> list[Effect]:
            effects = core.answered(self._timers.now(), key, answer)
            if key == REGISTER and not isinstance(answer, ApiFailure):
                self._registered(self)  # not before the core knows its ARN: a direct network answers nested
            return effects

        if core is self.core:
            self._do(step)

    def _tick(self, core: AgentCore) -> None:
        if core is self.core:
            self._do(lambda: core.tick(self._timers.now()))

    # What it does

    def _do(self, step: Callable[[], list[Effect]]) -> None:
        if not self.alive:
            return
        self._inbox.append(step)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                for effect in self._inbox.popleft()():
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
                self._send(Channel.ACS, message)
            case SendTcs(message=message):
                self._send(Channel.TCS, message)
            case WakeAt(at=at):
                self._timers.call_at(at, partial(self._tick, self.core))
            case Open(channel=channel):
                self._network.dial(channel, self.arn, self)
            case Close(channel=channel):
                connection = self._connections.pop(channel, None)
                if connection is not None:
                    connection.close()
            case Exit(reason=reason):
                self.exit_reason = reason
                self.lose()

    def _send(self, channel: Channel, message: dict[str, Any]) -> None:
        connection = self._connections.get(channel)
        if connection is not None:
            connection.send(message)


class SimulatedInstances:
    """All simulated hosts of a process, by container instance ARN once they are registered."""

    def __init__(
        self,
        timers: Timers,
        network: Network,
        ids: Ids,
        journal: Journal,
        timing: Timing,
        *,
        latencies: Latencies = DEFAULT_LATENCIES,
    ) -> None:
        self._timers = timers
        self._network = network
        self._ids = ids
        self._journal = journal
        self._timing = timing
        self._latencies = latencies
        self._hosts: dict[str, SimulatedHost] = {}
        self._by_address: dict[str, SimulatedHost] = {}
        self._by_instance_id: dict[str, SimulatedHost] = {}
        self._next_address = _FIRST_ADDRESS

    def __iter__(self) -> Iterator[SimulatedHost]:
        return iter(self._hosts.values())

    def get(self, instance_arn: str) -> SimulatedHost | None:
        return self._hosts.get(instance_arn)

    def add(self, wanted: NewInstance) -> SimulatedHost:
        """Start a new host; with a direct network it is registered when this returns.

        Raises UnknownInstanceType.
        """
        described = SimulatedInstance(
            arn="",
            cluster_arn=wanted.cluster,
            instance_type=instance_type(wanted.instance_type).name,
            zone=wanted.zone,
            instance_id=f"i-{self._ids.hex(17)}",
            private_ip=self._address(),
            attributes=wanted.attributes,
        )
        host = self._host(described, known_arn=None)
        host.start()
        return host

    def remove(self, instance_arn: str) -> bool:
        """Switch the host off and forget it; False when there is none. Deregistering is the caller's call."""
        host = self._hosts.pop(instance_arn, None)
        if host is None:
            return False
        host.lose()
        self._by_address.pop(host.facts.private_ip, None)
        self._by_instance_id.pop(host.facts.instance_id, None)
        self._journal.forget(instance_arn)
        return True

    def remove_all(self) -> None:
        """Switch every host off and forget it."""
        for instance_arn in list(self._hosts):
            self.remove(instance_arn)

    def suspend_all(self) -> None:
        """Silence every host and forget none: the process ends, and the next one starts them again."""
        for host in self._hosts.values():
            host.lose()

    def start_all(self) -> int:
        """Start what ran when the process ended, with its containers; how many hosts."""
        started = 0
        for described in list(self._journal.instances()):
            host = self._host(described, known_arn=described.arn)
            self._next_address = max(self._next_address, _number(described.private_ip) + 1)
            self._hosts[described.arn] = host
            for document, task in self._journal.tasks(described.arn):
                spec = _read(document)
                if spec is not None:
                    for container in _ran(task):
                        host.engine.adopt(spec, container, self._timers.now())
            host.start()
            started += 1
        return started

    def probe(self, target: str, port: int) -> ProbeAnswer:
        """A load balancer's probe of an instance (by EC2 instance id) or an address."""
        host = self._by_instance_id.get(target) or self._by_address.get(target)
        if host is not None:
            return host.engine.probe(port) if host.alive else ProbeAnswer(None, "timeout")
        for host in self._hosts.values():
            if host.alive:
                for task in host.core.tasks:
                    if target in _addresses(task.spec.document):
                        return host.engine.probe_task(task.spec.arn, port)
        return ProbeAnswer(None, "timeout")

    def _host(self, described: SimulatedInstance, known_arn: str | None) -> SimulatedHost:
        kind = instance_type(described.instance_type)
        facts = HostFacts(
            cpu=kind.cpu,
            memory=kind.memory,
            zone=described.zone,
            instance_id=described.instance_id,
            instance_type=kind.name,
            private_ip=described.private_ip,
            ami_id=AMI,
            vpc_id=VPC,
            subnet_id=_subnet(described.zone),
            attributes=dict(described.attributes),
            docker_version="simulated",
        )
        # A stopped simulated container leaves nothing that anyone could look at: it is removed at once.
        settings = AgentSettings(described.cluster_arn, self._timing, cleanup_after=0.0)
        host = SimulatedHost(
            self._timers,
            self._network,
            self._ids,
            facts,
            settings,
            self._latencies,
            known_arn,
            partial(self._registered, described),
        )
        self._by_address[described.private_ip] = host
        self._by_instance_id[described.instance_id] = host
        return host

    def _registered(self, described: SimulatedInstance, host: SimulatedHost) -> None:
        if described.arn == host.arn:
            return
        cluster_name = host.arn.split("/")[-2]
        cluster_arn = arns.cluster(arns.scope_of(host.arn), cluster_name)
        self._hosts[host.arn] = host
        self._journal.save(replace(described, arn=host.arn, cluster_arn=cluster_arn))

    def _address(self) -> str:
        """Of the default VPC's 172.31.0.0/16, one after the other."""
        number, self._next_address = self._next_address, self._next_address + 1
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _number(address: str) -> int:
    number = 0
    for part in address.split("."):
        number = number << 8 | int(part)
    return number


def _subnet(zone: str) -> str:
    """One made-up subnet a zone, the same every time."""
    return f"subnet-{zone.encode().hex()[-17:]:0>17}"


def _read(document: Document) -> TaskSpec | None:
    try:
        return read_task(document)
    except InvalidTask:
        return None  # it never ran, then


def _ran(task: Task) -> Iterator[EngineContainer]:
    """What the control plane was told of a task's containers is all that has happened to them."""
    for container in task.containers:
        if container.runtime_id is not None and container.last_status != "PENDING":
            yield EngineContainer(
                task_arn=task.arn,
                name=container.name,
                runtime_id=container.runtime_id,
                state="exited" if container.last_status == "STOPPED" else "running",
                exit_code=container.exit_code,
                started_at=task.started_at or task.created_at,
                bindings=container.network_bindings,
                health=container.health_status,
                digest=container.image_digest,
                reported=True,
            )


def _addresses(task: Mapping[str, Any]) -> list[str]:
    return [
        address["privateAddress"]
        for interface in task.get("elasticNetworkInterfaces") or ()
        for address in interface.get("ipv4Addresses") or ()
    ]
