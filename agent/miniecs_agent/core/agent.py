"""The agent of one container instance, without its I/O: messages, answers, events and time in, effects out.

It speaks the ECS agent protocol (what a control plane says on ACS and what it must be
told): registration, acknowledgements, manifests, health. What it does to containers is
``tasks``; how effects are carried out is the shell's matter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from miniecs.ids import Ids
from miniecs_agent.core.acs import MESSAGES
from miniecs_agent.core.capabilities import HostFacts, registration
from miniecs_agent.core.dependencies import resolvable
from miniecs_agent.core.effects import (
    ACS,
    TCS,
    Answer,
    ApiFailure,
    Channel,
    Close,
    Effect,
    Exit,
    Open,
    ReadUsage,
    SendAcs,
    SendTcs,
    Submit,
    WakeAt,
)
from miniecs_agent.core.link import Link
from miniecs_agent.core.reports import publish_health, task_health
from miniecs_agent.core.shapes import fault
from miniecs_agent.core.spec import Document, InvalidTask, read_task
from miniecs_agent.core.state import TaskState
from miniecs_agent.core.tasks import AgentSettings, TaskRunner
from miniecs_agent.core.telemetry import (
    TASKS_PER_MESSAGE,
    EngineHealth,
    Meter,
    Readings,
    publish_metrics,
    publish_status,
)
from miniecs_agent.engine import EngineContainer, EngineEvent

log = logging.getLogger("miniecs.agent")

REGISTER = "register"
DISCOVER = "discover"
_RETRIABLE = ("", "ThrottlingException", "ServerException", "LimitExceededException", "ServiceUnavailable")
_HAS_RUN = ("RUNNING", "DEACTIVATING")
_REGISTER_DELAY, _REGISTER_DELAY_LIMIT = 3.0, 192.0


class AgentCore:
    """One agent. Every method returns the effects to carry out, in order.

    known_arn: the instance's ARN when it registered before. ``arn`` is '' until it is registered.
    """

    def __init__(
        self, settings: AgentSettings, facts: HostFacts, ids: Ids, known_arn: str | None = None
    ) -> None:
        self.arn = ""
        self._settings = settings
        self._facts = facts
        self._ids = ids
        self._known_arn = known_arn
        self._effects: list[Effect] = []
        self._emit = self._effects.append
        self.tasks = TaskRunner(settings, self._emit, self._health_changed)
        self._links = {channel: Link(float(ids.number(61))) for channel in Channel}
        self._last_seen = 0  # highest seqNum or timeline
        self._calls: dict[str, tuple[Submit, int]] = {}  # unanswered calls that are not a task's report
        self._call_wakes: dict[str, float] = {}
        self._armed: float | None = None
        self._meter = Meter(facts.cpu / 1024)
        self._engine_health = EngineHealth(answers=True, since=0.0)
        self._publish_at: float | None = None  # while TCS is open
        self._handlers: dict[str, Callable[[float, Document], None]] = {
            "HeartbeatMessage": self._on_heartbeat,
            "PayloadMessage": self._on_payload,
            "TaskManifestMessage": self._on_manifest,
            "TaskStopVerificationAck": self._on_stop_verification,
            "IAMRoleCredentialsMessage": self._on_credentials,
            "AttachTaskNetworkInterfacesMessage": self._on_attach_task,
            "AttachInstanceNetworkInterfacesMessage": self._on_attach_instance,
            "ConfirmAttachmentMessage": self._acknowledge,
            "StageUpdateMessage": self._on_update,
            "PerformUpdateMessage": self._on_update,
        }

    # What the shell tells

    def start(self, now: float, containers: Iterable[EngineContainer] = ()) -> list[Effect]:
        """Begin: register, and take over what the engine runs."""
        self._engine_health = EngineHealth(answers=True, since=now)
        self._register()
        self.tasks.adopt(now, containers)
        return self._done(now)

    def answered(self, now: float, key: str, answer: Answer) -> list[Effect]:
        """An operation's answer, or its failure."""
        if key in self._calls:
            self._call_answered(now, key, answer)
            return self._done(now)
        self.tasks.answered(now, key, answer)
        return self._hand_out(self.tasks.wake_at)

    def opened(self, now: float, channel: Channel) -> list[Effect]:
        self._links[channel].opened(now)
        if channel is ACS:
            self.tasks.report_now(now)
        else:
            self._publish_all_health(now)
            if self._settings.publish_every is not None:
                self._publish_metrics(now, [])
                self._publish_status(now)
                self._publish_at = now + self._settings.publish_every
        return self._done(now)

    def closed(self, now: float, channel: Channel, *, unwelcome: bool = False) -> list[Effect]:
        """The other side hung up. ``unwelcome``: and does not want to see the agent again at once."""
        self._links[channel].closed(now, unwelcome=unwelcome)
        return self._done(now)

    def refused(self, now: float, channel: Channel, *, inactive: bool = False) -> list[Effect]:
        """A dial failed. ``inactive``: the answer was InactiveInstanceException."""
        self._links[channel].refused(now, inactive)
        if inactive and channel is ACS:
            telemetry = self._links[TCS]
            if telemetry.is_open:
                self._emit(Close(TCS))
            telemetry.refused(now, inactive)
        return self._done(now)

    def handle(self, now: float, message: Document) -> list[Effect]:
        """A message from ACS. Unknown types are ignored: newer control planes say more.

        What is no message of its type is ignored as well, and not acknowledged.
        """
        self._links[ACS].heard(now)
        kind, body = message.get("type"), message.get("message") or {}
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is not None and isinstance(kind, str):
            problem = fault(body, MESSAGES[kind], kind)
            if problem:
                log.warning("a message of the control plane is not understood: %s", problem)
            else:
                handler(now, body)
        # What was heard makes no link's time come sooner, and no call's.
        return self._hand_out(self.tasks.wake_at)

    def handle_telemetry(self, now: float, message: Document) -> list[Effect]:
        """A message from TCS: acknowledgements and heartbeats, which only show that it is alive."""
        self._links[TCS].heard(now)
        return []

    def engine_event(self, now: float, event: EngineEvent) -> list[Effect]:
        self.tasks.engine_event(now, event)
        return self._hand_out(self.tasks.wake_at)

    def engine_answers(self, now: float, answers: bool) -> list[Effect]:
        """The engine as a whole went away, or came back. Until it does, nothing is known of any container."""
        if answers != self._engine_health.answers:
            self._engine_health = EngineHealth(answers, now)
            if self._links[TCS].is_open:
                self._publish_status(now)
        return self._done(now)

    def reachable(self, now: float) -> list[Effect]:
        """The control plane is known to answer (again): whatever waited for that need not wait any longer."""
        for key in list(self._call_wakes):
            del self._call_wakes[key]
            self._emit(self._calls[key][0])
        for link in self._links.values():
            link.hasten(now)
        self.tasks.report_now(now)
        return self._done(now)

    def usage_read(self, now: float, readings: Readings) -> list[Effect]:
        """What running containers use: the answer to ReadUsage."""
        metrics = self._meter.measure(now, self.tasks, readings)
        if self._links[TCS].is_open:
            self._publish_metrics(now, metrics)
        return self._done(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        self._armed = None
        for key, at in list(self._call_wakes.items()):
            if at <= now:
                del self._call_wakes[key]
                self._emit(self._calls[key][0])
        for channel, link in self._links.items():
            if link.silent(now):
                self._emit(Close(channel))
                link.closed(now)
        if self._publish_at is not None and self._publish_at <= now:
            self._publish_due(now)
        self.tasks.tick(now)
        return self._done(now)

    # Effects

    def _done(self, now: float) -> list[Effect]:
        """Hand out the effects, with the dials that are due and the next time to wake."""
        earliest = self.tasks.wake_at
        for channel, link in self._links.items():
            at = link.wake_at
            if at is None:
                continue
            if at <= now and link.should_dial(now):
                link.dialled()
                self._emit(Open(channel))
            elif earliest is None or at < earliest:
                earliest = at
        for at in self._call_wakes.values():
            if earliest is None or at < earliest:
                earliest = at
        if self._publish_at is not None and (earliest is None or self._publish_at < earliest):
            earliest = self._publish_at
        return self._hand_out(earliest)

    def _hand_out(self, wake_at: float | None) -> list[Effect]:
        """The effects, with a wake when it must come sooner than the one that was asked for."""
        if wake_at is not None and (self._armed is None or wake_at < self._armed):
            self._armed = wake_at
            self._emit(WakeAt(wake_at))
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    # Calls that are not a task's report

    def _call(self, key: str, operation: str, params: dict[str, Any]) -> None:
        submit = Submit(key, operation, params)
        self._calls[key] = (submit, 0)
        self._emit(submit)

    def _register(self) -> None:
        params = registration(
            self._facts, self._settings.cluster, token=self._ids.uuid(), known_arn=self._known_arn
        )
        self._call(REGISTER, "RegisterContainerInstance", params)

    def _call_answered(self, now: float, key: str, answer: Answer) -> None:
        if isinstance(answer, ApiFailure):
            self._call_failed(now, key, answer)
            return
        self._forget_call(key)
        if key == REGISTER:
            self.arn = self._known_arn = answer["containerInstance"]["containerInstanceArn"]
            params = {"cluster": self._settings.cluster, "containerInstance": self.arn, "zoneId": ""}
            self._call(DISCOVER, "DiscoverPollEndpoint", params)
        elif key == DISCOVER:
            for link in self._links.values():
                link.ready(now)

    def _call_failed(self, now: float, key: str, failure: ApiFailure) -> None:
        submit, failures = self._calls[key]
        if key == REGISTER and failure.code not in _RETRIABLE:
            self._forget_call(key)
            self._emit(Exit(5, f"{failure.code}: {failure.message}"))
            return
        if key not in (REGISTER, DISCOVER) and failure.code == "InvalidParameterException":
            self._forget_call(key)
            return
        wait = min(_REGISTER_DELAY * 2**failures, _REGISTER_DELAY_LIMIT)
        self._calls[key] = (submit, failures + 1)
        self._call_wakes[key] = now + wait

    def _forget_call(self, key: str) -> None:
        """It is over, also where it was asked for twice and the other answer has set a time to try again."""
        del self._calls[key]
        self._call_wakes.pop(key, None)

    # ACS

    def _on_heartbeat(self, now: float, message: Document) -> None:
        self._emit(
            SendAcs({"type": "HeartbeatAckRequest", "message": {"messageId": message.get("messageId", "")}})
        )

    def _on_payload(self, now: float, message: Document) -> None:
        self._last_seen = max(self._last_seen, message.get("seqNum") or 0)
        understood = True
        for document in message.get("tasks") or ():
            try:
                spec = read_task(document)
            except InvalidTask as problem:
                understood = False
                log.warning("a task of the control plane is not understood: %s", problem)
                self._report_invalid(document, str(problem))
                continue
            if not resolvable(spec):
                reason = f"TaskDependencyError: Task dependencies cannot be resolved, taskArn: {spec.arn}"
                self._report_invalid(document, reason)
                continue
            for role in ("roleCredentials", "executionRoleCredentials"):
                if document.get(role):
                    self._acknowledge_credentials(message, document[role])
            # Our own member, and the control plane's word that the task ran: see TaskRunner.want.
            ran = document.get("lastStatus") in _HAS_RUN
            self.tasks.want(now, spec, document.get("desiredStatus") == "STOPPED", ran=ran)
        if understood:
            self._acknowledge(now, message)

    def _report_invalid(self, document: Any, reason: str) -> None:
        arn = document.get("arn") if isinstance(document, dict) else None
        if not isinstance(arn, str):
            return
        params = {"cluster": self._settings.cluster, "task": arn, "status": "STOPPED", "reason": reason}
        self._call(f"invalid {arn}", "SubmitTaskStateChange", params)

    def _on_manifest(self, now: float, message: Document) -> None:
        """What should run here: anything else is named back, and stopped once the control plane insists."""
        timeline = message.get("timeline") or 0
        if timeline <= self._last_seen:
            return
        self._last_seen = timeline
        self._acknowledge(now, message)
        wanted = {
            task["taskArn"] for task in message.get("tasks") or () if task.get("desiredStatus") == "RUNNING"
        }
        candidates = [
            {"taskArn": arn, "taskClusterArn": message.get("clusterArn", ""), "desiredStatus": "STOPPED"}
            for arn in self.tasks.live()
            if arn not in wanted
        ]
        if candidates:
            body = {"messageId": message.get("messageId", ""), "stopCandidates": candidates}
            self._emit(SendAcs({"type": "TaskStopVerificationMessage", "message": body}))

    def _on_stop_verification(self, now: float, message: Document) -> None:
        for task in message.get("stopTasks") or ():
            self.tasks.stop(now, task["taskArn"], task.get("taskClusterArn", ""))

    def _on_credentials(self, now: float, message: Document) -> None:
        self._acknowledge_credentials(message, message.get("roleCredentials") or {})

    def _acknowledge_credentials(self, message: Document, credentials: Document) -> None:
        body = {
            "messageId": message.get("messageId", ""),
            "expiration": credentials.get("expiration", ""),
            "credentialsId": credentials.get("credentialsId", ""),
        }
        self._emit(SendAcs({"type": "IAMRoleCredentialsAckRequest", "message": body}))

    def _on_attach_task(self, now: float, message: Document) -> None:
        """The host has what the control plane allocated as soon as it is told: confirm it for the task."""
        self._acknowledge(now, message)
        attachments = _attachments(message)
        if attachments:
            params = {
                "cluster": self._settings.cluster,
                "task": message.get("taskArn", ""),
                "attachments": attachments,
            }
            self._call(f"attached {attachments[0]['attachmentArn']}", "SubmitTaskStateChange", params)

    def _on_attach_instance(self, now: float, message: Document) -> None:
        self._acknowledge(now, message)
        attachments = _attachments(message)
        if attachments:
            params = {"cluster": self._settings.cluster, "attachments": attachments}
            self._call(f"attached {attachments[0]['attachmentArn']}", "SubmitAttachmentStateChanges", params)

    def _on_update(self, now: float, message: Document) -> None:
        body = self._reply(message) | {"reason": "Updates are disabled"}
        self._emit(SendAcs({"type": "NackRequest", "message": body}))

    def _acknowledge(self, now: float, message: Document) -> None:
        self._emit(SendAcs({"type": "AckRequest", "message": self._reply(message)}))

    def _reply(self, message: Document) -> dict[str, Any]:
        """The message's own names, echoed."""
        return {
            "cluster": message.get("clusterArn", ""),
            "containerInstance": message.get("containerInstanceArn", ""),
            "messageId": message.get("messageId", ""),
        }

    # TCS

    def _health_changed(self, now: float, task: TaskState) -> None:
        """Told at once and not only every 20 s as the ECS agent does: deployments wait for it."""
        health = task_health(task)
        if health is not None and self._links[TCS].is_open:
            self._publish([health], now, fin=True)

    def _publish_due(self, now: float) -> None:
        every = self._settings.publish_every
        if every is None or not self._links[TCS].is_open:
            self._publish_at = None
            return
        self._publish_at = now + every
        self._publish_all_health(now)
        self._publish_status(now)
        self._emit(ReadUsage())

    def _publish_all_health(self, now: float) -> None:
        known = [health for health in map(task_health, self.tasks) if health is not None]
        for start in range(0, len(known), TASKS_PER_MESSAGE):
            end = start + TASKS_PER_MESSAGE
            self._publish(known[start:end], now, fin=end >= len(known))

    def _publish_metrics(self, now: float, metrics: list[dict[str, Any]]) -> None:
        for message in publish_metrics(metrics, self._settings.cluster, self.arn, self._ids.uuid, now):
            self._emit(SendTcs(message))

    def _publish_status(self, now: float) -> None:
        message = publish_status(
            self._engine_health, self._settings.cluster, self.arn, self._ids.uuid(), now
        )
        self._emit(SendTcs(message))

    def _publish(self, tasks: list[dict[str, Any]], now: float, *, fin: bool) -> None:
        message = publish_health(tasks, self._settings.cluster, self.arn, self._ids.uuid(), now, fin)
        self._emit(SendTcs(message))


def _attachments(message: Document) -> list[dict[str, str]]:
    return [
        {"attachmentArn": interface["attachmentArn"], "status": "ATTACHED"}
        for interface in message.get("elasticNetworkInterfaces") or ()
        if interface.get("attachmentArn")
    ]
