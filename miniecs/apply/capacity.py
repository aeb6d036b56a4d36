"""Carrying out what the loops of capacity providers and groups decide, each plan in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from miniecs.apply.applier import Applier
from miniecs.apply.writing import (
    keep_decision,
    revision_of_task,
    why_unplaced,
    write_instance,
    write_task,
)
from miniecs.control import capacity, interfaces, version_consistency
from miniecs.control.launch import placement_request
from miniecs.control.plan import (
    Action,
    EndInstance,
    LaunchInstances,
    PlaceWaiting,
    SetCapacity,
    SetInstance,
    SetMember,
    SetScaling,
)
from miniecs.control.stopping import FAILED_TO_START, TERMINATION_NOTICE, stop
from miniecs.control.transitions import advanced
from miniecs.model import arns
from miniecs.model.autoscaling import AutoScalingGroup, GroupInstance, ManagedScaling
from miniecs.model.event import Event, EventKind
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import PlacementRules, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs_scheduler import Decision, Fleet, Resources

_Alike = tuple[str, str, str | None, str]


@dataclass(frozen=True, slots=True)
class CapacityApplier(Applier):
    """Carries a plan out within one transaction, whatever loop it is of. fleet: by the cluster's ARN."""

    fleet: Callable[[str], Fleet]

    def _expect(self, action: Action) -> None:
        match action:
            case PlaceWaiting():
                for task, version in action.tasks:
                    self.tx.expect(Task, task.arn, version)
            case SetScaling():
                self.tx.expect(ManagedScaling, action.after.provider_arn, action.version)
            case SetCapacity():
                self.tx.expect(AutoScalingGroup, action.before.arn, action.version)
            case LaunchInstances():
                self.tx.expect(AutoScalingGroup, action.group.arn, action.version)
            case SetMember():
                self.tx.expect(GroupInstance, action.before.instance_id, action.version)
            case EndInstance():
                self.tx.expect(GroupInstance, action.member.instance_id, action.version)
            case SetInstance():
                self.tx.expect(ContainerInstance, action.before.arn, action.version)
            case _:
                Applier._expect(self, action)

    def _do(self, action: Action) -> None:
        match action:
            case PlaceWaiting():
                self._place_waiting(action)
            case SetScaling():
                self.tx.put(action.after)
            case SetCapacity():
                self._set_capacity(action)
            case LaunchInstances():
                self._launch_instances(action)
            case SetMember():
                self.tx.put(action.after)
            case SetInstance():
                write_instance(self.tx, action.before, action.after, now=self.now, because=action.because)
            case EndInstance():
                self._end(action)
            case _:
                Applier._do(self, action)

    # Groups

    def _set_capacity(self, action: SetCapacity) -> None:
        self.tx.put(replace(action.before, desired_capacity=action.desired, because=action.told))
        kind, told = EventKind.DECISION, f"{action.told}; its group shall have {action.desired}"
        self.tx.emit(Event(kind, action.provider_arn, self.now, message=told, because=action.because))

    def _launch_instances(self, action: LaunchInstances) -> None:
        for zone in action.zones:
            self.tx.put(
                GroupInstance(
                    f"i-{self.ids.hex(17)}", action.group.arn, zone, self.now, because=action.because
                )
            )

    def _end(self, action: EndInstance) -> None:
        """As when EC2 ends a machine: what is on it stops, and nobody will report on it any more."""
        instance = self.tx.get(ContainerInstance, action.instance.arn) or action.instance
        reason = f"Host EC2 (instance {instance.ec2_instance_id}) terminated."
        for task in self.tx.find(Task, "instance", instance.arn):
            stopped = stop(task, now=self.now, code=TERMINATION_NOTICE, reason=reason)
            write_task(self.tx, task, stopped, now=self.now, because=action.because)
        gone = replace(
            instance, status="INACTIVE", agent_connected=False, deregistered_at=self.now, status_reason=reason
        )
        because = f"its Auto Scaling group ended it: {action.because}"
        write_instance(self.tx, instance, gone, now=self.now, because=because)
        self.tx.delete(GroupInstance, action.member.instance_id)

    # Waiting tasks

    def _place_waiting(self, action: PlaceWaiting) -> None:
        """Those that are alike together, so that they see each other; the oldest go first."""
        alike: dict[_Alike, list[Task]] = {}
        for task, _ in action.tasks:
            alike.setdefault(_alike(task), []).append(task)
        fleet, tentative = self.fleet(action.cluster_arn), []
        try:
            for tasks in alike.values():
                for task, host, demand in self._place_alike(action, tasks):
                    fleet.assign(host, task.arn, demand, task.group)  # so that the next ones see them
                    tentative.append(task.arn)
        finally:
            for arn in tentative:
                fleet.release(arn)

    def _place_alike(
        self, action: PlaceWaiting, tasks: list[Task]
    ) -> Iterator[tuple[Task, str, Resources]]:
        """Yields which task was placed where, and what it holds there."""
        first = tasks[0]
        definition = self.tx.get(TaskDefinition, first.task_definition_arn)
        if definition is None:
            raise RuntimeError(f"{first.arn} outlived its task definition")
        rules = self._rules(first)
        instances = capacity.hosts(self.tx, action.cluster_arn, action.provider)
        chooser = self._chooser(first, tasks)
        reached = chooser.hosts(instances) if first.network_configuration else (i.arn for i in instances)
        request = placement_request(
            definition,
            overrides=first.overrides,
            count=len(tasks),
            group=first.group,
            constraints=rules.constraints,
            strategies=rules.strategy,
            seed=self.ids.number(2**32),
            only_hosts=frozenset(reached),
        )
        decision = self.place(action.cluster_arn, request)
        for task, placement in zip(tasks, decision.placements, strict=False):
            instance = self.tx.get(ContainerInstance, placement.host)
            assert instance is not None, f"placed onto {placement.host}, which does not exist"
            self._assign(task, instance, chooser, f"{action.because}; {placement.because}")
            yield task, instance.arn, request.demand
        if decision.placements:
            about = first.service_arn or first.arn
            keep_decision(self.tx, about, decision, now=self.now, because=action.because)
        self._give_up(action, tasks[len(decision.placements) :], decision, instances)

    def _rules(self, task: Task) -> PlacementRules:
        service = self.tx.get(Service, task.service_arn) if task.service_arn is not None else None
        if service is not None:
            return PlacementRules(service.placement_constraints, service.placement_strategy)
        return task.placement or PlacementRules()

    def _chooser(self, task: Task, tasks: Iterable[Task]) -> interfaces.Chooser:
        subnets = interfaces.subnets_of(self.tx, arns.scope_of(task.arn), task.network_configuration)
        beside = self.tx.find(Task, "service", task.service_arn) if subnets and task.service_arn else ()
        return interfaces.Chooser(subnets, beside)

    def _assign(
        self, task: Task, instance: ContainerInstance, chooser: interfaces.Chooser, because: str
    ) -> None:
        """Give a task its instance, and the place of its interface; the rest is its own loop's."""
        subnet = chooser.choose(instance.availability_zone) if task.network_configuration else None
        after = replace(
            task,
            container_instance_arn=instance.arn,
            availability_zone=subnet.zone if subnet else instance.availability_zone,
            network_interface=interfaces.wanted(subnet, self.ids.uuid()) if subnet else None,
            placement=None,
            placed_at=self.now,
            because=f"{task.because}; it waited {self.now - task.created_at:.0f} s: {because}",
        )
        after = version_consistency.pinned(after, revision_of_task(self.tx, after))
        write_task(self.tx, task, after, now=self.now, because=because)

    def _give_up(
        self,
        action: PlaceWaiting,
        tasks: list[Task],
        decision: Decision,
        instances: list[ContainerInstance],
    ) -> None:
        """Stop those that have waited too long, with what keeps them from the closest instance."""
        late = [task for task in tasks if task.created_at <= action.give_up]
        if not late:
            return
        if not instances:
            reason = "EMPTY CAPACITY PROVIDER"
        elif decision.closest is None or decision.closest.reason == "INACTIVE":
            reason = "NO ACTIVE INSTANCES"
        else:
            reason = decision.closest.reason.removesuffix(".")
        waited = f"{self.timing.provisioning_timeout:g} s"
        because = f"it waited {waited} for capacity provider {action.provider}; {why_unplaced(decision)}"
        for task in late:
            stopped = stop(task, now=self.now, code=FAILED_TO_START, reason=f"TaskFailedToStart: {reason}")
            ended = advanced(stopped, "STOPPED", now=self.now)
            write_task(self.tx, task, ended, now=self.now, because=because)


def _alike(task: Task) -> _Alike:
    """What tasks must have in common to be placed as one request."""
    return task.task_definition_arn, task.group, task.deployment_id, repr((task.overrides, task.placement))
