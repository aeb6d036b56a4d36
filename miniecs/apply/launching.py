"""Launching a service's tasks: placed, created and told of; what found no host waits, or its service rests.

Placing is done here, where it is written, and not where it is planned: many plans are made on one state of
the fleet, and each launch must see what the one before it took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from miniecs.apply.writing import (
    keep_decision,
    keep_failure,
    keep_once,
    service_action,
    service_message,
    task_set_of,
    why_unplaced,
    write_said,
    write_task,
)
from miniecs.config import Timing
from miniecs.control import capacity, interfaces, messages, version_consistency
from miniecs.control.capacity import room_to_wait, shares
from miniecs.control.launch import LaunchSpec, launched_task, new_task, placement_request, service_spec
from miniecs.control.plan import (
    LaunchTasks,
    Say,
)
from miniecs.ids import Ids
from miniecs.model import arns, fargate
from miniecs.model.cluster import Cluster
from miniecs.model.event import Event, EventKind
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Deployment, PlacementConstraint, Service
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.store import Transaction
from miniecs_scheduler import Decision, Request

Lacking = tuple[Decision, str | None]
"""Why tasks found no host, and the capacity provider that they were to run on."""

Placer = Callable[[str, Request], Decision]
"""Asks the scheduler about one cluster's fleet, by the cluster's ARN."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """Carries out one service's launches within a transaction."""

    tx: Transaction
    now: float
    ids: Ids
    timing: Timing
    place: Placer

    def launch(self, action: LaunchTasks) -> None:
        """Place the tasks and create those that found a host; tell of the others and let them rest."""
        service = self.tx.get(Service, action.service.arn) or action.service
        deployment = self._deployment(service, action.deployment_id)
        definition = self.tx.get(TaskDefinition, deployment.revision.task_definition_arn)
        cluster = self.tx.get(Cluster, service.cluster_arn)
        if definition is None or cluster is None:
            raise RuntimeError(f"{service.arn} outlived its task definition or its cluster")
        spec = service_spec(cluster, service, deployment, definition)
        subnets = interfaces.subnets_of(self.tx, arns.scope_of(service.arn), spec.network_configuration)
        if action.zone:
            subnets = [subnet for subnet in subnets if subnet.zone == action.zone]
        if spec.network_configuration and not subnets:
            self._tell_without_subnet(service, spec.network_configuration)
            self._rest(service, deployment, self.now + self.timing.placement_retry)
            return
        beside = self.tx.find(Task, "service", service.arn) if subnets else ()
        chooser = interfaces.Chooser(
            subnets, (t for t in beside if t.deployment_id == deployment.id and t.wanted)
        )
        first = 1 if version_consistency.goes_first(self.tx, deployment) else action.count
        launched, lacking = self._launch_some(spec, service, action, first, chooser)
        more = action.count - len(launched)
        if first < action.count and not version_consistency.others_wait(
            self.tx, deployment, launched[0] if launched else None
        ):
            others, lacking = self._launch_some(spec, service, action, more, chooser)
            launched += others
        self._launched(service, action, launched)
        blocked_until = 0.0
        for decision, provider in lacking:
            blocked_until = self.now + self.timing.placement_retry
            self._tell_unplaced(service, decision, provider)
        self._rest(service, deployment, blocked_until)

    def _launch_some(
        self, spec: LaunchSpec, service: Service, action: LaunchTasks, count: int, chooser: interfaces.Chooser
    ) -> tuple[list[Task], list[Lacking]]:
        """So many tasks of the action's: those that are there now, and what the others lacked."""
        deployment = spec.deployment
        assert deployment is not None, "a service's task without a deployment"
        spec = version_consistency.pinning(spec, version_consistency.revision_of(self.tx, deployment))
        launched: list[Task] = []
        lacking: list[Lacking] = []
        for share, number in self._shares(spec, service, deployment, count):
            tasks, decision = self._launch_share(share, service, action, number, chooser)
            launched += tasks
            if decision is not None:
                lacking.append((decision, share.capacity_provider_name))
        return launched, lacking

    def _shares(
        self, spec: LaunchSpec, service: Service, deployment: Deployment, count: int
    ) -> list[tuple[LaunchSpec, int]]:
        """How many tasks are launched in which way: all alike, or each provider's share of a strategy."""
        strategy = deployment.revision.capacity_provider_strategy
        if not strategy:
            return [(spec, count)]
        running = Counter(
            task.capacity_provider_name or ""
            for task in self.tx.find(Task, "service", service.arn)
            if task.deployment_id == deployment.id and task.wanted
        )
        return [(spec.on(name), number) for name, number in shares(strategy, count, running).items()]

    def _launch_share(
        self, spec: LaunchSpec, service: Service, action: LaunchTasks, count: int, chooser: interfaces.Chooser
    ) -> tuple[list[Task], Decision | None]:
        """The tasks that are there now, and the decision where some found no host and do not wait for one."""
        if spec.launch_type == fargate.LAUNCH_TYPE:
            return [self._task_of(spec, None, chooser, action.because) for _ in range(count)], None
        constraints = service.placement_constraints
        if action.zone:
            in_zone = f'attribute:ecs.availability-zone == "{action.zone}"'
            constraints = (*constraints, PlacementConstraint("memberOf", in_zone))
        if action.only_hosts is not None:
            constraints = (*constraints, PlacementConstraint("distinctInstance"))
        request = placement_request(
            spec.definition,
            overrides=None,
            count=count,
            group=spec.group,
            constraints=constraints,
            strategies=service.placement_strategy,
            seed=self.ids.number(2**32),
            only_hosts=self._hosts(spec, action.only_hosts, chooser),
        )
        decision = self.place(service.cluster_arn, request)
        launched = []
        for placement in decision.placements:
            instance = self.tx.get(ContainerInstance, placement.host)
            because = f"{action.because}; {placement.because}"
            launched.append(self._task_of(spec, instance, chooser, because))
        if launched:
            keep_decision(self.tx, service.arn, decision, now=self.now, because=action.because)
        if not decision.unplaced or (action.zone and launched):
            return launched, None
        if action.zone:
            return launched, decision
        waiting = min(decision.unplaced, self._room_to_wait(spec))
        if waiting and not launched:
            keep_failure(self.tx, service.arn, decision, now=self.now)
        provider = spec.capacity_provider_name
        because = f"{action.because}; no instance of capacity provider {provider} takes it yet"
        for _ in range(waiting):
            task = new_task(spec, now=self.now, ids=self.ids, instance=None, because=because)
            launched.append(self._write(task, because))
        return launched, decision if waiting < decision.unplaced else None

    def _hosts(
        self, spec: LaunchSpec, only_hosts: frozenset[str] | None, chooser: interfaces.Chooser
    ) -> frozenset[str] | None:
        """The hosts that a launch may use: the provider's, and those that an interface can be attached to."""
        cluster_arn = spec.cluster.arn
        if spec.capacity_provider_name is not None:
            of_provider = capacity.hosts(self.tx, cluster_arn, spec.capacity_provider_name)
            only_hosts = frozenset(instance.arn for instance in of_provider)
        if chooser.is_needed:
            reached = chooser.hosts(self.tx.find(ContainerInstance, "cluster", cluster_arn))
            only_hosts = reached if only_hosts is None else only_hosts & reached
        return only_hosts

    def _room_to_wait(self, spec: LaunchSpec) -> int:
        """How many tasks may wait for capacity: none without managed scaling."""
        if spec.capacity_provider_name is None:
            return 0
        provider = capacity.named(self.tx, spec.cluster.arn, spec.capacity_provider_name)
        if provider is None or not capacity.managed_scaling(provider):
            return 0
        return room_to_wait(self.tx, spec.cluster)

    def _rest(self, service: Service, deployment: Deployment, blocked_until: float) -> None:
        if deployment.blocked_until == blocked_until:
            return
        rested = replace(deployment, blocked_until=blocked_until)
        task_set = task_set_of(self.tx, service, deployment.id)
        if task_set is not None:
            self.tx.put(replace(task_set, deployment=rested))
        else:
            self.tx.put(_with(self.tx.get(Service, service.arn) or service, rested))

    def _deployment(self, service: Service, id: str) -> Deployment:
        """What is launched: a deployment of the service's own, or what a task set runs."""
        task_set = task_set_of(self.tx, service, id)
        if task_set is not None:
            return task_set.deployment
        return next(each for each in service.deployments if each.id == id)

    def _task_of(
        self, spec: LaunchSpec, instance: ContainerInstance | None, chooser: interfaces.Chooser, because: str
    ) -> Task:
        task = launched_task(
            spec, now=self.now, ids=self.ids, instance=instance, chooser=chooser, because=because
        )
        return self._write(task, because)

    def _write(self, task: Task, because: str) -> Task:
        return write_task(self.tx, None, task, now=self.now, because=because)

    def _launched(self, service: Service, action: LaunchTasks, tasks: list[Task]) -> None:
        if tasks and action.zone:
            known = self.tx.get(Service, service.arn) or service
            self.tx.put(replace(known, moves=(*known.moves, *(task.arn for task in tasks))))
            say = Say(service, messages.az_started(action.zone, tasks), action.because, "TASKS_STARTED")
            write_said(self.tx, say, now=self.now, ids=self.ids)
        elif tasks:
            text = messages.started(tasks, min(action.replaced, len(tasks)))
            task_set = action.deployment_id if action.task_set_version else ""
            say = Say(service, text, action.because, task_set=task_set)
            write_said(self.tx, say, now=self.now, ids=self.ids)

    def _tell_unplaced(self, service: Service, decision: Decision, provider: str | None) -> None:
        reason = decision.closest.reason if decision.closest else "NO ACTIVE INSTANCES"
        because, record = why_unplaced(decision), "" if decision.placements else decision.record
        text = messages.unplaced(decision, "cluster" if provider is None else "capacity provider")
        self._tell(service, text, because, messages.advice(decision), reason, record)

    def _tell_without_subnet(self, service: Service, configuration: Mapping[str, Any]) -> None:
        """None of the subnets is there any more: an EC2 call deleted the last one."""
        first, *_ = configuration["awsvpcConfiguration"]["subnets"]
        suggestion = "UpdateService can name other subnets in its networkConfiguration."
        self._tell(service, messages.no_subnet(first), f"there is no subnet {first}", suggestion, "LOCATION")

    def _tell(
        self, service: Service, text: str, because: str, suggestion: str, reason: str, record: str = ""
    ) -> None:
        decision = Event(EventKind.DECISION, service.arn, self.now, because, suggestion, record=record)
        if not messages.is_unsaid(self.tx, service, text, now=self.now, timing=self.timing):
            keep_once(self.tx, decision)
        else:
            self.tx.emit(decision)  # even where it is as the last one: what is said now is explained by it
            service_message(self.tx, service, text, now=self.now, ids=self.ids, because=because)
            name = "SERVICE_TASK_PLACEMENT_FAILURE"
            service_action(self.tx, service, name, "ERROR", reason, now=self.now, because=because)


def _with(service: Service, changed: Deployment) -> Service:
    return replace(
        service, deployments=tuple(changed if d.id == changed.id else d for d in service.deployments)
    )
