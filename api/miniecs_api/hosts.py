"""The control plane's end of the host links: which container instances each engine's agent has to play.

One link an engine, beside the ECS protocol, which knows nothing of machines that are launched. Without I/O.
An agent is always told the whole of what is wanted of it, so nothing is lost with a connection; an instance
that is not in the set any more is to be removed, with all that the engine has of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from pydantic import Field

from miniecs.config import InstanceSpec
from miniecs.model.emulated import LOCAL, EmulatedInstance, EngineHost
from miniecs.model.instance_types import UnknownInstanceType
from miniecs.model.load_balancing import LoadBalancer
from miniecs.model.network import EngineNetworks, LoadBalancerAddress
from miniecs.model.scope import Scope
from miniecs.store import Commit, Store
from miniecs_api.agent_messages import ProtocolMessage, understood
from miniecs_api.machines import Machines, wire
from miniecs_api.pages import instances
from miniecs_api.wire.errors import AwsError

log = logging.getLogger("miniecs.agents")

HELLO = "miniecs.HostHello"
INSTANCES = "miniecs.HostInstances"
STATE = "miniecs.HostState"
PING = "miniecs.HostPing"  # is answered with PONG, at once
PONG = "miniecs.HostPong"
_MOST_WANTED = 100

Send = Callable[[dict[str, Any]], None]


class Wants(ProtocolMessage):
    """What container instances an engine elsewhere is to have. Made at its first hello, and never again."""

    count: int = Field(1, ge=1, le=_MOST_WANTED)
    instanceType: str | None = None
    zone: str | None = None
    cluster: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)


class HostHello(ProtocolMessage):
    """An agent's first words. engine: what the engine says of itself; found: what it has of instances."""

    host: str = Field(min_length=1, max_length=200)
    name: str = ""
    pid: int = 0
    version: str = ""
    local: bool = False
    engine: dict[str, Any] = Field(default_factory=dict)
    found: tuple[str, ...] = ()
    wants: Wants | None = None


