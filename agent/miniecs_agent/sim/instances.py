"""Many simulated container instances in one process: for each a real agent's core and a simulated engine.

The same for the seeded simulation and for ``up --runtime simulated``: only the timers (a heap,
or an event loop) and the network to the control plane (with faults, or direct calls) differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.instance_types import instance_type
from miniecs.model.simulated import SimulatedInstance
from miniecs.model.task import Task
from miniecs_agent.core.capabilities import AMI, HostFacts
from miniecs_agent.core.spec import Document, InvalidTask, TaskSpec, read_task
from miniecs_agent.core.tasks import AgentSettings
from miniecs_agent.engine import EngineContainer
from miniecs_agent.shell.host import InstanceHost, Network
from miniecs_agent.shell.timers import Timers
from miniecs_agent.sim.engine import Latencies, ProbeAnswer, SimContainer, SimEngine, SimRegistry

DEFAULT_LATENCIES = Latencies()
_FIRST_ADDRESS = (172 << 24) + (31 << 16) + 16

SimulatedHost = InstanceHost[SimEngine]


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
    instance_id: str = ""  # an Auto Scaling group's instance has one already
    group_arn: str = ""


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
        self.registry = SimRegistry()
        self._hosts: dict[str, SimulatedHost] = {}
        self._by_address: dict[str, SimulatedHost] = {}
        self._by_instance_id: dict[str, SimulatedHost] = {}
        self._groups: dict[str, str] = {}  # EC2 instance id -> the Auto Scaling group's ARN
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
            instance_id=wanted.instance_id or f"i-{self._ids.hex(17)}",
            private_ip=self._address(),
            attributes=wanted.attributes,
            group_arn=wanted.group_arn,
        )
        host = self._host(described, known_arn=None)
        host.start()
        return host

    def remove(self, instance_arn: str) -> bool:
        """Switch the host off and forget it; False when there is none. Deregistering is the caller's call."""
        host = self._hosts.pop(instance_arn, None)
        if host is None:
            return False
        self._drop(host)
        self._journal.forget(instance_arn)
        return True

    def group_machines(self) -> Mapping[str, str]:
        """Hosts of Auto Scaling groups, registered or not yet: EC2 instance id -> group's ARN."""
        return dict(self._groups)

    def terminate(self, instance_id: str) -> None:
        """As ``remove``, by the EC2 instance id; a host that has not registered yet never will."""
        host = self._by_instance_id.get(instance_id)
        if host is None or self.remove(host.arn):
            return
        self._drop(host)

    def _drop(self, host: SimulatedHost) -> None:
        host.lose()
        self._by_address.pop(host.facts.private_ip, None)
        self._by_instance_id.pop(host.facts.instance_id, None)
        self._groups.pop(host.facts.instance_id, None)

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
        host, container = self.behind(target, port)
        if host is None or not host.alive:
            return ProbeAnswer(None, "timeout")
        return host.engine.answer(container)

    def behind(self, target: str, port: int) -> tuple[SimulatedHost | None, SimContainer | None]:
        """The host at an instance id or an address, its own or a task's, and who has the port there."""
        host = self._by_instance_id.get(target) or self._by_address.get(target)
        if host is not None:
            return host, host.engine.publisher(port)
        for host in self._hosts.values():
            if host.alive:
                for task in host.core.tasks:
                    if target in _addresses(task.spec.document):
                        return host, host.engine.of_task(task.spec.arn, port)
        return None, None

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
            attributes=dict(described.attributes),
            docker_version="simulated",
        )
        # A stopped simulated container leaves nothing that anyone could look at: it is removed at once.
        settings = AgentSettings(described.cluster_arn, self._timing, cleanup_after=0.0)
        engine = SimEngine(
            self._timers,
            self._ids,
            facts.private_ip,
            lambda event: host.engine_event(event),
            settings.timing,
            self._latencies,
            self.registry,
        )
        host = SimulatedHost(
            self._timers,
            self._network,
            self._ids,
            facts,
            settings,
            engine,
            known_arn=known_arn,
            registered=partial(self._registered, described),
        )
        self._by_address[described.private_ip] = host
        self._by_instance_id[described.instance_id] = host
        if described.group_arn:
            self._groups[described.instance_id] = described.group_arn
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
