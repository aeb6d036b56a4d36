"""The shell of the control loops: who is to be looked at when, and plans carried out one at a time.

It neither sleeps nor does I/O: ``step(now)`` does all that is due and says when it wants to be
called again, so that a server and a simulation drive the same thing. It is level-triggered: all
it remembers could be lost, since a new one looks at everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from miniecs.apply import CapacityApplier
from miniecs.config import Timing
from miniecs.control import (
    capacity,
    definitions,
    groups,
    history,
    instances,
    managed_scaling,
    provisioning,
    services,
    targets,
    tasks,
)
from miniecs.control.launch import placement_request
from miniecs.control.plan import Key, Plan
from miniecs.control.wakes import Wakes
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model.autoscaling import AutoScalingGroup
from miniecs.model.cluster import CapacityProvider, Cluster, IdempotencyRecord
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.store import Commit, Stale, Store
from miniecs_scheduler import Decision, Request, Strategy, decide, place, scale_in_order, zones_with_room

OnPlanned = Callable[[Key, Plan], bool]
"""Told of each plan before it is applied; False drops it, as a crash at that moment would."""

SETTLE = 0.05
"""Seconds that a service rests after a plan, at least: what is reported meanwhile is planned together."""
_SETTLE_PER_TASK = 1e-4
"""Seconds that a service rests after a plan, for each of its tasks: planning takes about 1 % of that."""
_MOMENT = 0.001
"""A wake is at least so much later than its plan: sums of seconds round, and a step must end."""


class Reconciler:
    """Plans and applies. Use from one thread; ``close`` ends its subscription to the store."""

    def __init__(
        self,
        store: Store,
        fleets: Fleets,
        ids: Ids,
        timing: Timing,
        *,
        settle: float = SETTLE,
        ceiling_counts_stopping: bool = True,
        on_planned: OnPlanned | None = None,
        targets_stay_until: float = 0.0,
    ) -> None:
        """targets_stay_until: by then a data plane has said which targets it knows to drain."""
        self._store = store
        self._fleets = fleets
        self._ids = ids
        self._timing = timing
        self._settle = settle
        self._ceiling_counts_stopping = ceiling_counts_stopping
        self.on_planned = on_planned
        self._targets_stay_until = targets_stay_until
        self._wakes = Wakes(store)
        self._heap: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        self._pushed = 0
        self._rested: dict[Key, float] = {}  # service -> when it may be planned again
        self._retry: set[Key] = set()
        self._end_subscription = store.subscribe(self._on_commit)
        self.queue_everything()

    def close(self) -> None:
        self._end_subscription()

    def queue_everything(self) -> None:
        """Look at everything that there is: at the start, and after the store was wiped or restored."""
        self._heap.clear()
        self._due.clear()
        self._rested.clear()
        self._retry.clear()
        self._wakes.restart()

    def _on_commit(self, commit: Commit) -> None:
        self._wakes.note(commit)

    def has_work(self, now: float) -> bool:
        if self._wakes.touched:
            return True
        heap = self._heap
        return bool(heap) and heap[0][0] <= now

    def step(self, now: float) -> float | None:
        """Do everything that is due; returns when to call again, None: when something has changed."""
        while True:
            self._take_wakes(now)
            key = self._pop_due(now)
            if key is None:
                return self._heap[0][0] if self._heap else None
            self._reconcile(key, now)

    def plan(self, key: Key, now: float, *, retry: bool = False) -> Plan:
        """What a key's loop wants at this moment; changes nothing. An applied plan leaves an empty one."""
        view, timing = self._store, self._timing
        match key.loop:
            case "service":
                return services.plan(
                    view,
                    key.id,
                    now=now,
                    timing=timing,
                    order=self._scale_in_order,
                    zones=self._zones_with_room,
                    hosts=self._fleets.host_of,
                    retry=retry,
                    ceiling_counts_stopping=self._ceiling_counts_stopping,
                )
            case "task":
                return tasks.plan(view, key.id, now=now, timing=timing)
            case "target":
                return targets.plan(view, key.id, now=now, stays_until=self._targets_stay_until)
            case "instance":
                return instances.plan(view, key.id, now=now, timing=timing)
            case "capacity":
                return provisioning.plan(view, key.id, now=now, timing=timing, retry=retry)
            case "scaling":
                return managed_scaling.plan(view, key.id, now=now, timing=timing)
            case "group":
                return groups.plan(view, key.id, now=now, timing=timing)
            case "cluster":
                return instances.plan_cluster(view, key.id, now=now, timing=timing)
            case "definition":
                return definitions.plan(view, key.id, now=now, timing=timing)
            case "release":
                return history.plan(view, key.id, now=now, timing=timing)
            case "idempotency":
                return instances.plan_token(view, key.id, now=now)
        raise ValueError(f"no control loop is called {key.loop}")

    def keys(self) -> list[Key]:
        """Every key that there is to look at; for whoever checks that nothing is left to do."""
        return [
            *(Key("cluster", cluster.arn) for cluster in self._store.all(Cluster)),
            *(Key("instance", instance.arn) for instance in self._store.all(ContainerInstance)),
            *(Key("task", task.arn) for task in self._store.all(Task)),
            *(Key("target", target.key) for target in self._store.all(Target)),
            *(Key("service", service.arn) for service in self._store.all(Service)),
            *(Key("capacity", provider.arn) for provider in self._store.all(CapacityProvider)),
            *(Key("scaling", provider.arn) for provider in self._store.all(CapacityProvider)),
            *(Key("group", group.arn) for group in self._store.all(AutoScalingGroup)),
            *(Key("definition", definition.arn) for definition in self._store.all(TaskDefinition)),
            *(Key("release", release.arn) for release in self._store.all(ServiceDeployment)),
            *(Key("idempotency", record.key) for record in self._store.all(IdempotencyRecord)),
        ]

    def _reconcile(self, key: Key, now: float) -> None:
        retry = key in self._retry
        self._retry.discard(key)
        plan = self.plan(key, now, retry=retry)
        if key.loop == "service":
            self._rested[key] = now + self._rest_of(key)
        if plan.wake_at is not None:
            self._push(key, max(plan.wake_at, self._rested.get(key, now + _MOMENT)))
        if not plan.actions:
            return
        if self.on_planned is not None and not self.on_planned(key, plan):
            self._push(key, now + max(self._settle, _MOMENT))
            return
        try:
            with self._store.transaction() as tx:
                applier = CapacityApplier(tx, now, self._ids, self._timing, self._place, self._fleets.of)
                applier.apply(plan)
        except Stale:
            if retry:
                self._retry.add(key)
            self._push(key, now + _MOMENT)

    def _rest_of(self, key: Key) -> float:
        live = self._store.count(Task, "service", key.id)
        return max(self._settle, live * _SETTLE_PER_TASK, _MOMENT)

    def _take_wakes(self, now: float) -> None:
        for key, retry in self._wakes.take():
            if retry:
                self._retry.add(key)
            self._push(key, max(now, self._rested.get(key, now)))

    def _push(self, key: Key, at: float) -> None:
        """Queue a key; of several moments the first counts."""
        known = self._due.get(key)
        if known is not None and known <= at:
            return
        self._due[key] = at
        self._pushed += 1
        heappush(self._heap, (at, self._pushed, key))

    def _pop_due(self, now: float) -> Key | None:
        heap = self._heap
        while heap:
            at, _, key = heap[0]
            if self._due.get(key) != at:
                heappop(heap)  # overtaken by an earlier moment
                continue
            if at > now:
                return None
            heappop(heap)
            del self._due[key]
            return key
        return None

    def _place(self, cluster_arn: str, request: Request) -> Decision:
        return decide(self._fleets.of(cluster_arn), request)

    def _zones_with_room(self, service: Service) -> dict[str, bool]:
        definition = self._store.get(TaskDefinition, service.revision.task_definition_arn)
        if definition is None:
            return {}
        request = placement_request(
            definition,
            overrides=None,
            count=1,
            group=f"service:{service.name}",
            constraints=service.placement_constraints,
            strategies=service.placement_strategy,
            seed=0,
        )
        fleet = self._fleets.of(service.cluster_arn)
        if not service.revision.capacity_provider_strategy:
            return zones_with_room(fleet, request)
        by_zone = self._hosts_by_zone(service)
        return {
            zone: all(
                place(fleet, replace(request, only_hosts=hosts)).placements for hosts in of_providers.values()
            )
            for zone, of_providers in by_zone.items()
        }

    def _hosts_by_zone(self, service: Service) -> dict[str, dict[str, frozenset[str]]]:
        """Zone -> each capacity provider in the service's strategy -> its hosts there.

        Which of them launches the next task is for the strategy to say: so all must be able to.
        """
        names = [item.capacity_provider for item in service.revision.capacity_provider_strategy]
        hosts: dict[tuple[str, str], set[str]] = {}
        for name in names:
            for instance in capacity.hosts(self._store, service.cluster_arn, name):
                if instance.availability_zone is not None:
                    hosts.setdefault((instance.availability_zone, name), set()).add(instance.arn)
        zones = {zone for zone, _ in hosts}
        return {
            zone: {name: frozenset(hosts.get((zone, name), ())) for name in names} for zone in zones
        }

    def _scale_in_order(self, service: Service, candidates: Sequence[Task]) -> list[Task]:
        by_arn = {task.arn: task for task in candidates}
        ordered = scale_in_order(
            self._fleets.of(service.cluster_arn),
            [(task.arn, task.container_instance_arn or "") for task in candidates],
            tuple(Strategy(s.type, s.field) for s in service.placement_strategy),  # type: ignore[arg-type]
            f"service:{service.name}",
            seed=len(by_arn),
        )
        return [by_arn[arn] for arn in ordered]
