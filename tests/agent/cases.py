"""ACS documents, and an agent's core driven by hand: messages and events in, whole effects out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.agent import AgentCore
from miniecs_agent.core.capabilities import HostFacts
from miniecs_agent.core.effects import Answer, Channel, Effect, SendAcs, SendTcs, Submit, WakeAt
from miniecs_agent.core.state import Action
from miniecs_agent.core.tasks import AgentSettings
from miniecs_agent.engine import (
    Created,
    EngineCall,
    EngineContainer,
    Exited,
    Failed,
    HealthChanged,
    Pulled,
    Removed,
    Started,
)

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/mini"
INSTANCE = "arn:aws:ecs:us-east-1:000000000000:container-instance/mini/0123456789abcdef0123456789abcdef"

FACTS = HostFacts(
    cpu=2048,
    memory=4096,
    zone="us-east-1a",
    instance_id="i-0123456789abcdef0",
    instance_type="t3.medium",
    private_ip="172.31.0.16",
    ami_id="ami-1",
    capabilities=("ecs.capability.task-eni",),
    attributes={"stack": "blue"},
)


def arn(name: str = "t1") -> str:
    return f"arn:aws:ecs:us-east-1:000000000000:task/mini/{name}"


def container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox:latest", "essential": True, "overrides": "{}", **fields}


def document(*containers: dict[str, Any], name: str = "t1", **fields: Any) -> dict[str, Any]:
    return {
        "arn": arn(name),
        "taskClusterArn": CLUSTER,
        "family": "web",
        "version": "3",
        "desiredStatus": "RUNNING",
        "overrides": "{}",
        "networkMode": "bridge",
        "containers": list(containers) or [container()],
        **fields,
    }


def payload(*documents: dict[str, Any], seq: int = 2, id: str = "m1") -> dict[str, Any]:
    message = {
        "clusterArn": CLUSTER,
        "containerInstanceArn": INSTANCE,
        "messageId": id,
        "seqNum": seq,
        "tasks": list(documents),
    }
    return {"type": "PayloadMessage", "message": message}


def ack(id: str = "m1") -> SendAcs:
    body = {"cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": id}
    return SendAcs({"type": "AckRequest", "message": body})


class Bench:
    """A registered agent with both channels open, and an engine that does only what a test says."""

    def __init__(
        self, *, found: Sequence[EngineContainer] = (), timing: Timing | None = None, **settings: Any
    ) -> None:
        self.now = 1000.0
        self.settings = AgentSettings("mini", timing or Timing(), **settings)
        self.core = AgentCore(self.settings, FACTS, Ids(seed=1))
        self.first = self.core.start(self.now, found)
        registered = {"containerInstance": {"containerInstanceArn": INSTANCE}}
        self.core.answered(self.now, "register", registered)
        self.core.answered(self.now, "discover", {"endpoint": "http://127.0.0.1/acs"})
        self.core.opened(self.now, Channel.ACS)
        self.core.opened(self.now, Channel.TCS)

    def at(self, seconds: float) -> None:
        self.now = 1000.0 + seconds

    # Whole outputs, without the wakes that only say when to call again

    def take(self, *documents: dict[str, Any], **fields: Any) -> list[Effect]:
        return seen(self.core.handle(self.now, payload(*documents, **fields)))

    def message(self, type: str, **body: Any) -> list[Effect]:
        return seen(self.core.handle(self.now, {"type": type, "message": body}))

    def tick(self) -> list[Effect]:
        return seen(self.core.tick(self.now))

    def answered(self, answer: Answer, name: str = "t1") -> list[Effect]:
        return seen(self.core.answered(self.now, arn(name), answer))

    def pulled(self, name: str = "main", task: str = "t1", digest: str | None = None) -> list[Effect]:
        return seen(self.core.engine_event(self.now, Pulled(arn(task), name, digest)))

    def created(self, name: str = "main", task: str = "t1") -> list[Effect]:
        return seen(self.core.engine_event(self.now, Created(arn(task), name, f"id-{name}")))

    def started(self, name: str = "main", task: str = "t1", *bindings: NetworkBinding) -> list[Effect]:
        return seen(self.core.engine_event(self.now, Started(arn(task), name, bindings)))

    def exited(
        self, code: int | None, name: str = "main", task: str = "t1", reason: str = ""
    ) -> list[Effect]:
        return seen(self.core.engine_event(self.now, Exited(arn(task), name, code, reason)))

    def health(self, status: str, name: str = "main", task: str = "t1") -> list[Effect]:
        return seen(self.core.engine_event(self.now, HealthChanged(arn(task), name, status)))

    def removed(self, name: str = "main", task: str = "t1") -> list[Effect]:
        return seen(self.core.engine_event(self.now, Removed(arn(task), name)))

    def failed(
        self, action: Action, error: str, message: str, *, name: str = "main", temporary: bool = False
    ) -> list[Effect]:
        event = Failed(arn(), name, action, error, message, temporary)
        return seen(self.core.engine_event(self.now, event))

    def run(self, name: str = "main", task: str = "t1") -> list[Effect]:
        """From pulling to running; what that leads to at the end."""
        self.pulled(name, task)
        self.created(name, task)
        return self.started(name, task)


def seen(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, WakeAt)]


def calls(effects: list[Effect]) -> list[str]:
    """Engine calls as words: ``start main``."""
    return [f"{e.action} {e.container.name}" for e in effects if isinstance(e, EngineCall)]


def reports(effects: list[Effect]) -> list[dict[str, Any]]:
    """Parameters of task reports, without what is the same in all."""
    return [
        {name: value for name, value in e.params.items() if name not in ("cluster", "task", "reason")}
        for e in effects
        if isinstance(e, Submit) and e.operation == "SubmitTaskStateChange"
    ]


def sent(effects: list[Effect]) -> list[tuple[str, dict[str, Any]]]:
    """Messages on both channels."""
    return [
        (e.message["type"], e.message["message"]) for e in effects if isinstance(e, (SendAcs, SendTcs))
    ]
