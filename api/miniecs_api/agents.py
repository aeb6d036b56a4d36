"""The control plane's side of all agents' channels: what is due to whom, and what they told.

Nothing here remembers what must survive: whatever was not acknowledged is made anew from the store, after 20
seconds or at the next connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from miniecs.apply import write_instance, write_task
from miniecs.clock import Clock
from miniecs.control.payloads import DefinitionPayload, definition_payload, task_payload
from miniecs.control.reports import apply_health
from miniecs.ids import Ids
from miniecs.model.frozen import replace
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.store import Change, Commit, Store
from miniecs_api.agent_messages import PublishHealth, PublishInstanceStatus
from miniecs_api.agent_session import HEARTBEAT_EVERY, AgentSession, Message, Send, TelemetrySession
from miniecs_api.metrics import TaskMetrics

RECONNECT_WITHIN = 60.0  # of a control plane's start, for agents that were connected before
TICK_EVERY = 5.0

_TO_START = ("PENDING", "ACTIVATING")
_INSTANCE_STATUSES = ("OK", "IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING")


class AgentVersion(NamedTuple):
    """What an agent says of itself when it connects; the ECS agent does not say it when it registers."""

    agent: str | None = None
    hash: str | None = None
    docker: str | None = None


class OwnMessages(Protocol):
    """Who speaks miniecs's own messages with agents."""

    def received(self, instance_arn: str, message: Message) -> None:
        """A message of a type that begins with ``miniecs.``."""

    def closed(self, instance_arn: str) -> None:
        """The instance's ACS channel has ended, or was replaced by another."""


