"""The data plane is told: a routing table when it comes, and a new one whenever what one is made of changes.

Without I/O: a data plane, real or simulated, says which table it serves and is given a function to call. What
drained without its knowledge drains anew from then on, since it has sent requests there all the time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from miniecs.config import Timing
from miniecs.control.registration import drains_anew, unheard_of
from miniecs.control.routing import routing_table
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Listener, LoadBalancer, Rule, Target, TargetGroup
from miniecs.model.network import LoadBalancerAddress
from miniecs.model.routing import RoutingTable
from miniecs.store import Change, Commit, Store, StoreError
from miniecs_api.links import Timers

log = logging.getLogger("miniecs.tables")

RETURNS_WITHIN = 5.0
"""Seconds, at any time scale, in which a data plane finds a control plane that has just started."""

_GATHER = 0.005  # seconds, in which changes become one table
_KINDS = (LoadBalancer, LoadBalancerAddress, Listener, Rule, TargetGroup)

Send = Callable[[RoutingTable], None]


class TableFeed:
    """Follows the store for the data planes that are connected. make: a table of what the store holds."""

    def __init__(
        self,
        store: Store,
        timers: Timers,
        timing: Timing,
        make: Callable[[], RoutingTable] | None = None,
    ) -> None:
        self._store = store
        self._timers = timers
        self._timing = timing
        self._make = make or self._table
        self._sends: list[Send] = []
        self._due = False
        self._stopped = False
        self._unsubscribe = store.subscribe(self._on_commit)

    def wiped(self) -> None:
        """After the store was wiped, which no commit tells."""
        self._send_soon()

    def stop(self) -> None:
        """Tell nobody anything any more."""
        self._stopped = True
        self._unsubscribe()
        self._sends.clear()

    def connect(self, serves: int, send: Send) -> Callable[[], None]:
        """A data plane is there; returns the function to call when it is not.

        serves: the version of the table that it has, 0 without one. A version that is yet to come is another
        store's, and says nothing.
        """
        self._drain_anew(serves if serves <= self._store.seq else 0)
        self._sends.append(send)
        send(self._make())
        return partial(self._forget, send)

    def _forget(self, send: Send) -> None:
        if send in self._sends:
            self._sends.remove(send)

    def _drain_anew(self, serves: int) -> None:
        now = self._timers.now()
        try:
            with self._store.transaction() as tx:
                for target in unheard_of(tx, serves):
                    group = tx.get(TargetGroup, target.target_group_arn)
                    if group is not None:
                        tx.put(drains_anew(target, group, now=now, timing=self._timing))
        except StoreError as problem:
            log.error("targets may go before the load balancer's last requests to them end: %s", problem)

    def _on_commit(self, commit: Commit) -> None:
        if any(map(_is_told, commit.changes)):
            self._send_soon()

    def _send_soon(self) -> None:
        if not self._due:
            self._due = True
            self._timers.call_at(self._timers.now() + _GATHER, self._send)

    def _send(self) -> None:
        self._due = False
        if self._stopped or not self._sends:
            return
        table = self._make()
        for send in tuple(self._sends):
            send(table)

    def _table(self) -> RoutingTable:
        return routing_table(self._store, version=self._store.seq, time_scale=self._timing.time_scale)


def _is_told(change: Change) -> bool:
    """Whether a change can be seen in a table; most writes of targets only count probes."""
    before, after = change.before, change.after
    if change.kind is Target:
        return before is None or after is None or bool(before.state != after.state)
    if change.kind is ContainerInstance:
        return before is None or after is None or bool(before.private_ip != after.private_ip)
    return change.kind in _KINDS
