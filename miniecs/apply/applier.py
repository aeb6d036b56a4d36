"""Carrying a plan out: every action once, in one transaction, or none of them."""

from __future__ import annotations

from dataclasses import dataclass

from miniecs.apply.launching import Launcher, Placer
from miniecs.apply.writing import revision_of_task, write_said, write_service, write_task
from miniecs.config import Timing
from miniecs.control import version_consistency
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
from miniecs.control.stopping import stop
from miniecs.control.transitions import advanced
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs.model.frozen import replace
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet
from miniecs.store import Transaction


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
                Launcher(self.tx, self.now, self.ids, self.timing, self.place).launch(action)
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
                after = version_consistency.pinned(after, revision_of_task(self.tx, after))
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
                write_said(self.tx, action, now=self.now, ids=self.ids)

    def _task(self, planned: Task) -> Task:
        """The task as this transaction has it by now: one plan may act on it twice."""
        return self.tx.get(Task, planned.arn) or planned
