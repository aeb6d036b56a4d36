"""The tasks of one container instance: takes each one step at a time, and sees that nothing it saw is lost.

Everything that happens to a task passes through ``_advance``: steps are taken until there is
nothing to do, then what changed is reported, again and again until the control plane answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

from miniecs.config import Timing
from miniecs.model.task import NetworkBinding
from miniecs_agent import engine
from miniecs_agent.core.effects import Answer, ApiFailure, Effect, Submit
from miniecs_agent.core.reports import container_change, image_change, task_change
from miniecs_agent.core.spec import ContainerSpec, Document, TaskSpec, read_task
from miniecs_agent.core.state import (
    CREATED,
    NONE,
    PULL,
    PULLED,
    RELEASE,
    REMOVE,
    RUNNING,
    STOPPED,
    ContainerState,
    Known,
    TaskState,
)
from miniecs_agent.core.steps import NOTHING, GiveUp, Step, Wait, next_step
from miniecs_agent.engine import EngineCall, EngineContainer, EngineEvent

ATTEMPTS = 5  # of an engine call that fails for a passing reason; 1 + 2 + 4 + 8 seconds between them
VANISHED = "ContainerVanishedError: No container matching saved ID found"  # the ECS agent's words
FORGOTTEN_KEPT = 5000  # ARNs of removed tasks that are remembered, so that none is ever started again


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How an agent behaves. ``cluster`` is a name or an ARN; waits are at the cluster's time scale."""

    cluster: str
    timing: Timing = Timing()
    flush_after: float = 10.0  # container changes wait this long for their task's own (ECS agent: 10-30 s)
    cleanup_after: float = 10800.0  # stopped containers are kept (ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION)
    report_backoff: float = 1.0  # first wait after a report that nobody answered, doubled up to
    report_backoff_limit: float = 30.0
    publish_every: float | None = None  # metrics, health and status; None: only health, as it changes


