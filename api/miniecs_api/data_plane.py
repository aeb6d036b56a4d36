"""The server's end of the proxy's link: it is told its routing table, and says what it probed and counted.

Without I/O. A table is whole and made from the store alone, so a proxy that was away needs nothing but the
next one; what it tells of targets is judged by ``control.health``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from miniecs.clock import Clock
from miniecs.config import Timing
from miniecs.control.health import ProbeResult
from miniecs.model.data_plane import Hello, NotUnderstood, Places, Probes, Told, read, write_table
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.routing import ListenerPlace, Probe, Traffic
from miniecs.store import Store, StoreError
from miniecs_api.links import Timers, is_match, report_probes
from miniecs_api.tables import TableFeed
from miniecs_api.traffic import TrafficHistory

log = logging.getLogger("miniecs.proxy")

class ProxyRefused(Exception):
    """A proxy is not let in; the message says why."""


class ProxyLink:
    """One open link, made when a proxy connects. Its first message must be its hello."""

    def __init__(self, owner: DataPlane, send: Callable[[str], None], hang_up: Callable[[str], None]) -> None:
        self.hello: Hello | None = None
        self._owner = owner
        self._hang_up = hang_up
        self._over = False
        self.send = send

    def hang_up(self, why: str) -> None:
        """End it. What still comes over it is not heard."""
        self._over = True
        self._hang_up(why)

    def receive(self, text: str) -> None:
        """A message from the proxy. What is not understood ends the link, with the reason."""
        if self._over:
            return
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

    def __init__(self, store: Store, clock: Clock, timing: Timing, owner: str) -> None:
        self.traffic = TrafficHistory()
        self._store = store
        self._clock = clock
        self._timing = timing
        self._owner = owner
        self._feed: TableFeed | None = None
        self._link: ProxyLink | None = None
        self._forget: Callable[[], None] = lambda: None
        self._places: dict[str, ListenerPlace] = {}

    def start(self, timers: Timers) -> None:
        """Begin to follow the store."""
        self._feed = TableFeed(self._store, timers, self._timing)

    def stop(self) -> None:
        """Follow the store no more. The proxy keeps its table."""
        if self._feed is not None:
            self._feed.stop()

    @property
    def connected(self) -> bool:
        return self._link is not None

    def place(self, listener_arn: str) -> ListenerPlace | None:
        """Where a listener listens, as the proxy said last; None when it has not said."""
        return self._places.get(listener_arn)

    def wiped(self) -> None:
        """After the store was wiped, which no commit tells."""
        self._places = {}
        if self._feed is not None:
            self._feed.wiped()

    # Links

    def admit(self, link: ProxyLink, hello: Hello) -> None:
        """The proxy is told the table. Raises ProxyRefused for another folder's."""
        if hello.owner != self._owner:
            raise ProxyRefused("it is not the proxy of this data folder")
        if self._feed is None:
            raise ProxyRefused("the server is not ready")
        old = self._link
        if old is not None:
            old.hang_up("another proxy has taken its place")
            self.link_closed(old)
        self._link = link
        log.info("the proxy with pid %d is connected", hello.pid)
        self._forget = self._feed.connect(hello.serves, lambda table: link.send(write_table(table)))

    def link_closed(self, link: ProxyLink) -> None:
        if self._link is link:
            self._link = None
            self._forget()

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
