"""Fargate's machine in a simulated cluster: started when a task waits for one, as a server does it.

A control plane's part, so it does nothing while that is down, and looks anew when it starts.
"""

from __future__ import annotations

from collections.abc import Callable

from miniecs.model import fargate
from miniecs.model.cluster import Cluster
from miniecs.model.scope import Scope
from miniecs.model.task import Task
from miniecs.sim.timeline import Timeline
from miniecs.store import Commit, Store
from miniecs_agent.sim.instances import NewInstance, SimulatedHost, SimulatedInstances


class FargateMachines:
    """One machine is enough: it is never full."""

    def __init__(
        self, store: Store, timeline: Timeline, scope: Scope, instances: SimulatedInstances
    ) -> None:
        self._store = store
        self._timeline = timeline
        self._cluster = fargate.cluster_arn(scope)
        self._zone = f"{scope.region}a"
        self._instances = instances
        self._machine: SimulatedHost | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._unsubscribe = self._store.subscribe(self._on_commit)
        if any(fargate.waits(task) for task in self._store.all(Task)):
            self._provide()

    def stop(self) -> None:
        self._unsubscribe()

    def _on_commit(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is Task and change.after is not None and fargate.waits(change.after):
                self._timeline.call_at(self._timeline.now(), self._provide)  # who commits is still at it
                return

    def _provide(self) -> None:
        if self._machine is not None and (self._machine.alive or not self._machine.arn):
            return
        if self._store.get(Cluster, self._cluster) is None:
            with self._store.transaction() as tx:
                tx.put(Cluster(self._cluster, fargate.CLUSTER))
        wanted = NewInstance(fargate.MACHINE.name, self._zone, fargate.CLUSTER)
        self._machine = self._instances.add(wanted)