class TaskRunner:
    """All tasks of an instance. ``emit`` takes the effects; ``health_changed`` is told of the task."""

    def __init__(
        self,
        settings: AgentSettings,
        emit: Callable[[Effect], None],
        health_changed: Callable[[float, TaskState], None],
    ) -> None:
        self._settings = settings
        self._emit = emit
        self._health_changed = health_changed
        self._tasks: dict[str, TaskState] = {}
        self._unclaimed: dict[str, list[EngineContainer]] = {}
        self._forgotten: dict[str, None] = {}
        self._wakes: list[tuple[float, str]] = []

    def __iter__(self) -> Iterator[TaskState]:
        return iter(self._tasks.values())

    def get(self, task_arn: str) -> TaskState | None:
        return self._tasks.get(task_arn)

    def live(self) -> list[str]:
        """ARNs of tasks that have not stopped, and of containers that nobody has asked for yet."""
        return [t.spec.arn for t in self._tasks.values() if t.known != "STOPPED"] + list(self._unclaimed)

    @property
    def wake_at(self) -> float | None:
        return self._wakes[0][0] if self._wakes else None

    # What is wanted

    def want(self, now: float, spec: TaskSpec, stopped: bool, *, ran: bool = False) -> None:
        """The control plane wants the task RUNNING or STOPPED. RUNNING after STOPPED means nothing.

        ran: it was RUNNING before. What is not on the engine then has vanished, and is never made anew.
        """
        task = self._tasks.get(spec.arn)
        if task is None:
            task = self._new(now, spec)
            if ran:
                self._note_vanished(now, task)
            if spec.arn in self._forgotten:
                stopped = True
        elif task.incomplete:
            task.incomplete = False
            if ran:
                self._note_vanished(now, task)
        elif not stopped:
            return
        if stopped:
            task.stopping = True
        self._advance(now, task)

    def stop(self, now: float, task_arn: str, cluster_arn: str) -> None:
        """Stop what the control plane does not know, be it only a container that was found."""
        task = self._tasks.get(task_arn)
        if task is None:
            found = self._unclaimed.get(task_arn)
            if found is None:
                return
            task = self._new(now, _spec_of(found, cluster_arn))
        task.stopping = True
        self._advance(now, task)

    def adopt(self, now: float, containers: Iterable[EngineContainer]) -> None:
        """Take over what the engine runs. Without its document a container waits until its task is wanted."""
        by_task: dict[str, list[EngineContainer]] = {}
        for container in containers:
            by_task.setdefault(container.task_arn, []).append(container)
        for arn, found in by_task.items():
            if arn in self._tasks:
                continue
            self._unclaimed[arn] = found
            document = next((c.document for c in found if c.document is not None), None)
            if document is not None:
                task = self._new(now, read_task(document))
                # Perhaps the agent died between two containers, perhaps one was removed since or could not
                # be started and the task has stopped: only the control plane knows, and says when ACS opens.
                task.incomplete = any(
                    each.known < RUNNING or each.restarting for each in task.containers
                )
                self._advance(now, task)

    def _new(self, now: float, spec: TaskSpec) -> TaskState:
        task = self._tasks[spec.arn] = TaskState(
            spec, tuple([ContainerState(each) for each in spec.containers])
        )
        found = self._unclaimed.pop(spec.arn, None)
        if found is not None:
            for each in found:
                container = task.container(each.name)
                if container is not None:
                    self._recognise(task, container, each, now)
            self._settle(now, task)
            if task.known == "RUNNING" and all(each.reported for each in found):
                task.reported, task.changes = "RUNNING", ()
        return task

    def _recognise(
        self, task: TaskState, container: ContainerState, found: EngineContainer, now: float
    ) -> None:
        """Put what the engine has in place of a container that has yet to be made."""
        container.runtime_id, container.digest = found.runtime_id, found.digest
        container.bindings, container.health = found.bindings, found.health
        container.health_since = now
        container.started_at = found.started_at
        match found.state:
            case "created":
                container.known = CREATED
                return
            case "running":
                container.known = RUNNING
            case "exited":
                container.exit_code, ended_at = found.exit_code, found.ended_at
                # Nobody was there to start it again.
                container.restarting = ended_at is not None and self._restarts(container, ended_at)
                container.known = RUNNING if container.restarting else STOPPED
                container.reason = "" if container.restarting else found.reason
        task.changes += (container_change(container),)

    # What happens

    def engine_event(self, now: float, event: EngineEvent) -> None:
        task = self._tasks.get(event.task_arn)
        container = task.container(event.container) if task is not None else None
        if task is None or container is None:
            return
        self._observe(now, task, container, event)
        self._advance(now, task)

    def _observe(self, now: float, task: TaskState, container: ContainerState, event: EngineEvent) -> None:
        match event:
            case engine.Started(bindings=bindings):
                self._started(now, task, container, bindings)
            case engine.Created(runtime_id=runtime_id):
                container.runtime_id = runtime_id
                self._reached(container, CREATED)
            case engine.Pulled(digest=digest):
                container.digest = digest
                task.pull_stopped_at = now
                self._reached(container, PULLED)
                self._resolved(now, task, container)
            case engine.HealthChanged(status=status):
                if container.known is RUNNING and container.health != status:
                    container.health, container.health_since = status, now
                    self._health_changed(now, task)
            case engine.Exited(exit_code=exit_code, reason=reason):
                self._exited(now, task, container, exit_code, reason)
            case engine.Removed():
                container.doing, container.removed = None, True
            case engine.Failed():
                self._failed(now, task, container, event)

    def _resolved(self, now: float, task: TaskState, container: ContainerState) -> None:
        """Other tasks wait for what this one's images are: they are told before it runs."""
        if container.digest is None or not task.spec.document.get("resolvesImages"):
            return
        task.changes += (image_change(container),)
        task.flush_at = now

    def _reached(self, container: ContainerState, known: Known) -> None:
        container.doing, container.attempts, container.retry_at = None, 0, None
        if container.known < known:
            container.known = known

    def _started(
        self, now: float, task: TaskState, container: ContainerState, bindings: tuple[NetworkBinding, ...]
    ) -> None:
        if container.known is STOPPED:
            return
        fresh = container.known < RUNNING
        if fresh or container.restarting:
            container.started_at = now
            container.restarting = False
            container.health, container.health_since = "UNKNOWN", now
        container.bindings = bindings
        self._reached(container, RUNNING)
        if fresh:
            task.changes += (container_change(container),)

    def _exited(
        self, now: float, task: TaskState, container: ContainerState, exit_code: int | None, reason: str
    ) -> None:
        if container.known is STOPPED or container.restarting:
            return
        container.exit_code = exit_code
        if not task.stopping and self._restarts(container, now):
            container.restarting = True
            container.restarts += 1
            return
        container.reason = container.reason or reason
        self._stopped(task, container)

    def _restarts(self, container: ContainerState, ended_at: float) -> bool:
        """ECS-FACTS: not with an ignored exit code, or sooner than the period."""
        policy = container.spec.restart
        if policy is None or container.exit_code is None or container.started_at is None:
            return False
        ran_long_enough = ended_at - container.started_at >= self._settings.timing.wait(policy.period)
        return ran_long_enough and container.exit_code not in policy.ignored_exit_codes

    def _note_vanished(self, now: float, task: TaskState) -> None:
        """All containers of a task that was RUNNING had run by then, or had failed to."""
        for container in task.containers:
            if container.known < RUNNING:
                if container.known is NONE:
                    container.reason = VANISHED
                self._stopped(task, container)

    def _stopped(self, task: TaskState, container: ContainerState) -> None:
        container.known = STOPPED
        container.doing, container.retry_at, container.restarting = None, None, False
        task.changes += (container_change(container),)

    def _failed(self, now: float, task: TaskState, container: ContainerState, failure: engine.Failed) -> None:
        if failure.action is PULL:
            task.pull_stopped_at = now
        if container.known is STOPPED and failure.action is not REMOVE:
            return
        container.doing = None
        container.attempts += 1
        if failure.temporary and container.attempts < ATTEMPTS:
            container.retry_at = now + self._settings.timing.wait(2 ** (container.attempts - 1))
        elif failure.action is REMOVE:
            container.removed = True  # nothing more can be done; the shell has logged the engine's words
        else:
            container.reason = f"{failure.name}: {failure.message}"
            self._stopped(task, container)

    # What follows

    def tick(self, now: float) -> None:
        """Look again at the tasks whose time has come."""
        while self._wakes and self._wakes[0][0] <= now:
            at, arn = heappop(self._wakes)
            task = self._tasks.get(arn)
            if task is not None and task.wake_at == at:
                task.wake_at = None
                self._advance(now, task)

    def report_now(self, now: float) -> None:
        """The control plane is there again: reports need not wait any longer."""
        for task in list(self._tasks.values()):
            if task.report_at is not None:
                task.report_at = None
                self._advance(now, task)

    def answered(self, now: float, task_arn: str, answer: Answer) -> None:
        """A report came through, or did not."""
        task = self._tasks.get(task_arn)
        if task is None or task.in_flight is None:
            return
        status, task.in_flight = task.in_flight, None
        # Only this error means that saying it again is useless: the task is unknown (ECS agent: the same).
        if isinstance(answer, ApiFailure) and answer.code != "InvalidParameterException":
            task.changes = task.unanswered + task.changes
            wait = min(
                self._settings.report_backoff * 2**task.report_failures, self._settings.report_backoff_limit
            )
            task.report_failures += 1
            task.report_at = now + self._settings.timing.wait(wait)
        else:
            task.reported = status
            task.report_failures = 0
            if status == "STOPPED":
                task.forget_at = now + self._settings.timing.wait(self._settings.cleanup_after)
        task.unanswered = ()
        if task.forget_at is not None:
            self._advance(now, task)
        else:  # what is to be done with its containers does not depend on answers
            self._report(now, task)
            self._wake(task, None)

    def _advance(self, now: float, task: TaskState) -> None:
        timing = self._settings.timing
        self._settle(now, task)
        while True:
            step = next_step(task, timing, now)
            if type(step) is Step:
                self._begin(now, task, step)
                if len(task.containers) == 1:
                    step = NOTHING  # it is busy now, and there is no other to ask for
                    break
            elif type(step) is GiveUp:
                step.container.reason = step.reason
                step.container.exit_code = step.exit_code if step.reason else step.container.exit_code
                self._stopped(task, step.container)
                self._settle(now, task)
            else:
                break
        if task.forget_at is not None and _is_gone(task, now):
            self._forget(task)
            return
        assert type(step) is Wait
        self._report(now, task)
        self._wake(task, step.until)

    def _begin(self, now: float, task: TaskState, step: Step) -> None:
        container = step.container
        container.doing = step.action
        if step.action is PULL and task.pull_started_at is None:
            task.pull_started_at = now
        self._emit(EngineCall(step.action, task.spec, container.spec, container.runtime_id, step.timeout))

    def _settle(self, now: float, task: TaskState) -> None:
        """The task's own status follows from its containers': one that lost an essential one never RUNs."""
        everything_stopped = True
        steady = True
        for container in task.containers:
            if container.known is STOPPED:
                if container.spec.essential:
                    steady = False
                    task.stopping = True
                    if task.execution_stopped_at is None:
                        task.execution_stopped_at = now
            else:
                everything_stopped = False
                if container.known is not RUNNING:
                    steady = False
        if everything_stopped:
            if task.known != "STOPPED" and task.spec.document.get("elasticNetworkInterfaces"):
                self._emit(EngineCall(RELEASE, task.spec, task.containers[0].spec))
            task.known = "STOPPED"
            if task.execution_stopped_at is None:
                task.execution_stopped_at = now
        elif steady and task.known == "PENDING":
            task.known = "RUNNING"

    def _report(self, now: float, task: TaskState) -> None:
        if task.in_flight is not None or task.reported == "STOPPED":
            return
        if task.known == task.reported:
            if not task.changes:
                return
            if task.flush_at is None:
                task.flush_at = now + self._settings.timing.wait(self._settings.flush_after)
            if now < task.flush_at:
                return
        if task.report_at is not None:
            if now < task.report_at:
                return
            task.report_at = None
        task.flush_at = None
        task.in_flight = task.known
        task.unanswered, task.changes = task.changes, ()
        params = task_change(task, self._settings.cluster, list(task.unanswered))
        self._emit(Submit(task.spec.arn, "SubmitTaskStateChange", params))

    def _wake(self, task: TaskState, until: float | None) -> None:
        if until is None and task.report_at is None and task.flush_at is None:
            return
        at = _report_due(task)
        if at is not None and (until is None or at < until):
            until = at
        if until is not None and (task.wake_at is None or until < task.wake_at):
            task.wake_at = until
            heappush(self._wakes, (until, task.spec.arn))

    def _forget(self, task: TaskState) -> None:
        del self._tasks[task.spec.arn]
        self._forgotten[task.spec.arn] = None
        if len(self._forgotten) > FORGOTTEN_KEPT:
            del self._forgotten[next(iter(self._forgotten))]


def _report_due(task: TaskState) -> float | None:
    """When a report that has to wait may go out; None when none waits."""
    if task.in_flight is not None or task.reported == "STOPPED":
        return None
    if task.known != task.reported:
        return task.report_at
    if task.flush_at is None or task.report_at is None:
        return task.flush_at
    return max(task.flush_at, task.report_at)


def _is_gone(task: TaskState, now: float) -> bool:
    return (
        task.forget_at is not None
        and now >= task.forget_at
        and all(container.removed or container.runtime_id is None for container in task.containers)
    )


def _spec_of(found: list[EngineContainer], cluster_arn: str) -> TaskSpec:
    """As much of a task as its containers show: enough to stop it."""
    empty: Document = {}
    containers = tuple(
        ContainerSpec(each.name, "", True, (), None, None, None, False, (), empty) for each in found
    )
    return TaskSpec(found[0].task_arn, cluster_arn, "", "", "bridge", containers, empty)
