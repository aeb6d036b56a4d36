"""What must be true of every simulated Auto Scaling group, and of what waits for its capacity provider.

Which instance is whose is read off the machines and the groups, not off what the control plane has written
on its container instances: a wrong provider there must not be right here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniecs.model import arns
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance
from miniecs.model.cluster import CapacityProvider
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.sim.broken import broken
from miniecs.store import Commit

if TYPE_CHECKING:
    from miniecs.sim.world import World

ON_ITS_OWN = "a task of a capacity provider is placed on its group's instances only"
OF_THE_STRATEGY = "a task of a service with a strategy has one of its capacity providers"
WITHIN_SIZES = "a group is wanted to have no fewer instances than its minimum and no more than its maximum"
NO_MORE = "a group never has more instances that stay than its maximum"
PROTECTED = "managed termination protection keeps instances with tasks"
EMPTIED = "an instance that a group ends has no tasks left"
NOT_FOREVER = "no task waits for capacity longer than it may"
ONE_EACH = "at rest every instance of a group has a machine and a registration, and none is without"
AS_NEEDED = "at rest a group is as large as its tasks need"

_SLACK = 120.0  # seconds: a control plane that was down, and the next try of waiting tasks


class GroupInvariants:
    """Follows a world's groups and the tasks of their capacity providers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = world.store
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def follow(self) -> None:
        """A control plane has started. What it follows, it now hears before us."""
        self._unsubscribe()
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def _on_commit(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is Task and change.after is not None:
                self._task(change.before, change.after)
            elif change.kind is AutoScalingGroup and change.after is not None:
                self._sized(change.after)
            elif change.kind is GroupInstance:
                self._member(commit, change.before, change.after)

    # Tasks

    def _task(self, before: Task | None, after: Task) -> None:
        if before is None:
            self._started(after)
        placed = before is None or before.container_instance_arn is None
        if not placed or after.container_instance_arn is None:
            return
        provider = self._provider(after)
        if provider is not None and self._group_of(after.container_instance_arn) != _group_arn(provider):
            broken(ON_ITS_OWN, f"{after.arn} of {provider.name} on {after.container_instance_arn}")

    def _started(self, task: Task) -> None:
        service = self._store.get(Service, task.service_arn or "")
        if service is None:
            return
        deployment = next((d for d in service.deployments if d.id == task.deployment_id), None)
        if deployment is None or not deployment.revision.capacity_provider_strategy:
            return
        named = [item.capacity_provider for item in deployment.revision.capacity_provider_strategy]
        if task.capacity_provider_name not in named:
            broken(OF_THE_STRATEGY, f"{task.arn}: {task.capacity_provider_name} is none of {named}")

    def _provider(self, task: Task) -> CapacityProvider | None:
        """The task's, where it has a group."""
        name = task.capacity_provider_name
        if name is None:
            return None
        found = self._store.get(CapacityProvider, arns.capacity_provider(self._world.scope, name))
        return found if found is not None and _group_arn(found) else None

    def _group_of(self, instance_arn: str) -> str | None:
        """The ARN of the group whose instance this is."""
        instance = self._store.get(ContainerInstance, instance_arn)
        member = instance and self._store.get(GroupInstance, instance.ec2_instance_id or "")
        return member.group_arn if member else None

    # Groups and their instances

    def _sized(self, group: AutoScalingGroup) -> None:
        if not group.min_size <= group.desired_capacity <= group.max_size:
            sizes = f"{group.min_size} to {group.max_size}"
            broken(WITHIN_SIZES, f"{group.name} shall have {group.desired_capacity}, of {sizes}")

    def _member(self, commit: Commit, before: GroupInstance | None, after: GroupInstance | None) -> None:
        if before is None and after is not None:
            self._launched(after)
        elif before is not None and before.stays and (after is None or not after.stays):
            self._chosen(commit, before)
        if before is not None and after is None:
            self._ended(commit, before)

    def _launched(self, member: GroupInstance) -> None:
        group = self._store.get(AutoScalingGroup, member.group_arn)
        assert group is not None, "an instance belongs to a group"
        staying = [m for m in self._store.find(GroupInstance, "group", group.arn) if m.stays]
        if len(staying) > group.max_size:
            broken(NO_MORE, f"{group.name}: {len(staying)} of {group.max_size}")

    def _chosen(self, commit: Commit, member: GroupInstance) -> None:
        """It is to end, or is gone already."""
        on_it = self._on(commit, member)
        if on_it and any(
            (provider.auto_scaling_group_provider or {}).get("managedTerminationProtection") == "ENABLED"
            for provider in self._store.all(CapacityProvider)
            if _group_arn(provider) == member.group_arn
        ):
            broken(PROTECTED, f"{member.instance_id}: {len(on_it)} tasks")

    def _ended(self, commit: Commit, member: GroupInstance) -> None:
        since = member.terminating_at if member.terminating_at is not None else self._world.now
        if self._world.now - since >= self._world.timing.drain_limit:
            return
        on_it = self._on(commit, member)
        if on_it:
            broken(EMPTIED, f"{member.instance_id}: {len(on_it)} tasks")

    def _on(self, commit: Commit, member: GroupInstance) -> list[Task]:
        """Tasks that were on an instance before the commit, daemons' aside; none when it was gone before."""
        instance = next(
            (i for i in self._store.all(ContainerInstance) if i.ec2_instance_id == member.instance_id), None
        )
        for change in commit.changes:
            if change.kind is ContainerInstance and instance is not None and change.key == instance.arn:
                instance = change.before
        if instance is None or instance.status == "INACTIVE":
            return []
        here = {task.arn: task for task in self._store.find(Task, "instance", instance.arn)}
        for change in commit.changes:
            was: Task | None = change.before if change.kind is Task else None
            if was is not None and was.container_instance_arn == instance.arn:
                here[was.arn] = was
        return [task for task in here.values() if not task.is_stopped and not self._is_daemons(task)]

    def _is_daemons(self, task: Task) -> bool:
        service = self._store.get(Service, task.service_arn or "")
        return service is not None and service.scheduling_strategy == "DAEMON"

    # From time to time, and at the end of a run

    def check_waiting(self) -> None:
        """Whatever waits for capacity is placed, or is stopped with its reason."""
        longest = self._world.timing.provisioning_timeout + self._world.timing.placement_retry + _SLACK
        for task in self._store.find(Task, "cluster", self._world.cluster_arn):
            waits = task.wanted and task.container_instance_arn is None and self._provider(task) is not None
            if waits and self._world.now - task.created_at > longest:
                broken(NOT_FOREVER, f"{task.arn} has waited {self._world.now - task.created_at:.0f} s")

    def are_settled(self) -> bool:
        """Whether every group has come to the size that it should stay at."""
        return all(not self._unsettled(group) for group in self._store.all(AutoScalingGroup))

    def check_at_rest(self) -> None:
        for group in self._store.all(AutoScalingGroup):
            self._check_machines(group)
            unsettled = self._unsettled(group)
            if unsettled:
                broken(AS_NEEDED, unsettled)

    def _check_machines(self, group: AutoScalingGroup) -> None:
        members = {m.instance_id for m in self._store.find(GroupInstance, "group", group.arn)}
        world = self._world
        machines = {id for id, arn in world.instances.group_machines().items() if arn == group.arn}
        registered = {
            instance.ec2_instance_id
            for instance in self._store.all(ContainerInstance)
            if instance.ec2_instance_id in members | machines and instance.status == "ACTIVE"
        }
        if not members == machines == registered:
            broken(ONE_EACH, f"{len(members)} instances, {len(machines)} machines, {len(registered)} ACTIVE")

    def _unsettled(self, group: AutoScalingGroup) -> str:
        """CapacityProviderReservation is 100 % where no task waits and each instance has one."""
        members = self._store.find(GroupInstance, "group", group.arn)
        by_machine = {i.ec2_instance_id: i for i in self._store.all(ContainerInstance)}
        used = 0
        for member in members:
            instance = by_machine.get(member.instance_id)
            tasks = self._store.find(Task, "instance", instance.arn) if instance is not None else []
            used += any(not self._is_daemons(task) for task in tasks)
        wanted = min(max(used, group.min_size), group.max_size)
        if any(not member.stays for member in members) or len(members) != wanted:
            return (
                f"{group.name}: {len(members)} instances, {used} of them with tasks: it should have {wanted}"
            )
        return ""


def _group_arn(provider: CapacityProvider) -> str:
    found: str = (provider.auto_scaling_group_provider or {}).get("autoScalingGroupArn", "")
    return found
