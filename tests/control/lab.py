"""The real reconciler on a memory store, with agents and probes played by hand: histories without a clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from miniecs.apply import write_instance, write_task
from miniecs.config import Timing
from miniecs.control import rollout, service_deployments
from miniecs.control.health import ProbeResult, judge
from miniecs.control.plan import Key, LaunchTasks, Plan
from miniecs.control.reports import ContainerReport, TaskReport, apply_report
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.event import EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target, TargetGroup
from miniecs.model.service import Revision, Service
from miniecs.model.task import NetworkBinding, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.reconciler import Reconciler
from miniecs.store import MemoryStore

from .cases import CLUSTER, SCOPE, instance

WEB = arns.service(SCOPE, "default", "web")


class Lab:
    """Time is ``now``; nothing happens but what a test does and what the reconciler then decides."""

    def __init__(self, *things: Any, instances: int = 3, timing: Timing | None = None, **fields: Any) -> None:
        self.now = 1000.0
        self.timing = timing or Timing()
        self.store = MemoryStore()
        self.fleets = Fleets(self.store)
        self.ids = Ids(seed=1)
        self.crashes = 0  # so many plans are lost between planning and applying
        self.plans: list[tuple[Key, Plan]] = []
        self.ports = 32768
        self.put(CLUSTER, *(instance(n, **fields) for n in range(1, instances + 1)), *things)
        self.reconciler = self.restarted()

    def restarted(self) -> Reconciler:
        """A new reconciler that knows nothing but the store."""
        reconciler = Reconciler(
            self.store, self.fleets, self.ids, self.timing, settle=0.05, on_planned=self._planned
        )
        self.reconciler = reconciler
        return reconciler

    def _planned(self, key: Key, plan: Plan) -> bool:
        self.plans.append((key, plan))
        if self.crashes:
            self.crashes -= 1
            return False
        return True

    def put(self, *things: Any) -> None:
        with self.store.transaction() as tx:
            for thing in things:
                tx.put(thing)

    def deploy(
        self, service: Service, revision: Revision | None = None, *, unresolved: tuple[str, ...] = ()
    ) -> Service:
        """Begin a deployment, as CreateService and UpdateService do."""
        ongoing = service_deployments.ongoing(self.store, service)
        begun = rollout.begin(
            service,
            revision or service.revision,
            ongoing=ongoing,
            unresolved=unresolved,
            now=self.now,
            ids=self.ids,
        )
        self.put(begun.service, begun.service_revision, *begun.superseded, begun.service_deployment)
        return begun.service

    def run(self, seconds: float = 0.0) -> None:
        """Let the reconciler do all that becomes due within so many seconds."""
        end = self.now + seconds
        while True:
            wake = self.reconciler.step(self.now)
            if wake is None or wake > end:
                break
            self.now = wake
        self.now = end

    def settle(self) -> None:
        self.run(1.0)

    # What is

    @property
    def service(self) -> Service:
        service = self.store.get(Service, WEB)
        assert service is not None
        return service

    def tasks(self, *statuses: str) -> list[Task]:
        return [t for t in self.store.all(Task) if not statuses or t.last_status in statuses]

    def targets(self) -> list[Target]:
        return list(self.store.all(Target))

    def said(self) -> list[str]:
        """The service's events, oldest first, with ids made short: t1 is the first task there was."""
        names = {arns.name_of(t.arn): f"t{n}" for n, t in enumerate(self._ever(), 1)}
        texts = [event.message for event in self.store.events(WEB, (EventKind.SERVICE_MESSAGE,))]
        for id, name in names.items():
            texts = [text.replace(id, name) for text in texts]
        return texts

    def _ever(self) -> list[Task]:
        first: dict[str, Task] = {}
        for event in self.store.events(kinds=(EventKind.TASK,), limit=10_000):
            if isinstance(event.state, Task):
                first.setdefault(event.state.arn, event.state)
        return list(first.values())

    def launches(self) -> list[int]:
        return [a.count for _, plan in self.plans for a in plan.actions if isinstance(a, LaunchTasks)]

    # What agents and probes report

    def report(self, task: Task, status: str, **fields: Any) -> None:
        current = self.store.get(Task, task.arn)
        definition = self.store.get(TaskDefinition, task.task_definition_arn)
        assert current is not None and definition is not None
        exit_code = fields.pop("exit_code", None)
        bindings: tuple[NetworkBinding, ...] = ()
        if status == "RUNNING":
            self.ports += 1
            bindings = (NetworkBinding("10.0.0.1", "tcp", 80, self.ports),)
        containers = tuple(
            ContainerReport(c.name, status, exit_code=exit_code, network_bindings=bindings, **fields)
            for c in current.containers
        )
        report = TaskReport(task.arn, status, containers=containers)
        after = apply_report(current, definition, report, now=self.now)
        if after is not current:
            with self.store.transaction() as tx:
                write_task(tx, current, after, now=self.now)

    def start_pending(self) -> int:
        """Agents start all that is PENDING; returns how many."""
        pending = self.tasks("PENDING")
        for task in pending:
            self.report(task, "RUNNING")
        return len(pending)

    def stop_stopping(self) -> int:
        """Agents stop all that they were told to stop."""
        stopping = self.tasks("STOPPING")
        for task in stopping:
            self.report(task, "STOPPED", exit_code=137)
        return len(stopping)

    def probe(self, ok: bool = True, code: int | None = 200) -> None:
        """Every target is probed once."""
        with self.store.transaction() as tx:
            for target in self.targets():
                group = tx.get(TargetGroup, target.target_group_arn)
                assert group is not None
                after = judge(target, group, ProbeResult(ok, code), now=self.now)
                if after is not target:
                    tx.put(after)

    def converge(self, rounds: int = 40, *, probes: bool = False, seconds: float = 45.0) -> None:
        """Obedient agents, until nothing moves any more."""
        for _ in range(rounds):
            self.run(seconds)
            moved = self.start_pending() + self.stop_stopping()
            if probes:
                self.probe()
            if not moved and self.service.steady:
                return

    def change(self, instance: ContainerInstance, **fields: Any) -> None:
        current = self.store.get(ContainerInstance, instance.arn)
        assert current is not None
        with self.store.transaction() as tx:
            write_instance(tx, current, replace(current, **fields), now=self.now)

    def check_idle(self) -> None:
        """After a plan was applied there is nothing left to plan, whatever key is asked."""
        for key in self.reconciler.keys():
            assert self.reconciler.plan(key, self.now).actions == (), key
