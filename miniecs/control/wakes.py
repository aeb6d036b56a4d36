"""Which loops a change concerns: from objects written to the keys that must be looked at again.

Too many keys cost time, one too few is a stuck service; so each rule here names what reads what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from miniecs.control import alarms, capacity
from miniecs.control.plan import Key
from miniecs.control.tasks import needs_care
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.alarm import MetricAlarm
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance
from miniecs.model.cluster import CapacityProvider, Cluster, IdempotencyRecord
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment, ServiceRevision
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.model.task_set import TaskSet


class Change(Protocol):
    """One object written: its kind, and what it was and became (None: it was not, is no more)."""

    @property
    def kind(self) -> type: ...
    @property
    def before(self) -> Any: ...
    @property
    def after(self) -> Any: ...


class Changes(Protocol):
    @property
    def changes(self) -> Iterable[Change]: ...


class Wakes:
    """Gathers the keys that changes touch until somebody takes them; each once, in order."""

    def __init__(self, view: View) -> None:
        self._view = view
        # (loop, id) -> capacity appeared for its blocked placement. Not yet a Key: one task after the other
        # touches the same service, and a bare tuple is made in a tenth of the time.
        self.touched: dict[tuple[str, str], bool] = {}
        self._blocked: dict[str, set[str]] = {}  # cluster -> services whose placement found no host
        self._daemons: dict[str, set[str]] = {}  # cluster -> DAEMON services
        self._watching: dict[str, set[str]] = {}  # alarm -> services whose deployments it ends
        self._balanced: dict[str, set[str]] = {}  # cluster -> services whose zones are kept balanced
        self._waiting: dict[str, set[str]] = {}  # cluster -> capacity providers that tasks wait for
        self._scaled: dict[str, list[Key]] = {}  # cluster -> its groups and their managed scaling

    def take(self) -> list[tuple[Key, bool]]:
        """The touched keys, each with whether a blocked placement may be tried before its time."""
        taken = [(Key(*touched), retry) for touched, retry in self.touched.items()]
        self.touched.clear()
        return taken

    def note(self, commit: Changes) -> None:
        for change in commit.changes:
            kind = change.kind
            if kind is Task:
                self._task(change.before, change.after)
            elif kind is Target:
                self._target(change.before, change.after)
            elif kind is Service:
                self._service(change.before, change.after)
            elif kind is TaskSet:
                self._task_set(change.before, change.after)
            elif kind is ContainerInstance:
                self._instance(change.before, change.after)
            elif kind is ServiceDeployment:
                self._release(change.before, change.after)
            elif kind is ServiceRevision:
                self._revision(change.before, change.after)
            elif kind is MetricAlarm:
                self._alarm(change.before, change.after)
            elif kind in (AutoScalingGroup, CapacityProvider):
                self._providers((change.after or change.before).arn)
            elif kind is GroupInstance:
                self._member(change.after or change.before)
            elif kind is Cluster:
                self._associations(change.before, change.after)
                if change.after is not None and change.after.status == "INACTIVE":
                    self._touch("cluster", change.after.arn)
            elif kind is TaskDefinition:
                if change.after is not None and change.after.status == "DELETE_IN_PROGRESS":
                    self._touch("definition", change.after.arn)
            elif kind is IdempotencyRecord and change.after is not None:
                self._touch("idempotency", change.after.key)

    def restart(self) -> None:
        """Forget everything and touch all that exists."""
        self.touched.clear()
        self._blocked.clear()
        self._daemons.clear()
        self._watching.clear()
        self._balanced.clear()
        self._waiting.clear()
        self._scaled.clear()
        for provider in self._view.all(CapacityProvider):
            self._touch("capacity", provider.arn)
            self._touch("scaling", provider.arn)
        for group in self._view.all(AutoScalingGroup):
            self._touch("group", group.arn)
            self._file_scaled(group.cluster_arn)
        for service in self._view.all(Service):
            self._file(service)
            self._touch("service", service.arn, retry=True)
        for task in self._view.all(Task):
            self._touch("task", task.arn)
            if _waits(task):
                self._waits(task)
        for target in self._view.all(Target):
            if target.state == "draining":
                self._touch("target", target.key)
        for release in self._view.all(ServiceDeployment):
            if not release.is_ongoing:
                self._touch("release", release.arn)
        for instance in self._view.all(ContainerInstance):
            self._touch("instance", instance.arn)
        for cluster in self._view.all(Cluster):
            self._touch("cluster", cluster.arn)
        for definition in self._view.all(TaskDefinition):
            if definition.status == "DELETE_IN_PROGRESS":
                self._touch("definition", definition.arn)
        for record in self._view.all(IdempotencyRecord):
            self._touch("idempotency", record.key)

    def _touch(self, loop: str, id: str, *, retry: bool = False) -> None:
        touched = (loop, id)
        self.touched[touched] = retry or self.touched.get(touched, False)

    def _task(self, before: Task | None, after: Task | None) -> None:
        if after is None:
            return  # forgotten an hour after it stopped: nobody counts it any more
        if after.service_arn is not None and not _same_to_service(before, after):
            self._touch("service", after.service_arn)
        if after.capacity_provider_name is not None:
            self._of_provider(before, after)
        if after.cluster_arn in self._scaled and _is_placed(before, after):
            self._rescale(after.cluster_arn)
        if after.is_stopped:
            if before is None or not before.is_stopped:
                self._touch("task", after.arn)
                self._rescale(after.cluster_arn)
                self._capacity(after.cluster_arn)
                self._left(after)
        elif needs_care(after) and (before is None or not _same_to_service(before, after)):
            self._touch("task", after.arn)

    # Capacity providers and their groups

    def _of_provider(self, before: Task | None, after: Task) -> None:
        """A task begins or ends to wait for a capacity provider's instances."""
        waits = _waits(after)
        if waits != (before is not None and _waits(before)):
            if waits:
                self._waits(after)
            self._rescale(after.cluster_arn)

    def _waits(self, task: Task) -> None:
        name = task.capacity_provider_name or ""
        provider_arn = arns.capacity_provider(arns.scope_of(task.cluster_arn), name)
        self._waiting.setdefault(task.cluster_arn, set()).add(provider_arn)
        self._touch("capacity", provider_arn)

    def _rescale(self, cluster_arn: str) -> None:
        for loop, id in self._scaled.get(cluster_arn, ()):
            self._touch(loop, id)

    def _file_scaled(self, cluster_arn: str) -> None:
        keys: list[Key] = []
        for group in self._view.find(AutoScalingGroup, "cluster", cluster_arn):
            provider = capacity.provider_of(self._view, group)
            keys.append(Key("group", group.arn))
            if provider is not None:
                keys.append(Key("scaling", provider.arn))
        self._scaled[cluster_arn] = keys

    def _providers(self, arn: str) -> None:
        """A provider or a group is new, other or gone: who belongs to whom is found anew."""
        provider = self._view.get(CapacityProvider, arn)
        if provider is not None:
            self._touch("capacity", arn, retry=True)
            self._touch("scaling", arn)
        clusters = set(self._scaled)
        clusters.update(group.cluster_arn for group in self._view.all(AutoScalingGroup))
        for cluster_arn in sorted(clusters):
            self._file_scaled(cluster_arn)
            self._rescale(cluster_arn)

    def _associations(self, before: Cluster | None, after: Cluster | None) -> None:
        """A cluster has other capacity providers, or is gone."""
        cluster = after or before
        if cluster is None or (before is not None and after is not None and _same_providers(before, after)):
            return
        for name in {*(before.capacity_providers if before else ()), *cluster.capacity_providers}:
            arn = arns.capacity_provider(arns.scope_of(cluster.arn), name)
            self._touch("scaling", arn)
        if self._view.find(AutoScalingGroup, "cluster", cluster.arn):
            self._file_scaled(cluster.arn)
            self._rescale(cluster.arn)

    def _member(self, member: GroupInstance) -> None:
        group = self._view.get(AutoScalingGroup, member.group_arn)
        if group is not None:
            self._rescale(group.cluster_arn)

    # Capacity in general

    def _left(self, task: Task) -> None:
        """A daemon waits until all other tasks have left a DRAINING instance."""
        daemons = self._daemons.get(task.cluster_arn)
        if not daemons or task.container_instance_arn is None:
            return
        instance = self._view.get(ContainerInstance, task.container_instance_arn)
        if instance is not None and instance.status == "DRAINING":
            for arn in sorted(daemons):
                self._touch("service", arn)

    def _capacity(self, cluster_arn: str) -> None:
        for arn in sorted(self._blocked.get(cluster_arn, ())):
            self._touch("service", arn, retry=True)
        waiting = self._waiting.get(cluster_arn)
        for arn in sorted(waiting or ()):
            if self._view.count(Task, "waiting", (cluster_arn, arns.name_of(arn))):
                self._touch("capacity", arn, retry=True)
            elif waiting is not None:
                waiting.discard(arn)

    def _revision(self, before: ServiceRevision | None, after: ServiceRevision | None) -> None:
        """The tasks that wait for the images of the first one may start."""
        if before is not None and after is not None:
            self._touch("service", after.service_arn)

    def _target(self, before: Target | None, after: Target | None) -> None:
        """Probes write a target often; only what its state means to others wakes them."""
        target = after or before
        if target is None:
            return
        state = after.state if after is not None else None
        if before is not None and before.state == state and before.task_arn == target.task_arn:
            return
        if state == "draining":
            self._touch("target", target.key)
        for task_arn in {before.task_arn if before else None, target.task_arn} - {None}:
            task = self._view.get(Task, task_arn or "")
            if task is None:
                continue
            if needs_care(task):
                self._touch("task", task.arn)
            if task.service_arn is not None:
                self._touch("service", task.service_arn)

    def _service(self, before: Service | None, after: Service | None) -> None:
        service = after or before
        if service is None:
            return
        if before is not None:
            self._watch(before, on=False)
        if after is None:
            self._blocked.get(service.cluster_arn, set()).discard(service.arn)
            self._daemons.get(service.cluster_arn, set()).discard(service.arn)
            self._balanced.get(service.cluster_arn, set()).discard(service.arn)
            return
        self._file(after)
        self._touch("service", after.arn, retry=before is not None and _asks_otherwise(before, after))

    def _task_set(self, before: TaskSet | None, after: TaskSet | None) -> None:
        task_set = after or before
        service = self._view.get(Service, task_set.service_arn) if task_set is not None else None
        if service is not None:
            self._file(service)
            scaled = before is not None and after is not None and before.scale != after.scale
            self._touch("service", service.arn, retry=scaled)

    def _file(self, service: Service) -> None:
        blocked = self._blocked.setdefault(service.cluster_arn, set())
        daemons = self._daemons.setdefault(service.cluster_arn, set())
        of_task_sets = (t.deployment for t in self._view.find(TaskSet, "service", service.arn))
        deployments = (*service.deployments, *of_task_sets)
        if service.status == "ACTIVE" and any(d.blocked_until for d in deployments):
            blocked.add(service.arn)
        else:
            blocked.discard(service.arn)
        if service.status == "ACTIVE" and service.scheduling_strategy == "DAEMON":
            daemons.add(service.arn)
        else:
            daemons.discard(service.arn)
        balanced = self._balanced.setdefault(service.cluster_arn, set())
        if service.status == "ACTIVE" and service.availability_zone_rebalancing == "ENABLED":
            balanced.add(service.arn)
        else:
            balanced.discard(service.arn)

        self._watch(service, on=service.status == "ACTIVE")

    def _watch(self, service: Service, *, on: bool) -> None:
        for name in alarms.of_service(service):
            arn = arns.alarm(arns.scope_of(service.arn), name)
            services = self._watching.setdefault(arn, set())
            services.add(service.arn) if on else services.discard(service.arn)
            if not services:
                del self._watching[arn]

    def _release(self, before: ServiceDeployment | None, after: ServiceDeployment | None) -> None:
        """What the service's loop wrote itself concerns it no more; what a user asked for does."""
        if after is None or (before is not None and before.status == after.status):
            return
        if after.status in _ASKED_FOR:
            self._touch("service", after.service_arn)
        elif not after.is_ongoing:
            self._touch("release", after.arn)

    def _alarm(self, before: MetricAlarm | None, after: MetricAlarm | None) -> None:
        """An alarm that is gone or told anew has another bake time; mostly its state has changed."""
        alarm = after or before
        for arn in sorted(self._watching.get(alarm.arn, ())) if alarm is not None else ():
            self._touch("service", arn)

    def _instance(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        if after is None:
            return
        if before is not None and before.status == after.status and not _offers_otherwise(before, after):
            return
        # Daemons first: a replica that waits for room could take the one that a daemon needs.
        for arn in sorted(self._daemons.get(after.cluster_arn, ())):
            self._touch("service", arn)
        self._capacity(after.cluster_arn)
        self._rescale(after.cluster_arn)
        if fargate.is_capacity(after.cluster_arn) and after.agent_connected:
            for waiting in self._view.all(Task):
                if waiting.last_status == "PROVISIONING" and waiting.container_instance_arn is None:
                    self._touch("task", waiting.arn)
        if _takes_tasks(after) and (before is None or not _takes_tasks(before)):
            for arn in sorted(self._balanced.get(after.cluster_arn, ())):
                self._touch("service", arn)
        if before is not None and before.agent_connected != after.agent_connected:
            self._awaited(after)
        if before is None or before.status == after.status:
            return
        if after.status == "INACTIVE":
            self._touch("instance", after.arn)
        for task in self._view.find(Task, "instance", after.arn):
            if after.status == "INACTIVE":
                self._touch("task", task.arn)
            if task.service_arn is not None:
                self._touch("service", task.service_arn)


    def _awaited(self, instance: ContainerInstance) -> None:
        """An agent is away, or is back, whose task was to resolve the images of a deployment."""
        for task in self._view.find(Task, "instance", instance.arn):
            if task.resolves_images and task.last_status != "RUNNING" and task.service_arn is not None:
                self._touch("service", task.service_arn)


_ASKED_FOR = ("PENDING", "STOP_REQUESTED", "ROLLBACK_REQUESTED")


def _takes_tasks(instance: ContainerInstance) -> bool:
    return instance.status == "ACTIVE" and instance.agent_connected


def _waits(task: Task) -> bool:
    """Whether a task waits for a capacity provider's instances."""
    return (
        task.capacity_provider_name is not None
        and task.container_instance_arn is None
        and task.last_status == "PROVISIONING"
        and task.launch_type != fargate.LAUNCH_TYPE
    )


def _is_placed(before: Task | None, after: Task) -> bool:
    """Whether a task has just taken its place: a group's instance may not be idle any more."""
    return after.container_instance_arn is not None and (
        before is None or before.container_instance_arn is None
    )


def _same_providers(before: Cluster, after: Cluster) -> bool:
    return before.capacity_providers == after.capacity_providers and before.status == after.status


def _same_to_service(before: Task | None, after: Task) -> bool:
    return (
        before is not None
        and before.last_status == after.last_status
        and before.desired_status == after.desired_status
        and before.health_status == after.health_status
        and before.container_instance_arn == after.container_instance_arn
        and before.protection_expires_at == after.protection_expires_at
        and before.network_interface == after.network_interface
    )


def _asks_otherwise(before: Service, after: Service) -> bool:
    """Whether a blocked placement is worth another try because the service itself was changed."""
    return (
        before.placement_constraints != after.placement_constraints
        or before.placement_strategy != after.placement_strategy
        or before.desired_count != after.desired_count
    )


def _offers_otherwise(before: ContainerInstance, after: ContainerInstance) -> bool:
    return (
        before.agent_connected != after.agent_connected
        or before.attributes != after.attributes
        or before.cpu != after.cpu
        or before.memory != after.memory
        or before.ports != after.ports
        or before.ports_udp != after.ports_udp
        or before.gpus != after.gpus
        or before.capacity_provider_name != after.capacity_provider_name
    )
