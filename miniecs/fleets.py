"""The schedulers' picture of every cluster, kept in step with the store, commit by commit.

A fleet is derived from container instances and tasks and could be thrown away at any
moment; keeping it incremental is what makes one placement cheap on thousands of hosts.
"""

from __future__ import annotations

from miniecs.control.launch import demand_of_task, host_of
from miniecs.model import fargate
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.store import Change, Commit, Store
from miniecs_scheduler import Fleet, Host, Resources


class Fleets:
    """One scheduler fleet a cluster. Call ``rebuild`` after the store was opened or wiped."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fleets: dict[str, Fleet] = {}
        self._hosts: dict[str, tuple[ContainerInstance, Host]] = {}  # by ARN, each of this version
        self._end_subscription = store.subscribe(self._on_commit)
        self.rebuild()

    def close(self) -> None:
        """Follow the store no more."""
        self._end_subscription()

    def of(self, cluster_arn: str) -> Fleet:
        fleet = self._fleets.get(cluster_arn)
        if fleet is None:
            fleet = self._fleets[cluster_arn] = Fleet()
        return fleet

    def host_of(self, instance: ContainerInstance) -> Host:
        """The container instance as its fleet has it; daemons ask for every one in each of their plans."""
        known = self._hosts.get(instance.arn)
        return known[1] if known is not None and known[0] is instance else host_of(instance)

    def rebuild(self) -> None:
        """Forget everything and read the store anew."""
        self._fleets.clear()
        self._hosts.clear()
        for instance in self._store.all(ContainerInstance):
            self._instance_changed(None, instance)
        for task in self._store.all(Task):
            self._task_changed(None, task)

    def _on_commit(self, commit: Commit) -> None:
        launched: dict[tuple[str, int, str], tuple[Resources, list[tuple[str, str]]]] = {}
        for change in commit.changes:
            if change.kind is Task and change.before is None and _takes_place(change.after):
                task = change.after
                demand = self._demand(task)  # one object for all tasks of a definition
                batch = launched.setdefault((task.cluster_arn, id(demand), task.group), (demand, []))
                batch[1].append((task.container_instance_arn, task.arn))
            else:
                self._apply(change)
        for (cluster_arn, _, group), (demand, tasks) in launched.items():
            self.of(cluster_arn).assign_all(tasks, demand, group)

    def _apply(self, change: Change) -> None:
        if change.kind is Task:
            self._task_changed(change.before, change.after)
        elif change.kind is ContainerInstance:
            self._instance_changed(change.before, change.after)

    def _instance_changed(self, before: ContainerInstance | None, after: ContainerInstance | None) -> None:
        if after is None or after.status == "INACTIVE":
            if before is not None:
                self.of(before.cluster_arn).remove_host(before.arn)
                self._hosts.pop(before.arn, None)
            return
        host = host_of(after)
        self._hosts[after.arn] = after, host
        self.of(after.cluster_arn).put_host(host)

    def _task_changed(self, before: Task | None, after: Task | None) -> None:
        held = before is not None and is_on_host(before)
        if after is not None and is_on_host(after):
            assert after.container_instance_arn is not None
            stays = after.desired_status == "RUNNING"
            if not held or (before is not None and stays != (before.desired_status == "RUNNING")):
                self.of(after.cluster_arn).assign(
                    after.container_instance_arn,
                    after.arn,
                    self._demand(after),
                    after.group if stays else None,
                )
        elif held:
            assert before is not None
            self.of(before.cluster_arn).release(before.arn)

    def _demand(self, task: Task) -> Resources:
        definition = self._store.get(TaskDefinition, task.task_definition_arn)
        return demand_of_task(task, definition)


def _takes_place(task: Task) -> bool:
    return task.desired_status == "RUNNING" and is_on_host(task)


def is_on_host(task: Task) -> bool:
    """Resources are held from placement until the agent said STOPPED; Fargate's are no fleet's."""
    return (
        task.container_instance_arn is not None
        and task.last_status != "STOPPED"
        and task.launch_type != fargate.LAUNCH_TYPE
    )