class AgentSessions:
    """All agents' channels, one of each kind a container instance; follows the store's commits.

    Whoever owns the time calls ``tick`` every TICK_EVERY seconds. ``send`` and ``close`` functions must not
    call back into sessions: they put into a queue.
    """

    def __init__(
        self, store: Store, ids: Ids, clock: Clock, *, heartbeat_every: float = HEARTBEAT_EVERY
    ) -> None:
        self.ids = ids
        self.heartbeat_every = heartbeat_every
        self.metrics = TaskMetrics(store)
        self._own: OwnMessages | None = None
        self._store = store
        self._clock = clock
        self._sessions: dict[str, AgentSession] = {}
        self._telemetry: dict[str, TelemetrySession] = {}
        self._shared: dict[str, tuple[TaskDefinition, DefinitionPayload]] = {}
        self._number = 0
        self._started_at = clock.now()
        self._awaited: set[str] = set()  # instances that were connected when the control plane went down
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to follow the store. Agents that were connected before have a minute to come back."""
        self._started_at = self._clock.now()
        self._awaited = {i.arn for i in self._store.all(ContainerInstance) if i.agent_connected}
        self._unsubscribe = self._store.subscribe(self._on_commit)

    def stop(self) -> None:
        """Hang up on everybody and follow the store no more; who was connected stays marked so."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.reset()

    def reset(self) -> None:
        """Hang up on everybody: after the store was wiped no instance is registered any more."""
        for session in list(self._sessions.values()):
            self._dismiss(session)
        for telemetry in self._telemetry.values():
            telemetry.hang_up()
        self._sessions.clear()
        self._telemetry.clear()
        self._shared.clear()
        self._awaited.clear()
        self.metrics.clear()

    def is_connected(self, instance_arn: str) -> bool:
        return instance_arn in self._sessions

    # Messages of our own

    def listen(self, own: OwnMessages) -> None:
        """From now on ``own`` hears of our own messages; there is one such listener."""
        self._own = own

    def send_own(self, instance_arn: str, message: dict[str, Any]) -> bool:
        """Send one of miniecs's own messages (type ``miniecs.…``); False when no agent is connected."""
        session = self._sessions.get(instance_arn)
        if session is None:
            return False
        session.send_own(message)
        return True

    def own_received(self, instance_arn: str, message: Message) -> None:
        if self._own is not None:
            self._own.received(instance_arn, message)

    # Channels

    def connect(
        self,
        now: float,
        instance_arn: str,
        send: Send,
        close: Callable[[], None],
        *,
        version: AgentVersion | None = None,
        address: str | None = None,
    ) -> AgentSession | None:
        """An agent opened ACS; None when its instance is not registered (InactiveInstanceException).

        It is told at once what it should be running. A connection that it had before is hung up. ``address``:
        where it called from, which is the instance's when its agent told none.
        """
        instance = self._store.get(ContainerInstance, instance_arn)
        if instance is None or instance.status == "INACTIVE":
            return None
        # First, for the store may fail; then nothing of the connection is there, and the agent tries again.
        self._connected(now, instance_arn, version, address)
        old = self._sessions.get(instance_arn)
        if old is not None:
            self._dismiss(old)
        session = self._sessions[instance_arn] = AgentSession(self, instance, send, close, now)
        self._awaited.discard(instance_arn)
        session.heartbeat(now)
        tasks = self._store.find(Task, "instance", instance_arn)
        wanted = [(task, status) for task in tasks if (status := _told(task)) is not None]
        self._send_interfaces(now, session, wanted)
        session.send_tasks(now, (self._payload(task, status) for task, status in wanted))
        self.send_manifest(now, session)
        return session

    def has_telemetry(self, instance_arn: str) -> bool:
        return instance_arn in self._telemetry

    def send_manifest(self, now: float, session: AgentSession) -> None:
        """Tell an agent all that it should be running."""
        tasks = self._store.find(Task, "instance", session.instance_arn)
        wanted = [(task.arn, status) for task in tasks if (status := _told(task)) is not None]
        session.send_manifest(now, wanted)

    def _dismiss(self, session: AgentSession) -> None:
        """End a session from this side, of which nothing more is to be heard."""
        if self._sessions.get(session.instance_arn) is session:
            del self._sessions[session.instance_arn]
        session.hang_up()
        self._own_closed(session)

    def _own_closed(self, session: AgentSession) -> None:
        if self._own is not None:
            self._own.closed(session.instance_arn)

    def telemetry(
        self, now: float, instance_arn: str, send: Send, close: Callable[[], None]
    ) -> TelemetrySession | None:
        """An agent opened TCS; None when its instance is not registered."""
        instance = self._store.get(ContainerInstance, instance_arn)
        if instance is None or instance.status == "INACTIVE":
            return None
        old = self._telemetry.pop(instance_arn, None)
        if old is not None:
            old.hang_up()
        session = self._telemetry[instance_arn] = TelemetrySession(self, instance_arn, send, close, now)
        return session

    def session_closed(self, now: float, session: AgentSession) -> None:
        """The end of a channel; of no interest when another has replaced it already."""
        session.open = False
        if self._sessions.get(session.instance_arn) is session:
            del self._sessions[session.instance_arn]
            self._own_closed(session)
            self._mark(now, session.instance_arn, connected=False, because="its agent's connection ended")

    def telemetry_closed(self, session: TelemetrySession) -> None:
        session.open = False
        if self._telemetry.get(session.instance_arn) is session:
            del self._telemetry[session.instance_arn]

    def tick(self, now: float) -> float:
        """Everything that is due; when to call again."""
        for session in list(self._sessions.values()):
            if session.look_at <= now:
                session.tick(now)
        for telemetry in list(self._telemetry.values()):
            if telemetry.look_at <= now:
                telemetry.tick(now)
        if self._awaited and now - self._started_at > RECONNECT_WITHIN:
            for arn in sorted(self._awaited):
                self._mark(now, arn, connected=False, because="its agent did not come back")
            self._awaited.clear()
        return now + TICK_EVERY

    def _connected(
        self, now: float, instance_arn: str, version: AgentVersion | None, address: str | None
    ) -> None:
        with self._store.transaction() as tx:
            instance = tx.get(ContainerInstance, instance_arn)
            if instance is None:
                return
            after = replace(instance, agent_connected=True, private_ip=instance.private_ip or address)
            if version is not None:
                after = replace(
                    after,
                    agent_version=version.agent or instance.agent_version,
                    agent_hash=version.hash or instance.agent_hash,
                    docker_version=version.docker or instance.docker_version,
                )
            if after != instance:
                write_instance(tx, instance, after, now=now, because="its agent connected")

    def _mark(self, now: float, instance_arn: str, *, connected: bool, because: str) -> None:
        with self._store.transaction() as tx:
            instance = tx.get(ContainerInstance, instance_arn)
            if instance is not None and instance.agent_connected != connected:
                after = replace(instance, agent_connected=connected)
                write_instance(tx, instance, after, now=now, because=because)

    # From the store to the agents

    def _on_commit(self, commit: Commit) -> None:
        due: dict[str, list[tuple[Task, str]]] = {}
        for change in commit.changes:
            if change.kind is Task:
                self._task_changed(change, due)
                self.metrics.task_changed(change)
            elif change.kind is ContainerInstance:
                self._instance_changed(change)
        if due:
            now = self._clock.now()
            for instance_arn, tasks in due.items():
                payloads = [self._payload(task, status) for task, status in tasks]
                self._send_interfaces(now, self._sessions[instance_arn], tasks)
                self._sessions[instance_arn].send_tasks(now, payloads)

    def _send_interfaces(
        self, now: float, session: AgentSession, tasks: Iterable[tuple[Task, str]]
    ) -> None:
        """Have an agent confirm the interfaces of tasks that it is to run, before it hears of the tasks."""
        for task, status in tasks:
            interface = task.network_interface
            if status == "RUNNING" and interface is not None and interface.status == "ATTACHING":
                session.send_interface(now, task, interface)

    def _task_changed(self, change: Change, due: dict[str, list[tuple[Task, str]]]) -> None:
        after: Task | None = change.after
        if after is None or after.container_instance_arn not in self._sessions:
            return
        status = _due(after)
        if status is None:
            return
        before: Task | None = change.before
        already = (
            before is not None
            and before.container_instance_arn == after.container_instance_arn
            and _due(before) == status
        )
        if not already:
            due.setdefault(after.container_instance_arn, []).append((after, status))

    def _instance_changed(self, change: Change) -> None:
        after: ContainerInstance | None = change.after
        if after is not None and after.status != "INACTIVE":
            return
        session = self._sessions.get(change.key)
        if session is not None:
            self._dismiss(session)
        telemetry = self._telemetry.pop(change.key, None)
        if telemetry is not None:
            telemetry.hang_up()

    def _payload(self, task: Task, status: str) -> dict[str, Any]:
        definition = self._store.get(TaskDefinition, task.task_definition_arn)
        if definition is None:
            raise RuntimeError(f"{task.arn} outlived its task definition {task.task_definition_arn}")
        cached = self._shared.get(definition.arn)
        if cached is None or cached[0] is not definition:
            cached = self._shared[definition.arn] = (definition, definition_payload(definition))
        payload = task_payload(task, definition, desired_status=status, shared=cached[1])
        # Our own agent's: a task that ran already and is unknown to its engine is over, not to be started.
        payload["lastStatus"] = task.last_status
        if task.resolves_images:  # ours as well: others wait for its digests
            payload["resolvesImages"] = True
        return payload

    def still_due(self, instance_arn: str, task_arns: Iterable[str]) -> list[dict[str, Any]]:
        """Payloads, as of now, of those tasks that the agent has yet to act on."""
        payloads = []
        for arn in task_arns:
            task = self._store.get(Task, arn)
            status = _due(task) if task is not None and task.container_instance_arn == instance_arn else None
            if task is not None and status is not None:
                payloads.append(self._payload(task, status))
        return payloads

    def must_not_run(self, instance_arn: str, task_arn: str) -> bool:
        """Whether a task that an agent runs has no business there."""
        task = self._store.get(Task, task_arn)
        return task is None or task.container_instance_arn != instance_arn or _told(task) != "RUNNING"

    def next_number(self, now: float) -> int:
        """Sequence numbers and timelines: milliseconds, so that they grow over restarts as well."""
        self._number = max(self._number + 1, int(now * 1000))
        return self._number

    # From the agents to the store

    def health_published(self, now: float, instance_arn: str, message: PublishHealth) -> None:
        """The health checks of containers."""
        with self._store.transaction() as tx:
            for published in message.tasks or ():
                task = tx.get(Task, published.taskArn)
                if task is None or task.container_instance_arn != instance_arn:
                    continue
                definition = tx.get(TaskDefinition, task.task_definition_arn)
                if definition is None:
                    continue
                health = {
                    container.containerName: container.healthStatus
                    for container in published.containers or ()
                    if container.healthStatus in ("HEALTHY", "UNHEALTHY", "UNKNOWN")
                }
                after = apply_health(task, definition, health, now=now)
                if after is not task:
                    write_task(tx, task, after, now=now, because="its health checks said so")

    def instance_status_published(
        self, now: float, instance_arn: str, message: PublishInstanceStatus
    ) -> None:
        """Whether the host's container runtime works."""
        runtime = next((s for s in message.statuses or () if s.type == "ContainerRuntime"), None)
        if runtime is None or runtime.status not in _INSTANCE_STATUSES:
            return
        with self._store.transaction() as tx:
            instance = tx.get(ContainerInstance, instance_arn)
            if instance is not None and instance.health_status != runtime.status:
                after = replace(instance, health_status=runtime.status)
                write_instance(tx, instance, after, now=now, because="its agent said so")


def _due(task: Task) -> str | None:
    """What the agent has yet to be told, or to do: RUNNING, STOPPED, or nothing."""
    if task.last_status in _TO_START and task.wanted:
        return "RUNNING"
    return "STOPPED" if task.last_status == "STOPPING" else None


def _told(task: Task) -> str | None:
    """What an agent that knows nothing is to do about a task: it runs on while its targets drain."""
    if task.last_status in ("RUNNING", "DEACTIVATING"):
        return "RUNNING"
    return _due(task)

