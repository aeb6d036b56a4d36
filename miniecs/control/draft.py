"""A service's plan while it is being made: launches, stops and sentences, gathered in one place.

REPLICA and DAEMON services decide differently what starts and stops, and tell of it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from miniecs.config import Timing
from miniecs.control import deployments, messages, targets
from miniecs.control.census import Census, Cohort
from miniecs.control.plan import (
    Action,
    LaunchTasks,
    Plan,
    Say,
    SetService,
    SetServiceDeployment,
    StopTask,
    earliest,
)
from miniecs.control.stopping import REBALANCED, SERVICE_SCHEDULER
from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.load_balancing import Target
from miniecs.model.service import Deployment, Service
from miniecs.model.service_deployment import ServiceDeployment
from miniecs.model.task import Task
from miniecs.model.task_set import TaskSet

ScaleInOrder = Callable[[Service, Sequence[Task]], Sequence[Task]]
"""The service's tasks in the order in which to stop them: the scheduler's answer, by the caller's fleet."""

Failed = tuple[Say, StopTask]
"""The end of an unhealthy task, and the service event that tells of it."""


@dataclass(slots=True)
class Draft:
    """One service at one moment, and what has been decided for it so far."""

    view: View
    before: Service  # as it is stored
    service: Service  # as it is planned for: before, or with its deployment just FAILED
    census: Census
    now: float
    timing: Timing
    order: ScaleInOrder
    version: int
    why_failed: str = ""  # the reason for service differing from before: its deployment has failed
    ongoing: ServiceDeployment | None = None  # the release that is being carried out, as it is planned for
    history: list[SetServiceDeployment] = field(default_factory=list)
    retry: bool = False  # capacity appeared: a blocked placement is tried before its time
    launches: list[LaunchTasks] = field(default_factory=list)
    stops: list[StopTask] = field(default_factory=list)
    said_of_failure: list[Action] = field(default_factory=list)  # before all that the rollback does
    said: list[Action] = field(default_factory=list)
    wakes: list[float | None] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)  # unhealthy tasks that are stopped
    decided: Sequence[Failed] = ()  # before: those of a plan that this one replaces
    moves: tuple[str, ...] = ()  # as the service's are to be: see control.rebalancing
    unbalanced: bool = False
    rebalances: list[LaunchTasks] = field(default_factory=list)
    moved: dict[str, list[Task]] = field(default_factory=dict)  # zone -> what stops there for it
    said_of_zones: list[Action] = field(default_factory=list)
    task_set: str = ""  # the id of the one that is planned for
    failed_health: dict[str, int] = field(default_factory=dict)  # deployment id -> unhealthy tasks stopped

    def part(self, service: Service, census: Census, *, task_set: str = "") -> Draft:
        """A draft for a part of the service that is planned for by itself."""
        return Draft(
            self.view,
            service,
            service,
            census,
            self.now,
            self.timing,
            self.order,
            self.version,
            retry=self.retry,
            task_set=task_set,
        )

    def rest(self, deployment: Deployment) -> str:
        """Why the deployment launches nothing now: failed, throttled or blocked; '' when it may."""
        if deployment.rollout_state == "FAILED":
            return "failed"
        if deployment.blocked_until > self.now and not self.retry:
            self.wakes.append(deployment.blocked_until)
            return "blocked"
        return ""

    def launch(
        self,
        deployment: Deployment,
        count: int,
        because: str,
        *,
        replaced: int = 0,
        only_hosts: frozenset[str] | None = None,
    ) -> None:
        of_task_set = self.view.version(TaskSet, arns.task_set(self.before.arn, deployment.id))
        self.launches.append(
            LaunchTasks(
                self.before,
                self.version,
                deployment.id,
                count,
                because,
                replaced,
                only_hosts,
                task_set_version=of_task_set,
            )
        )

    def keeps(self, task: Task) -> bool:
        """Whether the task is protected from scale-in and deployments; wakes the loop when that ends."""
        if not task.is_protected(self.now):
            return False
        self.wakes.append(task.protection_expires_at)
        return True

    def stop(self, task: Task, because: str) -> None:
        """Stop a task because the service wants it no longer."""
        reason = f"Scaling activity initiated by (deployment {task.deployment_id})"
        self._stop(task, reason, because)

    def stop_moved(self, task: Task, because: str) -> None:
        """Stop a task because another has started in a zone with fewer."""
        self.moved.setdefault(task.availability_zone or "", []).append(task)
        self._stop(task, f"{REBALANCED} (deployment {task.deployment_id})", because)

    def stop_unhealthy(self, task: Task, because: str) -> None:
        """Stop a task because its checks failed, and tell which."""
        target = next(
            (t for t in self.view.find(Target, "task", task.arn) if t.state == "unhealthy"), None
        )
        if target is not None:
            reason = f"Task failed ELB health checks in (target-group {target.target_group_arn})"
            text = messages.unhealthy_target(task, target)
        else:
            reason, text = "Task failed container health checks", messages.unhealthy_container(task)
        said = Say(self.service, text, because)
        self.said.append(said)
        id = task.deployment_id or ""
        self.failed_health[id] = self.failed_health.get(id, 0) + 1
        self._stop(task, reason, because)
        self.failed.append((said, self.stops[-1]))

    def _stop(self, task: Task, reason: str, because: str) -> None:
        version = self.view.version(Task, task.arn)
        self.stops.append(StopTask(task, version, SERVICE_SCHEDULER, reason, because))

    def say_once(self, text: str, because: str, *, name: str = "", level: str = "INFO") -> None:
        """Add a service event unless it was said lately and nothing has been resolved since."""
        if self._is_unsaid(text):
            self.said.append(Say(self.service, text, because, name, level))

    def _is_unsaid(self, text: str) -> bool:
        return messages.is_unsaid(
            self.view, self.service, text, now=self.now, timing=self.timing, task_set=self.task_set
        )

    def say_impaired(self, desired: int) -> None:
        """Say that launches fail again and again, where there is something that would be launched."""
        primary = self.service.primary
        if primary.rollout_state == deployments.FAILED or self.census.cohorts[0].good >= desired:
            return
        if deployments.next_launch_at(primary, self.timing) <= self.now:
            return
        because = f"{primary.launch_failures} launches in a row ended before RUNNING; the next one waits"
        self.say_once(messages.IMPAIRED, because, name="SERVICE_TASK_START_IMPAIRED", level="WARN")

    def say_protected(self, cohort: Cohort) -> None:
        """Say that protected tasks of a deployment are in the way."""
        count = sum(task.is_protected(self.now) for task in cohort.tasks())
        if count:
            because = f"{count} {'task is' if count == 1 else 'tasks are'} protected from scale-in"
            self.say_once(messages.protected(cohort.deployment.id, count), because)

    def say_stuck(self, floor: int, ceiling: int) -> None:
        """Say that the bounds leave no move, unless something still moves by itself."""
        census = self.census
        moving = self.stops or self.launches or census.stopping
        if moving or any(cohort.pending for cohort in census.cohorts) or census.running > floor:
            return
        config = self.service.deployment_configuration
        because = (
            f"minimumHealthyPercent {config.minimum_healthy_percent} keeps {floor} and maximumPercent"
            f" {config.maximum_percent} allows {ceiling}: no task can stop first and none can start first"
        )
        leaving = sum(len(cohort.leaving) for cohort in census.cohorts)
        if leaving:
            because += f"; {leaving} cannot leave DRAINING container instances"
        self.say_once(messages.STUCK, because)

    def record(self, after: ServiceDeployment, because: str) -> None:
        """Move a service deployment on; what is moved on twice in one plan is written once."""
        known = next((each for each in self.history if each.after.arn == after.arn), None)
        if known is not None:
            self.history.remove(known)
        before = known.before if known is not None else self.view.get(ServiceDeployment, after.arn)
        if before is not None and before != after:
            version = self.view.version(ServiceDeployment, after.arn)
            self.history.append(SetServiceDeployment(before, version, after, because))
        if self.ongoing is not None and after.arn == self.ongoing.arn:
            self.ongoing = after

    def staying(self, cohort: Cohort) -> Iterator[Task]:
        """Wanted tasks of a deployment without those whose end is decided."""
        stopped = {stop.task.arn for stop in self.stops}
        return (task for task in cohort.tasks() if task.arn not in stopped)

    def remaining(self, cohort: Cohort) -> int:
        """Wanted tasks of a deployment once what is decided is done."""
        stopped = sum(stop.task.deployment_id == cohort.deployment.id for stop in self.stops)
        return cohort.wanted - stopped

    def plan(self, after: Service, because: str, said: Sequence[Action] = ()) -> Plan:
        """Everything decided, and the service as it then is.

        The service comes first: a launch that finds no host notes that on top of it.
        """
        self.stops[:0] = [stop for _, stop in self.decided]
        actions: list[Action] = [said for said, _ in self.decided]
        if self.service is not self.before:
            actions.append(SetService(self.before, self.version, self.service, self.why_failed))
        actions += self.said_of_failure
        if after is not self.service and after != self.service:
            actions.append(SetService(self.service, self.version, after, because))
        actions += [*self.history, *self.launches, *self.said, *self.stops]
        if self.stops:
            actions += self._stop_messages()
        actions += self._registrations()
        wake_at = earliest((*self.wakes, self.census.wake_at))
        return Plan((*actions, *said, *self.said_of_zones, *self.rebalances), wake_at)

    def _registrations(self) -> list[Action]:
        if not self.census.unregistered:
            return []
        stopped = {stop.task.arn for stop in self.stops}
        lacking = [each for each in self.census.unregistered if each[0].arn not in stopped]
        actions = targets.registrations(
            self.view, self.service, lacking, now=self.now, task_set=self.task_set
        )
        for arn, count in targets.unregistrable(self.view, lacking).items():
            text = messages.register_failed(arn)
            if self._is_unsaid(text):
                because = f"the target group was deleted; RUNNING tasks without a target in it: {count}"
                actions.append(Say(self.service, text, because, task_set=self.task_set))
        return actions

    def _stop_messages(self) -> list[Action]:
        stopped = [stop.task for stop in self.stops]
        because = self.stops[0].because
        drained = targets.deregistrations(
            self.view, stopped, now=self.now, timing=self.timing, because=because
        )
        said_of_targets = targets.said_of(self.service, drained, stopped)
        actions: list[Action] = [*drained]
        for zone, tasks in self.moved.items():
            actions.append(Say(self.service, messages.az_stopped(zone, tasks), because, "TASKS_STOPPED"))
        moved = {task.arn for tasks in self.moved.values() for task in tasks}
        stopped = [task for task in stopped if task.arn not in moved]
        running = [task for task in stopped if task.last_status == "RUNNING"]
        if running:
            actions.append(Say(self.service, messages.stopped_running(running), because))
        pending = len(stopped) - len(running)
        if pending:
            actions.append(Say(self.service, messages.stopped_pending(pending), because))
        return [*actions, *said_of_targets]
