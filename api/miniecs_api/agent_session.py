"""One agent's channels as the control plane holds them: ACS, on which it is told, and TCS, on which it tells.

Without I/O: a session is given messages as dictionaries and sends through a function, so that an in-memory
link and a websocket are the same to it. What is not one channel's own is its owner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from miniecs.control.payloads import network_interface
from miniecs.model import arns
from miniecs.model.instance import ContainerInstance
from miniecs.model.task import NetworkInterface, Task
from miniecs_api.agent_messages import (
    PublishHealth,
    PublishInstanceStatus,
    PublishMetrics,
    TaskStopVerification,
    understood,
)

if TYPE_CHECKING:
    from miniecs_api.agents import AgentSessions

HEARTBEAT_EVERY = 30.0  # agents give a connection up after 60 to 120 s of silence
RESEND_AFTER = 20.0
SILENT_AFTER = 75.0  # no heartbeat was answered for so long: nobody is there
TASKS_PER_PAYLOAD = 50
ATTACHED_WITHIN = 300_000  # milliseconds that an agent waits for a network interface to appear
OWN = "miniecs."  # how the types of our own messages begin; the ECS agent ignores them

Message = Mapping[str, Any]
Send = Callable[[dict[str, Any]], None]


class AgentSession:
    """One open ACS channel. Made by ``AgentSessions.connect``."""

    __slots__ = (
        "_answers_heartbeats",
        "_close",
        "_heard_at",
        "_heartbeat_at",
        "_owner",
        "_send",
        "_unacknowledged",
        "cluster_arn",
        "instance_arn",
        "look_at",
        "open",
    )

    def __init__(
        self,
        owner: AgentSessions,
        instance: ContainerInstance,
        send: Send,
        close: Callable[[], None],
        now: float,
    ) -> None:
        self.instance_arn = instance.arn
        self.cluster_arn = instance.cluster_arn
        self.open = True
        self._owner = owner
        self._send = send
        self._close = close
        self._unacknowledged: dict[str, tuple[float, tuple[str, ...]]] = {}  # message -> (sent at, tasks)
        self._answers_heartbeats = False  # agent 1.48.1 does not
        self._heard_at = now
        self._heartbeat_at = now
        self.look_at = now  # nothing is due before

    def receive(self, now: float, message: Message) -> None:
        """A message from the agent. What is not understood is ignored, as agents do."""
        self._heard_at = now
        body = message.get("message")
        if not isinstance(body, Mapping):
            return
        match message.get("type"):
            case "AckRequest" | "NackRequest":
                self._unacknowledged.pop(str(body.get("messageId")), None)
            case "HeartbeatAckRequest":
                self._answers_heartbeats = True
            case "TaskStopVerificationMessage":
                if (found := understood(TaskStopVerification, body, self.instance_arn)) is not None:
                    self._verify(now, found)
            case str(own) if own.startswith(OWN):
                self._owner.own_received(self.instance_arn, message)

    def closed(self, now: float) -> None:
        """The agent hung up, or the line broke."""
        self._owner.session_closed(now, self)

    def hang_up(self) -> None:
        """End the channel from this side; the agent dials again at once."""
        self.open = False
        self._close()

    def send_tasks(self, now: float, payloads: Iterable[dict[str, Any]]) -> None:
        """Tell of tasks, in as many messages as it takes, each to be acknowledged."""
        payloads = list(payloads)
        for start in range(0, len(payloads), TASKS_PER_PAYLOAD):
            part = payloads[start : start + TASKS_PER_PAYLOAD]
            body = self._body(now)
            body["seqNum"] = body["timeline"] = self._owner.next_number(now)
            body["tasks"] = part
            self._unacknowledged[body["messageId"]] = (now, tuple([task["arn"] for task in part]))
            self.look_at = min(self.look_at, now + RESEND_AFTER)
            self._send({"type": "PayloadMessage", "message": body})

    def send_interface(self, now: float, task: Task, interface: NetworkInterface) -> None:
        """Tell of a task's network interface, to be confirmed by SubmitTaskStateChange."""
        body = self._body(now)
        body["taskArn"], body["taskClusterArn"] = task.arn, task.cluster_arn
        body["waitTimeoutMs"] = ATTACHED_WITHIN
        body["elasticNetworkInterfaces"] = [network_interface(interface, arns.scope_of(task.arn))]
        self._send({"type": "AttachTaskNetworkInterfacesMessage", "message": body})

    def send_manifest(self, now: float, tasks: Iterable[tuple[str, str]]) -> None:
        """(ARN, desired status) of every task that should be known to the agent."""
        body = self._body(now)
        body["timeline"] = self._owner.next_number(now)
        body["tasks"] = [
            {"taskArn": arn, "taskClusterArn": self.cluster_arn, "desiredStatus": status}
            for arn, status in tasks
        ]
        self._send({"type": "TaskManifestMessage", "message": body})

    def tick(self, now: float) -> None:
        """Heartbeats; what was not acknowledged, again; and an end to a line that nobody answers."""
        if self._answers_heartbeats and now - self._heard_at > SILENT_AFTER:
            self.hang_up()
            self._owner.session_closed(now, self)
            return
        if now >= self._heartbeat_at:
            self.heartbeat(now)
        self.look_at = min(self._heartbeat_at, self._heard_at + SILENT_AFTER)
        if not self._unacknowledged:
            return
        late = [id for id, (sent, _) in self._unacknowledged.items() if now - sent >= RESEND_AFTER]
        if late:
            tasks = dict.fromkeys(task for id in late for task in self._unacknowledged.pop(id)[1])
            self.send_tasks(now, self._owner.still_due(self.instance_arn, tasks))
        for sent, _ in self._unacknowledged.values():
            self.look_at = min(self.look_at, sent + RESEND_AFTER)

    def heartbeat(self, now: float) -> None:
        self._heartbeat_at = now + self._owner.heartbeat_every
        body = {"healthy": True, "messageId": self._owner.ids.uuid()}
        self._send({"type": "HeartbeatMessage", "message": body})

    def challenge(self, now: float) -> None:
        """Say what every agent answers at once, if it is there."""
        self.heartbeat(now)
        self._owner.send_manifest(now, self)  # 1.48.1 does not answer heartbeats

    def send_own(self, message: dict[str, Any]) -> None:
        """One of miniecs's own messages."""
        self._send(message)

    def _verify(self, now: float, body: TaskStopVerification) -> None:
        stop = [
            {
                "taskArn": candidate.taskArn,
                "taskClusterArn": candidate.taskClusterArn,
                "desiredStatus": "STOPPED",
            }
            for candidate in body.stopCandidates or ()
            if self._owner.must_not_run(self.instance_arn, candidate.taskArn)
        ]
        if stop:
            answer = {
                "messageId": body.messageId,
                "generatedAt": int(now * 1000),
                "stopTasks": stop,
            }
            self._send({"type": "TaskStopVerificationAck", "message": answer})

    def _body(self, now: float) -> dict[str, Any]:
        return {
            "clusterArn": self.cluster_arn,
            "containerInstanceArn": self.instance_arn,
            "messageId": self._owner.ids.uuid(),
            "generatedAt": int(now * 1000),
        }


