"""Writing what was decided: objects and the events that tell of them, in one transaction.

A transition and its event are written together or not at all; whoever changes a task or
a container instance does it through here, so none can be missed in the outbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from miniecs.config import Timing
from miniecs.control import capacity, interfaces, messages
from miniecs.control.capacity import room_to_wait, shares
from miniecs.control.deployments import after_task, counted
from miniecs.control.launch import LaunchSpec, launched_task, new_task, placement_request, service_spec
from miniecs.control.plan import (
    Action,
    AdvanceTask,
    AssignTask,
    DeregisterTarget,
    Forget,
    LaunchTasks,
    Plan,
    RegisterTarget,
    RemoveTarget,
    Say,
    SetInterface,
    SetService,
    SetServiceDeployment,
    SetTaskSet,
    StopTask,
)
from miniecs.control.rollout import Begun
from miniecs.control.stopping import stop
from miniecs.control.transitions import advanced, instance_is_told, is_told, versioned
from miniecs.ids import Ids
from miniecs.model import arns, fargate
from miniecs.model.cluster import Cluster
from miniecs.model.event import PLACED, Event, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Deployment, PlacementConstraint, Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import TaskSet
from miniecs.store import Transaction
from miniecs_scheduler import Decision, Request

Placer = Callable[[str, Request], Decision]
"""Asks the scheduler about one cluster's fleet, by the cluster's ARN."""


def write_task(tx: Transaction, before: Task | None, after: Task, *, now: float, because: str = "") -> Task:
    """Put the task, tell of it when ECS would, and return it as written. before None: it is new."""
    if not is_told(before, after):
        tx.put(after)
        return after
    after = versioned(before, after)
    tx.put(after)
    tx.emit(Event(EventKind.TASK, after.arn, now, because=because, state=after))
    if before is not None and after.service_arn is not None:
        _count_for_service(tx, after.service_arn, before, after, now=now)
    return after


def _count_for_service(
    tx: Transaction, service_arn: str, before: Task, after: Task, *, now: float
) -> None:
    service = tx.get(Service, service_arn)
    if service is None:
        return
    if service.deployment_controller != "ECS":
        task_set = _task_set(tx, service, after.deployment_id)
        if task_set is not None:
            deployment = counted(service, task_set.deployment, before, after, now=now)
            if deployment is not task_set.deployment:
                tx.put(replace(task_set, deployment=deployment))
        return
    changed = after_task(service, before, after, now=now)
    if changed is not service:
        tx.put(changed)


def _task_set(tx: Transaction, service: Service, deployment_id: str | None) -> TaskSet | None:
    return tx.get(TaskSet, arns.task_set(service.arn, deployment_id or ""))


def write_instance(
    tx: Transaction,
    before: ContainerInstance | None,
    after: ContainerInstance,
    *,
    now: float,
    because: str = "",
) -> ContainerInstance:
    """Put the container instance, with its event and a higher version when ECS would tell of the change."""
    if not instance_is_told(before, after):
        tx.put(after)
        return after
    if before is not None and after.version <= before.version:
        after = replace(after, version=before.version + 1)
    tx.put(after)
    tx.emit(Event(EventKind.CONTAINER_INSTANCE, after.arn, now, because=because, state=after))
    return after


def write_service(
    tx: Transaction, before: Service | None, after: Service, *, now: float, because: str = ""
) -> None:
    """Put the service and tell of each deployment that began, completed or failed with this change."""
    tx.put(after)
    known = {d.id: d.rollout_state for d in before.deployments} if before is not None else {}
    for deployment in after.deployments:
        state = deployment.rollout_state
        if known.get(deployment.id) == state:
            continue
        tx.emit(
            Event(
                EventKind.DEPLOYMENT,
                after.arn,
                now,
                because=because,
                name=f"SERVICE_DEPLOYMENT_{state}",
                level="ERROR" if state == "FAILED" else "INFO",
                reason=deployment.rollout_state_reason,
                id=deployment.id,
            )
        )


def write_begun(
    tx: Transaction, before: Service | None, begun: Begun, *, now: float, because: str = ""
) -> None:
    """Put a service with the deployment that has just begun, and its history."""
    write_service(tx, before, begun.service, now=now, because=because)
    for record in (begun.service_revision, *begun.superseded, begun.service_deployment):
        tx.put(record)


def service_message(
    tx: Transaction,
    service: Service,
    text: str,
    *,
    now: float,
    ids: Ids,
    because: str = "",
    task_set: str = "",
) -> None:
    """Add a line to DescribeServices' events; text comes without the ``(service NAME)`` in front."""
    of = f"{service.name}, taskSet {task_set}" if task_set else service.name
    tx.emit(
        Event(
            EventKind.SERVICE_MESSAGE,
            service.arn,
            now,
            message=f"(service {of}) {text}",
            because=because,
            id=ids.uuid(),
        )
    )


