"""The server's end of the proxy's link: it is told its routing table, and says what it probed and counted.

Without I/O. A table is whole and made from the store alone, so a proxy that was away needs nothing but the
next one; what it tells of targets is judged by ``control.health``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from miniecs.config import Timing
from miniecs.control.health import ProbeResult
from miniecs.control.routing import routing_table
from miniecs.model.data_plane import Hello, NotUnderstood, Places, Probes, Told, read, write_table
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.network import LoadBalancerAddress
from miniecs.model.routing import ListenerPlace, Probe, RoutingTable, Traffic
from miniecs.store import Commit, Store, StoreError
from miniecs_api.links import Timers, is_match, report_probes
from miniecs_api.traffic import TrafficHistory

log = logging.getLogger("miniecs.proxy")

_ROUTED = frozenset(
    (LoadBalancer, Listener, Rule, TargetGroup, Target, ContainerInstance, LoadBalancerAddress)
)


class ProxyRefused(Exception):
    """A proxy is not let in; the message says why."""


class ProxyLink:
    """One open link, made when a proxy connects. Its first message must be its hello."""

    def __init__(self, owner: DataPlane, send: Callable[[str], None], hang_up: Callable[[str], None]) -> None:
        self.hello: Hello | None = None
        self._owner = owner
        self.send = send
        self.hang_up = hang_up

    def receive(self, text: str) -> None:
        """A message from the proxy. What is not understood ends the link, with the reason."""
        try:
            told = read(text)
            if self.hello is None:
                self._begin(told)
            else:
                self._owner.told(told)
        except (NotUnderstood, ProxyRefused) as problem:
            log.warning("a proxy is hung up on: %s", problem)
            self.hang_up(str(problem))

    def _begin(self, told: Told) -> None:
        if not isinstance(told, Hello):
            raise NotUnderstood("the first message must be a hello")
        self._owner.admit(self, told)
        self.hello = told

    def closed(self) -> None:
        """The proxy hung up, or the line broke."""
        self._owner.link_closed(self)


class DataPlane:
    """The proxy of this data folder. Only the last one that came in is told anything."""

    def __init__(self, store: Store, timing: Timing, owner: str) -> None:
        self.traffic = TrafficHistory()
        self._store = store
        self._timing = timing
        self._owner = owner
        self._timers: Timers | None = None
        self._link: ProxyLink | None = None
        self._places: dict[str, ListenerPlace] = {}
        self._sent: RoutingTable | None = None
        self._soon = False
        self._unsubscribe: Callable[[], None] | None = None

    def start(self, timers: Timers) -> None:
        """Begin to follow the store."""
        self._timers = timers
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def stop(self) -> None:
        """Follow the store no more. The proxy keeps its table."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    @property
    def connected(self) -> bool:
        return self._link is not None

    def place(self, listener_arn: str) -> ListenerPlace | None:
        """Where a listener listens, as the proxy said last; None when it has not said."""
        return self._places.get(listener_arn)

    def wiped(self) -> None:
        """After the store was wiped, which no commit tells."""
        self._places = {}
        self._tell_soon()

    # Links

    def admit(self, link: ProxyLink, hello: Hello) -> None:
        """The proxy is told the table. Raises ProxyRefused for another folder's."""
        if hello.owner != self._owner:
            raise ProxyRefused("it is not the proxy of this data folder")
        if self._link is not None:
            self._link.hang_up("another proxy has taken its place")
        self._link, self._sent = link, None
        log.info("the proxy with pid %d is connected", hello.pid)
        self._tell()

    def link_closed(self, link: ProxyLink) -> None:
        if self._link is link:
            self._link = None

    def told(self, told: Told) -> None:
        now = self._clock.now()
        match told:
            case Probes(results):
                self._probed(results, now=now)
            case Traffic():
                self.traffic.add(told, now=now)
            case Places(listeners):
                self._places = {place.listener: place for place in listeners}
            case Hello():
                raise NotUnderstood("a second hello")

    def _probed(self, results: Iterable[Probe], *, now: float) -> None:
        judged = []
        for probe in results:
            target = self._store.get(Target, probe.target)
            group = self._store.get(TargetGroup, target.target_group_arn) if target is not None else None
            if group is not None:
                ok = is_match(group.health_check, probe.code, probe.detail)
                judged.append((probe.target, ProbeResult(ok, probe.code, probe.detail)))
        try:
            with self._store.transaction() as tx:
                report_probes(tx, judged, now=now)
        except StoreError as problem:
            log.error("results of health checks are lost, the next ones come: %s", problem)

    # Tables

    def _on_commit(self, commit: Commit) -> None:
        if any(change.kind in _ROUTED for change in commit.changes):
            self._tell_soon()

    def _tell_soon(self) -> None:
        """In the loop's next turn, however many commits come until then."""
        if self._link is not None and not self._soon:
            self._soon = True
            self._clock.call_at(self._clock.now(), self._told_soon)

    def _told_soon(self) -> None:
        self._soon = False
        self._tell()

    def _tell(self) -> None:
        link = self._link
        if link is None:
            return
        version = self._sent.version if self._sent is not None else 0
        table = routing_table(self._store, version=version, time_scale=self._timing.time_scale)
        if table != self._sent:  # most probes say nothing that the data plane acts on
            self._sent = replace(table, version=version + 1)
            link.send(write_table(self._sent))

    @property
    def _clock(self) -> Timers:
        assert self._timers is not None, "it was not started"
        return self._timers