class HostState(ProtocolMessage):
    """What has become of a set: the instances that are up, and why others are not."""

    instances: tuple[str, ...] = ()
    failed: dict[str, str] = Field(default_factory=dict)
    engine: bool = True  # whether the engine answers
    loadBalancers: dict[str, str] | None = None  # ARN -> its address for containers; None: not known yet
    generation: int | None = None  # of the set that it is about; None: an agent that does not say


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What every agent is told besides its instances, and what an instance is when nobody says."""

    scope: Scope
    owner: str
    data_dir: str
    time_scale: float
    allow_privileged: bool
    cluster: str
    instance_type: str


class HostRefused(Exception):
    """An agent is not let in; the message says why."""


class HostLink:
    """One open link. Made by ``HostLinks.connect``."""

    def __init__(
        self, owner: HostLinks, hello: HostHello, send: Send, close: Callable[[], None], now: float
    ) -> None:
        self.hello = hello
        self.state: HostState | None = None
        self.open = True
        self.since = now
        self._generation = 0
        self._owner = owner
        self._send = send
        self._close = close

    @property
    def host(self) -> str:
        return self.hello.host

    def receive(self, message: Mapping[str, Any]) -> None:
        """A message from the agent; what is not understood is ignored."""
        if message.get("type") == STATE:
            state = understood(HostState, message.get("message"), f"The host {self.host}")
            if state is not None:
                self.state = state
                self._owner.state_told(self)

    def challenge(self) -> None:
        """Say what an agent answers at once, if it is there."""
        self._send({"type": PING, "message": {}})

    def closed(self) -> None:
        """The agent hung up, or the line broke."""
        self._owner.link_closed(self)

    def hang_up(self) -> None:
        self.open = False
        self._close()

    def tell(self, wanted: Mapping[str, Any]) -> None:
        """The whole set, anew."""
        self._generation += 1
        self._send({"type": INSTANCES, "message": {**wanted, "generation": self._generation}})

    def is_rid_of(self, instance_id: str) -> bool:
        """Whether the agent has said, since it was told its set last, that nothing is left of an instance."""
        state = self._newest
        return state is not None and instance_id not in state.instances and instance_id not in state.failed

    @property
    def is_empty(self) -> bool:
        """Whether the agent has said, since it was told its set last, that it has no instance at all."""
        state = self._newest
        return state is not None and not state.instances and not state.failed

    @property
    def _newest(self) -> HostState | None:
        """The state, if it is not about an older set."""
        state = self.state
        if state is not None and state.generation is not None and state.generation < self._generation:
            return None
        return state

    def failure(self, instance_id: str) -> str | None:
        """Why the agent cannot play an instance."""
        return self.state.failed.get(instance_id) if self.state is not None else None


class HostLinks:
    """All host links; follows the store's commits. ``machines``: what there is to play."""

    def __init__(self, store: Store, machines: Machines, settings: HostSettings) -> None:
        self._store = store
        self._machines = machines
        self._settings = settings
        self._links: dict[str, HostLink] = {}
        self._listener: Callable[[], None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self, listener: Callable[[], None]) -> None:
        """Begin to follow the store; ``listener`` is called when something has happened on any link."""
        self._listener = listener
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def stop(self) -> None:
        """Follow the store no more, and hang up on everybody."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for link in self:
            self._dismiss(link)

    def state_told(self, link: HostLink) -> None:
        """An agent has said what there is."""
        told = link.state.loadBalancers if link.state is not None and link.host == LOCAL else None
        if told is not None:
            self._note_addresses(told)
        self.happened()

    def happened(self) -> None:
        if self._listener is not None:
            self._listener()

    def __iter__(self) -> Iterator[HostLink]:
        return iter(list(self._links.values()))

    def get(self, host: str) -> HostLink | None:
        return self._links.get(host)

    def connect(
        self, now: float, hello: HostHello, send: Send, close: Callable[[], None]
    ) -> HostLink:
        """An agent has said who it is, and is told its instances. A link that its host had is hung up.

        Raises HostRefused.
        """
        if hello.host != LOCAL and self._store.get(EngineHost, hello.host) is None:
            self._welcome(hello)
        old = self._links.get(hello.host)
        if old is not None:
            self._dismiss(old)
        self._note_networks(hello)
        link = self._links[hello.host] = HostLink(self, hello, send, close, now)
        self._tell(link)
        self.happened()
        return link

    def link_closed(self, link: HostLink) -> None:
        """The end of a link; of no interest when another has replaced it already."""
        link.open = False
        if self._links.get(link.host) is link:
            del self._links[link.host]
            self.happened()

    def wiped(self) -> None:
        """After the store was wiped, which no commit tells: nothing is wanted of anyone."""
        for link in self:
            self._tell(link)

    def begin_anew(self, *, restore: bool) -> None:
        """Engines elsewhere are here for the first time again; without ``restore`` they get nothing."""
        for link in self:
            self._note_networks(link.hello)
            if link.host == LOCAL:
                continue
            try:
                self._welcome(link.hello if restore else link.hello.model_copy(update={"wants": None}))
            except HostRefused as problem:
                log.warning("the host %s is hung up: %s", link.host, problem)
                self._dismiss(link)

    def _welcome(self, hello: HostHello) -> None:
        """An engine elsewhere is here for the first time: note it, and launch the machines that it wants."""
        try:
            if hello.wants is not None:
                self._machines.launch(hello.host, self._wanted(hello.wants))
        except (AwsError, UnknownInstanceType, instances.Refused) as problem:
            raise HostRefused(problem.message if isinstance(problem, AwsError) else str(problem)) from problem
        with self._store.transaction() as tx:
            tx.put(EngineHost(hello.host, hello.name))

    def _note_networks(self, hello: HostHello) -> None:
        """The ranges that are in use where the engine is: no VPC gets one of them."""
        told = hello.engine.get("networks")
        taken = tuple(text for text in told if _is_network(text)) if isinstance(told, list) else ()
        noted = EngineNetworks(hello.host, taken)
        if self._store.get(EngineNetworks, hello.host) != noted:
            with self._store.transaction() as tx:
                tx.put(noted)

    def _note_addresses(self, told: Mapping[str, str]) -> None:
        """Where containers reach load balancers."""
        had = {each.load_balancer_arn: each.address for each in self._store.all(LoadBalancerAddress)}
        now = {arn: address for arn, address in told.items() if self._store.get(LoadBalancer, arn)}
        if had == now:
            return
        with self._store.transaction() as tx:
            for arn in had.keys() - now.keys():
                tx.delete(LoadBalancerAddress, arn)
            for arn, address in now.items():
                if had.get(arn) != address:
                    tx.put(LoadBalancerAddress(arn, address))

    def _wanted(self, wants: Wants) -> list[InstanceSpec]:
        spec = instances.wanted(
            self._settings.scope,
            cluster=wants.cluster or self._settings.cluster,
            type=wants.instanceType or self._settings.instance_type,
            zone=wants.zone,
            attributes=wants.attributes,
        )
        return [spec] * wants.count

    def _dismiss(self, link: HostLink) -> None:
        link.hang_up()
        self.link_closed(link)

    def _on_commit(self, commit: Commit) -> None:
        orphans = self._machines.orphans(commit)
        if orphans:
            self._machines.forget(orphans)
        changes = [change for change in commit.changes if change.kind is EmulatedInstance]
        hosts = dict.fromkeys((change.after or change.before).host for change in changes)
        if any(change.kind is LoadBalancer for change in commit.changes):
            hosts[LOCAL] = None
        for host in hosts:
            link = self._links.get(host)
            if link is not None:
                self._tell(link)
        self.happened()

    def _load_balancers(self) -> list[str]:
        return [each.arn for each in self._store.all(LoadBalancer) if each.type == "application"]

    def _tell(self, link: HostLink) -> None:
        settings = self._settings
        link.tell(
            {
                "owner": settings.owner,
                # A path of this machine says nothing on another: there, `up` would take us for a dead owner.
                "dataDir": settings.data_dir if link.host == LOCAL else "",
                "timeScale": settings.time_scale,
                "allowPrivileged": settings.allow_privileged,
                "account": settings.scope.account,
                "region": settings.scope.region,
                "instances": [wire(self._store, machine) for machine in self._machines.of(link.host)],
                # The proxy runs on this machine, and only its engine's networks end here.
                "loadBalancers": self._load_balancers() if link.host == LOCAL else [],
            }
        )


def _is_network(text: object) -> bool:
    try:
        return isinstance(text, str) and IPv4Network(text) is not None
    except ValueError:
        return False