def keep_decision(
    tx: Transaction, resource: str, decision: Decision, *, now: float, because: str = ""
) -> None:
    """Keep what tasks were placed by, for `miniecs explain` of a service, or of a task that is in none."""
    count, considered = len(decision.placements), decision.considered
    text = f"{count} task{'' if count == 1 else 's'} placed; {considered} container instances considered"
    tx.emit(
        Event(EventKind.DECISION, resource, now, text, because, name=PLACED, record=decision.record)
    )


def keep_failure(tx: Transaction, resource: str, decision: Decision, *, now: float) -> None:
    """Keep why tasks found no host, unless that is what was kept last."""
    because, suggestion = why_unplaced(decision), decision.suggestion
    _keep_once(tx, Event(EventKind.DECISION, resource, now, because, suggestion, record=decision.record))


def _keep_once(tx: Transaction, decision: Event) -> None:
    told = tx.events(decision.resource, (EventKind.DECISION,), limit=1)
    if not told or told[-1].message != decision.message:
        tx.emit(decision)


@dataclass(frozen=True, slots=True)
class Applier:
    """Carries a plan out within one transaction."""

    tx: Transaction
    now: float
    ids: Ids
    timing: Timing
    place: Placer

    def apply(self, plan: Plan) -> None:
        """Do every action. Raises Stale, with nothing done, when an object has changed since the plan."""
        for action in plan.actions:
            self._expect(action)
        for action in plan.actions:
            self._do(action)

    def _expect(self, action: Action) -> None:
        match action:
            case StopTask() | AdvanceTask() | SetInterface() | AssignTask():
                self.tx.expect(Task, action.task.arn, action.version)
            case LaunchTasks():
                self.tx.expect(Service, action.service.arn, action.version)
                if action.task_set_version:
                    task_set = arns.task_set(action.service.arn, action.deployment_id)
                    self.tx.expect(TaskSet, task_set, action.task_set_version)
            case SetService():
                self.tx.expect(Service, action.before.arn, action.version)
            case SetServiceDeployment():
                self.tx.expect(ServiceDeployment, action.before.arn, action.version)
            case SetTaskSet():
                self.tx.expect(TaskSet, action.before.arn, action.version)
            case RegisterTarget() | DeregisterTarget() | RemoveTarget():
                self.tx.expect(Target, action.target.key, action.version)
            case Forget():
                self.tx.expect(action.kind, action.key, action.version)
            case Say():
                pass

    def _do(self, action: Action) -> None:
        match action:
            case LaunchTasks():
                self._launch(action)
            case StopTask():
                task = self._task(action.task)
                stopped = stop(task, now=self.now, code=action.code, reason=action.reason)
                write_task(self.tx, task, stopped, now=self.now, because=action.because)
            case AdvanceTask():
                task = self._task(action.task)
                after = advanced(task, action.last_status, now=self.now)
                write_task(self.tx, task, after, now=self.now, because=action.because)
            case SetInterface():
                task = self._task(action.task)
                after = replace(task, network_interface=action.interface)
                write_task(self.tx, task, after, now=self.now, because=action.because)
            case AssignTask():
                task = self._task(action.task)
                after = replace(task, container_instance_arn=action.instance_arn)
                write_task(self.tx, task, after, now=self.now, because=action.because)
            case SetService():
                write_service(self.tx, action.before, action.after, now=self.now, because=action.because)
            case SetServiceDeployment() | SetTaskSet():
                self.tx.put(action.after)
            case RegisterTarget():
                self.tx.put(action.target)
            case DeregisterTarget():
                if action.after is None:
                    self.tx.delete(Target, action.target.key)
                else:
                    self.tx.put(action.after)
            case RemoveTarget():
                self.tx.delete(Target, action.target.key)
            case Forget():
                self.tx.delete(action.kind, action.key)
            case Say():
                self._say(action)

    def _task(self, planned: Task) -> Task:
        """The task as this transaction has it by now: one plan may act on it twice."""
        return self.tx.get(Task, planned.arn) or planned

    def _say(self, say: Say) -> None:
        service_message(
            self.tx,
            say.service,
            say.text,
            now=self.now,
            ids=self.ids,
            because=say.because,
            task_set=say.task_set,
        )
        if say.name:
            self._service_action(say.service, say.name, say.level, say.reason, say.because)

    def _service_action(
        self, service: Service, name: str, level: str, reason: str, because: str
    ) -> None:
        self.tx.emit(
            Event(
                EventKind.SERVICE_ACTION,
                service.arn,
                self.now,
                because=because,
                name=name,
                level=level,
                reason=reason,
            )
        )

    def _launch(self, action: LaunchTasks) -> None:
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
        launched: list[Task] = []
        lacking: list[tuple[Decision, str | None]] = []
        for share, count in self._shares(spec, service, deployment, action.count):
            tasks, decision = self._launch_share(share, service, action, count, chooser)
            launched += tasks
            if decision is not None:
                lacking.append((decision, share.capacity_provider_name))
        self._launched(service, action, launched)
        blocked_until = 0.0
        for decision, provider in lacking:
            blocked_until = self.now + self.timing.placement_retry
            self._tell_unplaced(service, decision, provider)
        self._rest(service, deployment, blocked_until)

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
            launched.append(write_task(self.tx, None, task, now=self.now, because=because))
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
        task_set = _task_set(self.tx, service, deployment.id)
        if task_set is not None:
            self.tx.put(replace(task_set, deployment=rested))
        else:
            self.tx.put(_with(self.tx.get(Service, service.arn) or service, rested))

    def _deployment(self, service: Service, id: str) -> Deployment:
        """What is launched: a deployment of the service's own, or what a task set runs."""
        task_set = _task_set(self.tx, service, id)
        if task_set is not None:
            return task_set.deployment
        return next(each for each in service.deployments if each.id == id)

    def _task_of(
        self, spec: LaunchSpec, instance: ContainerInstance | None, chooser: interfaces.Chooser, because: str
    ) -> Task:
        task = launched_task(
            spec, now=self.now, ids=self.ids, instance=instance, chooser=chooser, because=because
        )
        return write_task(self.tx, None, task, now=self.now, because=because)

    def _launched(self, service: Service, action: LaunchTasks, tasks: list[Task]) -> None:
        if tasks and action.zone:
            known = self.tx.get(Service, service.arn) or service
            self.tx.put(replace(known, moves=(*known.moves, *(task.arn for task in tasks))))
            self._say(Say(service, messages.az_started(action.zone, tasks), action.because, "TASKS_STARTED"))
        elif tasks:
            text = messages.started(tasks, min(action.replaced, len(tasks)))
            service_message(self.tx, service, text, now=self.now, ids=self.ids, because=action.because)

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
        _keep_once(self.tx, decision)
        if messages.is_unsaid(self.tx, service, text, now=self.now, timing=self.timing):
            service_message(self.tx, service, text, now=self.now, ids=self.ids, because=because)
            self._service_action(
                service, "SERVICE_TASK_PLACEMENT_FAILURE", "ERROR", reason, because
            )


def why_unplaced(decision: Decision) -> str:
    """A rejection in numbers: "2 tasks not placed; of 5 instances 3 RESOURCE:MEMORY, 2 AGENT; closest …"."""
    text = f"{decision.unplaced} tasks not placed; of {decision.considered} container instances "
    text += ", ".join(f"{count} {reason}" for reason, count in decision.rejected.items()) or "none fits"
    if decision.closest is not None:
        text += f"; closest: {decision.closest.detail}"
    return text


def _with(service: Service, changed: Deployment) -> Service:
    return replace(
        service, deployments=tuple(changed if d.id == changed.id else d for d in service.deployments)
    )
