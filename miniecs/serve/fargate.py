"""Fargate's capacity: a machine for tasks of launch type FARGATE, launched when the first of them waits.

It is a container instance like the others, with an agent of its own, but in a cluster that nobody sees. Who
never uses Fargate never has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from miniecs.config import InstanceSpec
from miniecs.model import fargate
from miniecs.model.cluster import Cluster
from miniecs.model.emulated import EmulatedInstance
from miniecs.model.instance import ContainerInstance
from miniecs.model.scope import Scope
from miniecs.model.task import Task
from miniecs.serve.runtime import Runtime
from miniecs.store import Commit, Store, StoreError

log = logging.getLogger("miniecs.server")


class FargateCapacity:
    """Follows the store. ``scope``: where the machine is registered; it is for tasks of all scopes."""

    def __init__(self, store: Store, runtime: Runtime, scope: Scope) -> None:
        self._store = store
        self._runtime = runtime
        self._scope = scope
        self._cluster = fargate.cluster_arn(scope)
        self._unsubscribe: Callable[[], None] | None = None
        self._due = False

    def start(self) -> None:
        """Needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self._store.subscribe(self._on_commit)
        if any(fargate.waits(task) for task in self._store.all(Task)):
            self._provide()

    def stop(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _on_commit(self, commit: Commit) -> None:
        if self._due:
            return
        for change in commit.changes:
            if change.kind is Task and change.after is not None and fargate.waits(change.after):
                self._due = True
                self._loop.call_soon(self._provide)  # who commits is still at it
                return

    def _provide(self) -> None:
        self._due = False
        if self._unsubscribe is None or self._is_there():
            return
        try:
            if self._store.get(Cluster, self._cluster) is None:
                with self._store.transaction() as tx:
                    tx.put(Cluster(self._cluster, fargate.CLUSTER))
            zone = f"{self._scope.region}a"  # of no consequence: a task is where its subnet is
            self._runtime.launch([InstanceSpec(fargate.CLUSTER, fargate.MACHINE.name, zone)])
        except StoreError as problem:
            log.error("Fargate has no machine yet, the next task asks for one: %s", problem)

    def _is_there(self) -> bool:
        """Whether there is a machine, or one was launched that has not registered yet."""
        if self._store.find(EmulatedInstance, "cluster", self._cluster):
            return True
        machines = self._store.find(ContainerInstance, "fargate", True)
        return any(machine.status == "ACTIVE" for machine in machines)
