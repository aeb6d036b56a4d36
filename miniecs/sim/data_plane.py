"""The load balancer of a simulated cluster: a proxy that serves the last table it was told.

Its balancing is the real proxy's own; simulated are its process, with the file that outlives it, and the line
to the control plane. As the real one it goes on while the control plane is dead, and comes back with its file
after its own death.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from miniecs.ids import Ids
from miniecs.model.routing import Forward, RoutingTable
from miniecs.proxy.balance import BackEnd, Group, Weighted
from miniecs.sim.timeline import Timeline
from miniecs_api.tables import TableFeed

LATENCY = (0.0005, 0.02)  # seconds of a table on its way
REDIAL = (0.05, 1.0)  # seconds until the proxy has found a control plane that is up
KEPT_AFTER = 0.1  # seconds until a table is in the file


class DataPlane:
    """One proxy process and its line.

    before_change, after_change: called around each change of what the proxy serves.
    """

    def __init__(self, timeline: Timeline, ids: Ids) -> None:
        self._timeline = timeline
        self._ids = ids
        self._feed: TableFeed | None = None
        self._disconnect: Callable[[], None] | None = None
        self._life = 0  # of the process; what was meant for an earlier one is lost
        self._arrives_at = 0.0
        self._kept = RoutingTable()
        self.alive = True
        self.table = RoutingTable()
        self.groups: dict[str, Group] = {}
        self.listeners: dict[str, Weighted] = {}  # what the default rule of each forwards to
        self.drains_since: dict[str, float] = {}  # target -> when the proxy was told that it drains
        self.before_change: Callable[[], None] = lambda: None
        self.after_change: Callable[[], None] = lambda: None
        self.met: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        return self._disconnect is not None

    # The control plane

    def control_plane_started(self, feed: TableFeed) -> None:
        self._feed = feed
        self._dial()

    def control_plane_died(self) -> None:
        """What it had sent still arrives."""
        self._feed = self._disconnect = None

    def _dial(self) -> None:
        at = self._timeline.now() + self._between(REDIAL)
        self._timeline.call_at(at, partial(self._connect, self._feed, self._life))

    def _connect(self, feed: TableFeed | None, life: int) -> None:
        if feed is None or feed is not self._feed or life != self._life or not self.alive:
            return
        self.met["proxy connected"] += 1
        self._disconnect = feed.connect(self.table.version, partial(self._sent, life))

    def _sent(self, life: int, table: RoutingTable) -> None:
        """In order, as on any stream."""
        self._arrives_at = max(self._timeline.now() + self._between(LATENCY), self._arrives_at)
        self._timeline.call_at(self._arrives_at, partial(self._arrived, life, table))

    def _arrived(self, life: int, table: RoutingTable) -> None:
        if life == self._life and self.alive:
            self._take(table)
            self._timeline.call_at(self._timeline.now() + KEPT_AFTER, partial(self._keep, life, table))

    def _keep(self, life: int, table: RoutingTable) -> None:
        if life == self._life and self.alive:
            self._kept = table

    # The process

    def kill(self, down_for: float) -> None:
        """It dies with its connections, and is started again on what its file has."""
        self.alive = False
        self._life += 1
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
        self.before_change()
        self.groups, self.listeners = {}, {}
        self.after_change()
        self._timeline.call_at(self._timeline.now() + down_for, self._start)

    def _start(self) -> None:
        self.alive = True
        self._take(self._kept)
        self._dial()

    # Taking a table

    def _take(self, table: RoutingTable) -> None:
        self.before_change()
        self.table = table
        told: dict[str, Group] = {}
        for spec in table.groups:
            group = self.groups.get(spec.arn)
            if group is None:
                group = Group(spec, self._ids)
            else:
                group.told(spec)
            told[spec.arn] = group
        for arn, group in self.groups.items():
            if arn not in told:
                group.close()
        self.groups = told
        self.listeners = dict(self._forwards(table))
        self._note_draining()
        self.after_change()

    def _forwards(self, table: RoutingTable) -> list[tuple[str, Weighted]]:
        found = []
        for balancer in table.load_balancers:
            for listener in balancer.listeners:
                action = listener.rules[-1].action
                if isinstance(action, Forward):
                    members = [(self.groups[g.arn], g.weight) for g in action.groups if g.arn in self.groups]
                    found.append((listener.arn, Weighted(members, action.sticky)))
        return found

    def _note_draining(self) -> None:
        draining = {key for key, target in self.back_ends().items() if target.spec.state == "draining"}
        now = self._timeline.now()
        self.drains_since = {key: self.drains_since.get(key, now) for key in draining}

    def back_ends(self) -> dict[str, BackEnd]:
        """All targets of the table, by their keys."""
        return {key: each for group in self.groups.values() for key, each in group.targets.items()}

    def _between(self, span: tuple[float, float]) -> float:
        low, high = span
        return low + (high - low) * self._ids.number(1 << 16) / (1 << 16)