class TelemetrySession:
    """One open TCS channel. Made by ``AgentSessions.telemetry``."""

    __slots__ = ("_close", "_owner", "_send", "instance_arn", "look_at", "open")

    def __init__(
        self, owner: AgentSessions, instance_arn: str, send: Send, close: Callable[[], None], now: float
    ) -> None:
        self.instance_arn = instance_arn
        self.open = True
        self._owner = owner
        self._send = send
        self._close = close
        self.look_at = now + owner.heartbeat_every

    def receive(self, now: float, message: Message) -> None:
        body = message.get("message")
        if not isinstance(body, Mapping):
            return
        match message.get("type"):
            case "PublishHealthRequest":
                if (health := understood(PublishHealth, body, self.instance_arn)) is not None:
                    self._owner.health_published(now, self.instance_arn, health)
                self._send({"type": "AckPublishHealth", "message": {"message": "ok"}})
            case "PublishMetricsRequest":
                if (metrics := understood(PublishMetrics, body, self.instance_arn)) is not None:
                    self._owner.metrics.published(now, self.instance_arn, metrics)
                self._send({"type": "AckPublishMetric", "message": {"message": "ok"}})
            case "PublishInstanceStatusRequest":
                if (status := understood(PublishInstanceStatus, body, self.instance_arn)) is not None:
                    self._owner.instance_status_published(now, self.instance_arn, status)
                self._send({"type": "AckPublishInstanceStatus", "message": {"message": "ok"}})

    def closed(self, now: float) -> None:
        """The agent hung up, or the line broke."""
        self._owner.telemetry_closed(self)

    def hang_up(self) -> None:
        self.open = False
        self._close()

    def tick(self, now: float) -> None:
        """A heartbeat."""
        self.look_at = now + self._owner.heartbeat_every
        self._send({"type": "HeartbeatMessage", "message": {"healthy": True}})
