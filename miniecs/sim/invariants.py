"""What must be true of every simulated history, checked at every commit and after every plan.

Written against the store's objects and the rules of DESIGN alone, not with the functions of
``control``: a wrong count there must not be repeated here. Incremental, so that it can always be on.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from miniecs.control.plan import Key, Plan, Say
from miniecs.model import arns
from miniecs.model.event import PLACED, EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import STATUS_ORDER, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import TaskSet
from miniecs.reconciler import Reconciler
from miniecs.sim.broken import broken
from miniecs.sim.runs import deployment_of
from miniecs.store import Change, Commit

if TYPE_CHECKING:
    from miniecs.sim.world import World

_MOVED = "Availability-zone rebalancing"
_STOPPED_BY_US = "ServiceSchedulerInitiated"
_CONTAINER_ORDER = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
_MESSAGES = 100  # of a service that are kept: one that was said before them counts as unsaid
ORPHAN_AFTER = 180.0  # seconds for a container of a stopped task to end, links being in order


class Invariants:
    """Follows a world. Raises InvariantBroken from within the step that broke one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._cpu: dict[str, int] = defaultdict(int)  # instance -> CPU units held
        self._memory: dict[str, int] = defaultdict(int)
        self._ports: dict[tuple[str, str, int], str] = {}  # (instance, protocol, host port) -> task
        self._ports_of: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
        self._addresses: dict[str, str] = {}  # of network interfaces -> task
        self._ran: dict[str, tuple[str | None, ...]] = {}  # task -> its containers' runtime ids
        self._planned: Key | None = None
        self._reconciler: Reconciler | None = None
        self.checks = 0
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def follow(self, reconciler: Reconciler) -> None:
        """The reconciler whose plans are checked. What it and the fleets follow, they now hear before us."""
        self._reconciler = reconciler
        self._planned = None
        self._unsubscribe()
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def planned(self, key: Key) -> None:
        """A plan of this key is about to be applied."""
        self._planned = key

    # At every commit

    def _on_commit(self, commit: Commit) -> None:
        self.checks += 1
        stopped: dict[str, list[Task]] = {}
        started: set[str] = set()
        for change in commit.changes:
            if change.kind is not Task:
                continue
            self._check_task(change)
            before, after = change.before, change.after
            if after is None or after.service_arn is None:
                continue
            if before is None:
                started.add(after.service_arn)
            elif before.wanted and not after.wanted and after.stop_code == _STOPPED_BY_US:
                stopped.setdefault(after.service_arn, []).append(before)
        for service_arn, tasks in stopped.items():
            self._check_floor(service_arn, tasks, targets_before(commit))
        for change in commit.changes:
            if change.kind is Task and change.before is not None and change.after is not None:
                self._check_moved(change.before, change.after)
        for service_arn in started:
            self._check_ceiling(service_arn)
        key, self._planned = self._planned, None
        if key is not None:
            self._check_settled(key)

    def _check_task(self, change: Change) -> None:
        before: Task | None = change.before
        after: Task | None = change.after
        if before is not None and after is not None:
            self._check_forward(before, after)
        self._check_held(before, after)
        if after is not None:
            if after.container_instance_arn is not None and not after.because:
                broken("every placement says why", after.arn)
            if not after.is_stopped:
                self._hold_ports(after)
            self._hold_address(after)

    def _check_forward(self, before: Task, after: Task) -> None:
        if STATUS_ORDER[after.last_status] < STATUS_ORDER[before.last_status]:
            broken(
                "lastStatus never goes back", f"{after.arn} {before.last_status} -> {after.last_status}"
            )
        if after.wanted and not before.wanted:
            broken("a task that is to stop stays so", after.arn)
        if before.wanted and not after.wanted:
            self._check_protected(before, after)
        if after.version < before.version:
            broken("versions only grow", after.arn)
        if before.container_instance_arn not in (None, after.container_instance_arn):
            broken("a task never moves", after.arn)
        if after.last_status == "STOPPING" and STATUS_ORDER[before.last_status] < STATUS_ORDER["STOPPING"]:
            left = self._store.find(Target, "task", after.arn)
            if left:
                broken("no task is told to stop while it has targets", f"{after.arn} {left}")
        if before.containers is after.containers:
            return
        for old, new in zip(before.containers, after.containers, strict=True):
            if _CONTAINER_ORDER[new.last_status] < _CONTAINER_ORDER[old.last_status]:
                broken("a container's lastStatus never goes back", f"{after.arn} {new.name}")
            if old.runtime_id is not None and new.runtime_id != old.runtime_id:
                broken("no container is started twice", f"{after.arn} {new.name}")

    def _check_protected(self, before: Task, after: Task) -> None:
        """Scale-in, deployments and rebalancing leave protected tasks alone."""
        if before.protection_expires_at is None or self._world.now >= before.protection_expires_at:
            return
        reason = after.stopped_reason or ""
        service = self._store.get(Service, after.service_arn or "")
        if service is None or service.status != "ACTIVE" or after.last_status != "RUNNING":
            return
        instance = self._store.get(ContainerInstance, after.container_instance_arn or "")
        emptied = instance is not None and instance.status != "ACTIVE"
        if emptied and service.scheduling_strategy == "DAEMON":
            return  # the last to leave a DRAINING instance, and it does leave
        if reason.startswith(("Scaling activity", "Availability-zone rebalancing")):
            broken("protected tasks are not stopped", f"{after.arn} {reason}")

    def _check_moved(self, before: Task, after: Task) -> None:
        """Rebalancing stops only healthy tasks, in a fullest zone, of a service that asks for it."""
        if not (before.wanted and not after.wanted and (after.stopped_reason or "").startswith(_MOVED)):
            return
        service = self._store.get(Service, after.service_arn or "")
        assert service is not None
        strategies = service.placement_strategy
        first = strategies[0].field if strategies else "attribute:ecs.availability-zone"
        if (
            service.availability_zone_rebalancing != "ENABLED"
            or service.scheduling_strategy != "REPLICA"
            or service.deployment_configuration.maximum_percent <= 100
            or first != "attribute:ecs.availability-zone"
            or len(service.deployments) != 1
        ):
            broken("zones are rebalanced only where the service allows it", f"{service}")
        left = [t for t in self._store.find(Task, "service", service.arn) if t.wanted and self.counts(t)]
        if len(left) < service.desired_count:
            broken("rebalancing starts before it stops", f"{service.name}: {len(left)} tasks are left")
        zones = Counter(t.availability_zone for t in left)
        if zones[before.availability_zone] + 1 < max(zones.values()):
            broken("rebalancing stops where most tasks are", f"{before.availability_zone} of {zones}")

    # Capacity and ports

    def _check_held(self, before: Task | None, after: Task | None) -> None:
        held, holds = _holds(before), _holds(after)
        if held and not holds:
            assert before is not None and before.container_instance_arn is not None
            self._cpu[before.container_instance_arn] -= before.reserved_cpu
            self._memory[before.container_instance_arn] -= before.reserved_memory
            for port in self._ports_of.pop(before.arn, ()):
                self._ports.pop(port, None)
        elif holds and not held:
            assert after is not None and after.container_instance_arn is not None
            arn = after.container_instance_arn
            self._cpu[arn] += after.reserved_cpu
            self._memory[arn] += after.reserved_memory
            instance = self._store.get(ContainerInstance, arn)
            if instance is None or instance.status != "ACTIVE" or not instance.agent_connected:
                broken("tasks are placed on ACTIVE, connected instances", after.arn)
            elif self._cpu[arn] > instance.cpu or self._memory[arn] > instance.memory:
                broken(
                    "no host holds more than it has",
                    f"{arn} {self._cpu[arn]}/{instance.cpu} CPU {self._memory[arn]}/{instance.memory} MiB",
                )
            self._hold_static_ports(after)

    def _hold_static_ports(self, task: Task) -> None:
        definition = self._store.get(TaskDefinition, task.task_definition_arn)
        if definition is None or definition.network_mode not in ("bridge", "host"):
            return
        for container in definition.container_definitions:
            for mapping in container.port_mappings:
                fixed = mapping.host_port or (
                    mapping.container_port if definition.network_mode == "host" else None
                )
                if fixed:
                    self._hold_port(task, mapping.protocol, fixed)

    def _hold_ports(self, task: Task) -> None:
        for container in task.containers:
            if container.last_status == "RUNNING":
                for binding in container.network_bindings:
                    if binding.host_port is not None:
                        self._hold_port(task, binding.protocol, binding.host_port)

    def _hold_port(self, task: Task, protocol: str, port: int) -> None:
        key = (task.container_instance_arn or "", protocol, port)
        owner = self._ports.get(key)
        if owner == task.arn:
            return
        if owner is not None:
            broken("no host port twice", f"{protocol} {port} of {key[0]}: {owner} and {task.arn}")
        self._ports[key] = task.arn
        self._ports_of[task.arn].append(key)

    def _hold_address(self, task: Task) -> None:
        address = task.network_interface.private_ipv4 if task.network_interface is not None else ""
        owner = self._addresses.get(address)
        if not address:
            return
        if not task.is_stopped and owner not in (None, task.arn):
            broken("no address twice", f"{address}: {owner} and {task.arn}")
        if not task.is_stopped:
            self._addresses[address] = task.arn
        elif owner == task.arn:
            del self._addresses[address]

    # The bounds of services

    def _check_floor(
        self, service_arn: str, stopped: Iterable[Task], targets_before: Mapping[str, list[Target]]
    ) -> None:
        """Our own stops never push healthy tasks below minimumHealthyPercent.

        targets_before: task -> its targets that changed with the stop, as they were before it.
        """
        service = self._store.get(Service, service_arn)
        if service is None or service.status != "ACTIVE" or not _is_rolling(service):
            return
        lost = [
            task for task in stopped if self.is_healthy(service, task, targets_before.get(task.arn, ()))
        ]
        if not lost:
            return
        percent = service.deployment_configuration.minimum_healthy_percent
        floor = math.ceil(service.desired_count * percent / 100)
        left = [
            task
            for task in self._store.find(Task, "service", service_arn)
            if task.wanted and self.is_healthy(service, task)
        ]
        if len(left) < floor:
            broken(
                "our stops never go below minimumHealthyPercent",
                f"{service.name}: {len(left)} healthy after stopping {len(lost)}, "
                f"{percent} % of {service.desired_count} are {floor}",
            )

    def _check_ceiling(self, service_arn: str) -> None:
        """Our starts never go above maximumPercent; tasks that are stopping count until they are gone."""
        service = self._store.get(Service, service_arn)
        if service is None or not _is_rolling(service):
            return
        percent = service.deployment_configuration.maximum_percent
        ceiling = math.floor(service.desired_count * percent / 100)
        live = [task for task in self._store.find(Task, "service", service_arn) if self.counts(task)]
        if len(live) > ceiling:
            broken(
                "our starts never go above maximumPercent",
                f"{service.name}: {len(live)} tasks, {percent} % of {service.desired_count} are {ceiling}",
            )

    def counts(self, task: Task) -> bool:
        """Tasks of a deregistered instance are lost already; they are only not yet marked so."""
        if task.container_instance_arn is None:
            return True  # Fargate has no machine for it yet
        instance = self._store.get(ContainerInstance, task.container_instance_arn)
        return instance is not None and instance.status != "INACTIVE"

    def is_healthy(self, service: Service, task: Task, targets_before: Iterable[Target] = ()) -> bool:
        """ECS's rule, read off the objects: targets and container checks, or 40 s of RUNNING without any."""
        if task.last_status != "RUNNING" or not self.counts(task):
            return False
        deployment = deployment_of(self._store, service, task)
        definition = self._store.get(TaskDefinition, task.task_definition_arn)
        if deployment is None or definition is None:
            return False
        checked = self.is_checked(task)
        balanced = [b for b in deployment.revision.load_balancers if b.target_group_arn is not None]
        if checked and task.health_status != "HEALTHY":
            return False
        if balanced:
            states = {target.key: target.state for target in self._store.find(Target, "task", task.arn)}
            states |= {target.key: target.state for target in targets_before}
            return len(states) >= len(balanced) and all(state == "healthy" for state in states.values())
        if checked:
            return True
        return self._world.now - (task.started_at or 0.0) >= self._world.timing.healthy_after

    def is_checked(self, task: Task) -> bool:
        """Whether an essential container of it has a health check."""
        definition = self._store.get(TaskDefinition, task.task_definition_arn)
        return definition is not None and any(
            c.essential and c.health_check is not None for c in definition.container_definitions
        )

    # Plans

    def _check_settled(self, key: Key) -> None:
        """Planning again right after applying gives an empty plan."""
        assert self._reconciler is not None
        again = self._reconciler.plan(key, self._world.now)
        if again.actions and not self._is_said_again(key, again):
            broken("planning again right after applying gives an empty plan", _words(key, again))

    def _is_said_again(self, key: Key, plan: Plan) -> bool:
        """Whether it only says what the last plan has pushed out of the messages that a service keeps."""
        if not all(isinstance(action, Say) for action in plan.actions):
            return False
        return len(self._store.events(key.id, (EventKind.SERVICE_MESSAGE,))) >= _MESSAGES

    # At the end of a run

    def check_at_rest(self) -> None:
        """Nothing is left to do; what is wanted runs, on the hosts as well as on paper."""
        world = self._world
        for key in world.reconciler.keys():
            plan = world.reconciler.plan(key, world.now)
            if plan.actions:
                broken("nothing is left to do at rest", _words(key, plan))
        for service in self._store.all(Service):
            self._check_service_at_rest(service)
        self._check_targets()
        self._check_engines()

    def _check_service_at_rest(self, service: Service) -> None:
        tasks = self._store.find(Task, "service", service.arn)
        running = [task for task in tasks if task.wanted and task.last_status == "RUNNING"]
        if service.status != "ACTIVE":
            if tasks:
                broken("a deleted service has no tasks", service.name)
            return
        if len(running) != service.desired_count or len(tasks) != len(running):
            why = self._store.events(service.arn, (EventKind.DECISION, EventKind.SERVICE_MESSAGE), limit=3)
            broken(
                "after the faults running = desired",
                f"{service.name}: {len(running)} of {service.desired_count} run, {len(tasks)} there; "
                f"{[event.message for event in why]}",
            )
        self._check_zones_at_rest(service, running)
        for task_set in self._store.find(TaskSet, "service", service.arn):
            if task_set.stability_status != "STEADY_STATE":
                broken("after the faults every task set is steady", f"{service.name}: {task_set}")
        if service.deployment_controller != "ECS":
            return
        if service.primary.rollout_state != "COMPLETED" or len(service.deployments) != 1:
            broken("after the faults every deployment ends", f"{service.name}: {service.deployments}")

    def _check_zones_at_rest(self, service: Service, running: list[Task]) -> None:
        """No zone has two tasks more than one in which a host has plenty of room for another."""
        sample = next(iter(running), None)
        plain = not service.placement_constraints and not service.revision.network_configuration
        if service.availability_zone_rebalancing != "ENABLED" or not plain or sample is None:
            return
        definition = self._store.get(TaskDefinition, sample.task_definition_arn)
        if definition is None or any(c.port_mappings for c in definition.container_definitions):
            return
        zones = Counter(task.availability_zone for task in running)
        for instance in self._store.find(ContainerInstance, "cluster", service.cluster_arn):
            room = (
                instance.status == "ACTIVE"
                and instance.agent_connected
                and sample.capacity_provider_name in (None, instance.capacity_provider_name)
                and instance.cpu - self._cpu[instance.arn] >= sample.reserved_cpu
                and instance.memory - self._memory[instance.arn] >= sample.reserved_memory
            )
            if room and max(zones.values()) - zones[instance.availability_zone] >= 2:
                broken("at rest zones are balanced", f"{service.name}: {zones}, room on {instance.arn}")

    def _check_targets(self) -> None:
        """Requests go to tasks that run, and to no others."""
        for target in self._store.all(Target):
            task = self._store.get(Task, target.task_arn or "")
            if task is None or task.last_status != "RUNNING" or target.state != "healthy":
                broken("at rest every target is a running task's, and healthy", f"{target}")

    def _check_engines(self) -> None:
        """What the hosts really run is what the store says that they run."""
        world = self._world
        really: dict[str, str] = {}
        for host in world.machines():
            instance = self._store.get(ContainerInstance, host.arn)
            if instance is None or instance.status == "INACTIVE":
                continue
            for container in host.engine.running():
                task = self._store.get(Task, container.task.arn)
                if task is None or task.is_stopped:
                    broken("a stopped task runs nowhere", container.task.arn)
                elif task.container_instance_arn != host.arn:
                    broken("a task runs where it was placed", container.task.arn)
                else:
                    really[task.arn] = host.arn
        for task in self._store.find(Task, "cluster", world.cluster_arn):
            if task.last_status == "RUNNING" and task.arn not in really:
                broken("RUNNING is never only on paper", task.arn)

    def check_reported(self, lately: float = 60.0) -> None:
        """What happened on hosts some time ago is known. To be called long after the faults."""
        world = self._world
        for host in world.machines():
            for seen in host.core.tasks:
                task = self._store.get(Task, seen.spec.arn)
                if task is None or task.is_stopped:
                    continue
                since = max((c.started_at or 0.0 for c in seen.containers), default=0.0)
                if seen.known == "STOPPED":
                    since = seen.execution_stopped_at or 0.0
                known = seen.known == "PENDING" or task.last_status not in ("PENDING", "ACTIVATING")
                if since < world.now - lately and not (known and seen.known != "STOPPED"):
                    broken("whatever happened is reported in the end", f"{task.arn} {seen.known}")

    def check_explained(self) -> None:
        """Every service whose placement is blocked has said why."""
        for service in self._store.all(Service):
            for deployment in service.deployments:
                kept = self._store.events(service.arn, (EventKind.DECISION,))
                unplaced = [decision for decision in kept if decision.name != PLACED]
                if deployment.blocked_until > self._world.now and not unplaced:
                    broken("whatever is not placed says why", service.name)
        for task in self._store.find(Task, "cluster", self._world.cluster_arn):
            if task.last_status == "PENDING" and not task.because:
                broken("whatever is pending says why", arns.name_of(task.arn))


def targets_before(commit: Commit) -> dict[str, list[Target]]:
    before: dict[str, list[Target]] = defaultdict(list)
    for change in commit.changes:
        if change.kind is Target and change.before is not None and change.before.task_arn is not None:
            before[change.before.task_arn].append(change.before)
    return before


def _is_rolling(service: Service) -> bool:
    """Whether the service's bounds hold for all of its tasks together; task sets have each their own."""
    return service.scheduling_strategy == "REPLICA" and service.deployment_controller == "ECS"


def _holds(task: Task | None) -> bool:
    return task is not None and task.container_instance_arn is not None and not task.is_stopped


def _words(key: Key, plan: Plan) -> str:
    return f"{key}: " + "; ".join(f"{type(each).__name__} ({each.because})" for each in plan.actions)
